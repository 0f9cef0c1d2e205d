"""Two runs under the eyes of a real Prometheus: some calm seconds, then faults, then calm again.

What is waited for is always that Prometheus has seen it, because the dashboards show nothing else.
"""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg

from dashboards.reading import filled, load, targets
from tests import prometheus
from tests.e2e.locks import writes_blocked
from tests.e2e.process import SLOW_STEP, Soakd, eventually, settings
from tests.prometheus import Prometheus, Series
from tests.servers import (
    TEST_SETTINGS,
    LocalServer,
    Server,
    free_port,
    local_server,
    shared_folder,
    stop_process,
    unprivileged,
)

SCRAPES = 1.0  # s between two
RATE_INTERVAL = 5.0  # s; Grafana takes at least four scrape intervals
CALM = 2 * RATE_INTERVAL  # s that are watched before the first fault, and after the last one
SEEN_WITHIN = 60.0  # s, for a fault to be seen by Prometheus
POSTGRES, SQLITE = "soakd", "soakd-sqlite"  # the instances
EVERYTHING = {"job": ".+", "instance": ".+", "pool": ".+", "op": ".+"}

Place = tuple[str, str, str]  # dashboard, panel, query


class Scene(NamedTuple):
    """What was watched, and the moments that matter (Unix time, s).

    Attributes:
        server: the Prometheus that has watched.
        begin: of the watch.
        calm: before the first fault.
        brief: after an outage that is shorter than the time between two scrapes, and before any other fault.
        end: after the last one, all being well again.
        gone: some time after the soakd on SQLite was stopped.
    """

    server: Prometheus
    begin: float
    calm: float
    brief: float
    end: float
    gone: float

    def data(self, expr: str, until: float, *, instant: bool = False) -> list[Series]:
        """Return what a dashboard would get that shows the time up to a moment, all instances chosen."""
        intervals = {
            "__interval": f"{SCRAPES:.0f}s",
            "__rate_interval": f"{RATE_INTERVAL:.0f}s",
            "__range": f"{until - self.begin:.0f}s",
        }
        query = filled(expr, EVERYTHING | intervals)
        if instant:
            return self.server.at(query, until)
        return self.server.between(query, self.begin, until, SCRAPES)

    def empty(self, name: str, until: float) -> set[Place]:
        """Return the queries of a dashboard that give nothing."""
        return {
            (name, target.panel, target.ref)
            for target in targets(load(name))
            if not self.data(target.expr, until, instant=target.instant)
        }

    def panel(self, name: str, title: str) -> list[Series]:
        """Return what a panel shows at the end."""
        found = [target for target in targets(load(name)) if target.panel == title]
        return [
            series for target in found for series in self.data(target.expr, self.end, instant=target.instant)
        ]


@contextmanager
def watched(program: str, binaries: Path, folder: Path) -> Iterator[Scene]:
    """Play the scene; Prometheus and the run on PostgreSQL go on for as long as the context lasts.

    Args:
        program: the path of Prometheus.
        binaries: of PostgreSQL.
        folder: for all files but those of PostgreSQL.
    """
    file = folder / "load.db"
    addresses = {name: f"127.0.0.1:{free_port()}" for name in (POSTGRES, SQLITE)}
    with ExitStack() as stack:
        # First, because it takes five seconds to look for its targets.
        server = stack.enter_context(prometheus.running(program, folder, addresses, SCRAPES))
        database = stack.enter_context(_postgresql(binaries))
        on_postgresql = stack.enter_context(
            _run_on_postgresql(folder / "postgresql", addresses[POSTGRES], database.url)
        )
        on_sqlite = stack.enter_context(_run_on_sqlite(folder / "sqlite", addresses[SQLITE], file))
        on_postgresql.started()
        on_sqlite.started()
        _wait(server, 'count(soakd_run_phase{phase="running"} == 1) == 2')
        begin = time.time()
        _quiet_time(server)
        calm = time.time()
        _brief_outage(server, database)
        brief = time.time()
        with _replica(database):
            _wait(server, "soakd_pg_replication_lag_bytes > 0")
            _locks(server, database, file)
            _killed_engine(server, on_sqlite)
        later = brief + 2 * RATE_INTERVAL  # when no chart shows the brief one any more
        eventually(lambda: time.time() > later or None, SEEN_WITHIN, "the end of the brief outage's traces")
        _outage(server, database)
        _quiet_time(server)
        end = time.time()
        on_sqlite.signal(signal.SIGTERM)
        _wait(server, f'max_over_time(up{{instance="{SQLITE}"}}[{2 * SCRAPES:.0f}s]) == 0')
        yield Scene(server, begin, calm, brief, end, time.time())


def _wait(server: Prometheus, condition: str) -> None:
    """Wait until a query gives something."""
    eventually(lambda: server.at(condition, time.time()) or None, SEEN_WITHIN, condition, SLOW_STEP)


def _quiet_time(server: Prometheus) -> None:
    since = time.time() + CALM
    _wait(server, f'min(timestamp(up{{job="soakd"}} == 1)) > {since:.3f}')


def has_statements(binaries: Path) -> bool:
    """Return whether an installation of PostgreSQL can count its statements."""
    return any(binaries.parent.rglob("pg_stat_statements.so"))


