"""Loading the data that a workload begins with: several loaders, each chunk once, resumable."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random
from typing import NamedTuple

from daemon import seeds
from daemon.backends.base import Backend
from daemon.errors import OpError, TargetError
from daemon.load.retry import pause
from daemon.ops import Table, Transaction, Tx, Values
from daemon.seeds import Seeded
from daemon.workloads.data import Fill

TRIES = 20  # of a chunk: some 15 s, in which a server restarts
FIRST_PAUSE = 0.1  # s, after a failed try; doubled each time,
LONGEST_PAUSE = 2.0  # s, up to this


class Loading(NamedTuple):
    """Loads tables one after the other, the chunks of each by several loaders at once.

    A chunk and the note that it is there are one transaction, so that whatever happens the rest
    can be loaded later. Memory: one chunk per loader.

    Attributes:
        workload: whose data it is.
        seeded: which data, and when its loading began.
        backend: where they go.
        loaders: how many chunks are stored at the same time.
        on_rows: told of each chunk that was stored: table and rows.
        stopping: asked before each chunk whether to leave it and what follows.
    """

    workload: str
    seeded: Seeded
    backend: Backend
    loaders: int
    on_rows: Callable[[str, int], None]
    stopping: Callable[[], bool]

    async def run(self, fills: Sequence[Fill], done: Collection[tuple[str, int]]) -> None:
        """Load what is missing; returns early when it is being stopped.

        Args:
            fills: the tables' rows, in order.
            done: table and number of the chunks that are there.

        Raises:
            TargetError: the target refuses, or is away for too long; or somebody has begun anew.
        """
        for fill in fills:
            missing = (n for n in range(fill.chunks) if (fill.table.name, n) not in done)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(self.loaders):
                        tasks.create_task(self._loader(fill, missing))
            except ExceptionGroup as group:
                raise group.exceptions[0] from None  # the others fail for the same reason

    async def _loader(self, fill: Fill, numbers: Iterator[int]) -> None:
        for number in numbers:
            if self.stopping():
                return
            rows = fill.chunk(number, self.seeded.dataset.seed)
            if not await self._store(fill.table, number, rows):
                return
            self.on_rows(fill.table.name, len(rows))
            await asyncio.sleep(0)  # making rows takes its time, and others want a turn

    async def _store(self, table: Table, number: int, rows: Sequence[Values]) -> bool:
        """Store a chunk; return whether it is there, or it was time to stop before it was."""
        key = (table.name, number, len(rows), self.workload, round(self.seeded.begun * 1e6))
        work = Transaction(_store, (seeds.mark(self.backend.dialect), key, table, rows), read_only=False)
        rng = Random()
        attempt = 0
        while True:
            try:
                await self.backend.transact(work)
            except OpError as error:
                if error.error_class == "constraint" and await self._is_there(table, number):
                    return (
                        True  # somebody else loads the same, or the try before was committed, its answer lost
                    )
                attempt += 1
                if not error.transient or attempt == TRIES:
                    raise TargetError(
                        f"loading {table.name} failed: {error}; when that is mended, the same command goes on"
                    ) from error
                if self.stopping():
                    return False
                await asyncio.sleep(pause(attempt - 1, FIRST_PAUSE, LONGEST_PAUSE, rng))
            else:
                return True

    async def _is_there(self, table: Table, number: int) -> bool:
        return (table.name, number) in await seeds.loaded_chunks(self.backend, self.workload)


async def _store(tx: Tx, mark: str, key: Values, table: Table, rows: Sequence[Values]) -> None:
    if not await tx.execute(mark, key):
        raise seeds.overtaken(str(key[3]))
    await tx.insert(table, rows)
