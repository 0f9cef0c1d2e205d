"""The endpoint: routes, passwords, TLS, and clients that misbehave."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from daemon.errors import UsageError
from daemon.observe import http as http_module
from daemon.observe.auth import BasicAuth, read_password_file
from daemon.observe.http import HttpServer
from daemon.observe.tls import server_context

HASH = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4))
Body = Callable[[HttpServer, httpx.AsyncClient], Awaitable[None]]


def serve(body: Body, *, verify: ssl.SSLContext | bool = True, **options: Any) -> None:
    """Run `body` against a server on a free port."""

    async def main() -> None:
        given: dict[str, Any] = {"render": lambda _names: b"x 1.0\n", "ready": lambda: None, **options}
        server = HttpServer(host="127.0.0.1", port=0, **given)
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=server.url, verify=verify, timeout=10) as client:
                await body(server, client)
        finally:
            await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/metrics", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("HEAD", "/metrics", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/healthz", 405),
    ],
)
def test_routes(method: str, path: str, status: int) -> None:
    """Four pages can be read, and nothing else."""

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert (answer.content == b"") is (method == "HEAD")

    serve(body)


def test_metrics_are_what_render_gives_with_prometheus_content_type() -> None:
    """The body goes out untouched, never cached."""

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics")
        assert answer.content == b"x 1.0\n"
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "date" in answer.headers

    serve(body)


def test_not_ready_is_503_with_the_reason_while_the_process_is_healthy() -> None:
    """Orchestrators restart on /healthz and wait on /readyz: the two differ."""
    reasons: list[str | None] = ["preparing: creating the schema", None]

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.text) == (503, "preparing: creating the schema\n")
        assert (await client.get("/healthz")).text == "ok\n"
        reasons.pop(0)
        assert (await client.get("/readyz")).status_code == 200

    serve(body, ready=lambda: reasons[0])


def test_the_index_names_every_page() -> None:
    """Somebody who opens the address in a browser finds the way."""

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        text = (await client.get("/")).text
        assert all(page in text for page in ("/metrics", "/healthz", "/readyz"))

    serve(body)


@pytest.mark.parametrize("secret", [{"password_hash": HASH}, {"password": "s3cret"}])
@pytest.mark.parametrize(
    ("credential", "status"),
    [
        (("soakd", "s3cret"), 200),
        (("soakd", "wrong"), 401),
        (("root", "s3cret"), 401),
        (("soakd", ""), 401),
        (("soakd", "x" * 100), 401),
        (None, 401),
    ],
)
def test_a_password_guards_everything_but_healthz(
    secret: dict[str, Any], credential: tuple[str, str] | None, status: int
) -> None:
    """The right name and password open the pages, anything else does not."""

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        for page in ("/metrics", "/readyz", "/"):
            assert (await client.get(page, auth=credential)).status_code == status
        assert (await client.get("/nothing", auth=credential)).status_code == (404 if status == 200 else 401)
        assert (await client.get("/healthz")).status_code == 200

    serve(body, auth=BasicAuth(username="soakd", **secret))


def test_a_refusal_asks_for_basic_authentication() -> None:
    """Browsers and curl need the challenge."""

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics")
        assert answer.headers["www-authenticate"].startswith("Basic ")

    serve(body, auth=BasicAuth(username="soakd", password="s3cret"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic c29ha2Q=",
        "Bearer c29ha2Q6czNjcmV0",
        "Basic söakd",
        "Basic " + "A" * 5000,
    ],
)
def test_a_malformed_header_is_refused_and_not_an_error(header: str) -> None:
    """Garbage is a wrong password."""
    auth = BasicAuth(username="soakd", password="s3cret")
    assert asyncio.run(auth.accepts(header)) is False


def test_bcrypt_is_paid_once_and_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scraper that comes back costs a digest; while bcrypt runs, the loop goes on."""
    checks: list[bytes] = []

    def slow(password: bytes, hashed: bytes) -> bool:
        checks.append(password)
        time.sleep(0.2)
        return password == b"s3cret"

    monkeypatch.setattr("bcrypt.checkpw", slow)
    right, wrong = httpx.BasicAuth("soakd", "s3cret")._auth_header, "Basic c29ha2Q6bm8="

    async def main() -> None:
        auth = BasicAuth(username="soakd", password_hash=HASH)
        first = asyncio.create_task(auth.accepts(right))
        turns = 0
        while not first.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert await first
        assert turns > 10
        assert all(await asyncio.gather(*(auth.accepts(right) for _ in range(100))))
        assert not await auth.accepts(wrong)
        assert await auth.accepts(right)  # a wrong one does not push the good one out

    asyncio.run(main())
    assert checks == [b"s3cret", b"no"]


