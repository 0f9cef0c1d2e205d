"""Deleting the oldest events, so that there are never many more than asked for."""

from collections import deque
from collections.abc import Callable, Sequence

from daemon.backends.base import Dialect
from daemon.ops import Table, Transaction, Tx
from daemon.workloads.base import EPOCH_KEYS, Consumer, Progress
from daemon.workloads.expired import books_of

LARGEST_BLOCK = 1000  # rows that are deleted in one transaction
BLOCKS = 10  # a block is a tenth of a table that holds few rows
MARKS = 100  # blocks that are counted in one step
SETTLE = 1_000_000  # µs after its time by which an event is stored, mostly
SWEEP = 60.0  # s between two times that events are deleted that have come after those of their time were
POLL = 0.1  # s between two looks, while there is nothing to delete
SURE = 0.8  # share of a shard's part of the rows that it may ask for: shards are not of one speed
NOTES = 64  # places in them at which the workers' numbers are known


def block_size(retain: int) -> int:
    """Return how many rows are deleted at a time from a table that is to hold `retain`."""
    return max(1, min(LARGEST_BLOCK, retain // BLOCKS))


class Expiry:
    """Follows the events in the order of their time, and deletes the oldest blocks of them.

    To know how many there are it counts every row once: it remembers the time at which each block
    ends, and counts the rows behind the last block, some seconds' worth, at each look. A row that
    is stored after its block was counted is missed, and deleted with the block: such errors do not
    add up. Memory is bounded by the number of blocks.
    """

    def __init__(self, dialect: Dialect, table: Table, retain: int, wall: Callable[[], float]) -> None:
        """Prepare.

        Args:
            dialect: how the database spells SQL.
            table: the events, with an index that begins with their time.
            retain: rows that it is to hold at most.
            wall: seconds since the Unix epoch.
        """
        self._retain = retain
        self._wall = wall
        self._block = block_size(retain)
        self._ends: deque[int] = deque()
        self._counted = -1  # µs; events up to then are in a block
        # µs; events up to then are gone. Whoever began with the oldest each time would look
        # through all that was deleted and is still in the index.
        self._deleted = -1
        self._next_sweep = 0.0
        self._over = 0  # rows that are still to be deleted before the next look
        self._since: float | None = None
        names = {"rows": table.name, "books": books_of(table).name}

        def sql(template: str) -> str:
            return dialect.sql(template, **names)

        chosen = "ts > ? AND ts <= ?"
        self._end = sql("SELECT ts FROM {rows} WHERE ts > ? ORDER BY ts LIMIT 1 OFFSET ?")
        self._rest = sql("SELECT count(*) FROM {rows} WHERE ts > ?")
        self._note = sql(
            "INSERT INTO {books} AS b (run, shard, worker, epoch, deleted, highest) "
            f"SELECT run, shard, worker, seq / {EPOCH_KEYS}, count(*), max(seq) FROM {{rows}} "
            f"WHERE {chosen} GROUP BY run, shard, worker, seq / {EPOCH_KEYS} "
            "ON CONFLICT (run, shard, worker, epoch) DO UPDATE SET deleted = b.deleted + excluded.deleted, "
            "highest = CASE WHEN excluded.highest > b.highest THEN excluded.highest ELSE b.highest END"
        )
        self._delete = sql(f"DELETE FROM {{rows}} WHERE {chosen} RETURNING 1")

    async def step(self, tx: Tx) -> Progress:
        """Delete a block if there are too many rows, else see how many there are.

        Should a COMMIT fail, the block stays until the next sweep.
        """
        if self._over <= 0:
            if not await self._look(tx):
                return Progress(0, more=True)
            if self._over <= 0:
                self._since = None
                return Progress(0)
            if self._since is None:
                self._since = self._wall()
        end = self._ends[0] if self._ends else await self._first_end(tx)
        await tx.execute(self._note, (self._deleted, end))
        rows = len(await tx.execute(self._delete, (self._deleted, end)))
        if self._ends:
            self._ends.popleft()
        self._counted = max(self._counted, end)
        self._deleted = end
        self._over -= self._block
        return Progress(rows, more=True, behind=max(0, self._over), oldest=self._since)

    async def _look(self, tx: Tx) -> bool:
        """Count what is new, and so the rows that are too many; False when there is more to count."""
        settled = int(self._wall() * 1e6) - SETTLE
        for _ in range(MARKS):
            found = await tx.execute(self._end, (self._counted, self._block - 1))
            if not found or found[0][0] > settled:
                break
            self._counted = found[0][0]
            self._ends.append(self._counted)
        else:
            return False
        rest = await tx.execute(self._rest, (self._counted,))
        rows = len(self._ends) * self._block + (rest[0][0] if rest else 0)
        self._over = rows - self._retain
        if self._wall() >= self._next_sweep:
            self._next_sweep = self._wall() + SWEEP
            self._deleted = -1
        return True

    async def _first_end(self, tx: Tx) -> int:
        """Return the end of a block that is not settled: there are no others, so few are retained."""
        found = await tx.execute(self._end, (self._counted, min(self._block, self._over) - 1))
        end: int = found[0][0] if found else self._counted  # somebody else has deleted it
        return end


def expiry(dialect: Dialect, table: Table, retain: int, wall: Callable[[], float]) -> Sequence[Consumer]:
    """Return the consumer that deletes the oldest events, unless all are kept: `retain` is 0.

    It works on snapshots, so that it deletes just those rows that it has noted.
    """
    if not retain:
        return ()
    step = Transaction(Expiry(dialect, table, retain, wall).step, (), False, isolation="repeatable read")
    return (Consumer("expiry", step, POLL),)


class Kept:
    """Which of its own rows a shard may still ask for: the newest, as many as have surely not expired.

    It asks nobody: of all rows those are kept that were made last, and the shards make alike many.
    Memory is bounded by `NOTES` numbers for each worker.
    """

    def __init__(self, retain: int, shards: int, firsts: Sequence[int]) -> None:
        """Prepare.

        Args:
            retain: rows that all shards keep; 0: all.
            shards: how many there are.
            firsts: the number of each worker's first row.
        """
        self._rows = int(SURE * (retain - block_size(retain)) / shards) if retain else 0
        self._step = max(1, self._rows // NOTES)
        self._notes = deque([(0, firsts)])
        self.next_note = self._step if retain else 0
        """Number of rows made at which `note` is to be called; 0: never."""

    @property
    def firsts(self) -> Sequence[int]:
        """The lowest numbers that may be asked for, by worker."""
        return self._notes[0][1]

    def note(self, made: int, seqs: Sequence[int]) -> None:
        """Take note of the workers' next numbers when so many rows have been made."""
        self._notes.append((made, tuple(seqs)))
        while len(self._notes) > 1 and made - self._notes[0][0] > self._rows - self._step:
            self._notes.popleft()
        self.next_note = made + self._step
