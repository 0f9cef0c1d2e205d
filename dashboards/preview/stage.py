"""A real run to be drawn: soakd on PostgreSQL and on SQLite under the eyes of Prometheus."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dashboards.preview.figures import SCRAPES, Shown
from tests import prometheus
from tests.e2e.process import Soakd, settings
from tests.servers import LocalServer, find_binaries, free_port, local_server

AWAY = 8.0  # s that PostgreSQL is away, two thirds into the run
SERVER = {"shared_buffers": "128MB", "max_wal_size": "256MB", "track_io_timing": "on",
          "shared_preload_libraries": "pg_stat_statements"}  # fmt: skip
LOAD = (
    "--duration", "0", "--writers", "40", "--readers", "10", "--arrivals", "poisson",
    "--threshold", "response.writer.p99 < 200ms", "--threshold", "errors.rate < 1%",
)  # fmt: skip
POSTGRESQL = ("--write-rate", "400", "--read-rate", "300", "--batch-size", "50")
SQLITE = (
    "--write-rate", "1000", "--read-rate", "400", "--batch-size", "50",
    *settings(sqlite__wal_limit="8MiB", sqlite__cache_size="8MiB"),
)  # fmt: skip
LEDGER = ("--workload", "ledger", "--scale", "2000", "--write-rate", "150", "--read-rate", "100")


@contextmanager
def played(folder: Path, seconds: float) -> Iterator[Shown]:
    """Play the run and show it; all of it goes on for as long as the context lasts.

    Args:
        folder: for databases, logs and Prometheus' data.
        seconds: that are shown; PostgreSQL crashes and comes back in them.

    Raises:
        RuntimeError: Prometheus or PostgreSQL is not installed.
    """
    program, binaries = shutil.which("prometheus"), find_binaries()
    if program is None or binaries is None:
        raise RuntimeError("needs Prometheus and PostgreSQL; Debian has packages of both")
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("soakd", "soakd-sqlite", "soakd-ledger")}
    with ExitStack() as stack:
        server = stack.enter_context(prometheus.running(program, folder, addresses, SCRAPES))
        database = stack.enter_context(_postgresql(binaries))
        targets = {
            "soakd": (database.url, POSTGRESQL),
            "soakd-sqlite": (f"sqlite:///{folder}/load.db", SQLITE),
            "soakd-ledger": (f"sqlite:///{folder}/ledger.db", LEDGER),
        }
        for name, (target, load) in targets.items():
            stack.enter_context(_run(folder / name, addresses[name], target, load))
        time.sleep(2 * SCRAPES)
        begin = time.time()
        time.sleep(seconds * 2 / 3)
        database.stop("immediate")
        time.sleep(AWAY)
        database.start()
        time.sleep(max(0.0, begin + seconds - time.time()))
        yield Shown(server, begin, begin + seconds)


@contextmanager
def _postgresql(binaries: Path) -> Iterator[LocalServer]:
    with local_server(binaries, SERVER) as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        yield server


@contextmanager
def _run(folder: Path, address: str, target: str, load: tuple[str, ...]) -> Iterator[None]:
    run = Soakd(folder, "--target", target, "--listen", address, *LOAD, *load)
    try:
        run.started()
        yield
        run.signal(signal.SIGTERM)
        run.wait()
    finally:
        run.stop()
