"""Holding new reads back for a moment, so that SQLite's WAL can begin anew."""

import threading
from collections.abc import Callable

from daemon.clock import Clock


class Gate:
    """Where reading lanes wait while the WAL is to begin anew.

    SQLite can do that only at a moment when nobody reads from the WAL. With a few lanes that read
    all the time there may never be one, so the writer makes it: it closes the gate, each lane ends
    the read that it is in and comes here, and the last to come calls the writer, who has gone on
    writing meanwhile.

    The waiting lanes see to it themselves that it does not last longer than `longest`: whatever
    the writer does, or a lane that does not come, nobody waits for ever.
    """

    def __init__(
        self,
        lanes: int,
        longest: float,
        clock: Clock,
        *,
        call_readers: Callable[[], None],
        call_writer: Callable[[], None],
    ) -> None:
        """Make an open gate.

        Args:
            lanes: how many have to come.
            longest: time that it is closed at most, s.
            clock: monotonic time.
            call_readers: has every reading lane call `wait` as soon as it can.
            call_writer: has the writer look at `ripe` as soon as it can. Neither may block.
        """
        self._lanes = lanes
        self._longest = longest
        self._clock = clock
        self._call_readers = call_readers
        self._call_writer = call_writer
        self._changed = threading.Condition()
        self._closed = False
        self._here = 0
        self._late = False  # it opened by itself, and the writer does not know yet
        self._retired = False
        self._closed_at = 0.0

    def ripe(self) -> bool:
        """Return whether it was closed and there is nothing left to wait for: all are here, or it is late."""
        return self._late or (self._closed and self._here == self._lanes)

    def close(self) -> None:
        """Call the readers in; does nothing while they are called already."""
        with self._changed:
            if self._closed or self._late or self._retired:
                return
            self._closed_at = self._clock.now()
            self._closed = True
        self._call_readers()

    def open(self) -> float:
        """Let the readers go on; return for how long they were held, s."""
        with self._changed:
            self._closed = self._late = False
            self._changed.notify_all()
        return self._clock.now() - self._closed_at

    def retire(self) -> None:
        """Open it for good."""
        with self._changed:
            self._retired = True
        self.open()

    def wait(self) -> None:
        """Return when the gate is open; at once if it is."""
        if not self._closed:
            return
        with self._changed:
            self._here += 1
            if self._here == self._lanes:
                self._call_writer()
            left = self._closed_at + self._longest - self._clock.now()
            if not self._changed.wait_for(lambda: not self._closed, max(0.0, left)):
                self._closed, self._late = False, True
                self._changed.notify_all()
                self._call_writer()
            self._here -= 1
