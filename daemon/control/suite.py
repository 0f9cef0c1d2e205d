"""Running a suite: one scenario after the other, whatever becomes of each, with a rest between them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from daemon import __version__, ledger
from daemon.clock import Clock, SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.judging import thresholds_of
from daemon.control.recording import check_apart
from daemon.control.recount import tables_of
from daemon.control.signals import Signals
from daemon.control.suite_screen import SuiteScreen
from daemon.control.supervisor import supervise
from daemon.errors import ExitCode, SoakdError, UsageError
from daemon.history.suites import STOPPED, Book, Plan
from daemon.scenario.programme import Member, Programme
from daemon.target import redact

ORDER = (ExitCode.OK, ExitCode.THRESHOLD, ExitCode.USAGE, ExitCode.TARGET)
"""From good to bad: a scenario that could not be run says less than one that failed."""
BEYOND = (ExitCode.BUG, ExitCode.DATA_LOSS)
"""What is worse than a second signal, whose code lies between the two."""


class Part(NamedTuple):
    """A scenario of a suite: its name there, its settings, and what is followed."""

    name: str
    settings: Settings
    programme: Programme


class Suite(NamedTuple):
    """What is to be run.

    Attributes:
        name: of the suite.
        parts: its scenarios, in order; one at least.
        cool_down: rest between two of them, s.
        stop_on_failure: whether one that fails is the last one.
    """

    name: str
    parts: Sequence[Part]
    cool_down: float
    stop_on_failure: bool


class Outcome(NamedTuple):
    """How a scenario has ended: its exit code as that of `soakd run`, and what it complained of."""

    name: str
    code: int
    problem: str | None


class Result(NamedTuple):
    """How a suite has ended.

    Attributes:
        suite_id: what the history knows it by.
        outcomes: of the scenarios that were run.
        stopped: the signal that ended it early, or `failure`; None where all were run.
    """

    suite_id: str
    outcomes: Sequence[Outcome]
    stopped: str | None

    @property
    def code(self) -> int:
        """The worst exit code of the scenarios."""
        return worst([outcome.code for outcome in self.outcomes])


def run_suite(suite: Suite) -> Result:
    """Run the scenarios of a suite; the first signal ends the present one in order, and with it the suite.

    Raises:
        UsageError: one of them could never be run; nothing was.
    """
    clock = SystemClock()
    _check(suite, clock)
    return asyncio.run(_run(suite, clock))


def worst(codes: Sequence[int]) -> int:
    """Return the exit code that weighs most: data loss, a bug, a signal, target, usage, thresholds, none."""

    def weight(code: int) -> int:
        if code in ORDER:
            return ORDER.index(ExitCode(code))
        return len(ORDER) + (1 + BEYOND.index(ExitCode(code)) if code in BEYOND else 0)

    return max(codes, key=weight, default=ExitCode.OK)


def _check(suite: Suite, clock: Clock) -> None:
    """Find out now what would be found out after hours.

    Raises:
        UsageError: a line for each mistake.
    """
    problems = []
    for name, settings, programme in suite.parts:
        try:
            check_apart(settings)
            ops = tables_of(settings, clock).ops
            thresholds_of(plan.fitted(settings, ops, programme), ops, programme)
        except UsageError as error:
            problems += [f"{name}: {line}" for line in str(error).splitlines()]
    files = {str(part.settings.history.file) for part in suite.parts}
    if len(files) > 1:
        problems.append(
            f"history.file differs ({', '.join(sorted(files))}): a suite is kept in one; give --history"
        )
    if problems:
        raise UsageError("\n".join(problems))


async def _run(suite: Suite, clock: Clock) -> Result:
    async with AsyncExitStack() as stack:
        signals = Signals()
        signals.install(stack)
        suite_id = str(ledger.run_number(clock.wall()))
        settings = suite.parts[0].settings
        screen = SuiteScreen(settings.log, suite.name, len(suite.parts))
        file = settings.history.file if settings.history.enabled else None
        book = Book(file, suite_id, screen.unwritten)
        plans = [Plan(name, programme.name, own.public()["target"]) for name, own, programme in suite.parts]
        await asyncio.to_thread(book.begin, suite.name, __version__, clock.wall(), plans)
        screen.begin(suite_id, [part.name for part in suite.parts])
        outcomes: list[Outcome] = []
        async for outcome in _outcomes(suite, suite_id, signals, screen):
            outcomes.append(outcome)
            await asyncio.to_thread(book.part, len(outcomes) - 1, outcome.code, outcome.problem)
            screen.part_ended(len(outcomes) - 1, *outcome)
        stopped = STOPPED if len(outcomes) < len(suite.parts) else None
        result = Result(suite_id, outcomes, signals.reason if signals.stop.is_set() else stopped)
        await asyncio.to_thread(book.end, clock.wall(), result.stopped or "done")
        screen.end(suite_id, [outcome.code for outcome in outcomes], result.stopped)
        return result


async def _outcomes(
    suite: Suite, suite_id: str, signals: Signals, screen: SuiteScreen
) -> AsyncIterator[Outcome]:
    """Run one scenario after the other, and yield how each has ended, until there is a reason to stop."""
    for place, part in enumerate(suite.parts):
        if place and suite.cool_down and not signals.stop.is_set():
            with screen.resting(suite.cool_down):
                await _rest(suite.cool_down, signals)
        if signals.stop.is_set():
            return
        screen.part_begins(place, part.name, part.programme.seconds)
        outcome = await _attempt(part, Member(suite_id, place), signals)
        yield outcome
        if outcome.code and suite.stop_on_failure:
            return


async def _attempt(part: Part, member: Member, signals: Signals) -> Outcome:
    """Run one scenario in engines of its own; what goes wrong in it is its outcome."""
    try:
        code = await supervise(part.settings, part.programme._replace(member=member), signals)
    except SoakdError as error:
        return Outcome(part.name, error.exit_code, str(error))
    except Exception as error:  # noqa: BLE001 - the boundary: the other scenarios are to be run all the same
        return Outcome(part.name, ExitCode.BUG, redact(f"a bug in soakd: {type(error).__name__}: {error}"))
    return Outcome(part.name, code, None)


async def _rest(seconds: float, signals: Signals) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(signals.stop.wait(), seconds)
