"""A backend that does nothing, in a chosen time: the floor of the generator, and known truths."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from daemon.backends.base import INFINITY, NULL
from daemon.clock import Clock
from daemon.errors import OpError, Rejected
from daemon.ops import PoolName, Table, Timed, Transaction, Values
from daemon.record.snapshot import Snapshot

Latency = Literal["none", "constant", "normal", "pareto"]


class NullTx:
    """A transaction in which every statement succeeds and returns no rows."""

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:  # noqa: ARG002
        """Do nothing."""
        return []

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """Do nothing."""

    async def upsert(self, counters: Table, rows: Sequence[Values]) -> None:
        """Do nothing."""

    async def perform(self, sql: str, params: Sequence[Any], *, keep: bool = True) -> None:
        """Do nothing."""

    async def execute_named(
        self,
        sql: str,  # noqa: ARG002
        params: Sequence[Any],  # noqa: ARG002
    ) -> tuple[Sequence[str], list[Values]]:
        """Do nothing."""
        return (), []

    async def pipeline(self, batch: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Do nothing."""

    async def pause(self, seconds: float) -> None:
        """Let the time pass."""
        await asyncio.sleep(seconds)


def draw(latency: Latency, mean: float, stddev: float, shape: float, rng: Random) -> float:
    """Return one service time, s ≥ 0, of the given mean.

    `pareto` has tail index `shape` > 1 and scale mean · (shape − 1) / shape.
    """
    if latency == "none":
        return 0.0
    if latency == "constant":
        return mean
    if latency == "normal":
        return max(0.0, rng.gauss(mean, stddev))
    return mean * (shape - 1) / shape * rng.paretovariate(shape)


class NullBackend:
    """Serves every call after a time drawn from a distribution, any number at once."""

    dialect = NULL
    outage_end = -INFINITY

    def __init__(
        self, *, latency: Latency, mean: float, stddev: float, shape: float, clock: Clock, rng: Random
    ) -> None:
        self._law = (latency, mean, stddev, shape)
        self._clock = clock
        self._rng = rng
        self._busy: dict[PoolName, int] = {"writer": 0, "reader": 0}

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Run the function against nothing, in the drawn time."""
        served = self._clock.now()
        try:
            result = await work.fn(NullTx(), *work.args)
        except Rejected as no:
            no.served = served
            raise
        await self._serve("reader" if work.read_only else "writer", served, deadline)
        return Timed(result, served, self._clock.now())

    async def write_rows(self, table: Table, rows: Sequence[Values], *, again: bool) -> Timed:  # noqa: ARG002
        """Store nothing, in the drawn time."""
        served = self._clock.now()
        await self._serve("writer", served, INFINITY)
        return Timed(len(rows), served, self._clock.now())

    def connections(self) -> dict[tuple[PoolName, str], int]:
        """Return the calls under way."""
        return {(pool, "busy"): busy for pool, busy in self._busy.items()}

    def figures(self) -> Snapshot:
        """Return nothing."""
        return Snapshot()

    async def _serve(self, pool: PoolName, served: float, deadline: float) -> None:
        seconds = draw(*self._law, self._rng)
        late = served + seconds > deadline
        self._busy[pool] += 1
        try:
            # Even a call that takes no time lets the other tasks run.
            await asyncio.sleep(max(0.0, deadline - served) if late else seconds)
        finally:
            self._busy[pool] -= 1
        if late:
            raise OpError("timeout", "past its deadline", served=served)
