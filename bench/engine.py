"""One engine driven without a supervisor, with its recorder or without, to tell what recording costs."""

import asyncio
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil

from bench.stage import BenchError, remove
from daemon import ledger, schema
from daemon.clock import Clock, SystemClock
from daemon.config.settings import Batch, Pools, Settings
from daemon.control import plan
from daemon.control.engines import start_engine
from daemon.control.shards import Shard
from daemon.errors import SoakdError
from daemon.load.messages import EnginePlan
from daemon.workloads import registry
from daemon.workloads.base import Identity

WARMUP = 1.5  # s
DRAIN = 20.0  # s


class Speed(NamedTuple):
    """How fast one engine was.

    Attributes:
        rows: committed rows per second.
        cpu: CPU time of the engine process per row, µs; barely moved by what else the machine does.
    """

    rows: float
    cpu: float


def speed(file: Path, writers: int, seconds: float, *, recording: bool) -> Speed:
    """Return how fast an engine writes to a new SQLite file.

    Rows are counted through the accounts that the engine shares with its supervisor, which are
    kept in both cases.

    Raises:
        BenchError: it could not be started, or it died.
    """
    settings = Settings.model_validate(
        {
            "target": f"sqlite:///{file}",
            "pools": Pools(writers=writers, readers=0),
            "batch": Batch(size=200, timeout=0),
            "seed": 1,
        }
    )
    try:
        return asyncio.run(_speed(settings, SystemClock(), seconds, recording=recording))
    except SoakdError as error:
        raise BenchError(str(error)) from error
    finally:
        remove(file)


async def _speed(settings: Settings, clock: Clock, seconds: float, *, recording: bool) -> Speed:
    run = ledger.run_number(clock.wall())

    def planned(epoch: int) -> EnginePlan:
        return plan.engine_plan(settings, Identity(run, 0, epoch), 1, (), recording=recording)

    shard = Shard(0, plan=planned, clock=clock, notify=_ignore)
    try:
        await shard.adopt(await start_engine())
        await _prepare(settings, clock)
        await shard.connect()
        load = asyncio.create_task(shard.run())
        await asyncio.sleep(WARMUP)
        measured = await _measure(shard, clock, seconds)
        shard.stop(DRAIN)
        await load
    finally:
        shard.kill()
    if shard.restarts:
        raise BenchError("the engine died")
    return measured


async def _measure(shard: Shard, clock: Clock, seconds: float) -> Speed:
    life = shard.lives[-1]
    process = psutil.Process(life.process.pid)
    began, rows, cpu = clock.now(), life.account.committed, sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    ended, more_rows, more_cpu = clock.now(), life.account.committed, sum(process.cpu_times()[:2])
    if more_rows == rows:
        raise BenchError("the engine wrote nothing")
    return Speed((more_rows - rows) / (ended - began), 1e6 * (more_cpu - cpu) / (more_rows - rows))


async def _prepare(settings: Settings, clock: Clock) -> None:
    backend = plan.make_backend(settings, clock)
    workload = registry.create(
        settings.workload,
        plan.workload_options(settings),
        identity=Identity(0, 0, 0),
        dialect=backend.dialect,
        workers=0,
        existing=(),
        wall=clock.wall,
        rng=Random(0),
    )
    await backend.open()
    try:
        await schema.prepare(backend, workload.schema(backend.dialect), clean=False)
    finally:
        await backend.close()


def _ignore(event: str, **facts: object) -> None:
    """Take no note of what happens to the shard: a death shows in its number of restarts."""
