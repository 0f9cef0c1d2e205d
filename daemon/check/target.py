"""Look at whatever target the settings name, and at the files they name."""

from pathlib import Path

from daemon.check.finding import Finding
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.recount import tables_of
from daemon.control.summarize import check_writable
from daemon.errors import UsageError
from daemon.observe.auth import read_password_file
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

        return list(check_sqlite(target.path, durability=durability))
    if target.kind == "postgres":
        from daemon.check.postgres import check_postgres  # noqa: PLC0415

        backend = plan.make_backend(settings, clock)
        return await check_postgres(backend, connections=wanted_connections(settings), durability=durability)
    return [
        Finding("reachable", "ok", "the null backend is always there"),
        Finding("durability", "ok", durability),
    ]


def wanted_connections(settings: Settings) -> int:
    """Return how many connections to PostgreSQL a run will hold at most, over all shards."""
    total = 4  # the supervisor's own: to look after the target, and to check invariants
    for shard in range(settings.shards):
        _, options = plan.shard_backend(settings, shard, role="")
        total += options["writer_connections"] + options["reader_connections"]
    return total


def check_files(settings: Settings) -> Finding:
    """Look at the files and folders that the settings name, apart from the target.

    Raises:
        UsageError: one of them cannot be used.
    """
    http = settings.http
    if http.password_file:
        read_password_file(http.password_file)
    for key, file in (("http.tls_cert", http.tls_cert), ("http.tls_key", http.tls_key)):
        if file is not None:
            _readable(key, file)
    if settings.summary is not None:
        check_writable(settings.summary)
    return Finding("configuration", "ok", "all values are valid and all files can be used")


def _readable(key: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise UsageError(f"{key} {file}: {error.strerror}; check path and permissions") from None
