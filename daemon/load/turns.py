"""The intended times of a pool: which schedule is followed, and what becomes of turns that nobody takes."""

import asyncio
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
        self._come = 0  # turns whose time has come and that were taken or dropped
        self._told = 0.0
        self._over = False
        self._newest = 0.0  # intended time of the last turn that was given out, s after the start
        self._waiting = 0  # workers with a turn whose time has not come
        self.pace = Pace(0, None)
        self.arrivals: Iterator[float] | None = None  # None: a closed loop

    def follow(self, pace: Pace) -> None:
        """Begin with a pace now."""
        self.pace = pace
        self._start = self._clock.now()
        self._newest, self._waiting = 0.0, 0
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
        """Operations that schedules have asked for until now.

        Exact, and random where arrivals are, while a worker waits for the next turn. While all are
        busy nobody has drawn the turns since the last one: as many are taken for due as there are on average.
        """
        schedule, now = self.pace.schedule, self._clock.now() - self._start
        undrawn = 0.0
        if schedule and self.pace.workers and not self._waiting and now > self._newest and not self._over:
            undrawn = (now - self._newest) * (schedule.rate(self._newest) + schedule.rate(now)) / 2
        self._told = max(self._told, self._come + undrawn)
        return self._told

    def next(self, arrivals: Iterator[float]) -> float:
        """Return the next intended time of the schedule that is followed, s on the clock.

        It is `come` once it is due; until then the worker is one of those that wait.
        """
        self._newest = next(arrivals)
        self._waiting += 1
        return self._start + self._newest

    def come(self, arrivals: Iterator[float]) -> None:
        """Note that the time of a turn of these has come."""
        self._come += 1
        if arrivals is self.arrivals:
            self._waiting -= 1

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
        arrivals, until = self.arrivals, self._clock.now() - self._start
        if pace is None:
            self._over = True
        else:
            self.follow(pace)
        for left, offset in enumerate(arrivals or ()):
            if offset > until:
                return
            self._come += 1
            self._drop("stopping")
            if left % SKIP_BLOCK == 0:
                await asyncio.sleep(0)
