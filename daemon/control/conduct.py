"""Conducting a run: prepare, load, stop, settle and judge."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from daemon import __version__, ledger
from daemon.check.sqlite import refuse_foreign
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.endpoint import endpoint
from daemon.control.engines import EngineProcess
from daemon.control.following import Following
from daemon.control.judging import Judging, thresholds_of
from daemon.control.recount import tables_of
from daemon.control.reset import reset
from daemon.control.run import Run
from daemon.control.sampling import Sampling, make_collectors
from daemon.control.screen import Screen
from daemon.control.settle import Books, settle
from daemon.control.shards import Shard
from daemon.control.signals import Signals
from daemon.control.summarize import check_writable, summarize, write_summary
from daemon.errors import DataLossError, ExitCode, OpError, TargetError, ThresholdError
from daemon.scenario.programme import Programme
from daemon.stretches import readable
from daemon.target import parse_target
from daemon.workloads.base import Identity, Workload

DRAIN_GRACE = 10.0  # s beyond the drain time-out before an engine is killed
ABORT_WITHIN = 3.0  # s that engines, and then the books, get after a second signal
LOOK_WITHIN = 1.0  # s for the engines' present figures


async def conduct(
    settings: Settings,
    clock: Clock,
    engines: Sequence[EngineProcess],
    signals: Signals,
    programme: Programme | None = None,
) -> int:
    """Make one run with the engines that were started for it; return the exit code.

    Raises:
        UsageError: the configuration cannot be used here (a port in use, for instance).
        TargetError: the database cannot be reached or used.
        DataLossError: acknowledged rows are missing.
        ThresholdError: a threshold was not met.
    """
    async with AsyncExitStack() as stack:
        if settings.summary:
            check_writable(settings.summary)
        screen = Screen(settings, clock)
        screen.open()
        stack.push_async_callback(screen.close)
        seed = settings.seed if settings.seed is not None else secrets.randbelow(2**32)
        run = Run(settings, clock, screen.note, seed, programme)
        stack.callback(_kill, run.shards)
        await asyncio.gather(*(shard.adopt(own) for shard, own in zip(run.shards, engines, strict=True)))
        workload = tables_of(settings, clock)
        thresholds = thresholds_of(settings, workload.ops, programme)  # refused before anything is touched
        sampling = Sampling(
            make_collectors(run, screen.note),
            interval=settings.samplers.interval,
            timeout=settings.samplers.timeout,
            clock=clock,
            notify=screen.note,
            target_up=run.target_up,
        )
        stack.push_async_callback(sampling.close)
        judging = Judging(run, thresholds, ops=workload.ops, samples=sampling.snapshot, notify=screen.note)
        stack.callback(judging.stop)
        screen.url = await stack.enter_async_context(
            endpoint(settings, run, workload.ops, (sampling.snapshot, judging.snapshot), judging.edges)
        )
        screen.prepare()
        stack.push_async_callback(_cancel, asyncio.create_task(screen.draw(run, judging)))
        if not await _made_ready(run, workload, signals):
            return 128 + signals.second
        screen.begin(run)
        sampling.start()  # waits for nothing: monitoring must never keep the load from starting
        following = Following(run, programme, judging, screen.note) if programme else None
        await _load(run, judging, following, signals)
        books = await _close_books(run, workload, signals)
        if books.problem:
            screen.note("run.unsettled", reason=books.problem, in_doubt=books.total.in_doubt)
        run.enter("finished")
        followed = following.summary() if following else {}
        summary = summarize(run, books, workload.ops) | judging.summary() | followed
        await screen.end(summary)
        if settings.summary:
            write_summary(settings.summary, summary)
        return _verdict(books, judging, signals)


def _kill(shards: list[Shard]) -> None:
    for shard in shards:
        shard.kill()


async def _cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains; what it was about is over


async def _made_ready(run: Run, workload: Workload, signals: Signals) -> bool:
    """Prepare everything; False when a second signal came first."""
    ready = asyncio.ensure_future(_make_ready(run, workload))
    await _until(0, ready, signals.abort)
    if ready.done():
        return True
    await _cancel(ready)
    return False


async def _make_ready(run: Run, workload: Workload) -> None:
    await _prepare(run, workload)
    await asyncio.gather(*(shard.connect() for shard in run.shards))


async def _prepare(run: Run, workload: Workload) -> None:
    """Create the tables, register the run, and find what there is to read if it writes nothing."""
    settings = run.settings
    backend = plan.make_backend(settings, run.clock)
    file = parse_target(settings.target.get_secret_value()).path
    if file is not None:
        needed = ledger.names(backend.dialect, workload)
        await asyncio.to_thread(refuse_foreign, file, needed, settings.sqlite.busy_timeout)
    await backend.open()
    try:
        await ledger.prepare(backend, workload, clean=settings.clean)
        await reset(backend, run.programme.reset if run.programme else (), run.notify)
        run.versions = await ledger.versions(backend)
        record = ledger.RunRecord(
            run.number, __version__, settings.workload, settings.pools.writers, settings.shards, "", {}
        )
        run.number = await ledger.register(backend, record)
        if not settings.pools.writers:
            run.existing = await readable(backend, workload.tables[0])
    except OpError as error:
        raise TargetError(f"cannot prepare the target: {error}") from error
    finally:
        await backend.close()


async def _load(run: Run, judging: Judging, following: Following | None, signals: Signals) -> None:
    """Warm up, measure, drain; time, a signal, a threshold or the end of all engines ends what goes on."""
    settings = run.settings
    engines = asyncio.gather(*(shard.run() for shard in run.shards))
    judging.begin()
    if settings.warmup:
        run.enter("warming up")
        await _until(settings.warmup, engines, signals.stop)
    # The time first: what happens until the engines have been asked is left out of the
    # operations but not of the time, so that a rate is rather shown too low than too high.
    run.measure()
    if settings.warmup:
        await asyncio.gather(*(shard.look(LOOK_WITHIN) for shard in run.shards))
        run.leave_out()
    judging.measure()

    async def wait(seconds: float) -> bool:
        await _until(seconds, engines, signals.stop, judging.failed)
        return not (engines.done() or signals.stop.is_set() or judging.failed.is_set())

    await (following.follow(wait) if following else wait(settings.duration))
    # The figures first: an operation that ends in the drain is counted, but in no rate.
    await asyncio.gather(*(shard.look(LOOK_WITHIN) for shard in run.shards))
    run.end_measure("threshold" if judging.failed.is_set() and not signals.stop.is_set() else signals.reason)
    judging.end()
    for shard in run.shards:
        shard.stop(settings.batch.drain_timeout)
    await _until(settings.batch.drain_timeout + DRAIN_GRACE, engines, signals.abort)
    if not engines.done():
        for shard in run.shards:
            shard.stop(0)
        await _until(ABORT_WITHIN, engines)
    _kill(run.shards)
    await engines


async def _until(seconds: float, work: asyncio.Future[Any], *events: asyncio.Event) -> None:
    """Wait for the time (0: for ever), one of the events, or the end of the work; raises what it raised."""
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait({work, *waiters}, timeout=seconds or None, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiters:
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
    await _until(0, closing, signals.abort)
    await asyncio.wait({closing}, timeout=ABORT_WITHIN)  # it is done, or there was a second signal
    if closing.done():
        return closing.result()
    await _cancel(closing)
    return Books(accounts, 0, "the second signal came before the target took the accounts")


def _verdict(books: Books, judging: Judging, signals: Signals) -> int:
    if books.lost:
        raise DataLossError(
            f"{books.lost} acknowledged rows are not in the target: see `soakd verify` for which workers"
        )
    if signals.second:
        return 128 + signals.second
    if books.problem:
        raise TargetError(
            f"the accounts of the run could not be written to the target ({books.problem}): "
            "`soakd verify` has nothing to compare with; "
            f"{books.total.in_doubt} rows stay in doubt, see the summary"
        )
    if complaints := judging.complaints():
        raise ThresholdError("\n".join(complaints))
    return ExitCode.OK
