"""Lanes: threads that each own a connection, take work from an event loop and hand results back in groups."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from daemon.backends.bell import Bell
from daemon.clock import Clock
from daemon.errors import OpError, Rejected
from daemon.ops import Timed

J = TypeVar("J")
J_contra = TypeVar("J_contra", contravariant=True)

INFINITY = float("inf")
HOLD = 0.000_5
"""Longest time, s, that a finished result is held back while its lane finishes others quickly."""
TICK = 0.002
"""How often, s, the loop looks for results held back by a slow operation, and for lanes to wake."""
CROWD = 20
"""Work that waits while fewer operations than this finish per tick is worth another lane: they are
slow enough (more than 0.1 ms) that running in parallel gains more than the threads' quarrel over the
interpreter's lock costs."""


class Runner(Protocol[J_contra]):
    """What a lane drives; every method is called in the lane's own thread."""

    upkeep_due: bool

    def open(self) -> None:
        """Take the resource; what it raises ends the opening of all lanes."""
        ...

    def group_began(self, waiting: int) -> None:
        """Prepare for a job that so many others wait behind already; never raises."""
        ...

    def at_once(self, job: J_contra, deadline: float, served: float) -> Timed | None:
        """Do one job of a kind that needs no `run`, which costs more; None when it is of another kind."""
        ...

    async def run(self, job: J_contra, deadline: float, served: float) -> Timed:
        """Do one job and return its result; it may not suspend."""
        ...

    def group_ended(self) -> None:
        """Give back what was kept while jobs followed one another without a pause; never raises."""
        ...

    def upkeep(self) -> None:
        """Do what is due beside the jobs (`upkeep_due` was set); never raises. It may take its time."""
        ...

    def close(self) -> None:
        """Give the resource back; never raises. Not called where `open` raised."""
        ...


class _Lane(Generic[J]):
    """One thread: written by itself, except `wake`."""

    __slots__ = ("began", "ended", "opened", "runner", "thread", "wake")

    def __init__(self, runner: Runner[J], loop: asyncio.AbstractEventLoop) -> None:
        self.runner = runner
        self.began = INFINITY  # when its latest job began; inf while it sleeps
        self.wake = threading.Lock()
        self.wake.acquire()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.thread: threading.Thread | None = None


