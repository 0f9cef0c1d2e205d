"""Lanes: work goes to threads, results come back in groups, and nothing is lost or held up."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from daemon.backends.bell import Bell
from daemon.backends.lane import INFINITY, Lanes
from daemon.clock import SystemClock
from daemon.errors import OpError, Rejected
from daemon.ops import Timed

PATIENCE = 10.0  # s until a test that hangs fails
Job = Callable[[], Awaitable[object]]
Check = Callable[[Lanes[Job]], Coroutine[Any, Any, None]]
Runner = Callable[[Coroutine[Any, Any, None]], None]


class StoppedClock:
    """A clock that stands still: no result is ever old."""

    def now(self) -> float:
        """Return the one time there is."""
        return 100.0

    def wall(self) -> float:
        """Return the one time there is."""
        return 100.0


class Worker:
    """Runs jobs that are functions, and notes what is asked of it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.upkeep_due = False
        self.calls: list[tuple[str, str]] = []
        self.upkeep_gate = threading.Event()

    def open(self) -> None:
        """Note the thread."""
        self._note("open")
        if self.fails:
            raise OSError("no such thing")

    def at_once(self, job: Job, deadline: float, served: float) -> Timed | None:
        """Leave every job to `run`."""

    async def run(self, job: Job, deadline: float, served: float) -> Timed:
        """Run the job."""
        self._note("run")
        return Timed(await job(), served, served)

    def group_began(self, waiting: int) -> None:
        """Do nothing."""

    def group_ended(self) -> None:
        """Do nothing."""

    def upkeep(self) -> None:
        """Wait for the test."""
        self._note("upkeep")
        self.upkeep_due = False
        assert self.upkeep_gate.wait(PATIENCE)

    def close(self) -> None:
        """Note the thread."""
        self._note("close")

    def _note(self, what: str) -> None:
        self.calls.append((what, threading.current_thread().name))


class Gate:
    """A job that runs until the test lets it go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    async def __call__(self) -> str:
        """Wait for the test."""
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return "gate"

    async def reached(self) -> None:
        """Return once a lane is in it."""
        give_up = time.monotonic() + PATIENCE
        while not self.entered.is_set():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.001)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0)


def job(value: object = None) -> Job:
    """Return a job that gives a value, or raises it if it is an exception."""

    async def run() -> object:
        if isinstance(value, BaseException):
            raise value
        return value

    return run


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Run a coroutine on either event loop."""
    chosen: Runner = asyncio.run if request.param == "asyncio" else uvloop.run
    return chosen


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Check that no lane is there afterwards that was not there before."""
    before = set(threading.enumerate())
    yield
    assert not [t for t in threading.enumerate() if t not in before and t.name.startswith("test-")]


def lanes_of(*workers: Worker, clock: Any = None) -> Lanes[Job]:
    """Return lanes that are not open yet."""
    return Lanes("test", workers, clock or SystemClock())


def checked(run: Runner, workers: list[Worker], check: Check) -> None:
    """Run a check on open lanes."""

    async def main() -> None:
        lanes = lanes_of(*workers)
        await lanes.open()
        try:
            async with asyncio.timeout(PATIENCE):
                await check(lanes)
        finally:
            await lanes.close()

    with no_thread_left():
        run(main())


def test_results_come_back_to_whom_they_belong(run: Runner) -> None:
    """A thousand jobs over three lanes each get their own result."""

    async def check(lanes: Lanes[Job]) -> None:
        results = await asyncio.gather(*(lanes.submit(job(n), INFINITY) for n in range(1000)))
        assert [timed.result for timed in results] == list(range(1000))

    checked(run, [Worker(), Worker(), Worker()], check)


def test_a_runner_stays_in_one_thread(run: Runner) -> None:
    """Opening, running and closing all happen in the lane's own thread."""
    worker = Worker()

    async def check(lanes: Lanes[Job]) -> None:
        await lanes.submit(job(), INFINITY)

    checked(run, [worker], check)
    assert worker.calls == [("open", "test-0"), ("run", "test-0"), ("close", "test-0")]


