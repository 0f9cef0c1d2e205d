"""What SQLite's result codes become."""

import errno
from pathlib import Path

import apsw
import pytest

from daemon.backends.sqlite_errors import op_error, target_error
from daemon.errors import ErrorClass


@pytest.mark.parametrize(
    ("code", "system_errno", "expected"),
    [
        (apsw.SQLITE_BUSY, 0, "busy"),
        (apsw.SQLITE_BUSY_SNAPSHOT, 0, "busy"),
        (apsw.SQLITE_LOCKED, 0, "busy"),
        (apsw.SQLITE_SCHEMA, 0, "busy"),
        (apsw.SQLITE_FULL, 0, "disk_full"),
        (apsw.SQLITE_IOERR_WRITE, errno.ENOSPC, "disk_full"),
        (apsw.SQLITE_IOERR_SHMSIZE, errno.EDQUOT, "disk_full"),
        (apsw.SQLITE_IOERR_WRITE, errno.EIO, "other"),
        (apsw.SQLITE_ERROR, errno.ENOSPC, "other"),
        (apsw.SQLITE_CONSTRAINT_PRIMARYKEY, 0, "constraint"),
        (apsw.SQLITE_INTERRUPT, 0, "timeout"),
        (apsw.SQLITE_READONLY, 0, "other"),
        (apsw.SQLITE_CORRUPT, 0, "other"),
    ],
)
def test_result_codes_have_a_class(code: int, system_errno: int, expected: ErrorClass) -> None:
    """Extended codes count as their primary one; an I/O error may be a full disk."""
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    assert op_error(error, system_errno).error_class == expected


@pytest.mark.parametrize(
    ("code", "committing", "in_doubt"),
    [
        (apsw.SQLITE_IOERR_FSYNC, True, True),
        (apsw.SQLITE_IOERR_FSYNC, False, False),
        (apsw.SQLITE_BUSY, True, False),
        (apsw.SQLITE_FULL, True, False),
    ],
)
def test_only_an_io_error_in_commit_leaves_doubt(code: int, committing: bool, in_doubt: bool) -> None:  # noqa: FBT001
    """All other refusals are certain."""
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    assert op_error(error, 0, committing=committing).in_doubt is in_doubt


def test_errors_of_apsw_itself_have_a_class_too() -> None:
    """A wrong number of parameters has no result code."""
    with pytest.raises(apsw.BindingsError) as caught:
        apsw.Connection(":memory:").execute("SELECT ?", ())
    assert op_error(caught.value, 0).error_class == "other"


@pytest.mark.parametrize(
    ("code", "system_errno", "advice"),
    [
        (apsw.SQLITE_FULL, 0, "the disk is full; free some space"),
        (apsw.SQLITE_IOERR_WRITE, errno.ENOSPC, "the disk is full; free some space"),
        (apsw.SQLITE_IOERR_READ, errno.EIO, "check the disk"),
        (apsw.SQLITE_NOTADB, 0, "choose another file"),
        (apsw.SQLITE_BUSY, 0, "locked by another process; end it"),
        (apsw.SQLITE_READONLY_DIRECTORY, 0, "give write permission"),
        (apsw.SQLITE_CANTOPEN, 0, "check the permissions"),
    ],
)
def test_what_cannot_be_opened_is_told_with_advice(code: int, system_errno: int, advice: str) -> None:
    """One line: what, where, what to do."""
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    line = str(target_error(error, Path("/data/load.db"), system_errno))
    assert "/data/load.db" in line
    assert advice in line
    assert "\n" not in line
