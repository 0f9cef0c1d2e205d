"""Opening the history file: by stdlib's SQLite, never by the library that the target is opened with."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from daemon.errors import UsageError
from daemon.history import owner
from daemon.history.schema import upgrade

History = Database
"""An open history, for those who do not know what it is made with."""
BUSY = 5.0  # s to wait for another run that writes into the same file
PRIMARY = 0xFF  # the bits of an extended result code that say the kind
HINTS = {
    sqlite3.SQLITE_FULL: "make room",
    sqlite3.SQLITE_CANTOPEN: "see that it is no folder, and that the folder it is in is there",
    sqlite3.SQLITE_READONLY: "see that the file may be written",
    sqlite3.SQLITE_BUSY: "end what holds the file",
}
"""What helps where the file itself is not the trouble, by the code of SQLite: https://sqlite.org/rescode.html."""


def open_to_write(path: Path) -> Database:
    """Open the file, create or upgrade it, and mark the runs whose writer is gone.

    Raises:
        UsageError: it is no history, or a newer one.
        sqlite3.Error: it cannot be opened or written.
    """
    connection = sqlite3.connect(path, timeout=BUSY, check_same_thread=False)
    try:
        db = Database(connection, execute_plugins=False)
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # holds for a file that is still empty
        db.execute("PRAGMA journal_mode = WAL")
        # A power cut may cost the last seconds of a run's history, never the file.
        db.execute("PRAGMA synchronous = NORMAL")
        upgrade(db)
        mark_interrupted(db, time.time())
    except BaseException:
        connection.close()
        raise
    return db


@contextmanager
def reading(path: Path) -> Iterator[Database]:
    """Open an existing file to look into it; one that may not be written is read all the same.

    Raises:
        UsageError: there is none, it is damaged, or it is something else.
    """
    if not path.is_file():
        raise UsageError(
            f"history {path}: there is no such file; name it with --file, or make a run, which writes one"
        )
    with complaints(path):
        try:
            db = open_to_write(path)
        except sqlite3.OperationalError:  # read-only, or somebody holds it
            db = _read_only(path)
        try:
            yield db
        finally:
            db.close()


@contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into one line for people."""
    try:
        yield
    except sqlite3.Error as error:
        hint = HINTS.get(
            getattr(error, "sqlite_errorcode", 0) & PRIMARY, "move the file away to begin a new one"
        )
        raise UsageError(f"history {path}: {error}; {hint}, or name another") from error
    except UsageError as error:
        raise UsageError(str(error) if str(path) in str(error) else f"history {path}: {error}") from error


def mark_interrupted(db: Database, now: float) -> None:
    """Note of runs without an end whose writer lives no more that they were interrupted when last seen.

    Args:
        db: the history.
        now: s since the epoch.
    """
    left = list(db.query("SELECT id, owner, seen FROM runs WHERE ended IS NULL"))
    gone = [row["id"] for row in left if not owner.lives(row["owner"], seen=row["seen"], now=now)]
    if gone:
        with db.atomic():
            for number in gone:
                db.execute(
                    "UPDATE runs SET ended = seen, interrupted = 1, stop_reason = 'interrupted' WHERE id = ?",
                    [number],
                )


def _read_only(path: Path) -> Database:
    """Open what cannot be written; without a WAL beside it, SQLite is to look for none."""
    beside = path.with_name(path.name + "-wal")
    mode = "mode=ro" if beside.exists() else "immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY)
    return Database(connection, execute_plugins=False, recursive_triggers=False)
