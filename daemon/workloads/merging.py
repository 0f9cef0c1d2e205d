"""What was merged into counters, as the target holds it: to be compared with what was to be merged."""

from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Merge, Tx


class MergedRows(NamedTuple):
    """How many rows of one life of a shard were merged into counters."""

    shard: int
    epoch: int
    rows: int


async def merged(tx: Tx, dialect: Dialect, merge: Merge, run: int) -> list[MergedRows]:
    """Return how many rows of a run were merged, by life of a shard."""
    sql = dialect.sql(
        "SELECT shard, epoch, CAST(sum(events) AS bigint) FROM {marks} WHERE run = ? "
        "GROUP BY shard, epoch ORDER BY shard, epoch",
        marks=merge.marks.name,
    )
    return [MergedRows(*row) for row in await tx.execute(sql, (run,))]


async def difference(tx: Tx, dialect: Dialect, merge: Merge) -> str | None:
    """Return in words how counters differ from all that was ever merged into them; None: not at all.

    One statement, and so one snapshot: it may be asked while rows are merged.
    """
    counters = merge.counters
    count = counters.columns[len(counters.key)][0]
    sql = dialect.sql(
        f"SELECT (SELECT CAST(coalesce(sum({count}), 0) AS bigint) FROM {{counters}}), "
        "(SELECT CAST(coalesce(sum(events), 0) AS bigint) FROM {marks})",
        counters=counters.name,
        marks=merge.marks.name,
    )
    counted, noted = (await tx.execute(sql))[0]
    if counted == noted:
        return None
    return f"the counters add up to {counted}, and {noted} rows were merged into them"
