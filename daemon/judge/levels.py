"""Levels: what can be told of a single moment, or of the few seconds before it."""

from collections.abc import Callable, Mapping
from functools import partial

from daemon.judge.quantity import Kind
from daemon.judge.reading import Pattern, Reading, Span, matches, share
from daemon.ops import POOLS

Level = Callable[[Reading, Span], float | None]
"""Makes a present value from the newest reading and the span that ends with it; None: not known."""

IDLE = ("idle", "iowait")


def _sum(reading: Reading, *pattern: str) -> float | None:
    values = [value for key, value in reading.gauges.items() if matches(key, pattern)]
    return sum(values) if values else None


def _most(reading: Reading, *pattern: str) -> float | None:
    return max((value for key, value in reading.gauges.items() if matches(key, pattern)), default=None)


def _queue(reading: Reading, _span: Span) -> float | None:
    return share(_sum(reading, "soakd_batch_queue_rows"), _sum(reading, "soakd_batch_queue_capacity_rows"))


def _in_use(reading: Reading, pool: str) -> float | None:
    """Return the share of a pool's connections, or lanes, that are busy; 1 and more while somebody waits."""
    busy, idle = (_sum(reading, "soakd_pool_connections", pool, state) for state in ("busy", "idle"))
    return None if busy is None else share(busy, busy + (idle or 0.0))


def _pool(reading: Reading, _span: Span, pool: str) -> float | None:
    return _in_use(reading, pool)


def _pools(reading: Reading, _span: Span) -> float | None:
    found = (_in_use(reading, pool) for pool in POOLS)
    return max((value for value in found if value is not None), default=None)


def _cpu(_reading: Reading, span: Span, modes: tuple[str, ...] | None = None) -> float | None:
    """Return the share of the time of all processors that went to some modes, or was not idle."""
    every = span.count("soakd_host_cpu_seconds_total")
    if modes is not None:
        return share(span.count("soakd_host_cpu_seconds_total", among=modes), every)
    idle = share(span.count("soakd_host_cpu_seconds_total", among=IDLE), every)
    return None if idle is None else 1 - idle


def _used(reading: Reading, _span: Span, free: Pattern, size: Pattern) -> float | None:
    left = share(_sum(reading, *free), _sum(reading, *size))
    return None if left is None else 1 - left


def _sessions(reading: Reading, _span: Span) -> float | None:
    return share(_sum(reading, "soakd_pg_sessions"), _sum(reading, "soakd_pg_sessions_limit"))


def _gauge(reading: Reading, _span: Span, name: str) -> float | None:
    return _most(reading, name)


def _total(reading: Reading, _span: Span, name: str) -> float | None:
    return _sum(reading, name)


LEVELS: Mapping[str, tuple[Kind, Level]] = {
    "queue.utilization": ("share", _queue),
    "pool.usage": ("share", _pools),
    **{f"pool.{pool}.usage": ("share", partial(_pool, pool=pool)) for pool in POOLS},
    "pg.sessions": ("share", _sessions),
    "pg.blocked": ("count", partial(_gauge, name="soakd_pg_blocked_sessions")),
    "sqlite.wal": ("bytes", partial(_gauge, name="soakd_sqlite_wal_bytes")),
    "host.cpu": ("share", _cpu),
    "host.steal": ("share", partial(_cpu, modes=("steal",))),
    "host.memory": (
        "share",
        partial(
            _used,
            free=("soakd_host_memory_bytes", "available"),
            size=("soakd_host_memory_bytes", "total"),
        ),
    ),
    "host.disk": (
        "share",
        partial(_used, free=("soakd_host_disk_free_bytes",), size=("soakd_host_disk_size_bytes",)),
    ),
    "engine.cpu": ("share", partial(_gauge, name="soakd_engine_cpu_ratio")),
    "engine.rss": ("bytes", partial(_total, name="soakd_engine_rss_bytes")),
}
"""Kind of value, and what makes it, by the first part of a signal's name."""


def violations(reading: Reading, _span: Span) -> float | None:
    """Return what the invariants of a workload have found so far; None for one without any."""
    return _sum(reading, "soakd_invariant_violations")
