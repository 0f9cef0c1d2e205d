"""What there is to say about a workload, taken from the registry and the settings themselves."""

import inspect
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple

from daemon.backends.base import POSTGRES, SQLITE
from daemon.config.reference import Setting, reference
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import UsageError
from daemon.workloads import registry
from daemon.workloads.base import Identity, Schema, Workload

Entry = dict[str, Any]
DIALECTS = (POSTGRES, SQLITE)


class Description(NamedTuple):
    """A workload as it is with some settings; everything in it is JSON data.

    Attributes:
        about: what it does, in a few words.
        ops: `name`, `pool`, `share` of the operations of its pool, and what it does (`about`).
        settings: `key`, `default` (None: unset), what it `takes`, and what it is for (`about`).
        tables: `name`, and the statements that make it and its indexes, for `postgres` and `sqlite`.
        seeded: the same of the tables that only `soakd seed` makes.
        consumers: names of what follows the writes.
        invariants: `name`, and what must be true (`about`).
        data: what it begins with: `unit`, `default` and `least` number of them, `unit_bytes`; or None.
        missing: what must be set before there are operations; empty if nothing.
    """

    name: str
    about: str
    ops: Sequence[Entry]
    settings: Sequence[Entry]
    tables: Sequence[Entry]
    seeded: Sequence[Entry]
    consumers: Sequence[str]
    invariants: Sequence[Entry]
    data: Entry | None
    missing: str


def describe(settings: Settings, name: str) -> Description:
    """Return what the workload of that name does with these settings.

    Raises:
        UsageError: there is no such workload.
    """
    if name not in registry.WORKLOADS:
        raise UsageError(f"there is no workload {name}; there are: {', '.join(registry.WORKLOADS)}")
    kind, missing = registry.WORKLOADS[name], ""
    workload: Workload | None = None
    options: Any = {}
    try:
        options = plan.workload_options(settings.model_copy(update={"workload": name}))
        workload = registry.create(
            name,
            options,
            identity=Identity(0, 0, 0),
            dialect=SQLITE,
            workers=0,
            existing=(),
            wall=float,
            rng=Random(0),
        )
    except UsageError as error:
        missing = str(error)
    consumers = registry.consumers(name, options, dialect=SQLITE, wall=float, shard=0, shards=1)
    invariants = registry.invariants(name, options, dialect=SQLITE)
    data = kind.data
    group = reference()[name]
    return Description(
        name,
        _what(group.description, name),
        _ops(workload, name) if workload else (),
        [
            {"key": one.key, "default": one.default, "takes": one.expects, "about": one.description}
            for one in _settings(name)
        ],
        _tables([workload.schema(dialect) for dialect in DIALECTS]) if workload else (),
        _tables([data.schema(dialect) for dialect in DIALECTS]) if data and data.schema else (),
        [one.name for one in consumers],
        [{"name": one.name, "about": _first_line(one.check)} for one in invariants],
        {key: getattr(data, key) for key in ("unit", "default", "least", "unit_bytes")} if data else None,
        missing,
    )


def _what(description: str, name: str) -> str:
    what = description.removeprefix(f"The workload `{name}`: ").rstrip(".")
    return what[:1].upper() + what[1:]


def _settings(name: str) -> list[Setting]:
    return [
        one for one in reference().values() if isinstance(one, Setting) and one.key.startswith(f"{name}.")
    ]


def _ops(workload: Workload, name: str) -> Sequence[Entry]:
    weights = {op.pool: sum(one.weight for one in workload.ops if one.pool == op.pool) for op in workload.ops}
    # A weight is a setting with the name of its operation, and says what that does.
    about = {one.key.rpartition(".")[2]: one.description for one in _settings(name)}
    return [
        {
            "name": op.name,
            "pool": op.pool,
            "share": op.weight / weights[op.pool] if weights[op.pool] else 0.0,
            "about": about.get(op.name, ""),
        }
        for op in workload.ops
    ]


def _tables(schemas: Sequence[Schema]) -> Sequence[Entry]:
    names = dict.fromkeys(name for schema in schemas for name in schema.tables)
    return [
        {
            "name": name,
            **{
                dialect.name: list(schema.tables.get(name, ()))
                for dialect, schema in zip(DIALECTS, schemas, strict=True)
            },
        }
        for name in names
    ]


def _first_line(check: object) -> str:
    named = check.func if isinstance(check, partial) else check
    return (inspect.getdoc(named) or "").partition("\n")[0]
