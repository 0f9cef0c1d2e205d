"""The control group that soakd runs in: what it may use, and how often it was held back.

Both versions, and systems that mix them: a controller belongs to one hierarchy only. Limits
may be set further up as well (a slice, a pod), so the nearest group that has one is reported,
from soakd's own upwards; without any, soakd's own.

https://docs.kernel.org/admin-guide/cgroup-v2.html,
https://docs.kernel.org/scheduler/sched-bwc.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol, TypeVar

from daemon.observe.procfs import Mount, mounts, text

# Version 1 writes "none" as the largest multiple of the page size that 63 bits hold.
_UNLIMITED = 2**62


class _Limited(Protocol):
    @property
    def limit(self) -> float: ...


L = TypeVar("L", bound=_Limited)


class Cpu(NamedTuple):
    """CPU of a group.

    Attributes:
        limit: cores that it may use; 0 for no limit.
        throttled_seconds: time in which the quota held it back, added up over the processors.
        throttled_periods: periods in which the quota was used up.
    """

    limit: float
    throttled_seconds: float
    throttled_periods: float


class Memory(NamedTuple):
    """Memory of a group, in bytes.

    Attributes:
        limit: what it may use; 0 for no limit.
        used: what it uses, the page cache included; None for the root, which does not tell.
    """

    limit: float
    used: float | None


def cpu(root: Path) -> Cpu | None:
    """Return quota and throttling, or None where there are no control groups."""
    version, groups = _groups("cpu", root)
    return _nearest(groups, _cpu_v1 if version == 1 else _cpu_v2)


def memory(root: Path) -> Memory | None:
    """Return use and limit of memory, or None where there are no control groups."""
    version, groups = _groups("memory", root)
    return _nearest(groups, _memory_v1 if version == 1 else _memory_v2)


def _nearest(groups: Sequence[Path], read: Callable[[Path], L]) -> L | None:
    found = [read(group) for group in groups]
    return next((one for one in found if one.limit), found[0] if found else None)


def _groups(controller: str, root: Path) -> tuple[int, Sequence[Path]]:
    """Return the version, and the folders of soakd's group and those above it that can be seen."""
    version, inner = _own(controller, root)
    mount = next((one for one in mounts(root) if _serves(one, version, controller)), None)
    if mount is None or not inner:
        return version, ()
    path = PurePosixPath(inner)
    top = root / mount.point.lstrip("/")
    # In a container only the part from the mounted group on is there; soakd may even be outside
    # of what its name space shows (`/../other`), and then that part's top is what is known.
    if ".." in path.parts or not path.is_relative_to(mount.root):
        return version, (top,)
    below = path.relative_to(mount.root)
    return version, [group for part in (below, *below.parents) if (group := top / part).is_dir()]


def _own(controller: str, root: Path) -> tuple[int, str]:
    """Return the version and the path of soakd's group: `4:cpu,cpuacct:/path` or `0::/path`."""
    unified = ""
    for line in (text(root / "proc/self/cgroup") or "").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return 1, path
        if not names:
            unified = path
    return 2, unified


def _serves(mount: Mount, version: int, controller: str) -> bool:
    if version == 2:
        return mount.kind == "cgroup2"
    return mount.kind == "cgroup" and controller in mount.options.split(",")


def _cpu_v2(group: Path) -> Cpu:
    quota, _, period = (text(group / "cpu.max") or "max").partition(" ")
    stat = _table(group / "cpu.stat")
    limit = 0.0 if quota.strip() == "max" else int(quota) / int(period)
    return Cpu(limit, stat.get("throttled_usec", 0) / 1e6, stat.get("nr_throttled", 0))


def _cpu_v1(group: Path) -> Cpu:
    quota = _number(group / "cpu.cfs_quota_us") or 0
    period = _number(group / "cpu.cfs_period_us") or 0
    stat = _table(group / "cpu.stat")
    limit = quota / period if quota > 0 and period else 0.0  # -1 for none
    return Cpu(limit, stat.get("throttled_time", 0) / 1e9, stat.get("nr_throttled", 0))


def _memory_v2(group: Path) -> Memory:
    return Memory(_number(group / "memory.max") or 0.0, _number(group / "memory.current"))


def _memory_v1(group: Path) -> Memory:
    limit = _number(group / "memory.limit_in_bytes") or 0.0
    return Memory(limit if limit < _UNLIMITED else 0.0, _number(group / "memory.usage_in_bytes"))


def _number(path: Path) -> float | None:
    """Return the number in a file; None where there is no file, or `max` stands in it."""
    found = (text(path) or "max").strip()
    return None if found == "max" else float(found)


def _table(path: Path) -> dict[str, int]:
    """Return a file of lines `name number`."""
    return {name: int(value) for name, value in map(str.split, (text(path) or "").splitlines())}