def test_the_password_is_checked_even_when_the_name_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time an answer takes does not tell whether a name exists."""
    checks: list[bytes] = []

    def check(password: bytes, hashed: bytes) -> bool:
        checks.append(password)
        return True

    monkeypatch.setattr("bcrypt.checkpw", check)
    auth = BasicAuth(username="soakd", password_hash=HASH)
    assert asyncio.run(auth.accepts(httpx.BasicAuth("root", "s3cret")._auth_header)) is False
    assert checks == [b"s3cret"]


@pytest.mark.parametrize(
    "damaged",
    [b"", b"s3cret", HASH[:-1], HASH + b"\n"],
    ids=["empty", "password", "cut", "newline"],  # the hash is another one in each process
)
def test_a_hash_that_is_none_is_refused_at_the_start(damaged: bytes) -> None:
    """It would otherwise refuse everybody, for ever."""
    with pytest.raises(UsageError, match="not a bcrypt hash"):
        BasicAuth(username="soakd", password_hash=damaged)


def test_a_password_file_may_hold_a_password_or_a_hash(tmp_path: Path) -> None:
    """The line end that editors and secrets managers add is not part of it."""
    file = tmp_path / "password"
    file.write_bytes(HASH + b"\n")
    assert read_password_file(file) == (HASH, None)
    file.write_text("s3cret \r\n")
    assert read_password_file(file) == (None, "s3cret ")


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"x" * 5000])
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: bytes) -> None:
    """One line that names the file, and not what is in it."""
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"http\.password_file .*password"):
        read_password_file(file)
    with pytest.raises(UsageError, match="check path"):
        read_password_file(tmp_path / "missing")


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    """The address is named, and the flag that changes it."""

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        port = int(server.url.rpartition(":")[2])
        second = HttpServer(host="127.0.0.1", port=port, render=lambda _names: b"", ready=lambda: None)
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port}: address already in use.*--listen"):
            await second.start()

    serve(body)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_a_usage_error(host: str) -> None:
    """A name that means nothing, and an address of another machine."""
    server = HttpServer(host=host, port=0, render=lambda _names: b"", ready=lambda: None)
    with pytest.raises(UsageError, match=host):
        asyncio.run(server.start())


def test_ipv6_addresses_are_shown_in_brackets() -> None:
    """The address can be pasted into a browser."""

    async def main() -> None:
        server = HttpServer(host="::1", port=0, render=lambda _names: b"", ready=lambda: None)
        try:
            await server.start()
        except UsageError as error:
            pytest.skip(f"no IPv6 here: {error}")
        assert server.url.startswith("http://[::1]:")
        await server.stop()

    asyncio.run(main())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=soakd"
    )
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_https_is_served_with_the_given_certificate(certificate: tuple[Path, Path]) -> None:
    """A client that trusts only this certificate gets its answer, together with a password."""
    cert, key = certificate

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        assert server.url.startswith("https://")
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", auth=("soakd", "s3cret"))).status_code == 200

    serve(
        body,
        verify=ssl.create_default_context(cafile=str(cert)),
        tls=server_context(cert, key),
        auth=BasicAuth(username="soakd", password_hash=HASH),
    )


def test_tls_files_that_cannot_be_used_are_a_usage_error(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Missing, garbage, swapped, and an encrypted key (which must not ask on the terminal)."""
    cert, key = certificate
    garbage, locked = tmp_path / "garbage.pem", tmp_path / "locked.pem"
    garbage.write_text("hello")
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(locked), "-passout", "pass:x1234"],
        check=True,
        capture_output=True,
    )
    missing = tmp_path / "missing.pem"
    for chain, secret in (
        (missing, key),
        (cert, missing),
        (garbage, key),
        (cert, garbage),
        (key, cert),
        (cert, locked),
    ):
        with pytest.raises(UsageError, match=r"TLS|tls_cert"):
            server_context(chain, secret)


