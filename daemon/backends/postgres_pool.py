"""Connections that wait to be used, and callers that wait for connections."""

import asyncio
from collections import deque

from daemon.backends.base import INFINITY
from daemon.backends.postgres_connection import Connection
from daemon.clock import Clock
from daemon.errors import OpError


class Pool:
    """At most `size` connections, and the callers that wait for one, in their order.

    The connection used last is taken first, so that caches stay warm. A caller waits only while
    there is a connection to wait for: without any, it fails at once.

    Attributes:
        size: how many connections there should be.
        idle: connections that nobody uses; the last one is taken first.
        members: all connections, idle and in use; at most `size`.
        waiting: callers that wait; as many as there are callers.
        reason: why there is no connection.
        failed_at: when it lost its last connection, by the clock; inf: it did not; for the owner to reset.
    """

    def __init__(self, size: int, clock: Clock, short: asyncio.Event) -> None:
        """Make an empty pool.

        Args:
            size: how many connections there should be.
            clock: what deadlines are told in.
            short: set whenever a connection is lost.
        """
        self.size = size
        self.idle: list[Connection] = []
        self.members: set[Connection] = set()
        self.waiting: deque[asyncio.Future[Connection]] = deque()
        self.reason = "not open"
        self.failed_at = INFINITY
        self._clock = clock
        self._short = short

    @property
    def missing(self) -> int:
        """How many connections have to be opened."""
        return self.size - len(self.members)

    @property
    def out(self) -> bool:
        """True when it should have connections and has none."""
        return self.size > 0 and not self.members

    async def wait(self, deadline: float = INFINITY) -> Connection:
        """Wait for a connection; to be called when none is idle.

        Raises:
            OpError: `connection`: there is none, or the last one was lost meanwhile;
                `timeout`: the deadline came first.
        """
        if not self.members:
            raise OpError("connection", self.reason)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Connection] = loop.create_future()
        self.waiting.append(turn)
        timer = None
        if deadline != INFINITY:
            timer = loop.call_later(deadline - self._clock.now(), _time_out, turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give(turn.result())  # cancelled just after it was handed over
            elif turn in self.waiting:
                self.waiting.remove(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def give(self, connection: Connection) -> None:
        """Hand a connection in working order to the next caller, or keep it."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self.idle.append(connection)

    def add(self, connection: Connection) -> None:
        """Take a new connection in, unless it has been lost already."""
        self.members.add(connection)
        connection.when_lost = self.lose
        if connection.lost:
            self.lose(connection)
        else:
            self.give(connection)

    def lose(self, connection: Connection) -> None:
        """Forget a connection. When it was the last one, everybody who waits is told."""
        self.members.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._short.set()
        if not self.members:
            self.failed_at = min(self.failed_at, self._clock.now())
            self.refuse("the connection to the database is lost")

    def refuse(self, reason: str) -> None:
        """Fail everybody who waits, because there will be no connection for a while."""
        self.reason = reason
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_exception(OpError("connection", reason))


def _time_out(turn: "asyncio.Future[Connection]") -> None:
    if not turn.done():
        turn.set_exception(OpError("timeout", "no free connection within its time limit"))
