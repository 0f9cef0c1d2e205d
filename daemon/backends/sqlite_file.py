"""What can be said about a SQLite target's file before SQLite opens it, and cleaning up after a failure.

The file itself is never opened here: closing it would drop the locks that SQLite holds on it in
this process.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from daemon.errors import TargetError

OLDEST = (3, 51, 3)
"""First SQLite whose checkpoints cannot damage a WAL that is being written."""
NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "nfs", "nfs4", "smb", "smb2", "smb3", "smbfs"}
)
"""File systems on which processes cannot share memory as the WAL needs it."""
SUFFIXES = ("", "-wal", "-shm", "-journal")


def check_library(version: str) -> None:
    """Refuse a SQLite library that may damage databases.

    Raises:
        TargetError: it is older than `OLDEST`.
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise TargetError(
            f"apsw brings SQLite {version}, which may damage a database that is checkpointed while it is "
            f"written; install an apsw with SQLite {oldest} or later"
        )


def check_path(path: Path) -> Path:
    """Check that a file is, or can become, a database, and return its absolute path.

    Raises:
        TargetError: it is a folder, or a device, or its folder is missing, or one of them cannot be written.
    """
    try:
        absolute = path.resolve()
        _check(absolute)
    except (OSError, ValueError, RuntimeError) as error:  # no permission, too long, NUL, a loop of links
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TargetError(
            f"SQLite file {path} cannot be looked at ({reason}); check its name and the permissions"
        ) from None
    return absolute


def _check(path: Path) -> None:
    folder = path.parent
    if path.is_dir():
        raise TargetError(f"SQLite file {path} is a folder; name a file in it: {path / 'soakd.db'}")
    if not folder.is_dir():
        raise TargetError(f"SQLite file {path}: there is no folder {folder}; create it or choose another")
    if path.exists():
        if not path.is_file():
            raise TargetError(f"SQLite file {path} is not a regular file; choose another")
        if not _allowed(path, os.R_OK | os.W_OK):
            raise TargetError(f"SQLite file {path} cannot be written; give read and write permission on it")
    if not _allowed(folder, os.W_OK | os.X_OK):
        raise TargetError(
            f"SQLite file {path}: the folder {folder} cannot be written, and the WAL lies there; "
            "give write permission on it"
        )


def claim(path: Path) -> bool:
    """Make an empty file if there is none; return whether it was made here, and may be removed again.

    Raises:
        TargetError: it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        return False
    except OSError as error:
        raise TargetError(
            f"SQLite file {path} cannot be made: {error.strerror}; choose another place"
        ) from None
    return True


def check_file_system(path: Path, mounts: Iterable[str]) -> None:
    """Refuse a network file system.

    Args:
        path: the absolute path of the file.
        mounts: lines of /proc/self/mounts; empty where there is none.

    Raises:
        TargetError: the file lies, or would lie, on a network file system.
    """
    best, kind = "", ""
    for line in mounts:
        fields = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1])
        if len(point) >= len(best) and path.is_relative_to(point):  # a later mount hides an earlier one
            best, kind = point, fields[2]
    if kind in NETWORK:
        raise TargetError(
            f"SQLite file {path} is on a network file system ({kind}), where WAL does not work; "
            "choose a file on a local disk"
        )


def read_mounts() -> list[str]:
    """Return the mounted file systems as Linux lists them; empty elsewhere."""
    with suppress(OSError):
        return Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    return []


def remove(path: Path) -> None:
    """Remove a database file and what belongs to it, as far as they exist."""
    for suffix in SUFFIXES:
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
