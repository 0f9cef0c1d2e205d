"""The command `seed`: loading data without a run."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from rich.console import Console

from daemon import ledger, log, schema, seeds
from daemon.backends.base import Backend
from daemon.check.sqlite import refuse_running
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.loading_screen import Bars, Lines
from daemon.control.recount import tables_of
from daemon.control.seeding import Seeding, Shower
from daemon.control.signals import Signals
from daemon.errors import ExitCode, OpError, StoppedError, TargetError, UsageError
from daemon.ops import Table
from daemon.target import parse_target
from daemon.workloads import registry
from daemon.workloads.base import Schema


async def seed(settings: Settings, clock: Clock, *, skip_data: bool, older_than: float | None) -> int:
    """Load the data of a workload, and return the exit code.

    Args:
        settings: the target, the workload, its data.
        clock: monotonic time and time of day.
        skip_data: create the tables and nothing else.
        older_than: with `settings.clean`, drop only what is older than this, s.

    Raises:
        UsageError: the workload has no data, or what is there is not what is asked for.
        TargetError: the target cannot be used.
        StoppedError: a signal came; what is there stays.
    """
    name = settings.workload
    _check(settings, older_than)
    async with AsyncExitStack() as stack:
        signals = Signals()
        signals.install(stack)
        console = Console()
        bars = console.is_terminal and settings.log.format == "auto"
        if not bars:
            fmt: log.Format = "console" if settings.log.format == "console" else "json"
            log.configure(level=settings.log.level, fmt=fmt, stream=sys.stdout)
        facts = {"workload": name, "target": settings.public()["target"]}
        shower: Shower = Bars(console) if bars else Lines(_note, clock, settings.log.interval, facts)
        work = asyncio.ensure_future(
            _seed(settings, clock, shower, signals, skip_data=skip_data, older_than=older_than)
        )
        aborted = asyncio.ensure_future(signals.abort.wait())
        await asyncio.wait({work, aborted}, return_when=asyncio.FIRST_COMPLETED)
        aborted.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise StoppedError(f"stopped at once; the same command goes on loading {name}", signals.second)
        line = work.result()
        if bars:
            console.print(line, highlight=False)
        else:
            _note("seed.ended", result=line)
        return ExitCode.OK


def _note(event: str, **facts: object) -> None:
    log.write("info", event, facts)


def _check(settings: Settings, older_than: float | None) -> None:
    if older_than is not None and not settings.clean:
        raise UsageError("--older-than: says what --clean drops; give both")
    if parse_target(settings.target.get_secret_value()).kind == "null":
        raise UsageError("the null target stores nothing: there is nothing to load into")


async def _seed(
    settings: Settings,
    clock: Clock,
    shower: Shower,
    signals: Signals,
    *,
    skip_data: bool,
    older_than: float | None,
) -> str:
    data = registry.WORKLOADS[settings.workload].data
    backend = plan.make_backend(settings, clock, writers=settings.data.loaders)
    batched: Sequence[Table] = ()
    if data and data.schema:
        tables = data.schema(backend.dialect)
    else:
        workload = tables_of(settings, clock)
        tables, batched = workload.schema(backend.dialect), workload.tables
    file = parse_target(settings.target.get_secret_value()).path
    if file is not None and settings.clean:
        await asyncio.to_thread(refuse_running, file)
    await backend.open()
    try:
        clean = settings.clean and older_than is None
        if older_than is not None:
            await _expire(backend, settings.workload, tables, batched, clock.wall() - older_than)
        if skip_data or data is None:
            await schema.prepare(backend, tables, clean=clean)
            why = "" if skip_data else f": {settings.workload} begins with no data"
            return f"created the tables of {settings.workload}, and nothing else{why}"
        seeding = Seeding(settings, backend, clock, shower, signals.stop.is_set)
        seeded = await seeding.load(data, tables, clean=clean)
    except OpError as error:
        raise TargetError(f"cannot load the data of {settings.workload}: {error}") from error
    finally:
        await backend.close()
    if not seeded.done:
        raise StoppedError(
            f"stopped; the same command goes on loading {settings.workload} where it was", signals.first
        )
    dataset = seeded.dataset
    return f"the data of {settings.workload} is there: {dataset.scale} {data.unit}, seed {dataset.seed}"


async def _expire(
    backend: Backend, name: str, tables: Schema, batched: Sequence[Table], before: float
) -> None:
    """Drop the workload's data if it was loaded before a time of day, and the rows of runs before it."""
    await schema.prepare(backend, tables, clean=False)
    await schema.refuse_running(backend)
    found = await seeds.load(backend, name)
    if found is not None and found.begun < before:
        await schema.drop(backend, tables)
        await seeds.forget(backend, name)
        return
    for table in batched:
        await ledger.forget_rows(backend, table, ledger.run_number(before))
