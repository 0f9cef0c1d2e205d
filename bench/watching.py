"""Looking at a run from outside while it goes on: scrapes, memory, the first operation."""

import asyncio
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import apsw
import psutil

from bench.soakd import running
from bench.stage import BenchError
from daemon.backends.base import SQLITE
from daemon.clock import SystemClock
from daemon.observe.postgres.collector import PostgresCollector
from daemon.observe.postgres.source import Source
from daemon.workloads.events import EVENTS

SAMPLE_EVERY = 2.0  # s between two looks at the memory
LEAST_FILE = 2 * 2**30  # bytes that the database of the memory case may always have
DISK_SHARE = 4  # and the share of the free disk that it may have, as a divisor
MEGABYTE = 1e6
SAMPLES, WARM_SAMPLES = 60, 10  # of PostgreSQL, and how many of them come before statements are prepared


class Scraper:
    """Fetches /metrics once a second in a thread of its own, until the context ends.

    Attributes:
        times: how long each fetch took, s, for those that were answered.
    """

    def __init__(self, url: str, interval: float = 1.0) -> None:
        self.times: list[float] = []
        self._url = url
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310 - our own http address
                    answer.read()
            except OSError:  # not listening yet, or not any more
                continue
            self.times.append(time.perf_counter() - began)


class Memory(NamedTuple):
    """What the processes of a run held at one time, MB.

    Attributes:
        at: s since the beginning of the watch.
        rss: resident, files mapped into memory included.
        uss: theirs alone.
    """

    at: float
    rss: float
    uss: float


def watch_memory(
    target: Path, options: list[str], seconds: float, say: Callable[[float], None]
) -> list[Memory]:
    """Run soakd on a SQLite file for `seconds` and return samples of the memory of its processes.

    The table is emptied before it fills a good part of the disk; that shows in the memory, because
    SQLite's page caches are filled anew.

    Raises:
        BenchError: soakd ended early.
    """
    samples: list[Memory] = []
    limit = max(LEAST_FILE, shutil.disk_usage(target.parent).free // DISK_SHARE)
    with running(f"sqlite:///{target}", options, target.with_suffix(".log")) as process:
        began = time.monotonic()
        while (at := time.monotonic() - began) < seconds:
            time.sleep(SAMPLE_EVERY)
            if process.poll() is not None:
                raise BenchError(f"soakd ended early: {target.with_suffix('.log').read_text()[-500:]}")
            samples.append(memory(psutil.Process(process.pid), at + SAMPLE_EVERY))
            _trim(target, limit)
            say(at)
    return samples


def memory(process: psutil.Process, at: float) -> Memory:
    """Return the memory of a process and its children."""
    family = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return Memory(at, sum(one.rss for one in family) / MEGABYTE, sum(one.uss for one in family) / MEGABYTE)


def sample_seconds(url: str) -> list[float]:
    """Return how long each of some samples of an idle PostgreSQL takes, s."""
    return asyncio.run(_sample_seconds(url))


async def _sample_seconds(url: str) -> list[float]:
    source = Source(
        conninfo=url,
        password=None,
        connect_timeout=5.0,
        statement_timeout=2.0,
        lock_timeout=0.1,
        prepare=True,
    )
    clock = SystemClock()
    collector = PostgresCollector(source, clock=clock, notify=_ignore, see_settings=lambda _: None)
    times = []
    try:
        for _ in range(SAMPLES):
            began = clock.now()
            await collector.collect()
            times.append(clock.now() - began)
    finally:
        await collector.close()
    return times[WARM_SAMPLES:]


def _ignore(event: str, **facts: object) -> None:
    """Take no note of an event."""


def _trim(file: Path, limit: int) -> None:
    if not file.exists() or file.stat().st_size < limit:
        return
    connection = apsw.Connection(str(file))
    connection.set_busy_timeout(20_000)
    connection.wal_autocheckpoint(0)
    connection.execute(f"DELETE FROM {SQLITE.table(EVENTS.name)}")
    connection.close()


def seconds_to_first_op(file: Path, options: list[str]) -> float:
    """Return the time from starting the command to the start of its first operation, s.

    It is read off the first row's own time stamp, so nothing has to look while soakd starts.

    Raises:
        BenchError: soakd wrote nothing.
    """
    started = time.time()
    with running(f"sqlite:///{file}", options, file.with_suffix(".log")) as process:
        process.wait(60)
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    first = connection.execute(f"SELECT min(ts) FROM {SQLITE.table(EVENTS.name)}").fetchall()[0][0]
    connection.close()
    if first is None:
        raise BenchError("soakd wrote nothing")
    return int(str(first)) / 1e6 - started
