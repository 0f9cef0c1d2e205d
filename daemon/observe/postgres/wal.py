"""WAL written, checkpoints, and how far the replicas are behind."""

from daemon.observe.postgres.topic import Rows, Topic
from daemon.record.snapshot import Snapshot

_POSITION = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"

# 14 brought pg_stat_wal: https://www.postgresql.org/docs/14/monitoring-stats.html#MONITORING-PG-STAT-WAL-VIEW
# 18 took write and sync figures out of it, which are not used here:
# https://www.postgresql.org/docs/18/monitoring-stats.html#MONITORING-PG-STAT-WAL-VIEW
# Before 14 the position in the WAL says how much was written, and nothing says the rest.
_WAL_14 = """
SELECT w.wal_bytes::float8, w.wal_records, w.wal_fpi, w.wal_buffers_full FROM pg_stat_wal w
"""
_WAL_13 = f"SELECT pg_wal_lsn_diff({_POSITION}, '0/0')::float8, NULL, NULL, NULL"

# 17 moved the checkpoints out of pg_stat_bgwriter, under other names:
# https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-CHECKPOINTER-VIEW
_CHECKPOINTS_17 = """
SELECT c.num_timed, c.num_requested, c.write_time::float8, c.sync_time::float8, c.buffers_written
FROM pg_stat_checkpointer c
"""
_CHECKPOINTS_13 = """
SELECT c.checkpoints_timed, c.checkpoints_req, c.checkpoint_write_time::float8,
       c.checkpoint_sync_time::float8, c.buffers_checkpoint
FROM pg_stat_bgwriter c
"""

# The state is hidden from whom it does not concern; who streams the WAL only to keep it replays nothing.
_REPLICAS = f"""
SELECT count(*), max(pg_wal_lsn_diff({_POSITION}, r.replay_lsn))::float8,
       coalesce(max(extract(epoch FROM r.replay_lag)), 0)::float8
FROM pg_stat_replication r WHERE coalesce(r.state, 'streaming') = 'streaming'
"""


def wal_sql(version: int) -> str:
    """Return the statement for the WAL."""
    return _WAL_14 if version >= 14 else _WAL_13


def checkpoints_sql(version: int) -> str:
    """Return the statement for the checkpoints."""
    return _CHECKPOINTS_17 if version >= 17 else _CHECKPOINTS_13


def read_wal(rows: Rows, into: Snapshot) -> None:
    """Put the counters of the WAL into a snapshot, those that the version has."""
    names = (
        "soakd_pg_wal_bytes_total",
        "soakd_pg_wal_records_total",
        "soakd_pg_wal_full_page_images_total",
        "soakd_pg_wal_buffers_full_total",
    )
    for name, value in zip(names, rows[0], strict=True):
        if value is not None:
            into.counters[name,] = value


def read_checkpoints(rows: Rows, into: Snapshot) -> None:
    """Put the counters of the checkpoints into a snapshot; the server counts milliseconds."""
    ((timed, requested, write_ms, sync_ms, blocks),) = rows
    into.counters["soakd_pg_checkpoints_total", "timed"] = timed
    into.counters["soakd_pg_checkpoints_total", "requested"] = requested
    into.counters["soakd_pg_checkpoint_seconds_total", "write"] = write_ms / 1000
    into.counters["soakd_pg_checkpoint_seconds_total", "sync"] = sync_ms / 1000
    into.counters["soakd_pg_checkpoint_blocks_total",] = blocks


def read_replicas(rows: Rows, into: Snapshot) -> None:
    """Tell how many replicas there are, and the lag of the slowest where there is one."""
    ((replicas, lag_bytes, lag_seconds),) = rows
    into.gauges["soakd_pg_replicas",] = replicas
    if lag_bytes is not None:
        into.gauges["soakd_pg_replication_lag_bytes",] = max(0.0, lag_bytes)
        into.gauges["soakd_pg_replication_lag_seconds",] = max(0.0, lag_seconds)


WAL = Topic("wal", wal_sql, read_wal)
CHECKPOINTS = Topic("checkpoints", checkpoints_sql, read_checkpoints)
REPLICAS = Topic("replicas", lambda _: _REPLICAS, read_replicas)
