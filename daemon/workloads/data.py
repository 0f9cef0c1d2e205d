"""The data that a workload begins with: made a chunk at a time, the same for the same seed."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Table, Values
from daemon.workloads.base import Schema

CHUNK = 10_000
"""Rows that are made, and stored in one transaction, at a time. Another number makes other data."""


class Fill(NamedTuple):
    """The rows to load into one table.

    Attributes:
        table: where they go.
        rows: how many there are.
        make: returns the rows of a range of numbers from 0 to `rows`, drawn with the generator.
    """

    table: Table
    rows: int
    make: Callable[[range, Random], Sequence[Values]]

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.rows // CHUNK)

    def chunk(self, number: int, seed: int) -> Sequence[Values]:
        """Return the rows of one chunk, the same whenever and wherever they are made."""
        numbers = range(number * CHUNK, min(self.rows, (number + 1) * CHUNK))
        return self.make(numbers, Random(f"{seed}/{self.table.name}/{number}"))


class Data(NamedTuple):
    """What there is to know of a workload's data before it is made.

    Attributes:
        unit: what its size is counted in, in the plural: `wallets`.
        least: units without which there is no workload.
        default: units that a run loads by itself where there is no data.
        unit_bytes: about what a unit takes in a database, with all that belongs to it.
        shape: the workload's settings that change the data.
        fills: returns the tables' rows, in the order in which they are loaded; the arguments are
            the number of units, the seed, and the settings named in `shape`.
        schema: returns tables that only `soakd seed` makes and loads, while a run takes what is
            there. None: they are the workload's own.
    """

    unit: str
    least: int
    default: int
    unit_bytes: int
    shape: Sequence[str]
    fills: Callable[[int, int, Mapping[str, Any]], Sequence[Fill]]
    schema: Callable[[Dialect], Schema] | None = None


class Dataset(NamedTuple):
    """Which data it is: two of the same parameters hold the same rows.

    Attributes:
        scale: number of units.
        seed: what the rows were drawn with.
        shape: the settings that change the data, by name.
    """

    scale: int
    seed: int
    shape: Mapping[str, Any]

    def differences(self, other: "Dataset") -> list[str]:
        """Return in words what is another here than in `other`."""
        mine, theirs = ({"scale": one.scale, "seed": one.seed, **one.shape} for one in (self, other))
        return [
            f"{name} {mine.get(name)} instead of {theirs.get(name)}"
            for name in {**mine, **theirs}
            if mine.get(name) != theirs.get(name)
        ]
