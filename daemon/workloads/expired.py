"""The books of rows that were deleted because of their age: what a table holds, and what it has held."""

from collections.abc import Sequence
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Table, Tx
from daemon.workloads.base import EPOCH_KEYS


def books_of(table: Table) -> Table:
    """Return the table that says of each life of each worker how many rows of it were deleted for their age.

    It is written in the transaction that deletes them, so that both are true or neither.
    """
    return Table(
        f"{table.name}_expired",
        (
            ("run", "bigint"),
            ("shard", "int"),
            ("worker", "int"),
            ("epoch", "int"),
            ("deleted", "bigint"),
            ("highest", "bigint"),  # sequence number
        ),
        ("run", "shard", "worker", "epoch"),
    )


class WorkerRows(NamedTuple):
    """What a table holds of one worker of one life of a shard, and has held.

    Attributes:
        rows: rows in the table.
        distinct: keys in the table.
        first: lowest sequence number in the table; `last` + 1 if there is none.
        last: highest that is or was there.
        deleted: rows that were deleted because of their age.
    """

    shard: int
    worker: int
    epoch: int
    rows: int
    distinct: int
    first: int
    last: int
    deleted: int = 0

    @property
    def expired(self) -> int:
        """Rows that were deleted because of their age and are not there any more.

        A row whose COMMIT got no answer may have expired by the time that it is sent again. Then it
        is stored, and perhaps deleted, for a second time: a worker has no more rows than numbers.
        """
        return min(self.deleted, self.last - self.epoch * EPOCH_KEYS + 1 - self.distinct)


async def by_worker(
    tx: Tx, dialect: Dialect, table: Table, run: int, *, distinct: bool = True, books: bool = True
) -> list[WorkerRows]:
    """Return what a table holds of a run, and has held, by worker; to be called on one snapshot.

    Args:
        tx: the transaction.
        dialect: how the database spells SQL.
        table: whose rows.
        run: number of the run.
        distinct: count keys; else they are taken to be as many as rows.
        books: the table has books of what has expired.
    """
    epoch = f"seq / {EPOCH_KEYS}"
    keys = "count(DISTINCT seq)" if distinct else "count(*)"
    sql = dialect.sql(
        f"SELECT shard, worker, {epoch}, count(*), {keys}, min(seq), max(seq) "
        f"FROM {{rows}} WHERE run = ? GROUP BY shard, worker, {epoch}",
        rows=table.name,
    )
    found = {row[:3]: WorkerRows(*row) for row in await tx.execute(sql, (run,))}
    for *life, deleted, highest in await _expired(tx, dialect, table, run) if books else ():
        shard, worker, number = life
        nothing = WorkerRows(shard, worker, number, 0, 0, highest + 1, highest)
        there = found.get((shard, worker, number), nothing)
        found[shard, worker, number] = there._replace(deleted=deleted, last=max(highest, there.last))
    return sorted(found.values())


async def _expired(tx: Tx, dialect: Dialect, table: Table, run: int) -> Sequence[tuple[int, ...]]:
    sql = "SELECT shard, worker, epoch, deleted, highest FROM {books} WHERE run = ?"
    return await tx.execute(dialect.sql(sql, books=books_of(table).name), (run,))
