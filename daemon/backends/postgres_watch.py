"""Which sockets have something to read: one registration with the event loop for all connections.

To add a socket to the loop before each wait and take it away after it costs a third of a point read.
To leave it there is not safe on uvloop: libuv quietly stops watching a socket that was reset, and
whoever waits on it then waits for ever. A selector of our own does neither.
"""

import asyncio
import selectors
from collections.abc import Callable

# `psycopg.waiting.Wait` and `Ready` have the same values; arithmetic with enumerations is slow.
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Watch:
    """Calls back when a socket is ready. At most one callback per socket."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Register with the running event loop."""
        self._loop = asyncio.get_running_loop()
        # epoll and kqueue are files themselves, readable when one of theirs is ready.
        self._loop.add_reader(self._selector.fileno(), self._dispatch)

    def add(self, fd: int, ready: Callable[[int], None]) -> None:
        """Call `ready(READ)` whenever the socket has something to read, or is broken."""
        self._selector.register(fd, READ, ready)

    def change(self, fd: int, events: int) -> None:
        """Watch for these events from now on: READ, or READ | WRITE."""
        self._selector.modify(fd, events, self._selector.get_key(fd).data)

    def remove(self, fd: int) -> None:
        """Forget a socket, which may have been closed already."""
        self._selector.unregister(fd)

    def close(self) -> None:
        """Let go of the event loop and the sockets; safe to call again."""
        if self._loop is not None:
            self._loop.remove_reader(self._selector.fileno())
            self._loop = None
        self._selector.close()

    def _dispatch(self) -> None:
        for key, events in self._selector.select(0):
            key.data(events)
