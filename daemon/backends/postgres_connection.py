"""One PostgreSQL session: psycopg's connection with cheaper waits, COPY, and clean interruption.

psycopg registers the socket with the event loop before each wait, sets a timer, and takes both away
again; over a point read that was a third of the CPU time (25 µs against 17 µs). Here the socket is
watched as long as the connection lives, which also shows at once when the server closes an idle one.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.rows import AsyncRowFactory, tuple_row

from daemon.backends.base import INFINITY
from daemon.backends.postgres_errors import op_error
from daemon.backends.postgres_protocol import copy, resume, run
from daemon.backends.postgres_statements import PostgresTx
from daemon.backends.postgres_watch import READ, WRITE, Watch
from daemon.errors import OpError
from daemon.ops import Values

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Connection(psycopg.AsyncConnection[Values]):
    """A session used by one task at a time.

    Attributes:
        tx: runs statements in it; made by `opened`.
        lost: the connection is gone, noticed while it was in use or idle.
        when_lost: called once when an idle connection turns out to be gone.
        unfinished: the answer to a statement was not waited for; only `settle` may be called.
    """

    tx: PostgresTx

    def __init__(self, pgconn: pq.abc.PGconn, row_factory: AsyncRowFactory[Values] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self.lost = False
        self.when_lost: Callable[[Connection], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._watch: Watch | None = None
        self._fd = -1
        self._waiter: asyncio.Future[int] | None = None
        self._pending: PQGen[Any] | None = None
        self._interruption: OpError | None = None
        self._limit = INFINITY  # the loop's time
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = INFINITY

    def opened(self, watch: Watch, *, prepare: bool) -> None:
        """Take up what must wait until psycopg has set the connection up; to be called once.

        Args:
            watch: tells when there is something to read.
            prepare: whether to use prepared statements.
        """
        self.tx = PostgresTx(self, prepare=prepare, left=lambda: self._limit - self._loop.time())
        self._fd = self.pgconn.socket
        self._watch = watch
        watch.add(self._fd, self._on_ready)

    @property
    def unfinished(self) -> bool:
        """True after an interrupted statement."""
        return self._pending is not None

    async def wait(self, gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Drive one of psycopg's generators to its end; this overrides `psycopg.AsyncConnection.wait`.

        Raises:
            OpError: `timeout`: `interrupt` was called.
        """
        watch = self._watch
        if watch is None:  # not opened yet
            return await super().wait(gen, interval, timeout)
        if self._interruption is not None:
            gen.close()
            raise self._interruption
        tried = False
        try:
            state: int = next(gen)
            while True:
                if state & WRITE and not tried:
                    tried = True  # a socket nearly always takes what is written; if not, it asks again
                    state = gen.send(WRITE)
                    continue
                try:
                    ready = await self._ready(watch, state)
                except BaseException:  # an interruption or a cancellation: `settle` goes on from here
                    self._pending = gen
                    raise
                state = gen.send(ready)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except psycopg.Error:
            self._look()
            raise

    async def _ready(self, watch: Watch, state: int) -> int:
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiter = waiter
        if state & WRITE:
            watch.change(self._fd, READ | WRITE)
        try:
            return await waiter
        finally:
            self._waiter = None
            if state & WRITE and self._fd >= 0:
                watch.change(self._fd, READ)

    def _on_ready(self, events: int) -> None:
        waiter = self._waiter
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(events)
            return
        # Nobody waits: it is a notice, or the end of the connection.
        try:
            self.pgconn.consume_input()
        except psycopg.Error:
            self._look()
            if self.lost and self.when_lost is not None:
                self.when_lost(self)

    def _unwatch(self) -> None:
        if self._fd >= 0 and self._watch is not None:
            self._watch.remove(self._fd)
            self._fd = -1

    def _look(self) -> None:
        """Find out whether the connection is gone.

        libpq has closed the socket then, and its number may be another one's soon, so it must be
        forgotten before anything else runs.
        """
        if self.pgconn.status != pq.ConnStatus.OK:
            self.lost = True
            self._unwatch()

    async def close(self) -> None:
        """Close the connection; whoever waits for an answer on it gets OpError `connection`. Never raises."""
        self._unwatch()
        self.lost = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(OpError("connection", "closed"))
        await super().close()

    async def run(self, statements: bytes) -> None:
        """Run statements that return no rows, in one round trip.

        Raises:
            OpError: one of them failed; or COMMIT found a transaction that had failed already.
        """
        try:
            results = await self.wait(run(self.pgconn, statements))
        except psycopg.Error as error:
            raise op_error(error) from None
        if statements == b"COMMIT" and results[-1].command_status == b"ROLLBACK":
            raise OpError("other", "rolled back at COMMIT, since a statement before it had failed")

    async def copy(self, statements: bytes, stream: bytes) -> None:
        """Send a stream to the COPY … FROM STDIN that `statements` end with.

        Raises:
            OpError: it failed; the transaction is not usable any more.
        """
        try:
            await self.wait(copy(self.pgconn, statements, stream))
        except psycopg.Error as error:
            raise op_error(error) from None

    def limit(self, seconds: float) -> None:
        """Interrupt what runs after a while; `INFINITY` takes that back.

        A timer per operation would cost 4 µs of its 20. So there is one per connection, which mostly
        finds that the limit has moved on, and is set again.
        """
        self._interruption = None  # one that came too late, if any
        self._limit = limit = self._loop.time() + seconds
        if limit < self._alarm_at:
            self._set_alarm(limit)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm, self._alarm_at = None, INFINITY
        if self._limit == INFINITY:
            return
        if self._loop.time() < self._limit:
            self._set_alarm(self._limit)
        else:
            self.interrupt()

    def interrupt(self) -> None:
        """Make what waits for an answer raise OpError `timeout`, now or as soon as it waits."""
        self._interruption = OpError("timeout", "no answer within its time limit")
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._interruption)

    async def settle(self, within: float) -> bool:
        """End what is left of a transaction: cancel, read the answer, roll back.

        Args:
            within: longest time that this may take, s.

        Returns:
            Whether the connection can be used again; if not, it must be closed.
        """
        pending, self._pending = self._pending, None
        self._interruption = None
        self._limit = INFINITY
        try:
            async with asyncio.timeout(within):
                if pending is not None:
                    await self.cancel_safe(timeout=within)
                    with contextlib.suppress(psycopg.Error):  # that it was cancelled, mostly
                        await self.wait(resume(pending))
                if self.pgconn.transaction_status != pq.TransactionStatus.IDLE:
                    await self.run(b"ROLLBACK")
        except (psycopg.Error, OpError, OSError, TimeoutError):
            return False
        return self.pgconn.transaction_status == pq.TransactionStatus.IDLE
