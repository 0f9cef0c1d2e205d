"""An event loop in virtual time: nothing waits, every timer fires exactly when it is due."""

import asyncio
import selectors
from typing import Any


class _Skipping(selectors.DefaultSelector):
    """A selector that, instead of waiting for its timeout, moves the clock by it."""

    def __init__(self, clock: "VirtualClock") -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        """Look for events without waiting, then let the time pass at once."""
        events = super().select(0)
        if not events and timeout:
            self._clock.time += timeout
        return events


class VirtualClock:
    """A clock that moves only when every task waits for it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        """Return the virtual monotonic time, s."""
        return self.time

    def wall(self) -> float:
        """Return the virtual time of day, s."""
        return 1_700_000_000.0 + self.time


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers follow a `VirtualClock`."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Skipping(clock))
        self._clock = clock
        # Else timers within the resolution fire early, and an operation before its time.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual time."""
        return self._clock.now()


def run(make: Any, clock: VirtualClock | None = None) -> Any:
    """Run `make(clock)` to its end in virtual time and return its result."""
    clock = clock or VirtualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(make(clock))
