"""The figures of database and host that the history keeps, each made from two samples: one table."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from daemon.history.span import Span

Source = Literal["engine", "host", "postgres"]
Unit = Literal["ratio", "seconds", "bytes", "bytes/s", "1/s", "number"]


class Signal(NamedTuple):
    """One figure.

    Attributes:
        source: whose samples it is made from: those of a collector, or the engines' own figures.
        unit: of its values; shares are 0 to 1.
        about: what it says, for people.
        of: makes it; None where it is not offered.
    """

    source: Source
    unit: Unit
    about: str
    of: Callable[[Span], float | None]


def _busy(span: Span) -> float | None:
    every = span.grown("soakd_host_cpu_seconds_total")
    idle = span.grown("soakd_host_cpu_seconds_total", "idle")
    if not every or idle is None:
        return None
    return 1 - (idle + (span.grown("soakd_host_cpu_seconds_total", "iowait") or 0.0)) / every


def _mode(mode: str) -> Callable[[Span], float | None]:
    name = "soakd_host_cpu_seconds_total"
    return lambda span: span.share((name, mode), (name,))


def _rate(*prefix: str) -> Callable[[Span], float | None]:
    return lambda span: span.rate(*prefix)


def _gauge(*prefix: str) -> Callable[[Span], float | None]:
    return lambda span: span.gauge(*prefix)


def _grown(*prefix: str) -> Callable[[Span], float | None]:
    return lambda span: span.grown(*prefix)


def _hits(name: str, hit: str, miss: str, at: int) -> Callable[[Span], float | None]:
    """Return the share of hits in hits and misses, which stand at place `at` of the key."""

    def of(span: Span) -> float | None:
        keys = [key for key in span.later.counters if key[0] == name and key[at] in (hit, miss)]
        grown = {key: span.grown(*key) or 0.0 for key in keys}
        every = sum(grown.values())
        return sum(value for key, value in grown.items() if key[at] == hit) / every if every else None

    return of


def _waits(*kinds: str) -> Callable[[Span], float | None]:
    def of(span: Span) -> float | None:
        if span.gauge("soakd_pg_waits") is None:
            return None
        return sum(span.gauge("soakd_pg_waits", kind) or 0.0 for kind in kinds)

    return of


def _memory_used(span: Span) -> float | None:
    free = span.ratio(("soakd_host_memory_bytes", "available"), ("soakd_host_memory_bytes", "total"))
    return None if free is None else 1 - free


def _pool_usage(span: Span) -> float | None:
    """Return the share of busy connections in the pool that is used most."""
    usages = []
    for pool in ("writer", "reader"):
        busy = span.gauge("soakd_pool_connections", pool, "busy")
        idle = span.gauge("soakd_pool_connections", pool, "idle")
        if busy is not None and idle is not None and busy + idle:
            usages.append(busy / (busy + idle))
    return max(usages, default=None)


def _waiting(span: Span) -> float | None:
    found = [span.gauge("soakd_pool_connections", pool, "waiting") for pool in ("writer", "reader")]
    known = [value for value in found if value is not None]
    return sum(known) if known else None


def _dead(span: Span) -> float | None:
    rows = [(key, n) for key, n in span.later.gauges.items() if key[0] == "soakd_pg_table_rows"]
    every = sum(n for _, n in rows)
    return sum(n for key, n in rows if key[2] == "dead") / every if every else None


def _last_label(span: Span, name: str, label: str) -> float | None:
    keys = [key for key in span.later.counters if key[0] == name and key[-1] == label]
    rates = [rate for key in keys if (rate := span.rate(*key)) is not None]
    return sum(rates) if rates else None


_WAL, _WAL_LIMIT = ("soakd_sqlite_wal_bytes",), ("soakd_sqlite_wal_limit_bytes",)
_DISK = "soakd_host_disk_operation_seconds_total", "soakd_host_disk_operations_total"
_PRESSURE = "soakd_host_pressure_seconds_total"

_ENGINE: Mapping[str, Signal] = {
    "engine.cpu": Signal(
        "engine",
        "ratio",
        "Processor time of the busiest engine.",
        lambda span: span.top("soakd_engine_cpu_ratio"),
    ),
    "engine.memory": Signal("engine", "bytes", "Memory of all engines.", _gauge("soakd_engine_rss_bytes")),
    "engine.lag": Signal(
        "engine",
        "seconds",
        "Longest delay of an engine's own timers.",
        lambda span: span.longest("soakd_event_loop_lag_seconds"),
    ),
    "pool.usage": Signal("engine", "ratio", "Busy connections or lanes of the fuller pool.", _pool_usage),
    "pool.waiting": Signal("engine", "number", "Operations that wait for a connection or lane.", _waiting),
    "queue.full": Signal("engine", "1/s", "Rows that met a full queue.", _rate("soakd_queue_full_total")),
    "sqlite.wal": Signal("engine", "bytes", "Size of the WAL.", _gauge(*_WAL)),
    "sqlite.wal_share": Signal(
        "engine", "ratio", "Size of the WAL by its limit.", lambda span: span.ratio(_WAL, _WAL_LIMIT)
    ),
    "sqlite.checkpoints": Signal("engine", "1/s", "Checkpoints.", _rate("soakd_sqlite_checkpoints_total")),
    "sqlite.checkpoint_time": Signal(
        "engine",
        "ratio",
        "Share of the time in which a checkpoint was made.",
        lambda span: span.spent("soakd_sqlite_checkpoint_seconds"),
    ),
    "sqlite.checkpoint_longest": Signal(
        "engine",
        "seconds",
        "Longest checkpoint.",
        lambda span: span.longest("soakd_sqlite_checkpoint_seconds"),
    ),
    "sqlite.busy_longest": Signal(
        "engine",
        "seconds",
        "Longest wait for a lock of another connection.",
        lambda span: span.longest("soakd_sqlite_busy_wait_seconds"),
    ),
    "sqlite.reads_held": Signal(
        "engine",
        "ratio",
        "Share of the time in which new reads were held back.",
        _rate("soakd_sqlite_reads_held_seconds_total"),
    ),
    "sqlite.cache_hit": Signal(
        "engine",
        "ratio",
        "Pages found in the page cache.",
        _hits("soakd_sqlite_cache_total", "hit", "miss", 2),
    ),
    "sqlite.oldest_reader": Signal(
        "engine",
        "seconds",
        "Age of the oldest read transaction.",
        _gauge("soakd_sqlite_oldest_reader_seconds"),
    ),
    "sqlite.database": Signal("engine", "bytes", "Size of the file.", _gauge("soakd_sqlite_database_bytes")),
}
_HOST: Mapping[str, Signal] = {
    "host.cpu": Signal("host", "ratio", "Processors in use.", _busy),
    "host.steal": Signal(
        "host", "ratio", "Processor time that the hypervisor gave to others.", _mode("steal")
    ),
    "host.iowait": Signal("host", "ratio", "Processors idle while a disk is waited for.", _mode("iowait")),
    "host.load_per_cpu": Signal(
        "host",
        "number",
        "Load average of the last minute by processors.",
        lambda span: span.ratio(("soakd_host_load", "1m"), ("soakd_host_cpus",)),
    ),
    "host.memory": Signal("host", "ratio", "Memory in use.", _memory_used),
    "host.swap": Signal("host", "bytes", "Swap in use.", _gauge("soakd_host_memory_bytes", "swap_used")),
    "host.pressure_cpu": Signal(
        "host", "ratio", "Time in which tasks waited for a processor.", _rate(_PRESSURE, "cpu", "some")
    ),
    "host.pressure_io": Signal(
        "host", "ratio", "Time in which tasks waited for a disk.", _rate(_PRESSURE, "io", "some")
    ),
    "host.pressure_memory": Signal(
        "host", "ratio", "Time in which tasks waited for memory.", _rate(_PRESSURE, "memory", "some")
    ),
    "host.disk_busy": Signal(
        "host", "ratio", "Time in which the data disk had work.", _rate("soakd_host_disk_busy_seconds_total")
    ),
    "host.disk_read": Signal(
        "host", "bytes/s", "Read from the data disk.", _rate("soakd_host_disk_bytes_total", "read")
    ),
    "host.disk_write": Signal(
        "host", "bytes/s", "Written to the data disk.", _rate("soakd_host_disk_bytes_total", "write")
    ),
    "host.disk_wait": Signal(
        "host", "seconds", "Mean time of a disk operation.", lambda span: span.share(_DISK[:1], _DISK[1:])
    ),
    "host.disk_free": Signal(
        "host",
        "ratio",
        "Free space where the data are.",
        lambda span: span.ratio(("soakd_host_disk_free_bytes",), ("soakd_host_disk_size_bytes",)),
    ),
    "host.network": Signal("host", "bytes/s", "Sent and received.", _rate("soakd_host_network_bytes_total")),
    "host.fsync": Signal(
        "host", "seconds", "Longest fsync of 4 KiB.", lambda span: span.longest("soakd_host_fsync_seconds")
    ),
    "host.throttled": Signal(
        "host",
        "ratio",
        "Time in which the control group's quota held soakd back.",
        _rate("soakd_host_cgroup_throttled_seconds_total"),
    ),
    "host.cgroup_memory": Signal(
        "host",
        "ratio",
        "Memory of the control group by its limit.",
        lambda span: span.ratio(
            ("soakd_host_cgroup_memory_bytes",), ("soakd_host_cgroup_memory_limit_bytes",)
        ),
    ),
}
_POSTGRES: Mapping[str, Signal] = {
    "pg.active": Signal("postgres", "number", "Active sessions.", _gauge("soakd_pg_sessions", "active")),
    "pg.sessions": Signal(
        "postgres",
        "ratio",
        "Sessions by max_connections.",
        lambda span: span.ratio(("soakd_pg_sessions",), ("soakd_pg_sessions_limit",)),
    ),
    "pg.idle_in_transaction": Signal(
        "postgres",
        "number",
        "Sessions idle in a transaction.",
        _gauge("soakd_pg_sessions", "idle in transaction"),
    ),
    "pg.waiting_lock": Signal("postgres", "number", "Sessions that wait for a lock.", _waits("Lock")),
    "pg.waiting_io": Signal("postgres", "number", "Sessions that wait for a disk.", _waits("IO")),
    "pg.waiting_lwlock": Signal("postgres", "number", "Sessions that wait for a latch.", _waits("LWLock")),
    "pg.blocked": Signal(
        "postgres", "number", "Sessions that wait for another's lock.", _gauge("soakd_pg_blocked_sessions")
    ),
    "pg.longest_block": Signal(
        "postgres", "seconds", "Longest present wait for a lock.", _gauge("soakd_pg_longest_block_seconds")
    ),
    "pg.oldest_transaction": Signal(
        "postgres", "seconds", "Age of the oldest transaction.", _gauge("soakd_pg_oldest_transaction_seconds")
    ),
    "pg.deadlocks": Signal("postgres", "number", "Deadlocks.", _grown("soakd_pg_deadlocks_total")),
    "pg.commits": Signal("postgres", "1/s", "Commits.", _rate("soakd_pg_transactions_total", "commit")),
    "pg.rollbacks": Signal("postgres", "1/s", "Rollbacks.", _rate("soakd_pg_transactions_total", "rollback")),
    "pg.cache_hit": Signal(
        "postgres",
        "ratio",
        "Blocks found in shared buffers.",
        _hits("soakd_pg_blocks_total", "hit", "read", 1),
    ),
    "pg.temp": Signal("postgres", "bytes/s", "Temporary files.", _rate("soakd_pg_temp_bytes_total")),
    "pg.wal": Signal("postgres", "bytes/s", "WAL written.", _rate("soakd_pg_wal_bytes_total")),
    "pg.full_pages": Signal(
        "postgres", "1/s", "Full pages in the WAL.", _rate("soakd_pg_wal_full_page_images_total")
    ),
    "pg.wal_buffers_full": Signal(
        "postgres",
        "1/s",
        "Writes because the WAL buffers were full.",
        _rate("soakd_pg_wal_buffers_full_total"),
    ),
    "pg.checkpoints_timed": Signal(
        "postgres", "number", "Checkpoints by time.", _grown("soakd_pg_checkpoints_total", "timed")
    ),
    "pg.checkpoints_requested": Signal(
        "postgres",
        "number",
        "Checkpoints by request, or because of max_wal_size.",
        _grown("soakd_pg_checkpoints_total", "requested"),
    ),
    "pg.checkpoint_blocks": Signal(
        "postgres", "1/s", "Blocks written by checkpoints.", _rate("soakd_pg_checkpoint_blocks_total")
    ),
    "pg.autovacuum": Signal(
        "postgres", "number", "Autovacuum workers.", _gauge("soakd_pg_autovacuum_workers")
    ),
    "pg.dead_rows": Signal(
        "postgres",
        "ratio",
        "Dead rows by live and dead ones, of soakd's tables.",
        _dead,
    ),
    "pg.seq_scans": Signal(
        "postgres",
        "1/s",
        "Sequential scans of soakd's tables.",
        lambda span: _last_label(span, "soakd_pg_table_scans_total", "seq"),
    ),
    "pg.database": Signal("postgres", "bytes", "Size of the database.", _gauge("soakd_pg_database_bytes")),
    "pg.replication_lag": Signal(
        "postgres", "seconds", "Lag of the slowest replica.", _gauge("soakd_pg_replication_lag_seconds")
    ),
}


SIGNALS: Mapping[str, Signal] = {**_ENGINE, **_HOST, **_POSTGRES}
"""By name; the part before the point says whose figure it is."""


def values(source: Source, span: Span) -> dict[str, float]:
    """Return the figures of a source over a span, by name; those that are not offered are left out."""
    found = {name: signal.of(span) for name, signal in SIGNALS.items() if signal.source == source}
    return {name: value for name, value in found.items() if value is not None}
