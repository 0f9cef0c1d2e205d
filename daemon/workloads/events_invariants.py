"""What is true of the rows that a run of the workload `events` has written."""

from collections.abc import Sequence

from daemon.backends.base import Dialect
from daemon.ops import Tx
from daemon.workloads.base import EPOCH_KEYS, Invariant, Scope
from daemon.workloads.events import EVENTS
from daemon.workloads.expired import books_of, by_worker

NAMED = 20  # violations that are told
STRETCHES = 20  # that a complete check looks at, each as long as a sample


class Sequences:
    """Each writer numbers its rows without gaps: one is missing only where a row was counted as lost."""

    def __init__(self, dialect: Dialect, under_way: int) -> None:
        """Prepare.

        Args:
            dialect: how the database spells SQL.
            under_way: rows of each writer that may be committed before an earlier one of it.
        """
        self._dialect = dialect
        self._under_way = under_way

        def sql(template: str) -> str:
            return dialect.sql(template, events=EVENTS.name, books=books_of(EVENTS).name)

        self._highest = sql("SELECT max(seq) FROM {events} WHERE run = ? AND seq < ?")
        self._lowest = sql("SELECT min(seq) FROM {events} WHERE run = ? AND seq >= ?")
        # Up to the highest number that has expired an earlier one may be there still: rows expire
        # in the order of their time, which is that of the numbers only as long as nobody sets the clock.
        self._by_worker = sql(
            "SELECT e.shard, e.worker, min(e.seq), max(e.seq), count(*) FROM {events} AS e "
            "LEFT JOIN {books} AS b ON b.run = e.run AND b.shard = e.shard AND b.worker = e.worker "
            "AND b.epoch = ? WHERE e.run = ? AND e.seq >= ? AND e.seq < ? "
            "AND e.seq > coalesce(b.highest, -1) GROUP BY e.shard, e.worker ORDER BY e.shard, e.worker"
        )

    async def check(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """A writer numbers its rows without gaps: none is missing but those that were given up, or expired.

        While the load runs, a stretch of the numbers is looked at; at the end more of them, and all
        rows are counted as well.
        """
        problems = []
        if scope.complete:
            workers = await by_worker(tx, self._dialect, EVENTS, scope.run, distinct=False)
            held = sum(one.rows + one.expired for one in workers)
            known = scope.account
            if not known.committed <= held <= known.committed + known.in_doubt:
                expired = sum(one.expired for one in workers)
                problems.append(
                    f"{held - expired} rows are there"
                    + (f" and {expired} have expired" if expired else "")
                    + f", {known.committed} were acknowledged"
                )
        for _ in range(STRETCHES if scope.complete else 1):
            problems += await self._gaps(tx, scope)
        return problems[:NAMED]

    async def _gaps(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Return the writers with gaps in a stretch of one life, if there are more than were counted."""
        highest = (await tx.execute(self._highest, (scope.run, 1 << 62)))[0][0]
        if highest is None:
            return []
        life = int(scope.rng.random() * (highest // EPOCH_KEYS + 1))
        end = (life + 1) * EPOCH_KEYS
        last = (await tx.execute(self._highest, (scope.run, end)))[0][0]
        first = (await tx.execute(self._lowest, (scope.run, life * EPOCH_KEYS)))[0][0]
        if last is None or first is None or last < life * EPOCH_KEYS or first >= end:
            return []  # nothing of that life is there
        begin = first + int(scope.rng.random() * max(1, last - first - scope.sample + 1))
        rows = await tx.execute(self._by_worker, (life, scope.run, begin, begin + scope.sample))
        gaps = {
            (shard, worker): high - low + 1 - count
            for shard, worker, low, high, count in rows
            if high - low + 1 - count >= (1 if scope.complete else self._under_way)
        }
        if sum(gaps.values()) <= scope.account.lost:
            return []
        return [
            f"shard {shard} worker {worker} lacks {missing} rows between {begin} and {begin + scope.sample}"
            for (shard, worker), missing in gaps.items()
        ]


def invariants(*, dialect: Dialect, under_way: int, **_: object) -> Sequence[Invariant]:
    """Return all invariants.

    Args:
        dialect: how the database spells SQL.
        under_way: rows of each writer that may not be committed yet.
        _: the settings of the workload.
    """
    return (Invariant("sequences", Sequences(dialect, under_way).check),)
