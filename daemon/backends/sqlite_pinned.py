"""A read transaction that is held open on purpose, to show what that does to SQLite's WAL."""

import asyncio
from contextlib import suppress
from pathlib import Path

import apsw

from daemon.backends.base import INFINITY, Notify
from daemon.backends.sqlite_connection import Pragmas, connect
from daemon.backends.sqlite_figures import size
from daemon.clock import Clock

LONGEST_PAUSE = 10.0  # s between two transactions: enough for a checkpoint to begin the WAL anew


class PinnedReader:
    """Holds a snapshot for a time, lets it go for as long, `LONGEST_PAUSE` at most, and so on.

    Attributes:
        since: the clock's time at which the present transaction began; inf between two.
    """

    def __init__(self, path: Path, pragmas: Pragmas, seconds: float, clock: Clock, notify: Notify) -> None:
        """Take the settings.

        Args:
            path: the file, in WAL mode.
            pragmas: settings of the connection.
            seconds: how long a transaction is held, > 0.
            clock: monotonic time.
            notify: told of each beginning and end.
        """
        self.since = INFINITY
        self._path = path
        self._pragmas = pragmas
        self._seconds = seconds
        self._clock = clock
        self._notify = notify

    async def open(self) -> None:
        """Connect and begin.

        Raises:
            TargetError: the file cannot be used.
        """
        self._connection = await asyncio.to_thread(connect, self._path, self._pragmas, read_only=True)
        self._task = asyncio.create_task(self._alternate(), name="pinned-reader")

    async def close(self) -> None:
        """End the transaction and disconnect; never raises."""
        self._task.cancel()
        await asyncio.wait({self._task})
        with suppress(apsw.Error):
            self._connection.close()

    async def _alternate(self) -> None:
        while True:
            try:
                self._connection.execute("BEGIN; PRAGMA schema_version").fetchall()
                self.since = self._clock.now()
                self._tell("reader.pinned", self._seconds)
                await asyncio.sleep(self._seconds)
            except apsw.Error as error:
                self._notify("reader.not_pinned", {"reason": str(error)})
            finally:
                self._release()
            await asyncio.sleep(min(self._seconds, LONGEST_PAUSE))

    def _release(self) -> None:
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._connection.execute("ROLLBACK")
        if self.since < INFINITY:
            self._tell("reader.released", self._clock.now() - self.since)
            self.since = INFINITY

    def _tell(self, event: str, seconds: float) -> None:
        self._notify(event, {"seconds": round(seconds, 3), "wal_bytes": size(self._path, "-wal")})
