"""Waiting for a lock that another connection to the SQLite file holds, and noting for how long."""

import time
from collections.abc import Callable

from daemon.clock import Clock
from daemon.record.histogram import Histogram

SHORTEST, LONGEST = 0.001, 0.025  # s between two tries; each pause is twice the one before


class BusyHandler:
    """Tells SQLite whether to try once more for a lock; called in the connection's own thread.

    Attributes:
        patience: how long one statement may wait, s; what it does between two waits does not count.
        waits: how long statements have waited, s, in vain or not.
    """

    def __init__(self, patience: float, deadline: Callable[[], float], clock: Clock) -> None:
        """Prepare.

        Args:
            patience: see there.
            deadline: returns the clock's time until which the present statement may wait.
            clock: monotonic time.
        """
        self.patience = patience
        self.waits = Histogram()
        self._deadline = deadline
        self._clock = clock
        self._waited = 0.0

    def __call__(self, tries: int) -> bool:
        """Pause and return True; False when patience or time are at their end.

        Args:
            tries: how often it was asked before about the present statement.
        """
        if not tries:
            self.settle()
        began = self._clock.now()
        left = min(self.patience - self._waited, self._deadline() - began)
        if left <= 0:
            return False
        time.sleep(min(left, LONGEST, SHORTEST * 2 ** min(tries, 10)))
        self._waited += self._clock.now() - began
        return True

    def settle(self) -> None:
        """Note the wait of a statement that has ended."""
        if self._waited:
            self.waits.add(self._waited)
            self._waited = 0.0
