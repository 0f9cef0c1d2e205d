"""What is true of the rows that a run of the workload `events` has written."""

from collections.abc import Sequence

from daemon.backends.base import Dialect
from daemon.ops import Tx
from daemon.workloads.base import EPOCH_KEYS, Invariant, Scope
from daemon.workloads.events import EVENTS

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
        self._under_way = under_way

        def sql(template: str) -> str:
            return dialect.sql(template, events=EVENTS.name)

        self._count = sql("SELECT count(*) FROM {events} WHERE run = ?")
        self._highest = sql("SELECT max(seq) FROM {events} WHERE run = ? AND seq < ?")
        self._by_worker = sql(
            "SELECT shard, worker, min(seq), max(seq), count(*) FROM {events} "
            "WHERE run = ? AND seq >= ? AND seq < ? GROUP BY shard, worker ORDER BY shard, worker"
        )

    async def check(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Look for gaps in stretches of the writers' numbers; at the end count all rows as well."""
        problems = []
        if scope.complete:
            stored: int = (await tx.execute(self._count, (scope.run,)))[0][0]
            known = scope.account
            if not known.committed <= stored <= known.committed + known.in_doubt:
                problems.append(f"{stored} rows are there, {known.committed} were acknowledged")
        for _ in range(STRETCHES if scope.complete else 1):
            problems += await self._gaps(tx, scope)
        return problems[:NAMED]

    async def _gaps(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Return the writers with gaps in a stretch of one life, if there are more than were counted."""
        highest = (await tx.execute(self._highest, (scope.run, 1 << 62)))[0][0]
        if highest is None:
            return []
        life = int(scope.rng.random() * (highest // EPOCH_KEYS + 1))
        first = life * EPOCH_KEYS
        last = (await tx.execute(self._highest, (scope.run, first + EPOCH_KEYS)))[0][0]
        if last < first:  # that life has written nothing
            return []
        begin = first + int(scope.rng.random() * max(1, last - first - scope.sample + 1))
        rows = await tx.execute(self._by_worker, (scope.run, begin, begin + scope.sample))
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
