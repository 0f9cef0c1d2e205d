"""What SQLite's errors mean for an operation, and what a person can do about those at the start."""

import errno
from pathlib import Path

import apsw

from daemon.errors import ErrorClass, OpError, TargetError

_CLASSES: dict[int, ErrorClass] = {
    apsw.SQLITE_BUSY: "busy",
    apsw.SQLITE_LOCKED: "busy",
    apsw.SQLITE_SCHEMA: "busy",
    apsw.SQLITE_FULL: "disk_full",
    apsw.SQLITE_CONSTRAINT: "constraint",
    apsw.SQLITE_INTERRUPT: "timeout",
}


def code(error: apsw.Error) -> int:
    """Return SQLite's primary result code; apsw's own errors (wrong number of parameters) have none."""
    result: int = getattr(error, "result", apsw.SQLITE_ERROR)
    return result


def error_class(error: apsw.Error, system_errno: int) -> ErrorClass:
    """Return the class of an error.

    Args:
        error: what was raised.
        system_errno: the operating system's last error code on the connection.
    """
    if code(error) == apsw.SQLITE_IOERR and system_errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "disk_full"
    return _CLASSES.get(code(error), "other")


def op_error(error: apsw.Error, system_errno: int, *, committing: bool = False) -> OpError:
    """Return an operation's error; `committing` says that COMMIT was under way.

    A COMMIT that SQLite refuses has not happened. Only where writing itself failed in the
    middle can a later recovery of the WAL still find the transaction.
    """
    return OpError(
        error_class(error, system_errno), str(error), in_doubt=committing and code(error) == apsw.SQLITE_IOERR
    )


def target_error(error: apsw.Error, path: Path, system_errno: int) -> TargetError:
    """Return the one line that says why a file cannot be opened, and what to do."""
    head, detail = f"SQLite file {path}", str(error)
    if error_class(error, system_errno) == "disk_full":
        return TargetError(f"{head}: the disk is full; free some space or choose another file")
    match code(error):
        case apsw.SQLITE_NOTADB | apsw.SQLITE_CORRUPT:
            advice = "is damaged, encrypted or no SQLite database at all; choose another file"
            return TargetError(f"{head} {advice} ({detail})")
        case apsw.SQLITE_BUSY | apsw.SQLITE_LOCKED:
            return TargetError(
                f"{head} is locked by another process; end it, or raise sqlite.busy_timeout ({detail})"
            )
        case apsw.SQLITE_READONLY | apsw.SQLITE_PERM | apsw.SQLITE_AUTH:
            return TargetError(
                f"{head} cannot be written; give write permission on the file and its folder ({detail})"
            )
        case apsw.SQLITE_CANTOPEN:
            return TargetError(
                f"{head} cannot be opened; check the permissions of the file, of its -wal and -shm, "
                f"and of the folder ({detail})"
            )
        case _:
            return TargetError(f"{head} cannot be used ({detail}); check the disk, or choose another file")