@pytest.mark.parametrize("tls", [False, True])
def test_silent_clients_hold_nobody_up(certificate: tuple[Path, Path], *, tls: bool) -> None:
    """Twenty clients say nothing, or half a request: scrapes go on, and so does the stop."""
    options: dict[str, Any] = {"tls": server_context(*certificate)} if tls else {}
    silent: list[socket.socket] = []

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        port = int(server.url.rpartition(":")[2])
        for n in range(20):
            connected = socket.create_connection(("127.0.0.1", port))
            silent.append(connected)
            if n % 2:
                connected.sendall(b"GET /metrics HT")
        begun = time.perf_counter()
        assert (await client.get("/metrics")).status_code == 200
        assert time.perf_counter() - begun < 2
        stopping = time.perf_counter()
        await server.stop()
        assert time.perf_counter() - stopping < 4

    verify = ssl.create_default_context(cafile=str(certificate[0])) if tls else True
    serve(body, verify=verify, **options)
    for connected in silent:
        connected.close()


def test_a_client_that_never_finishes_its_request_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the descriptors of a daemon that runs for weeks would run out."""
    monkeypatch.setattr(http_module, "REQUEST_TIMEOUT", 0.2)

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nok\n")
        writer.write(b"GET /he")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    serve(body)


def test_more_clients_than_the_bound_are_refused_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of connections that are served is bounded."""
    monkeypatch.setattr(http_module, "MAX_CONNECTIONS", 3)

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        port = int(server.url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        assert (await client.get("/healthz", headers={"connection": "close"})).status_code == 503
        for connected in idle:
            connected.close()
        await asyncio.sleep(0.05)
        assert (await client.get("/healthz", headers={"connection": "close"})).status_code == 200

    serve(body)


def test_signals_stay_with_the_supervisor() -> None:
    """Serving changes no signal handler."""
    import signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    during: list[Any] = []

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        await client.get("/healthz")
        during.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))

    serve(body)
    # asyncio.run sets its own SIGINT handler while it runs
    assert during[1] == before[1]
    assert "uvicorn" not in repr(during)


def test_metrics_that_are_asked_for_are_passed_on_and_an_unknown_one_is_told() -> None:
    def render(names: Sequence[str]) -> bytes:
        if "y" in names:
            raise UsageError("there is no y")
        return repr(names).encode()

    async def body(_server: HttpServer, client: httpx.AsyncClient) -> None:
        assert (await client.get("/metrics")).text == "[]"
        assert (await client.get("/metrics?name[]=a&name%5B%5D=b&c=d")).text == "['a', 'b']"
        answer = await client.get("/metrics?name[]=a&name[]=y")
        assert (answer.status_code, answer.text) == (400, "there is no y\n")
        assert (await client.get("/metrics?" + "a&" * 5000)).status_code == 400

    serve(body, render=render)


def test_a_failure_to_render_is_a_500_and_the_server_goes_on() -> None:
    """A bug in one page takes neither the others nor the daemon down."""

    def broken(_names: Sequence[str]) -> bytes:
        raise ZeroDivisionError

    async def body(server: HttpServer, client: httpx.AsyncClient) -> None:
        assert (await client.get("/metrics")).status_code == 500
        assert (await client.get("/healthz")).status_code == 200

    serve(body, render=broken)


def test_stop_twice_and_url_outside_of_a_run() -> None:
    """Stopping is safe at any time; an address exists only while there is one."""

    async def main() -> None:
        server = HttpServer(host="127.0.0.1", port=0, render=lambda _names: b"", ready=lambda: None)
        await server.stop()
        await server.start()
        await server.stop()
        await server.stop()
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.url

    asyncio.run(main())
