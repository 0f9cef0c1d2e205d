"""The tables of pgbench's built-in scripts: for `soakd seed`, where there is no pgbench to make them.

Names, columns and numbers of rows as in its documentation
(https://www.postgresql.org/docs/15/pgbench.html, "Usage"); a run finds its scale in them.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from daemon.backends.base import Dialect
from daemon.ops import Table, Values
from daemon.workloads.base import Schema
from daemon.workloads.data import Data, Fill

TELLERS, ACCOUNTS = 10, 100_000  # for each branch
FILLER = " " * 84

_BRANCHES = Table("pgbench_branches", (("bid", "int"), ("bbalance", "int"), ("filler", "text")), ("bid",))
_TELLERS = Table(
    "pgbench_tellers", (("tid", "int"), ("bid", "int"), ("tbalance", "int"), ("filler", "text")), ("tid",)
)
_ACCOUNTS = Table(
    "pgbench_accounts", (("aid", "int"), ("bid", "int"), ("abalance", "int"), ("filler", "text")), ("aid",)
)
_COLUMNS: Mapping[str, str] = {
    _BRANCHES.name: "bid INTEGER NOT NULL PRIMARY KEY, bbalance INTEGER, filler CHAR(88)",
    _TELLERS.name: "tid INTEGER NOT NULL PRIMARY KEY, bid INTEGER, tbalance INTEGER, filler CHAR(84)",
    _ACCOUNTS.name: "aid INTEGER NOT NULL PRIMARY KEY, bid INTEGER, abalance INTEGER, filler CHAR(84)",
    "pgbench_history": "tid INTEGER, bid INTEGER, aid INTEGER, delta INTEGER, mtime TIMESTAMP, "
    "filler CHAR(22)",
}


def schema(_: Dialect) -> Schema:
    """Return the four tables, spelt alike for both databases."""
    return Schema(1, {name: (f"CREATE TABLE {name} ({columns})",) for name, columns in _COLUMNS.items()})


def fills(scale: int, seed: int, shape: Mapping[str, Any]) -> Sequence[Fill]:  # noqa: ARG001 - all alike
    """Return the rows of a scale: nothing in them is drawn."""
    return (
        Fill(_BRANCHES, scale, _branches),
        Fill(_TELLERS, TELLERS * scale, _tellers),
        Fill(_ACCOUNTS, ACCOUNTS * scale, _accounts),
    )


def _branches(numbers: range, _: Random) -> Sequence[Values]:
    return [(n + 1, 0, "") for n in numbers]


def _tellers(numbers: range, _: Random) -> Sequence[Values]:
    return [(n + 1, n // TELLERS + 1, 0, "") for n in numbers]


def _accounts(numbers: range, _: Random) -> Sequence[Values]:
    return [(n + 1, n // ACCOUNTS + 1, 0, FILLER) for n in numbers]


DATA = Data(
    unit="times 100,000 accounts of pgbench",
    least=1,
    default=1,
    unit_bytes=15 * 2**20,
    shape=(),
    fills=fills,
    schema=schema,
)
