"""What the rules of a report go by: each returns what was seen in a run, or None when all is well."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from daemon.history.read import Record
from daemon.report.figures import Figures
from daemon.report.spikes import Spike
from daemon.report.view import View
from daemon.results import queries, readable
from daemon.results.summary import RATE_TOLERANCE


class Facts(NamedTuple):
    """What the rules look at.

    Attributes:
        record: the run.
        view: its measured part.
        pools: figures by pool.
        spikes: the worst moments.
    """

    record: Record
    view: View
    pools: Mapping[str, Figures]
    spikes: Sequence[Spike]

    def flushes(self) -> Mapping[str, Any]:
        """Return what the summary says of batches."""
        found: Mapping[str, Any] = (self.record.run.summary or {}).get("flushes", {})
        return found

    def setting(self, section: str, name: str) -> Any:  # noqa: ANN401 - as in the configuration
        """Return a setting of the run; None where it is not known."""
        return self.record.run.config.get(section, {}).get(name)


def lost(facts: Facts) -> str | None:
    """Acknowledged rows are missing."""
    lost = (facts.record.run.summary or {}).get("rows", {}).get("lost", 0)
    return f"{lost} rows that were acknowledged are not in the target" if lost else None


def interrupted(facts: Facts) -> str | None:
    """The run has no end."""
    if facts.record.run.state != "interrupted":
        return None
    return f"the last word was written {readable.clock_time(facts.record.run.seconds)} after the beginning"


def outage(facts: Facts) -> str | None:
    """The target was away for a while."""
    down = sum(row["length"] for row in facts.record.intervals if row["up"] < 1) / 1000
    return f"the target did not answer for about {readable.seconds(down)}" if down else None


def restarts(facts: Facts) -> str | None:
    """Engines died."""
    number = sum(row["details"].get("times", 1) for row in facts.record.events if row["kind"] == "restart")
    return f"engines died and were replaced {number} times" if number else None


def missed(facts: Facts) -> str | None:
    """An open loop did not reach its rate."""
    missed = [
        f"{pool.name}: {readable.rate(pool.rate)} of {readable.rate(pool.target)} per second"
        for pool in facts.pools.values()
        if pool.target and pool.rate < (1 - RATE_TOLERANCE) * pool.target
    ]
    return "; ".join(missed) or None


def dropped(facts: Facts) -> str | None:
    """Operations that were due never ran."""
    dropped = {
        pool.name: pool.outcomes["dropped"] for pool in facts.pools.values() if pool.outcomes["dropped"]
    }
    return readable.listing(dropped) if dropped else None


def errors(facts: Facts) -> str | None:
    """A thousandth of the operations or more failed."""
    bad = [
        f"{pool.name} {readable.count(pool.failed)} ({readable.percent(pool.error_rate)})"
        for pool in facts.pools.values()
        if pool.error_rate >= 0.001
    ]
    return ", ".join(bad) or None


def generator(facts: Facts) -> str | None:
    """The engines were the bottleneck for a tenth of the time."""
    limited = facts.view.sum("limited_seconds")
    shards = facts.record.run.config.get("shards", 1)
    if limited <= 0.1 * facts.view.seconds * shards:
        return None
    cpu = facts.view.mean("engine.cpu")
    share = readable.percent(min(1.0, limited / (facts.view.seconds * shards)))
    words = f"the engines were the bottleneck for {share} of the time"
    return words + (f"; the busiest used {readable.percent(cpu)} of a processor" if cpu else "")


def queue_full(facts: Facts) -> str | None:
    """Rows met a full queue."""
    most = facts.view.peak("queue.full")
    return f"up to {readable.rate(most)} rows per second met a full queue" if most else None


def queue_high(facts: Facts) -> str | None:
    """The queue was nearly full at some time."""
    shares = [
        row["queue_rows"] / row["queue_capacity"] for row in facts.view.intervals if row["queue_capacity"]
    ]
    most = max(shares, default=0.0)
    return f"up to {readable.percent(most)} of the batch queue was in use" if most >= 0.8 else None


def batch_timeout(facts: Facts) -> str | None:
    """Most batches wait for the time-out, and that wait is most of what writers wait for."""
    reasons = facts.flushes().get("by_reason", {})
    every = sum(one["ok"] for one in reasons.values())
    timeouts = reasons.get("timeout", {}).get("ok", 0)
    writer = facts.pools.get("writer")
    if not every or writer is None or timeouts < 0.8 * every or writer.target is not None:
        return None
    response, wait = writer.quantile("response", 0.5), writer.quantile("wait", 0.5)
    if not response or not wait or wait < 0.5 * response:
        return None
    rows = facts.flushes()["rows"]["mean"] or 0.0
    return (
        f"{readable.percent(timeouts / every)} of the batches were written because of batch.timeout, with "
        f"{rows:.0f} rows; half of the writes waited {readable.seconds(wait)} of {readable.seconds(response)}"
    )


def pool_full(facts: Facts) -> str | None:
    """Operations wait for connections or lanes that are all in use."""
    usage, waiting = facts.view.mean("pool.usage"), facts.view.mean("pool.waiting")
    if usage is None or usage < 0.9 or not waiting or waiting < 1:
        return None
    return f"{readable.percent(usage)} of connections or lanes in use, {waiting:.0f} operations wait for one"


def above(signal: str, limit: float, words: str, *, peak: bool = False) -> Callable[[Facts], str | None]:
    """Return the evidence that a share is above a limit, on average or at its peak."""

    def evidence(facts: Facts) -> str | None:
        value = facts.view.peak(signal) if peak else facts.view.mean(signal)
        return words.format(readable.percent(value)) if value is not None and value >= limit else None

    return evidence


def slow_fsync(facts: Facts) -> str | None:
    """A sync took as long as a slow disk takes."""
    longest = facts.view.peak("host.fsync")
    return (
        f"an fsync of 4 KiB took up to {readable.seconds(longest)}" if longest and longest >= 0.05 else None
    )


def full_disk(facts: Facts) -> str | None:
    """Less than a tenth of the file system is left."""
    free = facts.view.least("host.disk_free")
    return f"{readable.percent(free)} of the file system is free" if free is not None and free < 0.1 else None


def locks(facts: Facts) -> str | None:
    """Sessions waited for each other."""
    blocked, longest = facts.view.peak("pg.blocked"), facts.view.peak("pg.longest_block")
    if not blocked or not longest or longest < 0.1:
        return None
    return f"up to {blocked:.0f} sessions waited for a lock, for {readable.seconds(longest)} at most"


def deadlocks(facts: Facts) -> str | None:
    """The server ended deadlocks."""
    number = facts.view.total("pg.deadlocks")
    return f"{number:.0f} deadlocks" if number else None


def idle(facts: Facts) -> str | None:
    """A transaction was open for a minute or more."""
    oldest = facts.view.peak("pg.oldest_transaction") or 0.0
    if oldest < 60:
        return None
    return f"a transaction was open for {readable.clock_time(oldest)}"


def cache(signal: str) -> Callable[[Facts], str | None]:
    """Return the evidence that a cache is missed too often."""

    def evidence(facts: Facts) -> str | None:
        share = facts.view.mean(signal)
        return (
            f"{share * 100:.1f} % of the pages were found in memory"
            if share is not None and share < 0.95
            else None
        )

    return evidence


def temp(facts: Facts) -> str | None:
    """Queries spill to the disk."""
    rate = facts.view.mean("pg.temp")
    return f"temporary files, {readable.size(rate)}/s on average" if rate and rate >= 1024 else None


def requested(facts: Facts) -> str | None:
    """Checkpoints come because the WAL is full."""
    requested = facts.view.total("pg.checkpoints_requested")
    timed = facts.view.total("pg.checkpoints_timed")
    return (
        f"{requested:.0f} checkpoints by request or size, {timed:.0f} by time"
        if requested >= 2 and requested > timed
        else None
    )


def wal_buffers(facts: Facts) -> str | None:
    """The WAL buffers are too small."""
    rate = facts.view.mean("pg.wal_buffers_full")
    return f"{readable.rate(rate)} per second" if rate and rate >= 1 else None


def wal_grows(facts: Facts) -> str | None:
    """The WAL of SQLite grew beyond its limit."""
    share, reader = facts.view.peak("sqlite.wal_share"), facts.view.peak("sqlite.oldest_reader") or 0.0
    if share is None or share < 1.2:
        return None
    return f"the WAL grew to {share:.1f} times its limit; the oldest read was {readable.seconds(reader)} old"


def sqlite_busy(facts: Facts) -> str | None:
    """Another process holds the lock of the file."""
    longest = facts.view.peak("sqlite.busy_longest") or 0.0
    return f"soakd waited up to {readable.seconds(longest)} for another's lock" if longest >= 0.1 else None


def unexplained(facts: Facts) -> str | None:
    """Most spikes have no cause that was seen."""
    number = sum(not spike.reasons for spike in facts.spikes)
    if number < 3 or number < len(facts.spikes) / 2:
        return None
    return f"{number} of the {len(facts.spikes)} worst spikes"


def slow_queries(facts: Facts) -> str | None:
    """Queries of the lab were slow, each by itself."""
    report = facts.record.query_test
    slow = queries.slow_queries(report) if report else []
    if report is None or not slow:
        return None
    told = [f"{name} (p95 {readable.seconds(report['queries'][name].get('p95'))})" for name in slow[:5]]
    missing = queries.missing_indexes(report)
    words = f"{len(slow)} of {len(report['queries'])} are slow alone: {', '.join(told)}"
    return words + (f"; missing: {'; '.join(missing[:3])}" if missing else "")


def short(facts: Facts) -> str | None:
    """Less than a minute was measured."""
    return f"{facts.view.seconds:.0f} s were measured" if 0 < facts.view.seconds < 60 else None


def no_samples(facts: Facts) -> str | None:
    """Figures of host or server are missing."""
    off = [row for row in facts.record.events if row["kind"] == "note" and row["name"] == "sampler.off"]
    if off:
        return "; ".join(
            f"{row['details'].get('collector')}: {row['details'].get('reason')}" for row in off[:3]
        )
    has = any(name.startswith(("host.", "pg.")) for name in facts.record.samples)
    return None if has or facts.view.seconds < 30 else "no figures of the host or the server were taken"
