"""A TCP proxy that misbehaves on demand: slow, silent, resetting, refusing, or cutting a chosen reply off."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal

Cut = Literal["request", "reply"]


class Proxy:
    """Forwards TCP connections to one server; runs an event loop in a thread of its own.

    The attributes may be changed at any time, by any thread.

    Attributes:
        port: where it listens on 127.0.0.1.
        latency: what each chunk is held back, in each direction (s).
        silent: nothing is forwarded any more; the connections stay open.
        refusing: new connections are reset at once.
    """

    def __init__(self, port: int, host: str) -> None:
        self.port = 0
        self.latency = 0.0
        self.silent = False
        self.refusing = False
        self._target = (host, port)
        self._cut: tuple[bytes, Cut] | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Reset every connection and stop listening."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def reset(self) -> None:
        """Reset every connection that there is."""
        self._call(self._reset_all)

    def cut_at(self, words: bytes, lost: Cut) -> None:
        """Reset the next connection whose client sends `words`.

        Args:
            words: what to wait for, inside one chunk.
            lost: `request`: the server does not even see them; `reply`: it does, but its answer is lost.
        """
        self._cut = (words, lost)

    def _call(self, function: Callable[[], None]) -> None:
        async def run() -> None:
            function()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _end(self) -> None:
        self._server.close()
        self._reset_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _reset_all(self) -> None:
        for client in self._clients.copy():
            _reset(client)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self.refusing:
            _reset(client)
            return
        try:
            from_server, server = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(client)
            return
        self._clients.add(client)
        answers = asyncio.create_task(self._forward(from_server, client))
        try:
            await self._requests(reader, server, client, answers)
        except OSError:
            pass  # one side is gone, which is what proxies are told by
        finally:
            answers.cancel()
            self._clients.discard(client)
            client.close()
            server.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        answers: "asyncio.Task[None]",
    ) -> None:
        while chunk := await reader.read(65536):
            await self._delay()
            cut = self._cut
            if cut is None or cut[0] not in chunk:
                server.write(chunk)
                await server.drain()
                continue
            self._cut = None
            if cut[1] == "reply":
                answers.cancel()
                server.write(chunk)
                await server.drain()
                # Closed after the request, the server still carries it out.
                server.write_eof()
            _reset(client)
            return

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                await self._delay()
                writer.write(chunk)
                await writer.drain()
        except OSError:
            _reset(writer)  # as the server did, or the client has gone itself
        else:
            writer.close()

    async def _delay(self) -> None:
        if self.latency:
            await asyncio.sleep(self.latency)
        while self.silent:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, as a dying host or a firewall does."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def proxy(port: int, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """Run a proxy before a server for as long as the context lasts."""
    running = Proxy(port, host)
    running.start()
    try:
        yield running
    finally:
        running.stop()
