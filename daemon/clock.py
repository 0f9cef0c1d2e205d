"""The time as the rest of the program sees it, passed in so that tests can bend it."""

import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock and a wall clock."""

    def now(self) -> float:
        """Return monotonic seconds, of arbitrary origin; differences are what counts."""
        ...

    def wall(self) -> float:
        """Return seconds since the Unix epoch."""
        ...


class SystemClock:
    """The clock of this machine.

    `time.perf_counter` and the event loop's own time are both CLOCK_MONOTONIC on Linux, but
    only differences of one of them are ever formed.
    """

    now = staticmethod(time.perf_counter)
    wall = staticmethod(time.time)
