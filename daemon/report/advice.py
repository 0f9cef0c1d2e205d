"""What limited a run and what to change: one table of rules, each with the evidence that it goes by."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from daemon.report import evidence
from daemon.report.evidence import Facts

Weight = Literal["critical", "warning", "note"]


class Rule(NamedTuple):
    """One thing that may be wrong.

    Attributes:
        name: in a few words.
        weight: how much it matters.
        evidence: returns what was seen, or None when all is well.
        change: what to do about it.
    """

    name: str
    weight: Weight
    evidence: Callable[[Facts], str | None]
    change: str


class Finding(NamedTuple):
    """A rule that fired: its name and weight, what was seen, what to change."""

    name: str
    weight: Weight
    evidence: str
    change: str


def findings(facts: Facts) -> list[Finding]:
    """Return what is to be said about a run, the most important first."""
    found = [
        Finding(rule.name, rule.weight, seen, rule.change)
        for rule in RULES
        if (seen := rule.evidence(facts)) is not None
    ]
    order = ("critical", "warning", "note")
    return sorted(found, key=lambda finding: order.index(finding.weight))


RULES: Sequence[Rule] = (
    Rule(
        "data loss",
        "critical",
        evidence.lost,
        "Find out which with `soakd verify`. On SQLite set sqlite.synchronous=full, on PostgreSQL "
        "synchronous_commit=on, and see that disk and file system keep what they were told to "
        "sync.",
    ),
    Rule(
        "interrupted",
        "critical",
        evidence.interrupted,
        "The run was killed, or its machine stopped: see the system's log for the reason (out of "
        "memory?). `soakd verify` tells which rows are in the table.",
    ),
    Rule(
        "outage",
        "critical",
        evidence.outage,
        "See the server's log at that time. Its effect on the rate is in the charts; no rows are lost by it.",
    ),
    Rule(
        "engine died",
        "critical",
        evidence.restarts,
        "See `engine.died` in the log, and the machine's memory.",
    ),
    Rule(
        "rate not reached",
        "warning",
        evidence.missed,
        "Less than was asked for was answered: lower the rate to what is reached, or remove the "
        "bottleneck that stands below.",
    ),
    Rule(
        "operations dropped",
        "warning",
        evidence.dropped,
        "They were due and never ran: add workers if all are busy, or lower the rate. Latencies "
        "leave them out.",
    ),
    Rule(
        "errors",
        "warning",
        evidence.errors,
        "See their classes by time in the charts, and the reasons in the log.",
    ),
    Rule(
        "generator limited",
        "warning",
        evidence.generator,
        "The figures are those of soakd, not of the database: give it more processors and set "
        "`--shards`, or lower the rate.",
    ),
    Rule(
        "queue full",
        "warning",
        evidence.queue_full,
        "Rows come faster than they are committed: raise batch.size, on PostgreSQL batch.flushers "
        "too, or lower the write rate; a longer queue only delays it.",
    ),
    Rule(
        "queue nearly full",
        "note",
        evidence.queue_high,
        "Raise batch.size or batch.flushers before the rate, and batch.queue_size if bursts are to be taken.",
    ),
    Rule(
        "batch.timeout is the limit",
        "warning",
        evidence.batch_timeout,
        "Writers wait for the clock, not for the database: lower batch.timeout (0 is group "
        "commit), or have more rows under way (`--writers`, `--rows-in-flight`).",
    ),
    Rule(
        "connections exhausted",
        "warning",
        evidence.pool_full,
        "Raise postgres.pool_size or sqlite.reader_lanes if the database has room; if it has "
        "none, this is its limit.",
    ),
    Rule(
        "processors in use",
        "warning",
        evidence.above("host.cpu", 0.9, "{} of the processors in use on average"),
        "With the database on this machine both fight for it: move one away, or read the figures "
        "as those of the pair. Else give the generator more processors.",
    ),
    Rule(
        "steal",
        "warning",
        evidence.above("host.steal", 0.05, "the hypervisor took {} of the processors"),
        "Neighbours on the same host: the figures are not those of your machine alone. Repeat at "
        "another time, or on a machine with processors of its own.",
    ),
    Rule(
        "CPU quota",
        "warning",
        evidence.above("host.throttled", 0.01, "held back for {} of the time"),
        "Raise the CPU limit of the container or service, or lower the load.",
    ),
    Rule(
        "disk is waited for",
        "warning",
        evidence.above("host.pressure_io", 0.1, "tasks waited for a disk {} of the time"),
        "The disk is a bottleneck: larger batches mean fewer syncs; else a faster disk, or less beside it.",
    ),
    Rule(
        "slow fsync",
        "warning",
        evidence.slow_fsync,
        "Every commit waits for one: a disk with a safe write cache, no burst credits, nothing else on it.",
    ),
    Rule(
        "memory is short",
        "warning",
        evidence.above("host.pressure_memory", 0.02, "tasks waited for memory {} of the time"),
        "Give the machine or the container more, or the database smaller caches.",
    ),
    Rule(
        "disk nearly full",
        "warning",
        evidence.full_disk,
        "Make room before the next run; databases stop at a full disk.",
    ),
    Rule(
        "lock waits",
        "warning",
        evidence.locks,
        "See who is at the head (`target.blocked` in the log): keep transactions short, take "
        "locks in one order.",
    ),
    Rule(
        "deadlocks",
        "warning",
        evidence.deadlocks,
        "Have all transactions lock rows and tables in the same order.",
    ),
    Rule(
        "old transaction",
        "warning",
        evidence.idle,
        "It keeps VACUUM from removing dead rows: end it, or set idle_in_transaction_session_timeout.",
    ),
    Rule(
        "shared buffers too small",
        "note",
        evidence.cache("pg.cache_hit"),
        "Raise shared_buffers towards a quarter of the memory, or accept reads from the system's cache.",
    ),
    Rule(
        "page cache too small",
        "note",
        evidence.cache("sqlite.cache_hit"),
        "Raise sqlite.cache_size, or sqlite.mmap_size.",
    ),
    Rule(
        "temporary files",
        "note",
        evidence.temp,
        "Raise work_mem, or give the statement an index: see the top statements.",
    ),
    Rule(
        "slow queries",
        "warning",
        evidence.slow_queries,
        "See their plans below: create the index that is missing, or have them ask for less; then "
        "`soakd query-test --compare` tells what it brought.",
    ),
    Rule(
        "checkpoints by size",
        "warning",
        evidence.requested,
        "Raise max_wal_size, so that checkpoints come by time and are spread over it.",
    ),
    Rule(
        "WAL buffers full",
        "note",
        evidence.wal_buffers,
        "Raise wal_buffers, for instance to 64MB.",
    ),
    Rule(
        "dead rows",
        "warning",
        evidence.above("pg.dead_rows", 0.2, "up to {} of the rows of soakd's tables were dead", peak=True),
        "Autovacuum is behind: raise autovacuum_vacuum_cost_limit, lower "
        "autovacuum_vacuum_scale_factor for the table, and see whether an old transaction is in "
        "its way.",
    ),
    Rule(
        "sessions nearly exhausted",
        "warning",
        evidence.above("pg.sessions", 0.8, "up to {} of max_connections in use", peak=True),
        "Use a pooler, or fewer connections; raise max_connections last.",
    ),
    Rule(
        "WAL cannot begin anew",
        "warning",
        evidence.wal_grows,
        "A read transaction stays open and keeps the WAL: end long reads, or raise sqlite.wal_limit.",
    ),
    Rule(
        "other writers",
        "warning",
        evidence.sqlite_busy,
        "Another process writes to the same file: stop it, or raise sqlite.busy_timeout and "
        "expect such waits.",
    ),
    Rule(
        "checkpoints take long",
        "note",
        evidence.above("sqlite.checkpoint_time", 0.1, "checkpoints took {} of the time"),
        "Raise sqlite.checkpoint_pages for fewer and longer ones, or lower it for more and shorter ones.",
    ),
    Rule(
        "spikes without a cause",
        "note",
        evidence.unexplained,
        "Neither database nor host showed anything: sample more often (`--sample-interval 1s`), "
        "and look at what else runs on the machine.",
    ),
    Rule(
        "no samples",
        "note",
        evidence.no_samples,
        "Without them nothing is explained: set samplers.interval, see `soakd check`.",
    ),
    Rule(
        "short run",
        "note",
        evidence.short,
        "Checkpoints, vacuum and caches need minutes to show: a longer run says more.",
    ),
)
