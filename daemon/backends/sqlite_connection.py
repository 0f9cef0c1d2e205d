"""Opening a SQLite connection so that every setting is known to hold."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import apsw

from daemon.backends.sqlite_errors import target_error
from daemon.errors import TargetError

SYNCHRONOUS = {"off": 0, "normal": 1, "full": 2, "extra": 3}
RETRY = 0.02  # s between two tries to switch to WAL while others do the same


class Pragmas(NamedTuple):
    """The settings of every connection to one file.

    Attributes:
        synchronous: `normal` or `full`.
        busy_timeout: how long to wait for a lock, s.
        cache_size: page cache of a connection, bytes.
        mmap_size: bytes of the file to map into memory; 0: none.
        page_size: bytes of a page, for a file that is still empty.
        wal_limit: bytes that the WAL's file is cut down to when it begins anew; -1: it is left as it is.
    """

    synchronous: str
    busy_timeout: float
    cache_size: int
    mmap_size: int
    page_size: int
    wal_limit: int = -1

    def wanted(self, *, read_only: bool) -> Mapping[str, int]:
        """Return what to set on a connection, and what to find when reading it back."""
        return {
            "synchronous": SYNCHRONOUS[self.synchronous],
            "cache_size": -(self.cache_size // 1024),
            "mmap_size": self.mmap_size,
            "journal_size_limit": self.wal_limit,
            "foreign_keys": 1,
            "wal_autocheckpoint": 0,
            "query_only": int(read_only),
        }


def connect(path: Path, pragmas: Pragmas, *, read_only: bool) -> apsw.Connection:
    """Open a connection in WAL mode with all its settings read back.

    Only a connection that may write turns WAL on, and proves that it can get the write lock.

    Raises:
        TargetError: the file cannot be used, or a setting does not hold.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(str(path), flags=flags)
    except apsw.Error as error:
        raise target_error(error, path, 0) from None
    try:
        _set_up(connection, path, pragmas, read_only=read_only)
    except apsw.Error as error:
        reason = target_error(error, path, connection.system_errno)
        connection.close()
        raise reason from None
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: apsw.Connection, path: Path, pragmas: Pragmas, *, read_only: bool) -> None:
    connection.set_busy_timeout(round(pragmas.busy_timeout * 1000))
    if not read_only:
        if connection.readonly("main"):
            raise TargetError(f"SQLite file {path} cannot be written; give write permission on it")
        _retry(lambda: _turn_wal_on(connection, path, pragmas.page_size), pragmas.busy_timeout)
    _expect(path, "journal_mode", connection.pragma("journal_mode"), "wal")
    _expect(path, "busy_timeout", connection.pragma("busy_timeout"), round(pragmas.busy_timeout * 1000))
    for name, value in pragmas.wanted(read_only=read_only).items():
        connection.pragma(name, value)
        _expect(path, name, connection.pragma(name), value)
    if read_only:
        connection.pragma("schema_version")
    else:
        connection.execute("BEGIN IMMEDIATE; ROLLBACK")


def _turn_wal_on(connection: apsw.Connection, path: Path, page_size: int) -> None:
    if connection.pragma("journal_mode") == "wal":
        return
    new = connection.pragma("page_count") == 0
    if new:
        connection.pragma("page_size", page_size)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise TargetError(
            f"SQLite file {path}: WAL is not possible here (a file system without shared memory?); "
            "choose a file on a local disk"
        )
    if new:
        _expect(path, "page_size", connection.pragma("page_size"), page_size)


def _retry(action: Callable[[], None], patience: float) -> None:
    """Try until it is not locked: SQLite's own waiting does not cover the switch to WAL."""
    give_up = time.monotonic() + patience
    while True:
        try:
            return action()
        except apsw.BusyError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(RETRY)  # in a lane's own thread, before there is any load


def _expect(path: Path, name: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise TargetError(
            f"SQLite file {path}: PRAGMA {name} is {found!r} and not {wanted!r} as asked; "
            f"change sqlite.{name} or the file system"
        )
