"""The target of a query lab: loaded where it has to be, and looked at."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from daemon import ledger, schema, seeds
from daemon.backends.base import Backend
from daemon.check.sqlite import refuse_running
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.recount import tables_of
from daemon.control.seeding import Seeding, Shower
from daemon.errors import TargetError, UsageError
from daemon.ledger import ask
from daemon.ops import query
from daemon.stretches import readable
from daemon.target import parse_target
from daemon.workloads import registry
from daemon.workloads.base import Crowd, Identity, Schema, Stretch, Workload
from daemon.workloads.data import Dataset


class Place(NamedTuple):
    """A target whose queries can be measured.

    Attributes:
        settings: the target and the workload.
        clock: monotonic time and time of day.
        backend: of the target, open.
        found: what the workload is made of beside its settings.
        existing: rows of an earlier run.
        dataset: the data that is there; None where the workload has none of its own.
    """

    settings: Settings
    clock: Clock
    backend: Backend
    found: Mapping[str, Any]
    existing: Sequence[Stretch]
    dataset: Dataset | None

    def workload(self, writers: int) -> Workload:
        """Return the workload; it reads what is there, and writes with as many workers."""
        return registry.create(
            self.settings.workload,
            {**plan.workload_options(self.settings), **self.found},
            identity=Identity(ledger.run_number(self.clock.wall()), 0, 0),
            dialect=self.backend.dialect,
            workers=writers,
            existing=self.existing,
            wall=self.clock.wall,
            rng=Random(0),
        )

    async def records(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        dialect = self.backend.dialect
        counts = {}
        for name in tables_of(self.settings, self.clock).schema(dialect).tables:
            counts[name] = (
                await ask(self.backend, query, f"SELECT count(*) FROM {dialect.table(name)}", ())
            )[0][0]
        return counts


def check(settings: Settings, *, skip_data: bool) -> None:
    """Refuse what cannot be measured before anything is touched.

    Raises:
        UsageError: the target stores nothing, or what is asked for contradicts itself.
        TargetError: there is no such file, or a run is using what is to be dropped.
    """
    target = parse_target(settings.target.get_secret_value())
    if target.kind == "null":
        raise UsageError("the null target stores nothing: there is nothing to query")
    if skip_data and settings.clean:
        raise UsageError("--skip-data takes what is there, and --clean drops it: give one of them")
    if target.path and settings.clean:
        refuse_running(target.path)
    if skip_data and target.path and not target.path.exists():
        raise TargetError(f"there is no file {target.path}: leave --skip-data out to have it made")


async def prepare(
    settings: Settings,
    clock: Clock,
    backend: Backend,
    shower: Shower,
    *,
    skip_data: bool,
    writers: int,
    seed: int,
) -> Place:
    """See to it that there is something to read.

    Args:
        settings: the target, the workload and its data.
        clock: monotonic time and time of day.
        backend: of the target, open.
        shower: shows the loading.
        skip_data: load nothing, take what is there.
        writers: workers that will write.
        seed: what keys are drawn with.

    Raises:
        UsageError: there is nothing to read, or other data than asked for.
        TargetError: the target cannot be used.
        OpError: the target refused.
    """
    workload = tables_of(settings, clock)
    if skip_data:
        dataset = await _there(settings, backend, workload.schema(backend.dialect))
    else:
        seeding = Seeding(settings, backend, clock, shower, lambda: False)
        seeded = await seeding.prepare(workload.schema(backend.dialect), clean=settings.clean)
        dataset = seeded.dataset if seeded else None
    found: dict[str, Any] = {"scale": dataset.scale} if dataset else {}
    found |= await registry.look(
        settings.workload,
        {**plan.workload_options(settings), **found},
        backend=backend,
        seed=seed,
        crowd=Crowd(1, writers, 1),
    )
    existing: Sequence[Stretch] = ()
    if workload.tables:
        existing = await readable(backend, workload.tables[0])
        if not existing:
            raise UsageError(
                f"the target holds no rows of {settings.workload} to read: write some with `soakd run` first"
            )
    return Place(settings, clock, backend, found, existing, dataset)


async def _there(settings: Settings, backend: Backend, tables: Schema) -> Dataset | None:
    """Return the data that is there.

    Raises:
        UsageError: it is not, or not what is asked for.
    """
    name = settings.workload
    data = registry.WORKLOADS[name].data
    if data is None or data.schema:
        return None
    missing = await schema.missing(backend, tables)
    found = None if missing else await seeds.load(backend, name)
    if found is None or not found.done:
        raise UsageError(
            f"the target does not hold all data of {name}: leave --skip-data out to have it loaded"
        )
    wanted = plan.dataset(settings, data, plan.wanted_scale(settings, data) or found.dataset.scale)
    if differences := found.dataset.differences(wanted):
        raise UsageError(
            f"the target holds other data of {name} than asked for: {', '.join(differences)}; "
            "ask for what is there, or load it anew with --clean"
        )
    return found.dataset