def test_a_group_is_handed_over_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that gathered behind a job comes back with one call to the loop."""
    told, ring = 0, Bell.ring

    def counting(bell: Bell) -> None:
        nonlocal told
        told += 1
        ring(bell)

    monkeypatch.setattr(Bell, "ring", counting)

    async def main() -> None:
        lanes = lanes_of(Worker(), clock=StoppedClock())
        await lanes.open()
        gate = Gate()
        futures = [lanes.submit(gate, INFINITY)] + [lanes.submit(job(n), INFINITY) for n in range(50)]
        gate.open.set()
        await asyncio.gather(*futures)
        assert told == 1
        await lanes.close()

    asyncio.run(main())


def test_a_finished_result_does_not_wait_for_a_slow_job(run: Runner) -> None:
    """What was done before a slow job of the same group arrives while that one still runs."""

    async def check(lanes: Lanes[Job]) -> None:
        first, slow = Gate(), Gate()
        futures = [lanes.submit(work, INFINITY) for work in (first, job("quick"), slow)]
        first.open.set()
        assert (await futures[1]).result == "quick"
        assert not futures[2].done()
        slow.open.set()
        await futures[2]

    checked(run, [Worker()], check)


def test_a_job_does_not_wait_behind_a_slow_one_while_a_lane_is_free(run: Runner) -> None:
    """With one of two lanes held up, the other does all the rest."""

    async def check(lanes: Lanes[Job]) -> None:
        slow = Gate()
        held = lanes.submit(slow, INFINITY)
        others = await asyncio.gather(*(lanes.submit(job(n), INFINITY) for n in range(100)))
        assert [timed.result for timed in others] == list(range(100))
        assert lanes.states()["busy"] >= 1
        assert not held.done()
        slow.open.set()
        await held

    checked(run, [Worker(), Worker()], check)


def test_slow_jobs_run_on_all_lanes_at_once(run: Runner) -> None:
    """Three jobs that take long run side by side on three lanes."""

    async def check(lanes: Lanes[Job]) -> None:
        gates = [Gate(), Gate(), Gate()]
        futures = [lanes.submit(gate, INFINITY) for gate in gates]
        for gate in gates:
            await gate.reached()
        assert lanes.states() == {"busy": 3, "idle": 0, "waiting": 0}
        for gate in gates:
            gate.open.set()
        await asyncio.gather(*futures)

    checked(run, [Worker(), Worker(), Worker()], check)


def test_short_jobs_keep_to_one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """While jobs take no time, the other lanes are left asleep."""
    monkeypatch.setattr("daemon.backends.lane.TICK", PATIENCE)  # on a busy machine they do take time
    workers = [Worker(), Worker()]

    async def main() -> None:
        lanes = lanes_of(*workers, clock=StoppedClock())
        await lanes.open()
        await until(lambda: lanes.states()["idle"] == 2)  # one that has only just begun takes what it finds
        for _ in range(20):
            await lanes.submit(job(), INFINITY)
        await lanes.close()

    asyncio.run(main())
    ran = [sum(what == "run" for what, _ in worker.calls) for worker in workers]
    assert ran == [20, 0]


@pytest.mark.parametrize("raised", [ValueError(), Rejected("no"), KeyboardInterrupt(), OpError("busy")])
def test_what_a_job_raises_reaches_its_awaiter_only(run: Runner, raised: BaseException) -> None:
    """The lane lives on, whatever a job raises."""

    async def check(lanes: Lanes[Job]) -> None:
        failing, next_one = lanes.submit(job(raised), INFINITY), lanes.submit(job("next"), INFINITY)
        await asyncio.wait([failing])
        assert failing.exception() is raised
        assert (await next_one).result == "next"

    checked(run, [Worker()], check)


def test_an_error_says_when_the_job_was_served(run: Runner) -> None:
    """An operation's error carries the time at which the lane took it up."""

    async def check(lanes: Lanes[Job]) -> None:
        before = SystemClock.now()
        with pytest.raises(OpError) as caught:
            await lanes.submit(job(OpError("constraint")), INFINITY)
        assert caught.value.served is not None
        assert before <= caught.value.served <= SystemClock.now()

    checked(run, [Worker()], check)


def test_a_job_past_its_deadline_is_not_run(run: Runner) -> None:
    """It fails with a timeout when its turn comes, and was never served."""
    worker = Worker()

    async def check(lanes: Lanes[Job]) -> None:
        with pytest.raises(OpError) as caught:
            await lanes.submit(job(), SystemClock.now() - 1)
        assert caught.value.error_class == "timeout"
        assert caught.value.served is None

    checked(run, [worker], check)
    assert "run" not in [what for what, _ in worker.calls]


def test_a_job_that_suspends_fails(run: Runner) -> None:
    """Awaiting anything that is not there at once is a mistake that its awaiter hears of."""

    async def sleeps() -> None:
        await asyncio.sleep(0)

    async def check(lanes: Lanes[Job]) -> None:
        with pytest.raises(RuntimeError, match=r"something else than its tx"):
            await lanes.submit(sleeps, INFINITY)
        assert (await lanes.submit(job("next"), INFINITY)).result == "next"

    checked(run, [Worker()], check)


def test_a_cancelled_job_that_waits_is_not_run(run: Runner) -> None:
    """Nobody would see what it did."""
    ran: list[str] = []

    async def noting() -> None:
        ran.append("ran")

    async def check(lanes: Lanes[Job]) -> None:
        gate = Gate()
        futures = [lanes.submit(work, INFINITY) for work in (gate, noting, job("last"))]
        futures[1].cancel()
        gate.open.set()
        assert (await futures[2]).result == "last"
        assert not ran

    checked(run, [Worker()], check)


def test_a_cancelled_job_that_runs_is_discarded(run: Runner) -> None:
    """Its lane finishes it and goes on with the next."""

    async def check(lanes: Lanes[Job]) -> None:
        gate = Gate()
        task = asyncio.ensure_future(lanes.submit(gate, INFINITY))
        await gate.reached()
        task.cancel()
        gate.open.set()
        assert (await lanes.submit(job("next"), INFINITY)).result == "next"
        assert task.cancelled()

    checked(run, [Worker()], check)


