"""Conducting a run: prepare, load, stop, settle and judge."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.endpoint import endpoint
from daemon.control.engines import EngineProcess
from daemon.control.following import Following
from daemon.control.invariants import Audit, Limits
from daemon.control.judging import Judging, thresholds_of
from daemon.control.preparing import make_ready
from daemon.control.recording import Recording, check_apart
from daemon.control.recount import tables_of
from daemon.control.run import Run
from daemon.control.sampling import Sampling, make_collectors
from daemon.control.screen import Screen
from daemon.control.settle import Books, settle
from daemon.control.shards import Listener, Shard
from daemon.control.signals import Signals
from daemon.control.summarize import check_writable, summarize, write_summary
from daemon.errors import (
    DataLossError,
    ExitCode,
    TargetError,
    ThresholdError,
    UsageError,
)
from daemon.scenario.programme import Programme
from daemon.workloads import registry
from daemon.workloads.base import Identity, Workload

DRAIN_GRACE = 10.0  # s beyond the drain time-out before an engine is killed
ABORT_WITHIN = 3.0  # s that engines, and then the books, get after a second signal


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
        _check_files(settings)
        workload = tables_of(settings, clock)
        settings = plan.fitted(settings, workload.ops, programme)
        screen = Screen(settings, clock)
        recording = Recording(settings, clock, screen.note)
        screen.heard = recording.heard
        screen.open()
        stack.push_async_callback(screen.close)
        run = Run(settings, clock, screen.note, _seed(settings), programme)
        stack.callback(_kill, run.shards)
        await asyncio.gather(*(shard.adopt(own) for shard, own in zip(run.shards, engines, strict=True)))
        thresholds = thresholds_of(settings, workload.ops, programme)
        sampling = _sampling(run, screen.note)
        stack.push_async_callback(sampling.close)
        judging = Judging(run, thresholds, ops=workload.ops, samples=sampling.snapshot, notify=screen.note)
        stack.callback(judging.stop)
        told = (sampling.snapshot, judging.snapshot)
        served = endpoint(settings, run, workload.ops, told, judging.edges)
        screen.url = await stack.enter_async_context(served)
        screen.prepare()
        stack.push_async_callback(_cancel, asyncio.create_task(screen.draw(run, judging)))
        if not await _made_ready(run, workload, signals):
            return 128 + signals.second
        audit = _audit(run, screen.note)
        stack.push_async_callback(audit.close)
        screen.begin(run)
        sampling.start()  # waits for nothing: monitoring must never keep the load from starting
        audit.start()
        recording.begin(run, sampling.snapshot, lambda: judging.parts)
        stack.push_async_callback(recording.close)
        following = Following(run, programme, judging, screen.note) if programme else None
        await _load(run, judging, following, signals)
        await audit.close()  # a target may have no session to spare, and the books come first
        books = await _close_books(run, workload, signals)
        await _finish(audit, signals)
        run.enter("finished")
        summary = summarize(run, books, workload.ops, audit) | judging.summary()
        summary |= following.summary() if following else {}
        recording.finish(summary)
        unwritten = await _tell(screen, settings.summary, summary)
        return verdict(books, audit.problems, judging.complaints(), signals, unwritten)


def _check_files(settings: Settings) -> None:
    if settings.summary:
        check_writable(settings.summary)
    check_apart(settings)


def _seed(settings: Settings) -> int:
    return settings.seed if settings.seed is not None else secrets.randbelow(2**32)


def _sampling(run: Run, notify: Listener) -> Sampling:
    limits = run.settings.samplers
    return Sampling(
        make_collectors(run, notify),
        interval=limits.interval,
        timeout=limits.timeout,
        clock=run.clock,
        notify=notify,
        target_up=run.target_up,
    )


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
    await _until(0, checking, signals.abort)
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


async def _made_ready(run: Run, workload: Workload, signals: Signals) -> bool:
    """Prepare everything; False when a second signal came first."""
    ready = asyncio.ensure_future(make_ready(run, workload, signals, run.notify))
    await _until(0, ready, signals.abort)
    if ready.done():
        return True
    await _cancel(ready)
    return False


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
        await run.look()
        run.leave_out()
    judging.measure()

    async def wait(seconds: float) -> bool:
        await _until(seconds, engines, signals.stop, judging.failed)
        return not (engines.done() or signals.stop.is_set() or judging.failed.is_set())

    await (following.follow(wait) if following else wait(settings.duration))
    # The figures first: an operation that ends in the drain is counted, but in no rate.
    await run.look()
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
    books = await _settled(run, workload, signals)
    if books.problem:
        run.notify("run.unsettled", reason=books.problem, in_doubt=books.total.in_doubt)
    return books


async def _settled(run: Run, workload: Workload, signals: Signals) -> Books:
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


async def _tell(screen: Screen, path: Path | None, summary: dict[str, Any]) -> UsageError | None:
    """Write the summary if it is asked for, show it, and return why it could not be written."""
    unwritten = None
    try:
        if path:
            write_summary(path, summary)
    except UsageError as error:
        unwritten = error
        screen.note("summary.failed", reason=str(error))
    await screen.end(summary, file=None if unwritten else path)
    return unwritten


def verdict(
    books: Books,
    violated: Sequence[str],
    complaints: Sequence[str],
    signals: Signals,
    unwritten: UsageError | None,
) -> int:
    """Return the exit code of a run, or raise the worst of what was wrong with it.

    Args:
        books: its closed accounts.
        violated: invariants that do not hold, in words.
        complaints: thresholds that were not met, in words.
        signals: what it was told.
        unwritten: why its summary is not where it should be.

    Raises:
        DataLossError: acknowledged rows are missing, or an invariant is violated.
        TargetError: the accounts are not in the target.
        ThresholdError: `complaints`.
        UsageError: `unwritten`.
    """
    if books.lost:
        why = books.problem or "see `soakd verify` for which workers"
        raise DataLossError(f"{books.lost} acknowledged rows are not in the target: {why}")
    if violated:
        raise DataLossError(f"invariants are violated: {'; '.join(violated)}")
    if signals.second:
        return 128 + signals.second
    if books.problem:
        raise TargetError(
            f"the accounts of the run could not be written to the target ({books.problem}): "
            "`soakd verify` has nothing to compare with; "
            f"{books.total.in_doubt} rows stay in doubt, see the summary"
        )
    if complaints:
        raise ThresholdError("\n".join(complaints))
    if unwritten:
        raise unwritten
    return ExitCode.OK
