"""Look at whatever target the settings name, and at the files they name."""

from daemon import schema
from daemon.backends.base import SQLITE
from daemon.check.finding import Finding
from daemon.clock import Clock, SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.judging import thresholds_of
from daemon.control.protection import guard_of, tls_of
from daemon.control.recount import tables_of
from daemon.control.summarize import check_writable
from daemon.target import parse_target


async def check_target(settings: Settings, clock: Clock) -> list[Finding]:
    """Return what was found about the target; nothing in it is created or changed.

    Raises:
        UsageError: the workload cannot be run with these settings.
    """
    target = parse_target(settings.target.get_secret_value())
    settings = plan.fitted(settings, tables_of(settings, clock).ops)
    durability = plan.durability(settings)
    if target.path is not None:
        from daemon.check.sqlite import check_sqlite  # noqa: PLC0415 - each database's library only when needed

        needed = schema.names(SQLITE, tables_of(settings, clock).schema(SQLITE))
        return list(check_sqlite(target.path, needed=needed, durability=durability))
    if target.kind == "postgres":
        from daemon.check.postgres import check_postgres  # noqa: PLC0415

        backend = plan.make_backend(settings, clock)
        return await check_postgres(
            backend,
            connections=wanted_connections(settings),
            durability=durability,
            sampled=bool(settings.samplers.interval),
        )
    return [
        Finding("reachable", "ok", "the null backend is always there"),
        Finding("durability", "ok", durability),
    ]


def wanted_connections(settings: Settings) -> int:
    """Return how many connections to PostgreSQL a run will hold at most, over all shards."""
    total = 4 + bool(settings.samplers.interval)  # the supervisor's own: preparing, invariants, samples
    for shard in range(settings.shards):
        _, options = plan.shard_backend(settings, shard, role="")
        total += options["writer_connections"] + options["reader_connections"]
    return total


def check_files(settings: Settings) -> Finding:
    """Look at the files and folders that the settings name, apart from the target.

    Raises:
        UsageError: one of them cannot be used.
    """
    guard_of(settings.http)
    tls_of(settings.http)
    if settings.summary is not None:
        check_writable(settings.summary)
    thresholds_of(settings, tables_of(settings, SystemClock()).ops)
    return Finding("configuration", "ok", "all values are valid and all files can be used")
