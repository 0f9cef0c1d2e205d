"""Backends that misbehave on purpose, for tests in virtual time."""

import asyncio
from collections.abc import Callable, Sequence

from daemon.backends.base import INFINITY, NULL
from daemon.clock import Clock
from daemon.errors import OpError
from daemon.ops import PoolName, Table, Timed, Transaction, Values
from daemon.record.snapshot import Snapshot

Fault = Callable[[Sequence[Values], bool], OpError | None]


def ignore(event: str, **facts: object) -> None:
    """Take no note of an event."""


class ScriptedBackend:
    """Stores rows in a dict by key, takes `seconds` for each call, and fails when told to.

    `fault(rows, again)` is asked before each batch is stored; an `in_doubt` error stores it all the same.
    """

    dialect = NULL

    def __init__(self, clock: Clock, *, seconds: float = 0.0, fault: Fault | None = None) -> None:
        self.clock = clock
        self.seconds = seconds
        self.fault = fault
        self.rows: dict[Values, int] = {}
        self.batches: list[list[Values]] = []
        self.outage_end = -INFINITY
        self.frozen_until = -INFINITY
        self.down = False

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Take the time, or fail while down."""
        if self.down:
            raise OpError("connection", "down")
        served = self.clock.now()
        await self._take()
        if self.clock.now() > deadline:
            raise OpError("timeout", "late", served=served)
        return Timed(None, served, self.clock.now())

    async def write_rows(self, table: Table, rows: Sequence[Values], *, again: bool) -> Timed:
        """Store the rows, or fail as the script says."""
        served = self.clock.now()
        await self._take()
        self.batches.append(list(rows))
        error = OpError("connection", "down") if self.down else self.fault and self.fault(rows, again)
        if error is None or error.in_doubt:
            for row in rows:
                self.rows[row[:4]] = self.rows.get(row[:4], 0) + (0 if again and row[:4] in self.rows else 1)
        if error is not None:
            raise error
        return Timed(len(rows), served, self.clock.now(), 0.0)

    def connections(self) -> dict[tuple[PoolName, str], int]:
        """Return none."""
        return {}

    def figures(self) -> Snapshot:
        """Return none."""
        return Snapshot()

    async def _take(self) -> None:
        now = self.clock.now()
        await asyncio.sleep(max(self.seconds, self.frozen_until - now))
