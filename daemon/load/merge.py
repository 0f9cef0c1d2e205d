"""Batches of rows that are counted instead of kept: each has one effect, however often it is tried."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from daemon.backends.base import Backend, Dialect
from daemon.ops import MARK_KEY, Merge, Table, Timed, Transaction, Tx, Values
from daemon.workloads.base import EPOCH_KEYS

IDENTITY = 4  # columns that a row begins with: run, shard, worker, seq


class Write(Protocol):
    """How a flusher writes a batch; the next one follows only when it is known what became of this one."""

    async def __call__(self, rows: Sequence[Values], *, again: bool) -> Timed:
        """Write rows in one transaction: see `Backend.write_rows`."""
        ...


def writing(table: Table, flusher: int, backend: Backend) -> Write:
    """Return how a flusher writes batches of a table's rows: they are kept, or merged."""
    if table.merge is None:
        return partial(backend.write_rows, table)
    return Merger(table.merge, flusher, backend).write


class Merger:
    """Merges the batches of one flusher, one after the other.

    It numbers them, and every transaction that adds to counters also notes the number, in a row
    that is the flusher's own. A batch whose COMMIT got no answer is tried again under its old
    number, and adds nothing when that is noted already. While the first try is still under way in
    the server, the second one waits for that row, and then sees what became of it.
    """

    def __init__(self, merge: Merge, flusher: int, backend: Backend) -> None:
        """Begin with batch number 1.

        Args:
            merge: where rows go.
            flusher: a number that no other flusher of this life of the shard has.
            backend: what runs the transactions.
        """
        self._merge = merge
        self._flusher = flusher
        self._backend = backend
        self._number = 0
        self._marks = {again: mark(backend.dialect, merge, again=again) for again in (False, True)}

    async def write(self, rows: Sequence[Values], *, again: bool) -> Timed:
        """Merge a batch in one transaction.

        Args:
            rows: at least one, all of one life of a shard.
            again: it is the batch of the call before, which may have been committed.

        Raises:
            OpError: nothing was committed, unless `in_doubt`.
        """
        self._number += not again
        run, shard, _, seq = rows[0][:IDENTITY]
        noted = (run, shard, seq // EPOCH_KEYS, self._flusher, self._number, len(rows))
        merged = merge_rows(rows, len(self._merge.counters.key))
        args = (self._marks[again], noted, self._merge, merged, again)
        return await self._backend.transact(Transaction(_merge, args, read_only=False))


async def _merge(
    tx: Tx,
    sql: str,
    noted: Values,
    merge: Merge,
    merged: Sequence[Values],
    again: bool,  # noqa: FBT001 - a transaction function's arguments are positional
) -> None:
    fresh = await tx.execute(sql, noted)
    if fresh or not again:
        await tx.upsert(merge.counters, merged)


def mark(dialect: Dialect, merge: Merge, *, again: bool) -> str:
    """Return the statement that notes a batch; with `again` it returns a row only if it notes a new one."""
    names = [name for name, _ in merge.marks.columns]
    unless = " WHERE old.batch < excluded.batch" if again else ""
    return dialect.sql(
        f"INSERT INTO {{marks}} AS old ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT ({', '.join(MARK_KEY)}) DO UPDATE "
        f"SET batch = excluded.batch, events = old.events + excluded.events{unless} RETURNING batch",
        marks=merge.marks.name,
    )


def merge_rows(rows: Sequence[Values], key: int) -> list[Values]:
    """Return what rows add to counters, in the order of their keys.

    Args:
        rows: run, shard, worker, seq, the columns of the key, and values, the last of which tells
            how late the row is; of two that are equally late the one that stands later wins.
        key: number of columns of the key.

    Returns:
        For each key that there is: the key, the number of its rows, and the values of its latest row.
    """
    after = IDENTITY + key
    found: dict[Values, Values] = {}
    for row in rows:
        counter = row[IDENTITY:after]
        before = found.get(counter)
        if before is None:  # as it is with most rows
            found[counter] = (*counter, 1, *row[after:])
        else:
            latest = row[after:] if row[-1] >= before[-1] else before[key + 1 :]
            found[counter] = (*counter, before[key] + 1, *latest)
    return sorted(found.values())  # the keys differ, so nothing else is compared