class Lanes(Generic[J]):
    """A few lanes that share one queue of waiting work.

    A lane takes one job at a time, so nothing waits behind a slow job while another lane is
    free; results gather until the queue is empty or `HOLD` has passed, and go to the loop in one
    call. No more lanes are awake than the work needs: for short jobs that is one, because two
    threads that want the interpreter's lock for microseconds each only slow each other down.

    All methods but the private ones of a lane's thread are called on the event loop. The queue is
    bounded by the callers: each awaits its result.
    """

    def __init__(self, name: str, runners: Sequence[Runner[J]], clock: Clock) -> None:
        self._name = name
        self._runners = runners
        self._clock = clock
        self._lanes: list[_Lane[J]] = []
        self._idle: list[_Lane[J]] = []
        self._waiting: deque[tuple[asyncio.Future[Timed], J, float]] = deque()
        self._finished: deque[tuple[asyncio.Future[Timed], Timed | BaseException]] = deque()
        self._bell: Bell | None = None
        self._closing = True
        self._notified = False
        self._ticking = False
        self._spare = 0  # lanes that are left asleep while others are awake
        self._handed = 0  # results handed over since the last tick

    async def open(self) -> None:
        """Start the threads, one after the other.

        Raises:
            Exception: what a runner's `open` raised; the lanes that were open are closed again.
        """
        self._loop = asyncio.get_running_loop()
        self._bell = Bell(self._loop, self._drain)
        self._closing = False
        self._spare = len(self._runners) - 1
        try:
            for number, runner in enumerate(self._runners):
                lane = _Lane(runner, self._loop)
                lane.thread = threading.Thread(
                    target=self._main, args=(lane,), name=f"{self._name}-{number}", daemon=True
                )
                self._lanes.append(lane)
                lane.thread.start()
                await asyncio.shield(lane.opened)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let every lane finish the job it is in and end its thread; waiting work fails. Never raises."""
        self._closing = True
        while self._waiting:
            with suppress(IndexError):  # a lane took it first
                future = self._waiting.popleft()[0]
                closed = OpError("other", "the database was closed before its turn came")
                self._finished.append((future, closed))
        self._wake(len(self._lanes))
        for lane in self._lanes:
            await asyncio.shield(lane.ended)
            if lane.thread is not None:
                lane.thread.join()
        self._lanes.clear()
        self._idle.clear()
        self._drain()
        if self._bell:
            self._bell.close()
            self._bell = None

    def submit(self, job: J, deadline: float) -> asyncio.Future[Timed]:
        """Queue a job; the future gets its result, or what it raised.

        A job that is cancelled, or whose deadline has passed, before its turn comes is not run.

        Raises:
            OpError: the lanes are not open.
        """
        if self._closing:
            raise OpError("other", "the database is not open")
        future: asyncio.Future[Timed] = self._loop.create_future()
        self._waiting.append((future, job, deadline))
        # After the append: a lane that falls asleep looks at the queue once more after it has
        # entered itself as idle, so one of the two sees the other.
        if len(self._idle) > self._spare:
            self._wake(1)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)
        return future

    def tend(self) -> None:
        """Have every lane do its upkeep once the job that it is in has ended. From any thread."""
        lanes = tuple(self._lanes)
        for lane in lanes:
            lane.runner.upkeep_due = True
        self._wake(len(lanes))

    def oldest(self) -> float:
        """Return when the longest of the jobs under way began, the clock's time; inf when there is none."""
        return min((lane.began for lane in self._lanes), default=INFINITY)

    def states(self) -> dict[str, int]:
        """Return the number of lanes that are `busy` and `idle`, and of jobs `waiting`."""
        idle = len(self._idle)
        return {"busy": len(self._lanes) - idle, "idle": idle, "waiting": len(self._waiting)}

    def _wake(self, lanes: int) -> None:
        """Wake so many, the first ones first: see `processors`."""
        for lane in self._lanes:
            if not lanes:
                return
            try:
                self._idle.remove(lane)
            except ValueError:  # it is awake
                continue
            lane.wake.release()
            lanes -= 1

    def _drain(self) -> None:
        """Hand what is finished to those who wait for it."""
        self._notified = False  # first: what is appended from here on is either seen below or told of anew
        finished = self._finished
        number = len(finished)
        for _ in range(number):
            future, result = finished.popleft()
            if future.done():  # cancelled meanwhile
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._handed += number

    def _tick(self) -> None:
        """Fetch what a lane in a slow job holds back, and see how many lanes the work needs."""
        self._drain()
        self._ticking = bool(self._waiting) or len(self._idle) < len(self._lanes)
        if not self._ticking:
            return
        self._loop.call_later(TICK, self._tick)
        if len(self._lanes) > 1:
            crowded = len(self._waiting) > 0 and self._handed < CROWD
            slow_since = self._clock.now() - TICK
            slow = sum(lane.began < slow_since for lane in self._lanes)
            self._spare = 0 if crowded else max(0, len(self._lanes) - 1 - slow)
            while self._waiting and len(self._idle) > self._spare:
                self._wake(1)
        self._handed = 0

    # What follows runs in the lanes' threads.

    def _main(self, lane: _Lane[J]) -> None:
        error: BaseException | None = None
        try:
            lane.runner.open()
        except BaseException as raised:  # noqa: BLE001 - a thread's outermost frame: the opener gets it
            error = raised
        self._tell(_settle, lane.opened, error)
        if error is None:
            serving = self._serve(lane)
            # The lane is one coroutine, so that awaiting a transaction function costs no exception
            # per job. It never suspends, unless a function awaits something that is not its
            # transaction: there is no event loop here that could ever wake it.
            with suppress(StopIteration):
                serving.send(None)
                while True:
                    serving.throw(RuntimeError("a transaction function awaits something else than its tx"))
            lane.runner.close()
        self._tell(_settle, lane.ended, None)

    async def _serve(self, lane: _Lane[J]) -> None:
        waiting, finished = self._waiting, self._finished
        runner, now = lane.runner, self._clock.now
        tell_by = INFINITY  # when the loop has to know of what is finished; inf when it does
        while True:
            try:
                future, job, deadline = waiting.popleft()
            except IndexError:
                if tell_by != INFINITY:
                    self._hand_over(lane)
                    tell_by = INFINITY
                if self._rest(lane):
                    continue
                return
            lane.began = served = now()
            if tell_by == INFINITY:
                tell_by = served + HOLD
                runner.group_began(len(waiting))
            if deadline < served or future.cancelled():
                done = served
                finished.append((future, OpError("timeout", "its deadline passed before its turn came")))
            else:
                try:
                    timed = runner.at_once(job, deadline, served) or await runner.run(job, deadline, served)
                    done = timed.done
                    finished.append((future, timed))
                except BaseException as error:  # noqa: BLE001 - its awaiter gets it; the lane lives on
                    done = now()
                    finished.append((future, _stamped(error, served)))
            if done >= tell_by or runner.upkeep_due:
                self._hand_over(lane)
                tell_by = INFINITY

    def _rest(self, lane: _Lane[J]) -> bool:
        """Sleep until there is work, and return True; False when the lanes are being closed."""
        lane.began = INFINITY
        self._idle.append(lane)
        if self._waiting or self._closing or lane.runner.upkeep_due:
            try:
                self._idle.remove(lane)
            except ValueError:  # woken already
                lane.wake.acquire()
        else:
            lane.wake.acquire()
        if lane.runner.upkeep_due:
            lane.runner.upkeep()
        return bool(self._waiting) or not self._closing

    def _hand_over(self, lane: _Lane[J]) -> None:
        """Tell the loop of what is finished, which will most often start there and then."""
        lane.runner.group_ended()
        if self._loop.is_closed():  # without closing the lanes: nobody waits any more
            self._closing = True
        elif self._bell and not self._notified:
            self._notified = True
            self._bell.ring()
        if lane.runner.upkeep_due:
            lane.began = INFINITY
            lane.runner.upkeep()

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop was closed without closing the lanes
            self._loop.call_soon_threadsafe(callback, *args)


def _stamped(error: BaseException, served: float) -> BaseException:
    if isinstance(error, OpError | Rejected):
        error.served = served
    return error


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
