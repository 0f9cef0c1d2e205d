"""The server's counters of the database under load, and the share of blocks that its cache had."""

from typing import NamedTuple

from daemon.observe.postgres.topic import Rows, Topic
from daemon.record.snapshot import Snapshot

# The same columns from 13 to 18: https://www.postgresql.org/docs/18/monitoring-stats.html
_SQL = """
SELECT d.xact_commit, d.xact_rollback, d.blks_hit, d.blks_read,
       d.tup_returned, d.tup_fetched, d.tup_inserted, d.tup_updated, d.tup_deleted,
       d.temp_files, d.temp_bytes, d.deadlocks, d.blk_read_time, d.blk_write_time
FROM pg_stat_database d WHERE d.datname = current_database()
"""


class _Row(NamedTuple):
    commit: int
    rollback: int
    hit: int
    read: int
    returned: int
    fetched: int
    inserted: int
    updated: int
    deleted: int
    temp_files: int
    temp_bytes: int
    deadlocks: int
    read_ms: float
    write_ms: float


class DatabaseCounters:
    """Reads the counters; remembers the last ones, for the cache hits since then.

    Sessions publish their counts at most once a second: where nothing new is there, the share of blocks
    stays as it was.
    """

    def __init__(self) -> None:
        self._earlier: _Row | None = None
        self._ratio: float | None = None
        self.topic = Topic("database", lambda _: _SQL, self.read)

    def read(self, rows: Rows, into: Snapshot) -> None:
        """Put the counters into a snapshot as the server has them: they go back when it is reset."""
        row = _Row(*rows[0])
        counters = into.counters
        for name, group, labels in (
            ("soakd_pg_transactions_total", (row.commit, row.rollback), ("commit", "rollback")),
            ("soakd_pg_blocks_total", (row.hit, row.read), ("hit", "read")),
            ("soakd_pg_rows_total", row[4:9], ("returned", "fetched", "inserted", "updated", "deleted")),
            (
                "soakd_pg_io_seconds_total",
                (row.read_ms / 1000, row.write_ms / 1000),
                ("read", "write"),
            ),
        ):
            counters.update({(name, label): value for label, value in zip(labels, group, strict=True)})
        counters["soakd_pg_temp_files_total",] = row.temp_files
        counters["soakd_pg_temp_bytes_total",] = row.temp_bytes
        counters["soakd_pg_deadlocks_total",] = row.deadlocks
        self._compare(row)
        if self._ratio is not None:
            into.gauges["soakd_pg_cache_hit_ratio",] = self._ratio

    def _compare(self, now: _Row) -> None:
        earlier, self._earlier = self._earlier, now
        if earlier is None:
            return
        hit, read = now.hit - earlier.hit, now.read - earlier.read
        if hit < 0 or read < 0:  # reset
            self._ratio = None
        elif hit + read:
            self._ratio = hit / (hit + read)
