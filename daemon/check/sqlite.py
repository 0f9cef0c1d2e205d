"""Look at a SQLite target: its file, its folder and its disk.

The target is opened in the one way that leaves no trace: read-only, and without shared memory
unless a WAL is there already. What only writing can show is tried on a temporary database beside it.
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import apsw

from daemon import ledger, schema
from daemon.backends.base import SQLITE
from daemon.backends.sqlite_errors import target_error
from daemon.backends.sqlite_file import check_file_system, check_library, check_path, read_mounts
from daemon.check.finding import Finding, bytes_free
from daemon.errors import TargetError


def check_sqlite(path: Path, *, needed: Collection[str], durability: str) -> Iterator[Finding]:
    """Yield what was found, the first failure last.

    Args:
        path: the file; it may not exist yet.
        needed: names of the tables that a run needs.
        durability: in words, what an acknowledged row will be safe from.
    """
    try:
        check_path(path)
        _check_writable(path)
        yield Finding(
            "file", "ok", f"{path} is {'there' if path.exists() else 'not there yet'} and can be written"
        )
        check_library(apsw.sqlite_lib_version())
        yield Finding("version", "ok", f"SQLite {apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})")
        if path.exists() and path.stat().st_size:
            yield Finding("content", "ok", look_inside(path, needed)[1])
        disk = _disk(path.parent)
        yield disk
        if disk.state == "fail":
            return
        check_file_system(path.resolve(), read_mounts())
        _try_wal(path.parent)
        yield Finding("wal", "ok", "write-ahead logging works in this folder")
    except TargetError as error:
        yield Finding("usable", "fail", str(error))
        return
    yield Finding("durability", "ok", durability)


def _disk(folder: Path) -> Finding:
    space = os.statvfs(folder)
    if not space.f_blocks:
        return Finding("disk", "ok", f"{folder} is on a file system that does not count its space")
    return bytes_free(space.f_bavail * space.f_frsize, str(folder.resolve()))


def _check_writable(path: Path) -> None:
    """Open the file for writing and write nothing: permissions on paper are not all that can forbid it."""
    if not path.exists():
        return
    try:
        path.open("r+b").close()
    except OSError as error:
        raise TargetError(
            f"SQLite file {path} cannot be written: {error.strerror}; choose another file"
        ) from None


def refuse_foreign(path: Path, needed: Collection[str], patience: float) -> None:
    """Find out that a run cannot use a database before it is opened for one, which puts it into WAL mode.

    Args:
        path: the file; it may not exist yet.
        needed: names of the tables that a run needs.
        patience: how long to wait for another process's lock, s.

    Raises:
        TargetError: it cannot; the message says why.
    """
    check_path(path)
    if path.exists() and path.stat().st_size:
        look_inside(path, needed, patience)


def refuse_running(path: Path) -> None:
    """Find out before the tables are dropped that no run is using them; one that was killed is not.

    A connection in WAL mode shares a lock on the file for as long as it is open, so that an
    exclusive one tells whether there is another.

    Args:
        path: the file; it may not exist yet.

    Raises:
        TargetError: a run is going on, as far as its record and the lock say.
    """
    if not path.exists() or not look_inside(path)[0]:
        return
    runs = SQLITE.table(ledger.RUNS.name)
    ask = f"SELECT run FROM {runs} WHERE stop_reason = '{ledger.RUNNING}'"
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as alone:
            alone.pragma("locking_mode", "exclusive")
            alone.execute("SELECT name FROM sqlite_master").fetchall()
    except apsw.BusyError:
        # Where somebody has dropped the table of runs there is nothing to ask.
        with (
            suppress(apsw.SQLError),
            closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as shared,
        ):
            for (run,) in shared.execute(ask):
                raise ledger.going_on(run) from None
    except apsw.Error as error:
        raise target_error(error, path, 0) from None


def look_inside(path: Path, needed: Collection[str] = (), patience: float = 1.0) -> tuple[bool, str]:
    """Return whether the database may hold a run of soakd, and in words what it holds; changes nothing.

    Args:
        path: the file.
        needed: names of tables that must be soakd's own, if they are there.
        patience: how long to wait for another process's lock, s.

    Raises:
        TargetError: it is not a database, it is locked, its tables are of a newer soakd, or one
            that is needed is somebody else's.
    """
    address = f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if _at_rest(path) else ''}"
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.set_busy_timeout(round(patience * 1000))
        kinds = {str(row[0]): row[1] for row in connection.execute("SELECT name, type FROM sqlite_master")}
        objects = SQLITE.table(ledger.OBJECTS.name)
        made: set[str] = set()
        version = 0
        if objects in kinds:
            made = {SQLITE.table(name) for (name,) in connection.execute(f"SELECT name FROM {objects}")}
            known = f"SELECT max(version) FROM {objects} WHERE name = '{ledger.OBJECTS.name}'"
            version = connection.execute(known).get or 0
    except apsw.ReadOnlyError:
        return True, "a transaction that was cut off, and will be rolled back"
    except apsw.Error as error:
        raise target_error(error, path, connection.system_errno if connection is not None else 0) from None
    finally:
        if connection is not None:
            connection.close()
    schema.check_own(version)
    for name in needed:
        if name in kinds and name not in made:
            raise schema.taken(name)
    if objects not in kinds:
        return False, f"{list(kinds.values()).count('table')} tables, none of them made by soakd"
    return True, f"tables of soakd (version {version}) from earlier runs"


def _at_rest(path: Path) -> bool:
    """Tell whether a database is in WAL mode without a WAL, as the last to close it leaves it.

    Then nothing is missed by looking at the file alone, while reading it in the ordinary way
    would create a WAL. In the other journal mode reading creates nothing and respects locks.
    """
    wal = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        header = file.read(20)
    return header[18:20] == b"\x02\x02" and not (wal.exists() and wal.stat().st_size)


def _try_wal(folder: Path) -> None:
    """Write to a temporary database in WAL mode and read it on a second connection.

    Raises:
        TargetError: that does not work here.
    """
    try:
        scratch = tempfile.mkdtemp(prefix=".soakd-check-", dir=folder)
    except OSError as error:
        raise TargetError(
            f"folder {folder}: no file can be created in it: {error.strerror}; choose another"
        ) from None
    file = Path(scratch) / "try.db"
    try:
        with closing(apsw.Connection(str(file))) as writer:
            mode = writer.pragma("journal_mode", "wal")
            if mode != "wal":
                raise TargetError(f"folder {folder}: WAL mode is refused (it stays {mode}); use a local disk")
            writer.execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
            with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as reader:
                reader.execute("SELECT n FROM t").fetchall()
    except apsw.Error as error:
        raise target_error(error, file, 0) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
