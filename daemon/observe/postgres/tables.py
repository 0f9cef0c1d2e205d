"""Soakd's own tables and their indexes: rows, vacuum, scans, sizes."""

from daemon.observe.postgres.topic import Rows, Topic
from daemon.record.snapshot import Snapshot

SCHEMA = "soakd"
MOST = 100  # tables, and indexes

# Asking for the size of a table takes a lock of it. Of one that is locked exclusively, or about to be, it
# is not asked for: waiting would cost the whole sample.
_CLOSED = """
WITH closed AS MATERIALIZED (SELECT l.relation FROM pg_locks l
                             WHERE l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL)
"""
# The columns used are those of all versions: https://www.postgresql.org/docs/13/monitoring-stats.html
_TABLES = f"""{_CLOSED}
SELECT t.relname, t.n_live_tup, t.n_dead_tup,
       extract(epoch FROM greatest(t.last_vacuum, t.last_autovacuum))::float8, t.seq_scan, t.idx_scan,
       CASE WHEN t.relid NOT IN (SELECT c.relation FROM closed c) THEN pg_table_size(t.relid) END
FROM pg_stat_user_tables t WHERE t.schemaname = '{SCHEMA}' ORDER BY t.relname LIMIT {MOST}
"""
_INDEXES = f"""{_CLOSED}
SELECT i.relname, i.indexrelname, i.idx_scan,
       CASE WHEN i.relid NOT IN (SELECT c.relation FROM closed c)
             AND i.indexrelid NOT IN (SELECT c.relation FROM closed c)
            THEN pg_relation_size(i.indexrelid) END
FROM pg_stat_user_indexes i WHERE i.schemaname = '{SCHEMA}' ORDER BY i.relname, i.indexrelname LIMIT {MOST}
"""


def read_tables(rows: Rows, into: Snapshot) -> None:
    """Put the figures of each table into a snapshot."""
    for table, live, dead, vacuumed, seq_scans, index_scans, size in rows:
        into.gauges["soakd_pg_table_rows", table, "live"] = live
        into.gauges["soakd_pg_table_rows", table, "dead"] = dead
        into.gauges["soakd_pg_table_last_vacuum_timestamp_seconds", table] = vacuumed or 0.0
        into.counters["soakd_pg_table_scans_total", table, "seq"] = seq_scans
        into.counters["soakd_pg_table_scans_total", table, "index"] = index_scans or 0  # none: no index
        if size is not None:
            into.gauges["soakd_pg_table_bytes", table] = size


def read_indexes(rows: Rows, into: Snapshot) -> None:
    """Put the figures of each index into a snapshot."""
    for table, index, scans, size in rows:
        into.counters["soakd_pg_index_scans_total", table, index] = scans
        if size is not None:
            into.gauges["soakd_pg_index_bytes", table, index] = size


TABLES = Topic("tables", lambda _: _TABLES, read_tables)
INDEXES = Topic("indexes", lambda _: _INDEXES, read_indexes)