@contextmanager
def _postgresql(binaries: Path) -> Iterator[LocalServer]:
    """Run a server that times its I/O and, where that can be had, its statements."""
    statements = has_statements(binaries)
    loaded = {"shared_preload_libraries": "pg_stat_statements"} if statements else {}
    with local_server(binaries, {**TEST_SETTINGS, "track_io_timing": "on", **loaded}) as server:
        if statements:
            server.execute("CREATE EXTENSION pg_stat_statements")
        yield server


@contextmanager
def _run_on_postgresql(folder: Path, address: str, target: str) -> Iterator[Soakd]:
    with _run(
        folder, address, target, "--writers", "20", "--write-rate", "100", "--read-rate", "100",
        *settings(batch__retry__cap="100ms", events__retain_rows=1000),
    ) as run:  # fmt: skip
        yield run


@contextmanager
def _run_on_sqlite(folder: Path, address: str, file: Path) -> Iterator[Soakd]:
    """Start a run with more writers than its queue has room for; what does not fit is dropped."""
    with _run(
        folder, address, f"sqlite:///{file}", "--workload", "progress", "--scale", "50",
        "--writers", "60", "--write-rate", "150", "--read-rate", "100",
        "--batch-size", "20", "--queue-size", "30", "--on-full", "drop",
        *settings(progress__canary="500ms"),
    ) as run:  # fmt: skip
        yield run


@contextmanager
def _run(folder: Path, address: str, target: str, *arguments: str) -> Iterator[Soakd]:
    sampled = (
        *settings(invariants__interval="1s"),
        "--sample-interval",
        "1s",
        "--threshold",
        "response.reader.p50 < 1h",
    )
    run = Soakd(
        folder, "--listen", address, "--target", target, "--duration", "0", *sampled, *arguments
    )  # fmt: skip
    try:
        yield run
    finally:
        run.stop()


def _locks(server: Prometheus, database: LocalServer, file: Path) -> None:
    """Lock the tables of both runs at the same time, have a deadlock, and clean up behind it."""
    with writes_blocked(database.url), writes_blocked(f"sqlite:///{file}"):
        _wait(server, "soakd_pg_blocked_sessions > 0")
        _wait(server, 'soakd_queue_full_total{action="dropped"} > 0')
    _deadlock(database)
    _wait(server, "soakd_pg_deadlocks_total > 0")
    database.execute("VACUUM soakd.events")
    _wait(server, "soakd_pg_table_last_vacuum_timestamp_seconds > 0")
    _wait(server, "soakd_sqlite_busy_wait_seconds_count > 0")


def _deadlock(database: LocalServer) -> None:
    database.execute("CREATE TABLE crossing (side int PRIMARY KEY)")
    database.execute("INSERT INTO crossing VALUES (1), (2)")
    both_hold_one = threading.Barrier(2, timeout=SEEN_WITHIN)

    def cross(first: int, second: int) -> None:
        update = "UPDATE crossing SET side = side WHERE side = %s"
        with suppress(psycopg.errors.DeadlockDetected), psycopg.connect(database.url) as connection:
            connection.execute(update, (first,))
            both_hold_one.wait()
            connection.execute(update, (second,))

    other = threading.Thread(target=cross, args=(2, 1))
    other.start()
    cross(1, 2)
    other.join()


def _killed_engine(server: Prometheus, run: Soakd) -> None:
    run.engines[0].kill()
    _wait(server, "soakd_engine_restarts_total > 0")


def _outage(server: Prometheus, database: LocalServer) -> None:
    database.stop("immediate")
    _wait(server, f'soakd_target_up{{instance="{POSTGRES}"}} == 0')
    database.start()
    _wait(server, f'soakd_target_up{{instance="{POSTGRES}"}} == 1')


def _brief_outage(server: Prometheus, database: LocalServer) -> None:
    """End all sessions, and take new ones again as soon as they are gone."""
    name = database.url.rpartition("/")[2]
    sessions = "FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(database.url, dbname="template1", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(f"SELECT pg_terminate_backend(pid) {sessions}".encode(), (name,))
        gone = f"SELECT 1 WHERE NOT EXISTS (SELECT {sessions})".encode()
        eventually(lambda: connection.execute(gone, (name,)).fetchone(), SEEN_WITHIN, "no session")
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    _wait(server, f'soakd_target_outages_total{{instance="{POSTGRES}"}} == 1')


@contextmanager
def _replica(database: LocalServer) -> Iterator[None]:
    """Run a standby server that receives the WAL of the first one and does not replay it."""
    folder = shared_folder("soakd-replica-")
    data, port = folder / "data", free_port()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run(
            [database.binaries / "pg_basebackup", "-d", database.url, "-D", data, "-R", "--checkpoint=fast"],
            cwd=folder, check=True, capture_output=True, **unprivileged(),
        )  # fmt: skip
        options = (f"unix_socket_directories={folder}", "fsync=off", "shared_buffers=16MB")
        arguments = [part for option in options for part in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [database.binaries / "postgres", "-D", data, "-p", str(port), *arguments],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **unprivileged(),
            )  # fmt: skip
        stack.callback(stop_process, process, signal.SIGQUIT)
        standby = Server(database.url.replace(f":{database.port}", f":{port}"))
        eventually(lambda: _paused(standby) or None, SEEN_WITHIN, "a standby server")
        yield


def _paused(standby: Server) -> bool:
    try:
        standby.execute("SELECT pg_wal_replay_pause()")
    except psycopg.OperationalError:
        return False
    return True
