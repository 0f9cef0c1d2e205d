"""Sessions by state, what they wait for, the oldest transaction and the oldest snapshot."""

from collections import Counter

from daemon.observe.postgres.topic import Rows, Topic
from daemon.record.snapshot import Snapshot

STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)", "other")
"""`other`: starting, disabled, or another user's where soakd's may not look."""
MOST_WAITS = 20  # pairs of type and event; the rest is summed up
RUNNING = ("CPU", "CPU")  # what a session that waits for nothing is shown to wait for

# The sampler's own session is left out: it is always active, and tells nothing about the load.
# Who has not the rights of pg_read_all_stats sees neither the type nor the state of others' sessions.
_SESSIONS = """
SELECT coalesce(a.backend_type, 'client backend'), a.state, a.wait_event_type, a.wait_event, count(*)
FROM pg_stat_activity a
WHERE a.datid IS NOT NULL AND a.pid <> pg_backend_pid()
GROUP BY a.backend_type, a.state, a.wait_event_type, a.wait_event
"""
# VACUUM keeps what the oldest snapshot of a session, a slot or a prepared transaction may still see.
# https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
_TRANSACTIONS = """
SELECT extract(epoch FROM clock_timestamp() - least(
         (SELECT min(a.xact_start) FROM pg_stat_activity a
          WHERE coalesce(a.backend_type, 'client backend') = 'client backend' AND a.pid <> pg_backend_pid()),
         (SELECT min(p.prepared) FROM pg_prepared_xacts p)))::float8,
       greatest(
         (SELECT max(age(a.backend_xmin)) FROM pg_stat_activity a
          WHERE a.backend_type IS DISTINCT FROM 'autovacuum worker' AND a.pid <> pg_backend_pid()),
         (SELECT max(greatest(age(s.xmin), age(s.catalog_xmin))) FROM pg_replication_slots s),
         (SELECT max(age(p.transaction)) FROM pg_prepared_xacts p)),
       (SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'autovacuum worker'),
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""


def state(name: str | None) -> str:
    """Return the label value for a state as the server calls it, None where it is hidden."""
    if name == "fastpath function call":
        return "active"
    return name if name in STATES else "other"


def read_sessions(rows: Rows, into: Snapshot) -> None:
    """Count the sessions by state, and the active ones by what they wait for."""
    into.gauges.update({("soakd_pg_sessions", name): 0.0 for name in STATES})
    waits: Counter[tuple[str, str]] = Counter()
    for backend, name, wait_type, event, count in rows:
        if backend == "client backend":
            into.gauges["soakd_pg_sessions", state(name)] += count
        if backend in ("client backend", "parallel worker") and state(name) == "active":
            waits[(wait_type, event) if wait_type else RUNNING] += count
    waits[RUNNING] += 0  # a series that is always there
    shown = waits.most_common(MOST_WAITS)
    rest = waits.total() - sum(count for _, count in shown)
    for (wait_type, event), count in [*shown, *([(("other", "other"), rest)] if rest else [])]:
        into.gauges["soakd_pg_waits", wait_type, event] = count


def read_transactions(rows: Rows, into: Snapshot) -> None:
    """Tell the ages; with no transaction open they are 0."""
    ((oldest, xmin, vacuums, sees_all),) = rows
    into.gauges["soakd_pg_oldest_transaction_seconds",] = max(0.0, oldest or 0.0)
    into.gauges["soakd_pg_oldest_xmin_transactions",] = max(0, xmin or 0)
    if sees_all:  # else the workers are there and cannot be told
        into.gauges["soakd_pg_autovacuum_workers",] = vacuums


SESSIONS = Topic("sessions", lambda _: _SESSIONS, read_sessions)
TRANSACTIONS = Topic("transactions", lambda _: _TRANSACTIONS, read_transactions)
