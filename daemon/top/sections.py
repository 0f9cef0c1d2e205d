"""What `soakd top` shows of the samples taken beside the load: a few lines for each collector."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from daemon.results import readable
from daemon.top.span import Span

TOP_WAITS = 4
FULL = 0.9  # share of a limit from which a line is coloured
_RUNNING = "CPU"  # what an active session that waits for nothing is shown to wait for


K = TypeVar("K", str, tuple[str, ...])


class Line(NamedTuple):
    """A line of text after its name.

    Attributes:
        name: what it is about.
        text: the figures.
        style: how to draw it, for rich; empty for plain.
    """

    name: str
    text: str
    style: str = ""


class Section(NamedTuple):
    """Some lines under a heading; none where nothing was sampled."""

    title: str
    lines: Sequence[Line]


def postgres(span: Span) -> Section:
    """Return what the server does, of all that connect to it."""
    return Section("PostgreSQL", list(_postgres(span)) if span.has("soakd_pg_") else ())


def sqlite(span: Span) -> Section:
    """Return the state of the WAL."""
    return Section("SQLite", list(_sqlite(span)) if span.has("soakd_sqlite_") else ())


def host(span: Span) -> Section:
    """Return what the machine does that makes the load; with a remote database not that one's."""
    return Section("host of soakd", list(_host(span)) if span.has("soakd_host_") else ())


def _postgres(span: Span) -> Iterator[Line]:
    sessions = span.gauges("soakd_pg_sessions")
    limit = span.gauge("soakd_pg_sessions_limit")
    waits = {
        "/".join(key): count for key, count in span.gauges("soakd_pg_waits").items() if key[0] != _RUNNING
    }
    states = [f"{name} {count:.0f}" for (name,), count in sorted(sessions.items())]
    whole = f"{sum(sessions.values()):.0f}" + (f" of {limit:.0f}" if limit else "")
    waiting = f"waiting {sum(waits.values()):.0f}"
    yield Line("sessions", listing([whole, *states, waiting]))
    if waits:
        yield Line("waits", listing([f"{name} {count:.0f}" for name, count in _most(waits)[:TOP_WAITS]]))
    yield _blocked(span)
    hit, wal = span.gauge("soakd_pg_cache_hit_ratio"), span.rate("soakd_pg_wal_bytes_total")
    checkpoints = span.total("soakd_pg_checkpoints_total")
    requested = span.total("soakd_pg_checkpoints_total", "requested")
    yield Line(
        "storage",
        listing(
            [
                f"cache hit {hit * 100:.1f} %" if hit is not None else "",
                f"WAL {readable.size(wal)}/s" if wal is not None else "",
                f"checkpoints {readable.count(checkpoints)}" if checkpoints is not None else "",
                f"{readable.count(requested)} of them requested" if requested else "",
            ]
        ),
    )


def _blocked(span: Span) -> Line:
    blocked = span.gauge("soakd_pg_blocked_sessions") or 0
    heads = span.gauges("soakd_pg_blocking_heads")
    longest = span.gauge("soakd_pg_longest_block_seconds")
    oldest = span.gauge("soakd_pg_oldest_transaction_seconds")
    dead = sum(count for key, count in span.gauges("soakd_pg_table_rows").items() if key[1] == "dead")
    by = f" by {', '.join(f'{count:.0f} {state}' for (state,), count in _most(heads))}" if heads else ""
    text = [
        f"{blocked:.0f}{by}",
        f"longest {readable.seconds(longest)}" if blocked and longest else "",
        f"oldest transaction {readable.seconds(oldest)}" if oldest is not None else "",
        f"dead rows {readable.count(dead)}",
    ]
    return Line("blocked", listing(text), "yellow" if blocked else "")


