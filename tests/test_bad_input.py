"""Bad input, through the real command: one clear line, the right exit code, nothing left behind."""

import ctypes
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import apsw
import pytest

from tests import forked
from tests.servers import PASSWORD_ROLE, LocalServer, Server

ROOT = Path(__file__).parent.parent
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("SOAKD_", "PG"))}
USAGE, TARGET = 2, 3
HEAD = "soakd: error: "
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24  # linux/capability.h, linux/prctl.h

Prepare = Callable[[], object]


def soakd(
    folder: Path,
    arguments: list[str],
    *,
    environ: Mapping[str, str] | None = None,
    first: Prepare | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the real command in a folder; `first` is called in its process before it begins."""
    variables = {**PLAIN, "COLUMNS": "80", **(environ or {})}
    if first is None:
        return forked.run(arguments, cwd=folder, env=variables)
    return subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**variables, "PYTHONPATH": str(ROOT)},
        preexec_fn=first,
    )


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return all that lies in a folder."""
    return {str(f.relative_to(folder)): f.read_bytes() if f.is_file() else None for f in folder.rglob("*")}


def refused(done: subprocess.CompletedProcess[str], code: int, *says: str) -> str:
    """Assert that a command ended with the code and one clear line, and return the line."""
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stdout + done.stderr
    assert done.stderr.startswith(HEAD)
    assert "Traceback" not in done.stdout + done.stderr
    assert "bug" not in done.stderr
    missing = [part for part in says if part not in done.stderr]
    assert not missing, done.stderr
    return done.stderr


def refuses_target(folder: Path, target: str, *says: str, first: Prepare | None = None) -> None:
    """Assert that `run` and `check` both refuse a target, and leave the folder as it was."""
    before = contents(folder)
    run = ["run", "--target", target, "--listen", "127.0.0.1:0", "--duration", "100ms"]
    quick = ["--set", "sqlite.busy_timeout=50ms"]
    done = soakd(folder, [*run, *quick], first=first)
    refused(done, TARGET, *says)
    assert done.stdout.count("\n") == done.stdout.count('"event":"run.preparing"') == 1
    assert contents(folder) == before
    refused(soakd(folder, ["check", "--target", target, *quick], first=first), TARGET, *says)
    assert contents(folder) == before


class Case(NamedTuple):
    """A wrong configuration, and the words that have to be in the line about it."""

    arguments: str
    says: tuple[str, ...]
    environ: Mapping[str, str] = {}
    yaml: str | None = None


CASES = {
    "unknown key in the file": Case(
        "--config a.yaml",
        ("a.yaml:2: ", "no setting pools.writrs", "did you mean pools.writers?"),
        yaml="pools:\n  writrs: 3\n",
    ),
    "unknown variable": Case(
        "",
        ("SOAKD_POOLS__WRITRES: ", "did you mean SOAKD_POOLS__WRITERS?"),
        environ={"SOAKD_POOLS__WRITRES": "3"},
    ),
    "unknown key of --set": Case(
        "--set pool.writers=3", ("--set pool.writers: ", "did you mean pools.writers?")
    ),
    "unknown flag": Case("--wrters 3", ("no such option: --wrters", "soakd run --help")),
    "wrong unit": Case("--duration 1potato", ("--duration: '1potato' is not a duration", "250ms")),
    "a word too many": Case("--duration 1 potato", ("unexpected extra argument(s) (potato)", "--help")),
    "no unit": Case("--duration 60", ("--duration: '60' has no unit", "write for example 60s")),
    "negative size": Case("--batch-size -5", ("--batch-size: '-5' is not valid", "from 1 to 100000")),
    "not a number": Case("--writers many", ("--writers: 'many' is not valid", "from 0 to 10000")),
    "unknown choice": Case("--arrivals random", ("--arrivals: 'random'", "one of constant, poisson")),
    "batch above queue": Case(
        "--batch-size 200 --queue-size 100",
        ("--batch-size, --queue-size: ", "200 is larger than batch.queue_size 100", "lower batch.size"),
    ),
    "no load": Case("--writers 0 --readers 0", ("--writers, --readers: ", "no load", "raise one")),
    "more shards than workers": Case("--shards 8", ("--shards: ", "more than the 5 workers", "lower")),
    "unknown scheme": Case(
        "--target mysql://me:hunter2@h/db", ("--target: ", "unknown scheme 'mysql'", "postgresql://")
    ),
    "not a port": Case(
        "--target postgresql://me:hunter2/x@h/db", ("target: ", "port is no number", "in a password as %2F")
    ),
    "unknown parameter of libpq": Case(
        "--target postgresql://me:hunter2@h/db?ssl=1", ("target: ", '"ssl"', "write postgresql://")
    ),
    "no scheme": Case("--target soakd.db", ("--target: ", "no scheme", "sqlite:///file.db")),
    "open to the network": Case(
        "--listen 0.0.0.0:0", ("--listen: ", "without a password", "set http.password_file")
    ),
    "not an address": Case("--listen 8080", ("--listen: ", "'8080' is not an address", "host:port")),
    "password file missing": Case("--set http.password_file=gone", ("gone: No such file", "check path")),
    "not a hash": Case("--set http.password_hash=hunter2", ("not a bcrypt hash", "htpasswd")),
    "certificate missing": Case(
        "--set http.tls_cert=gone --set http.tls_key=gone", ("gone: No such file", "check path")
    ),
    "summary in no folder": Case("--summary gone/out.json", ("gone/out.json", "no folder", "create it")),
    "not YAML": Case("--config a.yaml", ("a.yaml:2: not valid YAML",), yaml="pools: {writers: 3\nbatch: 1"),
    "a key given twice": Case(
        "-c a.yaml", ("a.yaml:2: seed is given twice", "keep one"), yaml="seed: 1\nseed: 2\n"
    ),
    "file missing": Case("--config gone.yaml", ("gone.yaml: cannot be read", "No such file", "--config")),
    "file is a folder": Case("--config .", ("cannot be read: Is a directory", "--config")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_wrong_configuration_is_refused(case: Case, tmp_path: Path) -> None:
    """Before anything is started: exit code 2, no output, no file."""
    if case.yaml is not None:
        (tmp_path / "a.yaml").write_text(case.yaml)
    before = contents(tmp_path)
    target = [] if "--target" in case.arguments else ["--target", "sqlite:///new.db"]
    listen = [] if "--listen" in case.arguments else ["--listen", "127.0.0.1:0"]
    done = soakd(tmp_path, ["run", *target, *listen, *case.arguments.split()], environ=case.environ)
    line = refused(done, USAGE, *case.says)
    assert "hunter2" not in line
    assert done.stdout == ""
    assert contents(tmp_path) == before


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    """As a mistake of the configuration, with a way out."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = "{}:{}".format(*taken.getsockname())
        done = soakd(tmp_path, ["run", "--listen", address])
    refused(done, USAGE, address, "address already in use", "--listen HOST:PORT")
    assert contents(tmp_path) == {}


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """And nothing is put into it."""
    (tmp_path / "data").mkdir()
    refuses_target(tmp_path, "sqlite:///data", "SQLite file", "data is a folder", "name a file in it")


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """A slip in a path should not fill another disk."""
    refuses_target(tmp_path, "sqlite:///data/x.db", "no folder", "create it")


@pytest.mark.parametrize("size", [10, 10_000], ids=["short", "long"])
def test_a_file_that_is_no_database_is_left_alone(size: int, tmp_path: Path) -> None:
    """Even one that is shorter than a page."""
    (tmp_path / "letter.txt").write_text("Dear all, " * (size // 10))
    refuses_target(
        tmp_path, "sqlite:///letter.txt", "letter.txt", "no SQLite database", "choose another file"
    )


def _without_root_override() -> None:
    """Let permissions count for root as well; what it may not do stays forbidden after exec."""
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0):
        raise OSError("cannot drop the capability")


@pytest.mark.skipif(
    sys.platform != "linux", reason="drops a Linux capability so that root can be refused too"
)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_file_or_folder_is_refused(what: str, tmp_path: Path) -> None:
    """The WAL lies beside the file, so both must be writable."""
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "x.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE t (x)")
    locked = path if what == "file" else folder
    locked.chmod(0o444 if what == "file" else 0o555)
    try:
        refuses_target(
            tmp_path, f"sqlite:///{path}", "cannot be written", "permission", first=_without_root_override
        )
    finally:
        locked.chmod(0o755)


def test_a_database_of_a_newer_soakd_is_refused(tmp_path: Path) -> None:
    """It is not changed: what its tables mean is not known here."""
    with closing(apsw.Connection(str(tmp_path / "x.db"))) as connection:
        connection.pragma("journal_mode", "wal")
        connection.execute(
            "CREATE TABLE soakd_objects (name, version); INSERT INTO soakd_objects VALUES ('objects', 99)"
        )
    refuses_target(tmp_path, "sqlite:///x.db", "version 99", "newer soakd", "update soakd")


def test_tables_of_somebody_else_are_not_taken(tmp_path: Path) -> None:
    """Names that soakd would use are taken by tables that it did not create."""
    with closing(apsw.Connection(str(tmp_path / "x.db"))) as connection:
        connection.pragma("journal_mode", "wal")
        connection.execute("CREATE TABLE soakd_runs (mine)")
    before = contents(tmp_path)
    done = soakd(tmp_path, ["run", "--target", "sqlite:///x.db", "--listen", "127.0.0.1:0", "--clean"])
    refused(done, TARGET, "soakd_runs is there already", "did not create it", "use another target")
    assert contents(tmp_path) == before


LOCK = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("CREATE TABLE t (x); BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_locked_database_is_refused(tmp_path: Path) -> None:
    """By another process, for longer than sqlite.busy_timeout."""
    # A process of its own: reading the file in this one would give the lock back.
    command = [sys.executable, "-c", LOCK, str(tmp_path / "x.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        refuses_target(tmp_path, "sqlite:///x.db", "x.db is locked by another process", "busy_timeout")


def _few_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))


def test_more_engines_than_the_system_allows_are_refused(tmp_path: Path) -> None:
    """In a line that says what to do about it; those that were started are ended."""
    pools = ["--shards", "40", "--writers", "40", "--readers", "40"]
    done = soakd(tmp_path, ["run", "--listen", "127.0.0.1:0", *pools], first=_few_files_only)
    refused(done, USAGE, "Too many open files", "--shards", "ulimit")
    assert contents(tmp_path) == {}


def _small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_file_that_cannot_grow_is_refused(tmp_path: Path) -> None:
    """Which is what a quota does; the half-made file is removed again."""
    done = soakd(
        tmp_path, ["run", "--target", "sqlite:///x.db", "--listen", "127.0.0.1:0"], first=_small_files_only
    )
    refused(done, TARGET, "disk")
    assert contents(tmp_path) == {}


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    """On a file system of 32 KiB in a name space of its own, where that is allowed."""
    unshare = shutil.which("unshare")
    identity = [] if os.geteuid() == 0 else ["--map-root-user"]
    enter = [unshare or "", "--mount", *identity, "sh", "-c"]
    mount = f"mount -t tmpfs -o size=32k tmpfs '{tmp_path}' && cd '{tmp_path}'"
    if unshare is None or subprocess.run([*enter, mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    script = f'{mount} && "$@" >out; code=$?; ls -A; exit $code'
    for arguments, says in ((["run", "--listen", "127.0.0.1:0"], "disk is full"), (["check"], "0 MiB free")):
        done = subprocess.run(
            [*enter, script, "sh", sys.executable, "-m", "daemon", *arguments],
            capture_output=True, text=True, check=False, timeout=60, env={**PLAIN, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        refused(done, TARGET, says, "free")
        assert done.stdout == "out\n"


def test_a_server_that_does_not_listen_is_refused(tmp_path: Path) -> None:
    """The line names host and port, and not the password."""
    target = "postgresql://me:hunter2@127.0.0.1:1/db"
    refuses_target(tmp_path, target, "127.0.0.1:1", "refused", "is the server running")
    assert "hunter2" not in soakd(tmp_path, ["check", "--target", target]).stderr


def test_a_wrong_password_is_refused(tmp_path: Path, postgres: Server) -> None:
    """It is not repeated, wherever it was given."""
    if not isinstance(postgres, LocalServer):
        pytest.skip("the server of SOAKD_TEST_POSTGRES may not ask for a password")
    if not postgres.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PASSWORD_ROLE]):
        postgres.execute(f"CREATE ROLE {PASSWORD_ROLE} LOGIN PASSWORD '{uuid4().hex}'")
    url = postgres.database_url("postgres", user=PASSWORD_ROLE, password="hunter2")
    refuses_target(tmp_path, url, PASSWORD_ROLE, "password")
    bare = postgres.database_url("postgres", user=PASSWORD_ROLE)
    done = soakd(tmp_path, ["check", "--target", bare], environ={"SOAKD_POSTGRES__PASSWORD": "hunter2"})
    assert "hunter2" not in refused(done, TARGET, "password") + done.stdout


def test_a_database_that_is_not_there_is_refused(tmp_path: Path, postgres: Server) -> None:
    """By its name."""
    refuses_target(tmp_path, postgres.database_url("no_such_database"), "no_such_database", "create it")


def test_missing_privileges_are_refused(tmp_path: Path, database: str, postgres: Server) -> None:
    """Nothing is created."""
    name, user = urlsplit(database).path[1:], f"user_{uuid4().hex[:8]}"
    postgres.execute(f"CREATE ROLE {user} LOGIN")
    try:
        refuses_target(tmp_path, postgres.database_url(name, user=user), "soakd")
        lines = soakd(tmp_path, ["check", "--target", postgres.database_url(name, user=user)]).stderr
        assert "GRANT CREATE ON DATABASE" in lines
        assert postgres.execute("SELECT to_regnamespace('soakd')::text", database=name) == [(None,)]
    finally:
        postgres.execute(f"DROP ROLE {user}")


def test_a_postgres_schema_of_a_newer_soakd_is_refused(
    tmp_path: Path, database: str, postgres: Server
) -> None:
    """And left as it is."""
    name = urlsplit(database).path[1:]
    postgres.execute("CREATE SCHEMA soakd", database=name)
    postgres.execute("CREATE TABLE soakd.objects (name text, version int)", database=name)
    postgres.execute("INSERT INTO soakd.objects VALUES ('objects', 99)", database=name)
    refuses_target(tmp_path, database, "version 99", "newer soakd", "update soakd")
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'soakd'::regnamespace"
    assert postgres.execute(tables, database=name) == [(1,)]
