"""Looking at a run from outside while it goes on: scrapes, memory, the first operation."""

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import apsw
import psutil

from bench.soakd import running
from bench.stage import BenchError
from daemon.backends.base import SQLITE
from daemon.clock import SystemClock
from daemon.observe.postgres.collector import PostgresCollector
from daemon.observe.postgres.source import Source
from daemon.workloads.events import EVENTS

STRETCH = 4  # s
SAMPLE_EVERY = 2.0  # s between two looks at the memory
LEAST_FILE = 2 * 2**30  # bytes that the database of the memory case may always have
DISK_SHARE = 4  # and the share of the free disk that it may have, as a divisor
MEGABYTE = 1e6
SAMPLES, WARM_SAMPLES = 60, 10  # of PostgreSQL, and how many of them come before statements are prepared


class Scraped(NamedTuple):
    """What was seen of a run that was scraped in every other stretch of time.

    Attributes:
        times: how long each fetch took, s.
        scraped: rows per second of each stretch with fetches.
        alone: of each stretch without.
    """

    times: list[float]
    scraped: list[float]
    alone: list[float]


def scrape_now_and_then(target: str, options: Sequence[str], log: Path, url: str, pairs: int) -> Scraped:
    """Run soakd and fetch /metrics each second of every other stretch of `STRETCH` s.

    Neighbours are compared with each other, so that what else happens on the machine in minutes
    does not count. The rates are those that soakd logs each second.

    Raises:
        BenchError: soakd ended early, or logged nothing.
    """
    times: list[float] = []
    bounds: list[float] = []
    with running(target, (*options, "--duration", "0", "--log-interval", "1s"), log) as process:
        _first_answer(url, process)
        time.sleep(2 * STRETCH)
        for number in range(2 * pairs):
            bounds.append(time.time())
            scraped = number % 4 in (0, 3)  # on off, off on: a drift favours neither
            for _ in range(STRETCH):
                second = time.monotonic() + 1.0
                if scraped:
                    times.append(_fetch(url))
                time.sleep(max(0.0, second - time.monotonic()))
        bounds.append(time.time())
        process.terminate()
        process.wait(60)
    rates = _rates(log, bounds)
    on = [rate for number, rate in enumerate(rates) if number % 4 in (0, 3)]
    return Scraped(times, on, [rate for number, rate in enumerate(rates) if number % 4 in (1, 2)])


def _first_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            _fetch(url)
        except OSError:  # not listening yet
            time.sleep(0.1)
        else:
            return
    raise BenchError("soakd ended before it could be scraped")


def _fetch(url: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own http address
        answer.read()
    return time.perf_counter() - began


def _rates(log: Path, bounds: Sequence[float]) -> list[float]:
    """Return the mean rate of the seconds that lie within each stretch, rows/s."""
    seconds: list[tuple[float, float]] = []
    for line in log.read_text().splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "run.progress":
            at = datetime.fromisoformat(event["timestamp"]).timestamp()
            seconds.append((at, event["rows"]["committed_rate"]))
    found: list[float] = []
    for begin, end in pairwise(bounds):
        within = [rate for at, rate in seconds if begin + 1.0 <= at <= end]
        if not within:
            raise BenchError("soakd's log lacks the rates of a stretch")
        found.append(sum(within) / len(within))
    return found


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
