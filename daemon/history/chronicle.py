"""A thread of its own that writes the history, so that no disk ever makes the load wait."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.clock import Clock
from daemon.errors import SoakdError
from daemon.history.look import Beginning, Ending, Event, Look

if TYPE_CHECKING:
    from sqlite_utils import Database

    from daemon.history.scribe import Scribe

RETRY = 10.0  # s until a file that could not be written is tried again
MOST_EVENTS = 1000  # that wait to be written
MOST_LOOKS = 8  # likewise
CLOSE_WITHIN = 10.0  # s for the last words


class Chronicle:
    """Takes figures at once and writes them when it can; nothing it does ever fails the caller.

    A file that is broken, full or read-only is told of once, and tried again now and then. Of the looks in
    one phase only the newest waits: figures are cumulative, so it says all that those before it said.
    Memory: `MOST_LOOKS` looks, `MOST_EVENTS` events.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        sample_interval: float,
        keep_runs: int,
        keep_days: int,
        warn: Callable[[str], None],
    ) -> None:
        """Prepare; `begin` starts it.

        Args:
            path: the history file.
            clock: monotonic time.
            sample_interval: as for `Scribe`.
            keep_runs: as for `retain`.
            keep_days: as for `retain`.
            warn: told why nothing is written, once; called in the thread.
        """
        self._path = path
        self._clock = clock
        self._sample_interval = sample_interval
        self._keep = (keep_runs, keep_days)
        self._warn = warn
        self._warned = False
        self._changed = threading.Condition()
        self._beginning: Beginning | None = None
        self._looks: deque[Look] = deque()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._ending: Ending | None = None
        self._first: Look | None = None
        self._closing = False
        self._retry_at = 0.0
        self._db: Database | None = None
        self._scribe: Scribe | None = None
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    def begin(self, run: Beginning, look: Look) -> None:
        """Begin to write a run down, from this look on."""
        with self._changed:
            self._beginning, self._first = run, look
            self._looks.append(look)
        self._thread.start()

    def look(self, look: Look) -> None:
        """Take the present figures."""
        with self._changed:
            if self._looks and (self._looks[-1].phase == look.phase or len(self._looks) >= MOST_LOOKS):
                self._looks.pop()
            self._looks.append(look)
            self._changed.notify()

    def note(self, event: Event) -> None:
        """Take an event; it is written with the next look."""
        with self._changed:
            self._events.append(event)

    def finish(self, end: Ending) -> None:
        """Take the end; it is written before `close` returns, if that is possible."""
        with self._changed:
            self._ending = end
            self._changed.notify()

    def close(self) -> None:
        """Write what is left and end, within `CLOSE_WITHIN`; a disk that hangs is left behind."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._looks)
                last = self._closing
            if last or self._clock.now() >= self._retry_at:
                self._try()
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, self._retry_at - self._clock.now())
            if last:
                break
        if self._db is not None:
            self._close_file(self._db)

    def _try(self) -> None:
        # Imported in the thread: the load does not wait for a library that it can do without.
        from daemon.history.file import complaints  # noqa: PLC0415

        try:
            with complaints(self._path):
                self._write()
        except (SoakdError, sqlite3.Error, OSError) as error:
            self._complain(str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: a history must never harm the run
            self._complain(f"{type(error).__name__}: {error}")

    def _write(self) -> None:
        scribe = self._scribe or self._start()
        if not self._path.exists():  # SQLite would go on writing into what nobody can open any more
            raise FileNotFoundError(
                f"history {self._path}: was taken away while it was written, and what is written is lost; "
                "leave it where it is"
            )
        while self._looks:
            with self._changed:
                look, events = self._looks[0], list(self._events)
            scribe.look(look, events)
            self._forget(look, events)
        with self._changed:
            end = self._ending
        if end is not None:
            scribe.finish(end)

    def _start(self) -> "Scribe":
        from daemon.history.file import open_to_write  # noqa: PLC0415 - as above
        from daemon.history.scribe import Scribe  # noqa: PLC0415 - as above

        if self._beginning is None or self._first is None:
            raise RuntimeError("begin comes first")
        if self._db is None:
            self._db = open_to_write(self._path)
        self._scribe = Scribe(self._db, self._beginning, sample_interval=self._sample_interval)
        self._scribe.look(self._first)
        keep_runs, keep_days = self._keep
        self._scribe.retain(keep_runs=keep_runs, keep_days=keep_days)
        return self._scribe

    def _forget(self, look: Look, events: list[Event]) -> None:
        """Drop what is written, unless something newer has taken its place meanwhile."""
        with self._changed:
            if self._looks[0] is look:
                self._looks.popleft()
            for event in events:
                if self._events and self._events[0] is event:
                    self._events.popleft()

    def _complain(self, reason: str) -> None:
        self._retry_at = self._clock.now() + RETRY
        if not self._warned:
            self._warned = True
            self._warn(reason)

    def _close_file(self, db: "Database") -> None:
        try:
            db.close()
        except sqlite3.Error as error:
            self._complain(str(error))
