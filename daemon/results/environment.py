"""What a run ran on and with: versions and machine, for whoever compares two summaries."""

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("soakd", "psycopg", "apsw", "numpy", "uvloop")


def environment(
    *,
    sqlite_version: str | None = None,
    server_version: str | None = None,
    server_settings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a description of this machine and of what is installed on it.

    Args:
        sqlite_version: of the SQLite library in use.
        server_version: what the database server says that it is.
        server_settings: those of its settings that differ from their defaults; None where it was not sampled.
    """
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: found for name in LIBRARIES if (found := _installed(name))},
        "sqlite": sqlite_version,
        "server": server_version,
        "server_settings": dict(server_settings) if server_settings is not None else None,
        "os": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_model(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "memory_bytes": _memory(),
    }


@cache
def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_model(cpuinfo: Path) -> str | None:
    if not cpuinfo.exists():
        return platform.processor() or None
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def _usable_cores() -> int | None:
    """Return the cores that this process may use; containers and taskset make them fewer."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not on this platform
        return None
