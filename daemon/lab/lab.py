"""The query lab at work: prepare, measure query by query, explain what is slow, report."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, NamedTuple

from daemon import __version__, ledger
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.seeding import Shower
from daemon.control.signals import Signals
from daemon.errors import OpError, StoppedError, TargetError, UsageError
from daemon.lab import target
from daemon.lab.measure import measure
from daemon.lab.plans import explain
from daemon.lab.pressure import Pressure
from daemon.lab.report import KIND, VERSION, plan_report, query_report
from daemon.lab.target import Place
from daemon.ops import OpSpec
from daemon.workloads.base import Workload


class Asked(NamedTuple):
    """What is to be found out, and how.

    Attributes:
        iterations: of each query.
        warmup: iterations before those.
        slow: mean and 95th percentile above it are slow, s.
        writers: that write behind the queries; 0: nobody.
        skip_data: load nothing, take what is there.
        on_begin: told how many iterations there will be, warm-up included.
        on_done: told of each of them.
    """

    iterations: int
    warmup: int
    slow: float
    writers: int
    skip_data: bool
    on_begin: Callable[[int], None]
    on_done: Callable[[], None]


async def query_test(settings: Settings, clock: Clock, asked: Asked, shower: Shower) -> dict[str, Any]:
    """Measure every query of a workload and return the report.

    Raises:
        UsageError: there is nothing to measure, or other data than asked for.
        TargetError: the target cannot be used, or has gone.
        StoppedError: a signal came; data that was loaded stays.
    """
    target.check(settings, skip_data=asked.skip_data)
    async with AsyncExitStack() as stack:
        signals = Signals()
        signals.install(stack)
        work = asyncio.ensure_future(_query_test(settings, clock, asked, shower))
        stop = asyncio.ensure_future(signals.stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise StoppedError("stopped: there is no report; data that was loaded stays", signals.first)
        return work.result()


async def _query_test(settings: Settings, clock: Clock, asked: Asked, shower: Shower) -> dict[str, Any]:
    seed = settings.seed or 0
    backend = plan.make_backend(settings, clock, writers=settings.data.loaders)
    async with AsyncExitStack() as stack:
        await backend.open()
        stack.push_async_callback(backend.close)
        try:
            place = await target.prepare(
                settings, clock, backend, shower, skip_data=asked.skip_data, writers=asked.writers, seed=seed
            )
            report = await _head(place, asked, seed)
        except OpError as error:
            raise TargetError(f"cannot prepare the target: {error}") from error
        workload = place.workload(0)
        queries = [(n, one) for n, one in enumerate(workload.ops) if one.pool == "reader" and one.weight > 0]
        if not queries:
            raise UsageError(f"the workload {settings.workload} has no reads here: there is nothing to query")
        asked.on_begin(len(queries) * (asked.warmup + asked.iterations))
        begun = clock.now()
        pressure = await _begin_pressure(stack, place, asked, seed)
        for number, spec in queries:
            report["queries"][spec.name] = await _query(place, workload, number, spec, asked, seed)
        if pressure:
            report["write_load"] = {"seconds": clock.now() - begun, "outcomes": dict(pressure.outcomes)}
    return report


async def _head(place: Place, asked: Asked, seed: int) -> dict[str, Any]:
    settings, dataset = place.settings, place.dataset
    [(kind, version)] = (await ledger.versions(place.backend)).items()
    product = {"server_version": "PostgreSQL", "sqlite_version": "SQLite"}[kind]
    return {
        "report": KIND,
        "version": VERSION,
        "soakd_version": __version__,
        "created": datetime.fromtimestamp(place.clock.wall(), UTC).isoformat(timespec="seconds"),
        "target": settings.public()["target"],
        "server": f"{product} {version}",
        "workload": settings.workload,
        "dataset": {"scale": dataset.scale, "seed": dataset.seed, **dataset.shape} if dataset else None,
        "records": await place.records(),
        "iterations": asked.iterations,
        "warmup": asked.warmup,
        "seed": seed,
        "writers": asked.writers,
        "slow_seconds": asked.slow,
        "queries": {},
        "write_load": None,
    }


async def _begin_pressure(stack: AsyncExitStack, place: Place, asked: Asked, seed: int) -> Pressure | None:
    """Begin to write, until the stack is closed."""
    if not asked.writers:
        return None
    workload = place.workload(asked.writers)
    if not any(one.pool == "writer" and one.weight > 0 for one in workload.ops):
        raise UsageError(f"the workload {place.settings.workload} has no writes here: leave --writers out")
    backend = plan.make_backend(place.settings, place.clock, writers=asked.writers)
    await backend.open()
    stack.push_async_callback(backend.close)
    pressure = Pressure(backend, workload, str(seed))
    writing = asyncio.create_task(pressure.run(asked.writers))
    stack.push_async_callback(_end, writing)
    return pressure


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()  # a bug in the writers must not pass for a quiet target


async def _query(
    place: Place, workload: Workload, number: int, spec: OpSpec, asked: Asked, seed: int
) -> dict[str, Any]:
    """Measure one query, and explain it if it is slow."""
    patience = place.settings.pools.op_timeout or float("inf")
    measured = await measure(
        place.backend,
        place.clock,
        partial(workload.transaction, number, 0),
        rng=Random(f"{seed}/{spec.name}"),
        warmup=asked.warmup,
        iterations=asked.iterations,
        patience=patience,
        on_done=asked.on_done,
    )
    found = query_report(measured, asked.slow)
    if found["slow"]:
        plans = await explain(place.backend, place.clock, measured.slowest, patience)
        found["plans"] = [plan_report(one) for one in plans]
    return found
