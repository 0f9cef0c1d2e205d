"""Conducting a run: prepare, load, stop, settle and judge."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from daemon import __version__, ledger, schema
from daemon.check.sqlite import refuse_foreign
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.endpoint import endpoint
from daemon.control.engines import EngineProcess
from daemon.control.invariants import Audit, Limits
from daemon.control.loading_screen import Lines
from daemon.control.recount import tables_of
from daemon.control.run import Run
from daemon.control.sampling import Sampling, make_collectors
from daemon.control.screen import Screen
from daemon.control.seeding import Seeding
from daemon.control.settle import Books, settle
from daemon.control.shards import Listener, Shard
from daemon.control.signals import Signals
from daemon.control.summarize import check_writable, summarize, write_summary
from daemon.errors import DataLossError, ExitCode, OpError, StoppedError, TargetError
from daemon.stretches import readable
from daemon.target import parse_target
from daemon.workloads import registry
from daemon.workloads.base import Crowd, Identity, Workload

DRAIN_GRACE = 10.0  # s beyond the drain time-out before an engine is killed
ABORT_WITHIN = 3.0  # s that engines, and then the books, get after a second signal
LOOK_WITHIN = 1.0  # s for the engines' present figures
UNUSED = "an earlier run asked for it and this one does not: writes pay for it still; --clean drops it"


async def conduct(
    settings: Settings, clock: Clock, engines: Sequence[EngineProcess], signals: Signals
) -> int:
    """Make one run with the engines that were started for it; return the exit code.

    Raises:
        UsageError: the configuration cannot be used here (a port in use, for instance).
        TargetError: the database cannot be reached or used.
        DataLossError: acknowledged rows are missing.
    """
    async with AsyncExitStack() as stack:
        if settings.summary:
            check_writable(settings.summary)
        workload = tables_of(settings, clock)
        settings = plan.fitted(settings, workload.ops)
        screen = Screen(settings, clock)
        screen.open()
        stack.push_async_callback(screen.close)
        seed = settings.seed if settings.seed is not None else secrets.randbelow(2**32)
        run = Run(settings, clock, screen.note, seed)
        stack.callback(_kill, run.shards)
        await asyncio.gather(*(shard.adopt(own) for shard, own in zip(run.shards, engines, strict=True)))
        sampling = Sampling(
            make_collectors(run, screen.note),
            interval=settings.samplers.interval,
            timeout=settings.samplers.timeout,
            clock=clock,
            notify=screen.note,
            target_up=run.target_up,
        )
        stack.push_async_callback(sampling.close)
        screen.url = await stack.enter_async_context(endpoint(settings, run, workload.ops, sampling.snapshot))
        screen.prepare()
        ready = asyncio.ensure_future(_make_ready(run, workload, signals, screen.note))
        stack.push_async_callback(_cancel, asyncio.create_task(screen.draw(run)))
        await _until(0, signals.abort, ready)
        if not ready.done():
            await _cancel(ready)
            return 128 + signals.second
        audit = _audit(run, screen.note)
        stack.push_async_callback(audit.close)
        screen.begin(run)
        sampling.start()  # waits for nothing: monitoring must never keep the load from starting
        audit.start()
        await _load(run, signals)
        books = await _close_books(run, workload, signals)
        await _finish(audit, signals)
        if books.problem:
            screen.note("run.unsettled", reason=books.problem, in_doubt=books.total.in_doubt)
        run.enter("finished")
        summary = summarize(run, books, workload.ops, audit)
        await screen.end(summary)
        if settings.summary:
            write_summary(settings.summary, summary)
        return _verdict(books, audit, signals)


def _audit(run: Run, notify: Listener) -> Audit:
    """Return what checks the invariants of the workload; on the null target there is nothing to check."""
    settings, limits = run.settings, run.settings.invariants
    make = partial(plan.make_backend, settings, run.clock)
    dialect = make().dialect
    options = {**plan.workload_options(settings), **run.found}
    invariants = registry.invariants(
        settings.workload, options, dialect=dialect, under_way=settings.pools.rows_in_flight
    )
    audit = Audit(
        invariants if dialect.name != "null" else (),
        make=make,
        limits=Limits(limits.interval, limits.budget, limits.final_budget),
        clock=run.clock,
        notify=notify,
        facts=lambda: (run.number, run.rows()),
    )
    run.beside = audit.snapshot
    return audit


async def _finish(audit: Audit, signals: Signals) -> None:
    """Check everything, unless a second signal comes first."""
    checking = asyncio.ensure_future(audit.finish())
    await _until(0, signals.abort, checking)
    if not checking.done():
        await _cancel(checking)


def _kill(shards: list[Shard]) -> None:
    for shard in shards:
        shard.kill()


async def _cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains; what it was about is over


async def _make_ready(run: Run, workload: Workload, signals: Signals, notify: Listener) -> None:
    await _prepare(run, workload, signals, notify)
    await asyncio.gather(*(shard.connect() for shard in run.shards))


async def _prepare(run: Run, workload: Workload, signals: Signals, notify: Listener) -> None:
    """Create the tables, load data, register the run, and find what there is to read if it writes nothing."""
    settings = run.settings
    backend = plan.make_backend(settings, run.clock, writers=_loaders(settings))
    tables = workload.schema(backend.dialect)
    file = parse_target(settings.target.get_secret_value()).path
    if file is not None:
        needed = schema.names(backend.dialect, tables)
        await asyncio.to_thread(refuse_foreign, file, needed, settings.sqlite.busy_timeout)
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
        run.versions = await ledger.versions(backend)
        record = ledger.RunRecord(
            run.number, __version__, settings.workload, settings.pools.writers, settings.shards, "", {}
        )
        run.number = await ledger.register(backend, record)
        if not settings.pools.writers and workload.tables:
            run.existing = await readable(backend, workload.tables[0])
    except OpError as error:
        raise TargetError(f"cannot prepare the target: {error}") from error
    finally:
        await backend.close()


def _loaders(settings: Settings) -> int:
    """Return how many connections load data: one will do where there are none to load."""
    return settings.data.loaders if registry.WORKLOADS[settings.workload].data else 1


async def _load(run: Run, signals: Signals) -> None:
    """Warm up, measure, drain; the end of the time, a signal or the end of all engines moves on."""
    settings = run.settings
    engines = asyncio.gather(*(shard.run() for shard in run.shards))
    if settings.warmup:
        run.enter("warming up")
        await _until(settings.warmup, signals.stop, engines)
    # The time first: what happens until the engines have been asked is left out of the
    # operations but not of the time, so that a rate is rather shown too low than too high.
    run.measure()
    if settings.warmup:
        await asyncio.gather(*(shard.look(LOOK_WITHIN) for shard in run.shards))
        run.leave_out()
    await _until(settings.duration, signals.stop, engines)
    # The figures first: an operation that ends in the drain is counted, but in no rate.
    await asyncio.gather(*(shard.look(LOOK_WITHIN) for shard in run.shards))
    run.end_measure(signals.reason)
    for shard in run.shards:
        shard.stop(settings.batch.drain_timeout)
    await _until(settings.batch.drain_timeout + DRAIN_GRACE, signals.abort, engines)
    if not engines.done():
        for shard in run.shards:
            shard.stop(0)
        await _until(ABORT_WITHIN, asyncio.Event(), engines)
    _kill(run.shards)
    await engines


async def _until(seconds: float, event: asyncio.Event, work: asyncio.Future[Any]) -> None:
    """Wait for the time (0: for ever), the event, or the end of the work; raises what it raised."""
    waiter = asyncio.ensure_future(event.wait())
    both: set[asyncio.Future[Any]] = {waiter, work}
    await asyncio.wait(both, timeout=seconds or None, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    if work.done():
        work.result()


async def _close_books(run: Run, workload: Workload, signals: Signals) -> Books:
    accounts = {
        Identity(run.number, shard.number, epoch): account
        for shard in run.shards
        for epoch, account in shard.accounts.items()
    }
    make = partial(plan.make_backend, run.settings, run.clock)
    closing = asyncio.ensure_future(settle(make, workload.tables, accounts, stop_reason=run.stop_reason))
    await _until(0, signals.abort, closing)
    await asyncio.wait({closing}, timeout=ABORT_WITHIN)  # it is done, or there was a second signal
    if closing.done():
        return closing.result()
    await _cancel(closing)
    return Books(accounts, 0, "the second signal came before the target took the accounts")


def _verdict(books: Books, audit: Audit, signals: Signals) -> int:
    if books.lost:
        raise DataLossError(
            f"{books.lost} acknowledged rows are not in the target: see `soakd verify` for which workers"
        )
    if audit.problems:
        raise DataLossError(f"invariants are violated: {'; '.join(audit.problems)}")
    if signals.second:
        return 128 + signals.second
    if books.problem:
        raise TargetError(
            f"the accounts of the run could not be written to the target ({books.problem}): "
            "`soakd verify` has nothing to compare with; "
            f"{books.total.in_doubt} rows stay in doubt, see the summary"
        )
    return ExitCode.OK
