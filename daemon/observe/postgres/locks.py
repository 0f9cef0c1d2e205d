"""Locks held and waited for, who waits for whom, and who is at the head of each chain."""

from collections.abc import Mapping
from typing import NamedTuple

from daemon.clock import Clock
from daemon.observe.postgres.activity import STATES, state
from daemon.observe.postgres.topic import Rows, Topic
from daemon.observe.sampler import Notify
from daemon.record.snapshot import Snapshot

# https://www.postgresql.org/docs/18/explicit-locking.html#LOCKING-TABLES; SIReadLock is of SSI.
MODES = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock", "SIReadLock",
)  # fmt: skip
PREPARED = "prepared"  # the state of a head that is a prepared transaction, which has no session
MOST_CHAINS = 50  # waiting sessions whose blockers are looked for: each look stops all locking for a moment
WORTH_SAYING = 1.0  # s of waiting from which a head is named; shorter waits are everyday life
SAY_AGAIN = 60.0  # s until a head that still blocks is named again

# Every transaction holds its own id, which says nothing; waiting for one is waiting for a row.
_LOCKS = """
SELECT l.mode, l.granted, count(*)
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND (NOT l.granted OR l.locktype NOT IN ('virtualxid', 'transactionid'))
GROUP BY l.mode, l.granted
"""
# 14 brought pg_locks.waitstart: https://www.postgresql.org/docs/14/view-pg-locks.html. Before that the
# statement's start is the best there is, and may be earlier.
_BLOCKS = """
WITH blocked AS MATERIALIZED (
  SELECT w.pid, w.waited, w.total, pg_blocking_pids(w.pid) AS blockers
  FROM (SELECT l.pid, extract(epoch FROM clock_timestamp() - min({since}))::float8 AS waited,
               count(*) OVER () AS total
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE NOT l.granted AND a.datname = current_database()
        GROUP BY l.pid ORDER BY min({since}) LIMIT {most}) w)
SELECT b.pid, b.blockers, b.waited, b.total, NULL, NULL, NULL FROM blocked b
UNION ALL
SELECT a.pid, NULL, NULL, NULL, a.state, a.application_name,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8
FROM pg_stat_activity a WHERE a.pid IN (SELECT unnest(b.blockers) FROM blocked b)
"""


class Head(NamedTuple):
    """A session that blocks others and waits for nobody.

    Attributes:
        pid: of its backend; 0 for prepared transactions.
        state: as in `STATES`, or `PREPARED`.
        application: its application_name; None where it is hidden.
        age: of its transaction, s; None where there is none, or where it is hidden.
        blocked: sessions that wait behind it, directly or not.
        waited: longest time that one of them has waited, s.
    """

    pid: int
    state: str
    application: str | None
    age: float | None
    blocked: int
    waited: float


def locks_sql(_version: int) -> str:
    """Return the statement that counts the locks."""
    return _LOCKS


def blocks_sql(version: int) -> str:
    """Return the statement that finds the chains."""
    return _BLOCKS.format(since="l.waitstart" if version >= 14 else "a.query_start", most=MOST_CHAINS)


def read_locks(rows: Rows, into: Snapshot) -> None:
    """Count the locks by mode."""
    into.gauges.update(
        {("soakd_pg_locks", mode, granted): 0.0 for mode in MODES for granted in ("true", "false")}
    )
    for mode, granted, count in rows:
        if mode in MODES:
            into.gauges["soakd_pg_locks", mode, str(granted).lower()] = count


def heads(edges: Mapping[int, frozenset[int]]) -> dict[int, set[int]]:
    """Return the heads of the chains, each with the sessions behind it.

    Args:
        edges: by waiting session, those that it waits for. In a deadlock nobody is the head.
    """
    found: dict[int, set[int]] = {}
    for waiting in edges:
        seen: set[int] = set()
        ahead = set(edges[waiting])
        while ahead:
            pid = ahead.pop()
            if pid in seen:
                continue
            seen.add(pid)
            if pid in edges:
                ahead |= edges[pid]
            else:
                found.setdefault(pid, set()).add(waiting)
    return found


class Blocks:
    """Reads the chains, and says once in a while who is at their head."""

    def __init__(self, clock: Clock, notify: Notify) -> None:
        """Prepare.

        Args:
            clock: monotonic time.
            notify: told `target.blocked` for each head that others have waited for so long as
                `WORTH_SAYING`, at most once in `SAY_AGAIN`.
        """
        self._clock = clock
        self._notify = notify
        self._said: dict[int, float] = {}  # by head; those that are due again are dropped
        self.topic = Topic("blocks", blocks_sql, self.read)

    def read(self, rows: Rows, into: Snapshot) -> None:
        """Count who is blocked and who blocks."""
        waiting = [row for row in rows if row[1] is not None]
        about = {row[0]: row for row in rows if row[1] is None}
        edges = {pid: frozenset(blockers) for pid, blockers, *_ in waiting}
        waits = {row[0]: row[2] or 0.0 for row in waiting}  # none yet, for a moment
        found = [
            _head(pid, about.get(pid), len(behind), max(waits[one] for one in behind))
            for pid, behind in heads(edges).items()
        ]
        gauges = into.gauges
        gauges["soakd_pg_blocked_sessions",] = waiting[0][3] if waiting else 0
        gauges["soakd_pg_longest_block_seconds",] = max(waits.values(), default=0.0)
        gauges.update({("soakd_pg_blocking_heads", name): 0.0 for name in (*STATES, PREPARED)})
        for head in found:
            gauges["soakd_pg_blocking_heads", head.state] += 1
        self._tell(found)

    def _tell(self, found: list[Head]) -> None:
        now = self._clock.now()
        self._said = {pid: at for pid, at in self._said.items() if now - at < SAY_AGAIN}
        for head in found:
            if head.waited >= WORTH_SAYING and head.pid not in self._said:
                self._said[head.pid] = now
                self._notify(
                    "target.blocked",
                    pid=head.pid,
                    application_name=head.application,
                    state=head.state,
                    transaction_seconds=head.age,
                    blocked_sessions=head.blocked,
                    waited_seconds=round(head.waited, 3),
                )


def _head(pid: int, about: tuple[object, ...] | None, blocked: int, waited: float) -> Head:
    if pid == 0:
        return Head(0, PREPARED, None, None, blocked, waited)
    name, application, age = about[4:] if about else (None, None, None)
    shown = str(application) if application is not None else None
    seconds = round(age, 3) if isinstance(age, float) else None
    return Head(pid, state(name if isinstance(name, str) else None), shown, seconds, blocked, waited)


LOCKS = Topic("locks", locks_sql, read_locks)