def test_upkeep_does_not_hold_back_results(run: Runner) -> None:
    """The result that made upkeep due is handed over before upkeep begins."""
    worker = Worker()

    async def dirty() -> str:
        worker.upkeep_due = True
        return "done"

    async def check(lanes: Lanes[Job]) -> None:
        assert (await lanes.submit(dirty, INFINITY)).result == "done"
        worker.upkeep_gate.set()
        assert (await lanes.submit(job("next"), INFINITY)).result == "next"

    checked(run, [worker], check)
    assert [what for what, _ in worker.calls] == ["open", "run", "upkeep", "run", "close"]


def test_every_lane_can_be_tended(run: Runner) -> None:
    """One that sleeps is woken for it, one that works does it after its job; any thread may ask."""
    workers = [Worker(), Worker()]

    def upkeeps() -> list[int]:
        return [sum(what == "upkeep" for what, _ in worker.calls) for worker in workers]

    async def check(lanes: Lanes[Job]) -> None:
        for worker in workers:
            worker.upkeep_gate.set()
        working = Gate()
        answer = lanes.submit(working, INFINITY)
        await working.reached()
        await asyncio.to_thread(lanes.tend)
        await until(lambda: sorted(upkeeps()) == [0, 1])
        working.open.set()
        await answer
        await until(lambda: upkeeps() == [1, 1])
        assert (await lanes.submit(job("next"), INFINITY)).result == "next"

    checked(run, workers, check)


def test_tending_does_not_let_a_lane_sleep_through_it() -> None:
    """However it falls together with the lane's falling asleep, the upkeep is done."""
    worker = Worker()
    worker.upkeep_gate.set()

    async def check(lanes: Lanes[Job]) -> None:
        for _ in range(300):
            worker.calls.clear()
            answer = lanes.submit(job(), INFINITY)
            lanes.tend()
            await answer
            await until(lambda: ("upkeep", "test-0") in worker.calls)

    checked(asyncio.run, [worker], check)


def test_the_oldest_job_is_known(run: Runner) -> None:
    """Its beginning, while it runs; nothing while there is none, and upkeep is no job."""
    worker = Worker()

    async def dirty() -> None:
        worker.upkeep_due = True

    async def check(lanes: Lanes[Job]) -> None:
        assert lanes.oldest() == INFINITY
        before = SystemClock.now()
        first, second = Gate(), Gate()
        answers = [lanes.submit(first, INFINITY)]
        await first.reached()
        between = SystemClock.now()
        answers.append(lanes.submit(second, INFINITY))
        await second.reached()
        assert before <= lanes.oldest() <= between
        first.open.set()
        await answers[0]
        await until(lambda: lanes.oldest() > between)
        second.open.set()
        await answers[1]
        await lanes.submit(dirty, INFINITY)
        await until(lambda: lanes.oldest() == INFINITY)
        worker.upkeep_gate.set()

    checked(run, [worker, Worker()], check)


def test_closing_fails_what_waits_and_finishes_what_runs(run: Runner) -> None:
    """The job under way gets its result; those behind it are told that they never ran."""

    async def main() -> None:
        lanes = lanes_of(Worker())
        await lanes.open()
        gate = Gate()
        running = lanes.submit(gate, INFINITY)
        await gate.reached()
        waiting = [lanes.submit(job(n), INFINITY) for n in range(3)]
        closing = asyncio.ensure_future(lanes.close())
        await asyncio.sleep(0)
        gate.open.set()
        await closing
        await lanes.close()
        assert (await running).result == "gate"
        for future in waiting:
            error = future.exception()
            assert isinstance(error, OpError)
            assert (error.error_class, error.served) == ("other", None)
        with pytest.raises(OpError, match="not open"):
            lanes.submit(job(), INFINITY)

    with no_thread_left():
        run(main())


def test_opening_fails_as_a_whole(run: Runner) -> None:
    """When the second lane cannot be opened, the first is closed again."""
    good, bad = Worker(), Worker(fails=True)

    async def main() -> None:
        lanes = lanes_of(good, bad)
        with pytest.raises(OSError, match="no such thing"):
            await lanes.open()

    with no_thread_left():
        run(main())
    assert [what for what, _ in good.calls] == ["open", "close"]
    assert [what for what, _ in bad.calls] == ["open"]


def test_lanes_can_be_opened_again(run: Runner) -> None:
    """After a close, opening starts new threads."""

    async def main() -> None:
        lanes = lanes_of(Worker())
        for _ in range(2):
            await lanes.open()
            assert (await lanes.submit(job(1), INFINITY)).result == 1
            await lanes.close()

    with no_thread_left():
        run(main())


def test_a_lane_ends_when_its_loop_is_gone(run: Runner) -> None:
    """A loop that was closed without closing the lanes leaves no thread that cannot end."""
    gate, worker, others = Gate(), Worker(), set(threading.enumerate())

    async def main() -> None:
        lanes = lanes_of(worker)
        await lanes.open()
        lanes.submit(gate, INFINITY)
        await gate.reached()

    run(main())
    (thread,) = set(threading.enumerate()) - others
    gate.open.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert worker.calls[-1][0] == "close"
