"""The SQLite baselines: one thread that does nothing but call apsw.

Rows and keys are made outside the measured time, the connection is set up as soakd's own ones are.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import ParamSpec

import apsw

from daemon.backends.base import SQLITE
from daemon.backends.sqlite_connection import Pragmas, connect
from daemon.ops import Values
from daemon.workloads.base import Identity, Stretch
from daemon.workloads.events import APPEND, BY_KEY, EVENTS, Events

P = ParamSpec("P")

# soakd's defaults, as daemon.config has them.
PRAGMAS = Pragmas(
    synchronous="normal",
    busy_timeout=5.0,
    cache_size=64 * 2**20,
    mmap_size=0,
    page_size=4096,
    wal_limit=256 * 2**20,
)
CHECKPOINT_PAGES = 1000
BLOCK = 20  # transactions that are made ready at a time
KEYS = 2000  # keys that are drawn at a time


def alone(measure: Callable[P, float], *args: P.args, **kwargs: P.kwargs) -> float:
    """Return what a function measures in a process of its own, as soakd's engine has one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(measure, *args, **kwargs).result()


def events(writers: int, existing: Sequence[Stretch] = ()) -> Events:
    """Return the workload, with soakd's defaults."""
    return Events(
        identity=Identity(run=20_000_101_000_000_000, shard=0, epoch=0),
        dialect=SQLITE,
        workers=writers,
        message_size=120,
        services=20,
        keys="uniform",
        limit=50,
        window=60.0,
        weights={"by_key": 1, "newest": 0, "by_service": 0, "level_counts": 0, "search": 0},
        existing=existing,
        wall=time.time,
        rng=Random(1),
    )


def rows(workload: Events, writers: int, count: int, rng: Random) -> list[Values]:
    """Return the next rows, the writers taking turns."""
    return [workload.row(APPEND, n % writers, rng) for n in range(count)]


def rows_per_second(path: Path, writers: int, batch: int, seconds: float) -> float:
    """Return the rows per second that one thread writes to a new file, `batch` per transaction."""
    connection = connect(path, PRAGMAS, read_only=False)
    connection.wal_autocheckpoint(CHECKPOINT_PAGES)
    workload, rng = events(writers), Random(2)
    for statement in workload.schema(SQLITE).tables[EVENTS.name]:
        connection.execute(statement)
    insert = SQLITE.insert(EVENTS, again=False)
    busy, written = 0.0, 0
    while busy < seconds:
        made = rows(workload, writers, BLOCK * batch, rng)
        batches = [made[at : at + batch] for at in range(0, len(made), batch)]
        began = time.perf_counter()
        for one in batches:
            _write(connection, insert, one)
        busy += time.perf_counter() - began
        written += len(made)
    connection.close()
    return written / busy


def _write(connection: apsw.Connection, insert: str, batch: Sequence[Values]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(insert, batch)
    connection.execute("COMMIT")


def reads_per_second(path: Path, seconds: float) -> float:
    """Return the rows per second that one thread reads by random keys from a filled file."""
    connection = connect(path, PRAGMAS, read_only=True)
    workload, rng = events(0, stretches(connection)), Random(3)
    busy, read = 0.0, 0
    while busy < seconds:
        calls = [workload.transaction(BY_KEY, 0, rng) for _ in range(KEYS)]
        statements = [call.args for call in calls]
        cursor = connection.cursor()
        began = time.perf_counter()
        found = [cursor.execute(sql, key).fetchall() for sql, key in statements]
        busy += time.perf_counter() - began
        read += sum(map(len, found))
    connection.close()
    return read / busy


def stretches(connection: apsw.Connection) -> list[Stretch]:
    """Return what rows there are."""
    table = SQLITE.table(EVENTS.name)
    found = connection.execute(
        f"SELECT run, shard, worker, min(seq), count(*) FROM {table} GROUP BY run, shard, worker"
    )
    return [Stretch(*(int(str(value)) for value in row)) for row in found]