def _sqlite(span: Span) -> Iterator[Line]:
    wal, limit = span.gauge("soakd_sqlite_wal_bytes"), span.gauge("soakd_sqlite_wal_limit_bytes")
    oldest = span.gauge("soakd_sqlite_oldest_reader_seconds")
    if wal is not None:
        text = [
            readable.size(wal) + (f" of {readable.size(limit)}" if limit else ""),
            f"oldest reader {readable.seconds(oldest)}" if oldest is not None else "",
            "held open by sqlite.pinned_reader" if span.gauge("soakd_sqlite_pinned_reader") else "",
        ]
        yield Line("WAL", listing(text), "red" if limit and wal > limit else "")
    results: dict[str, float] = {}
    for key, count in span.later.mark.counters.items():
        if key[0] == "soakd_sqlite_checkpoints_total":
            results[key[2]] = results.get(key[2], 0.0) + count
    if results:
        rate = span.rate("soakd_sqlite_checkpoints_total")
        now = f"now {readable.rate(rate)}/s" if rate is not None else ""
        yield Line("checkpoints", listing([readable.listing(results), now]))


def _host(span: Span) -> Iterator[Line]:
    yield _cpu(span)
    memory = {key[0]: value for key, value in span.gauges("soakd_host_memory_bytes").items()}
    if {"total", "available"} <= memory.keys():
        swap = memory.get("swap_used")
        text = [
            f"{readable.size(memory['available'])} of {readable.size(memory['total'])} available",
            f"swap {readable.size(swap)}" if swap else "",
        ]
        yield Line("memory", listing(text), "yellow" if swap else "")
    yield from _disk(span)
    yield from _limits(span)


def _cpu(span: Span) -> Line:
    times = {key[1]: increase for key, increase in span.increases("soakd_host_cpu_seconds_total").items()}
    times["user"] = times.get("user", 0.0) + times.pop("nice", 0.0)
    whole = sum(times.values())
    shares = [
        f"{mode} {readable.percent(times[mode] / whole)}"
        for mode in ("user", "system", "iowait", "steal")
        if mode in times and whole > 0 and span.seconds > 0
    ]
    cpus, load = span.gauge("soakd_host_cpus"), span.gauge("soakd_host_load", "1m")
    ends = [f"{cpus:.0f} CPUs" if cpus else "", f"load {load:.2f}" if load is not None else ""]
    return Line("cpu", listing([" ".join(shares), *ends]))


def _disk(span: Span) -> Iterator[Line]:
    busy = span.rate("soakd_host_disk_busy_seconds_total")
    written = span.rate("soakd_host_disk_bytes_total", "write")
    free = span.gauge("soakd_host_disk_free_bytes")
    size = span.gauge("soakd_host_disk_size_bytes")
    # Of the whole run: a probe each 10 s says nothing about one interval.
    p99 = next(
        (b.quantile(0.99) for key, b in span.later.buckets.items() if key[0] == "soakd_host_fsync_seconds"),
        None,
    )
    text = [
        f"busy {readable.percent(busy)}" if busy is not None else "",
        f"writes {readable.size(written)}/s" if written is not None else "",
        f"fsync p99 {readable.seconds(p99)}" if p99 is not None else "",
        f"free {readable.size(free)}" if free is not None else "",
    ]
    full = free is not None and size and free < (1 - FULL) * size
    if any(text):
        yield Line("disk", listing(text), "yellow" if full else "")


def _limits(span: Span) -> Iterator[Line]:
    """Yield what the control group holds soakd to; nothing where it does not."""
    cores, limit = (
        span.gauge("soakd_host_cgroup_cpu_limit_cores"),
        span.gauge("soakd_host_cgroup_memory_limit_bytes"),
    )
    used = span.gauge("soakd_host_cgroup_memory_bytes")
    throttled = span.rate("soakd_host_cgroup_throttled_seconds_total")
    text = [
        f"{cores:.3g} cores" if cores else "",
        f"throttled {readable.seconds(throttled)} per second" if cores and throttled is not None else "",
        f"{readable.size(used)} of {readable.size(limit)} memory" if limit and used is not None else "",
    ]
    if any(text):
        yield Line("limits", listing(text), "yellow" if cores and throttled else "")


def listing(parts: Sequence[str]) -> str:
    """Return the parts that are not empty, one after the other."""
    return " · ".join(part for part in parts if part)


def _most(counts: dict[K, float]) -> list[tuple[K, float]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
