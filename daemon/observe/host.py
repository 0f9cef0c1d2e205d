"""The collector of the generator's machine: processors, memory, disk, network, limits, processes.

With a remote database these figures are those of the machine that makes the load, not of the
one that answers it. What a system does not offer (macOS has no /proc) gives no series.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from daemon.clock import Clock, SystemClock
from daemon.observe import cgroup, disk, procfs
from daemon.observe.fsync import FsyncProbe
from daemon.record.catalog_samples import HOST
from daemon.record.snapshot import Key, Snapshot

CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
MEMORY_KINDS = ("total", "available", "cached")
LOAD_WINDOWS = ("1m", "5m", "15m")
FSYNC_INTERVAL = 10.0  # s

Figures = Iterator[tuple[Key, float]]


class HostCollector:
    """Takes the samples; a collector of the sampler.

    Files are read in a thread. The fsync probe begins with the first sample and goes at a pace
    of its own.
    """

    name = "host"

    def __init__(
        self,
        *,
        folder: Path,
        engines: Callable[[], Sequence[int]],
        clock: Clock | None = None,
        fsync_interval: float = FSYNC_INTERVAL,
        root: Path = Path("/"),
    ) -> None:
        """Prepare; nothing is read or written.

        Args:
            folder: where the data are, or whose disk is to be watched; need not exist yet.
            engines: gives the process ids of the engines that live; called on the event loop.
            clock: tells the time of the fsync probe; the system's if not given.
            fsync_interval: pause between two fsync probes, s.
            root: root of the file system, for /proc and /sys.
        """
        self._folder = folder
        self._engines = engines
        self._root = root
        self._probe = FsyncProbe(folder, clock=clock or SystemClock(), interval=fsync_interval, root=root)

    async def collect(self) -> Snapshot:
        """Return the present figures; counters count from the start of the machine."""
        self._probe.start()
        snapshot = await asyncio.to_thread(self._read, list(self._engines()))
        if self._probe.times.count:
            snapshot.histograms["soakd_host_fsync_seconds",] = self._probe.times.copy()
        return snapshot

    async def close(self) -> None:
        """End the fsync probe and remove its file."""
        await self._probe.close()

    def _read(self, engines: Sequence[int]) -> Snapshot:
        root = self._root
        sources = (
            _cpu(),
            _load(),
            _memory(root),
            _pressure(root),
            _disk(self._folder, root),
            _space(self._folder),
            _network(root),
            _limits(root),
            _processes("supervisor", [os.getpid()]),
            _processes("engine", engines),
        )
        snapshot = Snapshot()
        for source in sources:
            with suppress(OSError):  # not offered here
                for key, value in source:
                    counts = HOST[key[0]].kind == "counter"
                    (snapshot.counters if counts else snapshot.gauges)[key] = value
        return snapshot


def _cpu() -> Figures:
    """Yield the times of all processors together; what guests use is in `user` and `nice` already."""
    times = psutil.cpu_times()._asdict()
    for mode in CPU_MODES:
        if mode in times:
            yield ("soakd_host_cpu_seconds_total", mode), times[mode]


def _pressure(root: Path) -> Figures:
    for (resource, kind), seconds in procfs.pressure(root).items():
        yield ("soakd_host_pressure_seconds_total", resource, kind), seconds


def _disk(folder: Path, root: Path) -> Figures:
    device = disk.device_of(folder)
    found = disk.activity(device, root) if device else None
    if found is None:
        return
    for direction, way in (("read", found.read), ("write", found.write)):
        yield ("soakd_host_disk_bytes_total", direction), way.bytes
        yield ("soakd_host_disk_operations_total", direction), way.operations
        yield ("soakd_host_disk_operation_seconds_total", direction), way.seconds
    yield ("soakd_host_disk_busy_seconds_total",), found.busy


def _network(root: Path) -> Figures:
    """Yield what went through the network cards, or through all interfaces where none is a card.

    The latter is so in containers, and on macOS. Bridges, tunnels and the outer ends of
    containers' links would count the same bytes again.
    """
    every = psutil.net_io_counters(pernic=True, nowrap=False)
    cards = [name for name in every if (root / "sys/class/net" / name / "device").exists()]
    shown = [every[name] for name in cards or every if name.rstrip("0123456789") != "lo"]
    yield ("soakd_host_network_bytes_total", "receive"), sum(one.bytes_recv for one in shown)
    yield ("soakd_host_network_bytes_total", "transmit"), sum(one.bytes_sent for one in shown)


def _load() -> Figures:
    if processors := psutil.cpu_count():
        yield ("soakd_host_cpus",), processors
    for window, value in zip(LOAD_WINDOWS, os.getloadavg(), strict=True):
        yield ("soakd_host_load", window), value


def _memory(root: Path) -> Figures:
    found = psutil.virtual_memory()._asdict()
    for kind in MEMORY_KINDS:
        if kind in found:
            yield ("soakd_host_memory_bytes", kind), found[kind]
    swap = procfs.swap_used(root)
    if swap is not None:
        yield ("soakd_host_memory_bytes", "swap_used"), swap


def _space(folder: Path) -> Figures:
    found = psutil.disk_usage(str(folder))
    yield ("soakd_host_disk_free_bytes",), found.free
    yield ("soakd_host_disk_size_bytes",), found.total


def _limits(root: Path) -> Figures:
    if cpu := cgroup.cpu(root):
        yield ("soakd_host_cgroup_cpu_limit_cores",), cpu.limit
        yield ("soakd_host_cgroup_throttled_seconds_total",), cpu.throttled_seconds
        yield ("soakd_host_cgroup_throttled_periods_total",), cpu.throttled_periods
    if memory := cgroup.memory(root):
        yield ("soakd_host_cgroup_memory_limit_bytes",), memory.limit
        if memory.used is not None:
            yield ("soakd_host_cgroup_memory_bytes",), memory.used


def _processes(kind: str, pids: Sequence[int]) -> Figures:
    """Yield the sums of some processes; one that has just ended has none."""
    files = threads = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            files += process.num_fds()
            threads += process.num_threads()
        except psutil.Error:
            continue
    yield ("soakd_process_open_fds", kind), files
    yield ("soakd_process_threads", kind), threads
