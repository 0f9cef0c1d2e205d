"""Files of /proc and /sys that describe the machine: small, read whole, None where there is none.

All functions take the root of the file system, `/` but in tests. Formats are those of the
kernel's own documentation, named at each function.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

RESOURCES = ("cpu", "io", "memory")


def text(path: Path) -> str | None:
    """Return a file's text, or None where it is not there, not for us, or switched off."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None


def swap_used(root: Path) -> float | None:
    """Return the bytes of swap space in use: SwapTotal − SwapFree of /proc/meminfo, which is in KiB.

    https://docs.kernel.org/filesystems/proc.html#meminfo
    """
    lines = (line.split() for line in (text(root / "proc/meminfo") or "").splitlines())
    kib = {fields[0]: int(fields[1]) for fields in lines if fields[0] in ("SwapTotal:", "SwapFree:")}
    return (kib["SwapTotal:"] - kib["SwapFree:"]) * 1024.0 if len(kib) == 2 else None


def pressure(root: Path) -> Mapping[tuple[str, str], float]:
    """Return (resource, `some` or `full`) → s in which tasks waited, since the machine was started.

    `full` of the CPU has no meaning for a whole machine and is always 0 there, so it is left
    out. https://docs.kernel.org/accounting/psi.html: `some avg10=0.00 … total=MICROSECONDS`.
    """
    found: dict[tuple[str, str], float] = {}
    for resource in RESOURCES:
        for line in (text(root / "proc/pressure" / resource) or "").splitlines():
            kind, _, rest = line.partition(" ")
            if (resource, kind) != ("cpu", "full"):
                found[resource, kind] = int(rest.rpartition("total=")[2]) / 1e6
    return found


class Mount(NamedTuple):
    """One mounted file system.

    Attributes:
        device: `major:minor`, as `stat` of its files has it.
        root: the folder of the file system that is mounted.
        point: where it is mounted.
        kind: type of the file system.
        options: those of the file system, as `rw,cpu,cpuacct`.
    """

    device: str
    root: str
    point: str
    kind: str
    options: str


def mounts(root: Path) -> list[Mount]:
    """Return what is mounted; empty where the system has no such list.

    https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts:
    id, parent, device, root, point, options, optional fields, `-`, type, source, options.
    """
    found = []
    for line in (text(root / "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        device, inner, point = before.split(" ")[2:5]
        kind, _, options = after.split(" ", 2)
        found.append(Mount(device, inner, point, kind, options))
    return found
