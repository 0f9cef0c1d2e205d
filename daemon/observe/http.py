"""The HTTP endpoint of a run: /metrics, /healthz and /readyz, inside the supervisor's event loop."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate

import h11
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

from daemon.errors import UsageError
from daemon.observe.auth import BasicAuth
from daemon.observe.metrics import CONTENT_TYPE

MAX_CONNECTIONS = 100
REQUEST_TIMEOUT = 10.0  # s from connecting to a complete request head, TLS handshake apart
LONGEST_QUERY = 8192  # characters: it is taken apart on the loop that takes the figures
STOP_TIMEOUT = 1  # s that answers under way have at the stop
KEEP_ALIVE = 75  # s; longer than the usual scrape interval, so that TLS is agreed once

INDEX = """soakd

/metrics   figures for Prometheus; /metrics?name[]=METRIC&name[]=... those alone
/healthz   200 while the process is alive
/readyz    200 while the load is running, else 503 with the reason
"""

Render = Callable[[Sequence[str]], bytes]
Ready = Callable[[], str | None]


class HttpServer:
    """Serves the endpoint from `start` to `stop`.

    At most `MAX_CONNECTIONS` clients are served at once, more get a 503. A client that connects
    and says nothing holds nobody up and is sent away after `REQUEST_TIMEOUT`.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        render: Render,
        ready: Ready,
        auth: BasicAuth | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare; nothing is bound yet.

        Args:
            host: name or address to listen on.
            port: 0 takes a free one.
            render: gives the text of /metrics for the names that are asked for, none of them: for all;
                called on the event loop, once per scrape. A UsageError of its is told with a 400.
            ready: gives None while the load is running, else the reason why it is not.
            auth: who may read; None: everybody.
            tls: turns https on.
        """
        self._host = host
        self._port = port
        self._context = tls
        app = _application(render, ready)
        self._app: ASGIApp = _Guard(app, auth) if auth else app
        self._server: Server | None = None
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        """The address in use, without a path; only between `start` and `stop`."""
        if self._socket is None:
            raise RuntimeError("the server is not running")
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._context else 'http'}://{shown}:{port}"

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            UsageError: the address cannot be bound; the message says what to do.
        """
        self._socket = _bind(self._host, self._port)
        context = self._context
        config = Config(
            self._app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=STOP_TIMEOUT,
            ssl_context_factory=(lambda _config, _default: context) if context else None,
        )
        config.load()
        # `Server.serve` would take the process's signal handlers, which the supervisor owns, so
        # its parts are called instead. Its main loop only renews a Date header, which the replies
        # here bring themselves.
        self._server = Server(config)
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._socket])

    async def stop(self) -> None:
        """Finish the answers under way and close; takes about `STOP_TIMEOUT` at most."""
        if self._server is None or self._socket is None:
            return
        server, self._server = self._server, None
        bound, self._socket = self._socket, None
        try:
            async with asyncio.timeout(STOP_TIMEOUT + 1):
                await server.shutdown(sockets=[bound])
        except TimeoutError:
            pass  # what is still open is cut off below
        for connection in list(server.server_state.connections):
            if isinstance(connection, H11Protocol):
                connection.transport.abort()


class _Protocol(H11Protocol):
    """uvicorn's protocol, with an end to waiting for a request head that never comes in full."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._disarm()
        elif self._patience is None and self.timeout_keep_alive_task is None:
            self._arm()  # part of a further request on a kept connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._patience = self.loop.call_later(REQUEST_TIMEOUT, self.transport.close)

    def _disarm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Guard:
    """Lets requests through that carry the password; /healthz needs none."""

    def __init__(self, app: ASGIApp, auth: BasicAuth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz":
            header = dict(scope["headers"]).get(b"authorization")
            if not await self._auth.accepts(header.decode("latin-1") if header else None):
                refusal = _text(
                    "a user name and password are needed\n",
                    status=401,
                    headers={"www-authenticate": 'Basic realm="soakd", charset="UTF-8"'},
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _application(render: Render, ready: Ready) -> Starlette:
    async def metrics(request: Request) -> Response:
        if len(request.url.query) > LONGEST_QUERY:
            return _text(
                f"a query of more than {LONGEST_QUERY} characters; ask for fewer names\n", status=400
            )
        try:
            text = render(request.query_params.getlist("name[]"))
        except UsageError as error:
            return _text(f"{error}\n", status=400)
        return _reply(text, content_type=CONTENT_TYPE)

    async def healthz(_: Request) -> Response:
        return _text("ok\n")

    async def readyz(_: Request) -> Response:
        reason = ready()
        return _text("ok\n") if reason is None else _text(f"{reason}\n", status=503)

    async def index(_: Request) -> Response:
        return _text(INDEX)

    async def refused(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return _text(f"{error.detail}\n", status=error.status_code, headers=dict(error.headers or {}))

    pages: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/metrics": metrics,
        "/healthz": healthz,
        "/readyz": readyz,
        "/": index,
    }
    app = Starlette(
        routes=[Route(path, page, methods=["GET"]) for path, page in pages.items()],
        exception_handlers={HTTPException: refused},
    )
    app.router.redirect_slashes = False
    return app


def _text(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return _reply(text.encode(), content_type="text/plain; charset=utf-8", status=status, headers=headers)


def _reply(
    body: bytes, *, content_type: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    common = {
        "content-type": content_type,
        "cache-control": "no-store",
        "date": formatdate(time.time(), usegmt=True),
        "x-content-type-options": "nosniff",
    }
    return Response(body, status_code=status, headers=common | (headers or {}))


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"http.listen {host}:{port}: unknown address ({error}); check the name") from None
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(MAX_CONNECTIONS)
    except OSError as error:
        bound.close()
        raise UsageError(
            f"http.listen {host}:{port}: {(error.strerror or str(error)).lower()}; "
            "free the port, or choose another with --listen HOST:PORT (port 0 takes any)"
        ) from None
    bound.setblocking(False)
    return bound
