"""Making a run ready: tables, data, the record of the run, and engines that are connected."""

import asyncio
from contextlib import suppress

from daemon import __version__, ledger, schema
from daemon.check.sqlite import refuse_foreign, refuse_running
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.loading_screen import Lines
from daemon.control.reset import reset
from daemon.control.run import Run
from daemon.control.seeding import Seeding
from daemon.control.shards import Listener
from daemon.control.signals import Signals
from daemon.errors import OpError, StoppedError, TargetError
from daemon.stretches import readable
from daemon.target import parse_target
from daemon.workloads import registry
from daemon.workloads.base import Crowd, Workload

UNUSED = "an earlier run asked for it and this one does not: writes pay for it still; --clean drops it"
WITHDRAW_WITHIN = 3.0  # s for the target to forget a run that never began


async def make_ready(run: Run, workload: Workload, signals: Signals, notify: Listener) -> None:
    """Make everything ready for the load to begin, in the target and in the engines.

    Raises:
        UsageError: the target's data are not those that are asked for.
        TargetError: it cannot be reached or used.
        StoppedError: a signal came while data were loaded.
    """
    await _prepare(run, workload, signals, notify)
    try:
        await asyncio.gather(*(shard.connect() for shard in run.shards))
    except (TargetError, asyncio.CancelledError):
        await _withdraw(run)
        raise


async def _withdraw(run: Run) -> None:
    """Forget a run that never began, if the target lets us."""
    backend = plan.make_backend(run.settings, run.clock)
    with suppress(OpError, TargetError, TimeoutError):
        async with asyncio.timeout(WITHDRAW_WITHIN):
            await backend.open()
            try:
                await ledger.withdraw(backend, run.number)
            finally:
                await backend.close()


async def _prepare(run: Run, workload: Workload, signals: Signals, notify: Listener) -> None:
    """Create the tables, load data, register the run, and find what there is to read if it writes nothing."""
    settings = run.settings
    backend = plan.make_backend(settings, run.clock, writers=_loaders(settings))
    tables = workload.schema(backend.dialect)
    file = parse_target(settings.target.get_secret_value()).path
    if file is not None:
        needed = schema.names(backend.dialect, tables)
        await asyncio.to_thread(refuse_foreign, file, needed, settings.sqlite.busy_timeout)
        if settings.clean:
            await asyncio.to_thread(refuse_running, file)
    shower = Lines(notify, run.clock, settings.log.interval, {"workload": settings.workload})
    await backend.open()
    try:
        seeding = Seeding(settings, backend, run.clock, shower, signals.stop.is_set)
        seeded = await seeding.prepare(tables, clean=settings.clean)
        if seeded is not None:
            if not seeded.done:
                raise StoppedError("stopped while loading data; the next run goes on with it", signals.first)
            run.found = {"scale": seeded.dataset.scale}
        for name in await schema.unused(backend, settings.workload, tables):
            notify("target.unused", table=backend.dialect.table(name), advice=UNUSED)
        run.found |= await registry.look(
            settings.workload,
            {**plan.workload_options(settings), **run.found},
            backend=backend,
            seed=run.seed,
            crowd=Crowd(settings.shards, settings.pools.writers, settings.pools.readers),
        )
        await reset(backend, run.programme.reset if run.programme else (), run.notify)
        run.versions = await ledger.versions(backend)
        run.pragmas = await ledger.pragmas(backend)
        if not settings.pools.writers and workload.tables:
            run.existing = await readable(backend, workload.tables[0])
        record = ledger.RunRecord(
            run.number, __version__, settings.workload, settings.pools.writers, settings.shards, "", {}
        )
        run.number = await ledger.register(backend, record)
    except OpError as error:
        raise TargetError(f"cannot prepare the target: {error}") from error
    finally:
        await backend.close()


def _loaders(settings: Settings) -> int:
    """Return how many connections load data: one will do where there are none to load."""
    return settings.data.loaders if registry.WORKLOADS[settings.workload].data else 1
