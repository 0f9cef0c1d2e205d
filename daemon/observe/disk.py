"""The disk that holds a folder: what it does, from the kernel's own counters."""

import os
from pathlib import Path
from typing import NamedTuple

from daemon.observe.procfs import mounts, text

SECTOR = 512  # bytes; the unit of these counters whatever the disk's own sectors are
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class Way(NamedTuple):
    """What a disk did in one direction since the machine was started.

    Attributes:
        operations: operations that ended.
        bytes: bytes moved.
        seconds: time of all those operations, waiting in the kernel's queue included.
    """

    operations: int
    bytes: int
    seconds: float


class Activity(NamedTuple):
    """What a disk did since the machine was started.

    Attributes:
        read: reads.
        write: writes.
        busy: time in which it had something to do, s. A disk that works on many operations
            at once can do more when this grows by a second per second.
    """

    read: Way
    write: Way
    busy: float


def device_of(folder: Path) -> str | None:
    """Return the `major:minor` of the file system that holds a folder; None if there is no folder."""
    try:
        number = folder.stat().st_dev
    except OSError:
        return None
    return f"{os.major(number)}:{os.minor(number)}"


def activity(device: str, root: Path) -> Activity | None:
    """Return what the disk of a file system has done.

    None where the file system is on no disk of its own (tmpfs, overlayfs, network) or does not
    tell which (Btrfs, ZFS). Times and counts begin anew when 32 bits of milliseconds are full.
    https://docs.kernel.org/block/stat.html

    Args:
        device: `major:minor` of the file system; a partition stands for its disk.
        root: root of the file system.
    """
    entry = root / "sys/dev/block" / device
    if (entry / "partition").exists():
        entry = entry.resolve().parent
    fields = [int(field) for field in (text(entry / "stat") or "").split()]
    if len(fields) < 11:
        return None
    return Activity(
        Way(fields[0], fields[2] * SECTOR, fields[3] / 1e3),
        Way(fields[4], fields[6] * SECTOR, fields[7] / 1e3),
        fields[9] / 1e3,
    )


def is_in_memory(device: str, root: Path) -> bool:
    """Tell whether a file system lives in memory alone, where fsync has nothing to do."""
    return any(mount.device == device and mount.kind in IN_MEMORY for mount in mounts(root))
