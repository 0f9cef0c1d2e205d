"""The intended times of a pool: which schedule is followed, and what becomes of turns that nobody takes."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.load.schedule import Schedule

SKIP_BLOCK = 1000  # missed turns counted before other tasks get the loop


class Pace(NamedTuple):
    """How a pool is to work from now on.

    Attributes:
        workers: how many of its workers work, at most as many as there are.
        schedule: intended times from now on, or None for a closed loop.
    """

    workers: int
    schedule: Schedule | None


class Turns:
    """The schedule that is followed now, in the clock's time."""

    def __init__(
        self, *, max_backlog: float, drop: Callable[[str], None], clock: Clock, backend: Backend, seed: str
    ) -> None:
        """Prepare; `follow` comes first.

        Args:
            max_backlog: a turn later than this is not worth taking, s.
            drop: told the reason of each turn that is never taken.
            clock: monotonic time.
            backend: knows of outages, after which there is no burst.
            seed: random schedules derive from it.
        """
        self._max_backlog = max_backlog
        self._drop = drop
        self._clock = clock
        self._backend = backend
        self._seed = seed
        self._followed = 0
        self._start = 0.0
        self._come = 0  # turns that were given out, or dropped, and whose time has come
        self._ahead: deque[float] = deque()  # offsets of those whose time has not; one per worker at most
        self._newest = 0.0  # offset of the last one that was given out
        self._ended: float | None = None
        self._told = 0.0  # a counter may not fall when an average is followed by what really came
        self.pace = Pace(0, None)
        self.arrivals: Iterator[float] | None = None  # None: a closed loop

    def follow(self, pace: Pace) -> None:
        """Begin with a pace now."""
        self.pace = pace
        self._start = self._clock.now()
        self._newest = 0.0
        self._ahead.clear()
        seed = f"{self._seed}/arrivals" + (f"/{self._followed}" if self._followed else "")
        self.arrivals = pace.schedule.arrivals(Random(seed)) if pace.schedule else None
        self._followed += 1

    @property
    def rate(self) -> float:
        """Operations per second that are intended now; 0 in a closed loop."""
        schedule = self.pace.schedule
        return schedule.rate(self._clock.now() - self._start) if schedule else 0.0

    @property
    def due(self) -> float:
        """Operations that schedules have asked for until now, or until the end.

        Those that workers have drawn are counted one by one. When all workers are late nobody has
        drawn what came since: of these as many are taken for due as there are on average.
        """
        now = self._elapsed()
        self._pass(now)
        schedule = self.pace.schedule
        undrawn = schedule.total(now) - schedule.total(self._newest) if schedule and now > self._newest else 0
        self._told = max(self._told, self._come + undrawn)
        return self._told

    def next(self, arrivals: Iterator[float], now: float) -> float:
        """Return the next intended time of the schedule that is followed, s on the clock that shows `now`."""
        self._newest = next(arrivals)
        self._ahead.append(self._newest)
        self._pass(now - self._start)
        return self._start + self._newest

    def end(self) -> None:
        """Ask for nothing from now on."""
        if self._ended is None:
            self._ended = self._clock.now()

    def forgo(self, intended: float) -> None:
        """Drop a turn that a worker had drawn before the end, if its time has come."""
        if self._ended is not None and intended <= self._ended:
            self._drop("stopping")

    def _elapsed(self) -> float:
        return (self._clock.now() if self._ended is None else self._ended) - self._start

    def _pass(self, now: float) -> None:
        ahead = self._ahead
        while ahead and ahead[0] <= now:
            ahead.popleft()
            self._come += 1

    def missed(self, intended: float, now: float) -> bool:
        """Return whether a turn is not worth taking any more, and drop it: outages end without a burst."""
        end = self._backend.outage_end
        if now - intended > self._max_backlog:
            self._drop("backlog")
        elif intended < end <= now:
            self._drop("outage")
        else:
            return False
        return True

    async def leave(self, pace: Pace | None = None) -> None:
        """Follow another pace, or none, and count the turns that were due and that no worker had come to."""
        arrivals, until = self.arrivals, self._elapsed()
        self._pass(until)
        if pace is not None:
            self.follow(pace)
        else:
            self._newest = until  # nobody draws any more: what is left is counted below
        for left, offset in enumerate(arrivals or ()):
            if offset > until:
                return
            self._come += 1
            self._drop("stopping")
            if left % SKIP_BLOCK == 0:
                await asyncio.sleep(0)
