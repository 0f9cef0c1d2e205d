"""The host collector: recorded machines against figures worked out by hand, and this machine."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.observe.disk import Activity, Way, activity, device_of
from daemon.observe.host import HostCollector
from daemon.observe.procfs import mounts, pressure, swap_used
from daemon.record.catalog import METRICS
from daemon.record.catalog_samples import HOST
from daemon.record.snapshot import Snapshot
from tests.test_cgroup import STAT_V2, V2, machine

# One line of 17 figures as kernels since 5.5 have it: reads, merged, sectors, ms; writes, merged,
# sectors, ms; in flight, busy ms, weighted ms; discards (4); flushes, ms.
DISK = (
    "   88282     9821  5565986    52627   134159    32582 10022560    25028        0    24804    82185"
    "    11998       37  2041128     1432    50231     3096\n"
)
PARTITION = "  1 0 8 1  1 0 8 1  0 1 1 0 0 0 0 0 0\n"
EXPECTED = Activity(
    Way(88282, 5565986 * 512, 52.627),
    Way(134159, 10022560 * 512, 25.028),
    24.804,
)
PSI = {
    "/proc/pressure/cpu": "some avg10=0.18 avg60=0.08 avg300=0.82 total=57604680\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "/proc/pressure/io": "some avg10=7.16 avg60=3.10 avg300=0.85 total=13437062\n"
    "full avg10=7.04 avg60=3.04 avg300=0.81 total=11256143\n",
    "/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=21\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
}
MEMINFO = "MemTotal: 1000 kB\nSwapCached: 5 kB\nSwapTotal:  2048 kB\nSwapFree: 1024 kB\nHugePages_Total: 0\n"


def sample(folder: Path, root: Path, engines: tuple[int, ...] = ()) -> Snapshot:
    """Take one sample."""

    async def once() -> Snapshot:
        collector = HostCollector(folder=folder, engines=lambda: engines, root=root, fsync_interval=60)
        try:
            return await collector.collect()
        finally:
            await collector.close()

    return asyncio.run(once())


def with_partition(root: Path, device: str) -> Path:
    """Lay out /sys as it is for the second partition of an NVMe disk."""
    disk = "sys/devices/pci0000:00/0000:00:1e.0/nvme/nvme0/nvme0n1"
    machine(
        root,
        {f"{disk}/stat": DISK, f"{disk}/nvme0n1p2/stat": PARTITION, f"{disk}/nvme0n1p2/partition": "2\n"},
    )
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block" / device).symlink_to(f"../../../{disk}/nvme0n1p2")
    return root


def test_a_partition_stands_for_its_disk(tmp_path: Path) -> None:
    """What else is done to the disk slows the data down as well. Sectors have 512 bytes, always."""
    assert activity("259:2", with_partition(tmp_path, "259:2")) == EXPECTED


def test_a_disk_without_partitions_is_itself(tmp_path: Path) -> None:
    root = machine(tmp_path, {"/sys/dev/block/254:0/stat": DISK})
    assert activity("254:0", root) == EXPECTED


def test_a_file_system_without_a_disk_of_its_own_has_no_figures(tmp_path: Path) -> None:
    """As tmpfs, overlayfs and network file systems: their device number belongs to no block device."""
    root = machine(tmp_path, {"/sys/dev/block/254:0/stat": DISK})
    assert activity("0:47", root) is None


def test_pressure_is_in_seconds_and_has_no_full_for_the_cpu(tmp_path: Path) -> None:
    assert pressure(machine(tmp_path, PSI)) == {
        ("cpu", "some"): 57.604680,
        ("io", "some"): 13.437062,
        ("io", "full"): 11.256143,
        ("memory", "some"): 0.000021,
        ("memory", "full"): 0.000007,
    }


def test_swap_in_use_is_what_is_not_free(tmp_path: Path) -> None:
    assert swap_used(machine(tmp_path, {"/proc/meminfo": MEMINFO})) == 2**20
    assert swap_used(tmp_path / "nowhere") is None


def test_mounts_are_read_with_and_without_optional_fields(tmp_path: Path) -> None:
    """A server's volume, whose source has a space in it, and a mount that is shared with others."""
    lines = (
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/my\\040root rw,errors=continue",
        "25 30 0:23 / /run rw,nosuid - tmpfs  rw,size=1640172k",
    )
    found = mounts(machine(tmp_path, {"/proc/self/mountinfo": "\n".join(lines)}))
    assert [tuple(mount) for mount in found] == [
        ("98:0", "/mnt1", "/mnt2", "ext3", "rw,errors=continue"),
        ("0:23", "/", "/run", "tmpfs", "rw,size=1640172k"),
    ]


def recorded(root: Path, folder: Path) -> Mapping[str, str]:
    """Return the files of a machine that has everything."""
    device = device_of(folder)
    return {
        **PSI,
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/mountinfo": f"{V2}\n",
        "/sys/fs/cgroup/cpu.max": "50000 100000\n",
        "/sys/fs/cgroup/cpu.stat": STAT_V2,
        "/sys/fs/cgroup/memory.max": "536870912\n",
        "/sys/fs/cgroup/memory.current": "73400320\n",
        f"/sys/dev/block/{device}/stat": DISK,
    }


async def first_with_fsync(collector: HostCollector) -> Snapshot:
    """Sample until the first fsync probe is in it."""
    give_up = time.monotonic() + 10
    while not (snapshot := await collector.collect()).histograms:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)
    return snapshot


def test_every_metric_of_the_table_has_a_figure_where_the_machine_has_everything(tmp_path: Path) -> None:
    """Under its name, with as many labels as the table says, as its type says."""
    folder = tmp_path / "data"
    folder.mkdir()
    root = machine(tmp_path / "root", recorded(tmp_path, folder))

    async def run() -> Snapshot:
        collector = HostCollector(folder=folder, engines=lambda: [os.getpid()], root=root)
        try:
            return await first_with_fsync(collector)
        finally:
            await collector.close()

    found = asyncio.run(run())
    for kind, keys in (
        ("counter", found.counters.keys()),
        ("gauge", found.gauges.keys()),
        ("histogram", found.histograms.keys()),
    ):
        assert {key[0] for key in keys} == {name for name, metric in HOST.items() if metric.kind == kind}
        assert all(len(key) - 1 == len(METRICS[key[0]].labels) for key in keys)
    assert found.counters["soakd_host_disk_bytes_total", "write"] == EXPECTED.write.bytes
    assert found.counters["soakd_host_disk_busy_seconds_total",] == EXPECTED.busy
    assert found.counters["soakd_host_pressure_seconds_total", "io", "full"] == 11.256143
    assert found.counters["soakd_host_cgroup_throttled_seconds_total",] == 7.868012
    assert found.gauges["soakd_host_cgroup_cpu_limit_cores",] == 0.5
    assert found.gauges["soakd_host_cgroup_memory_limit_bytes",] == 2**29
    assert found.gauges["soakd_host_memory_bytes", "swap_used"] == 2**20


def test_what_a_system_does_not_offer_has_no_series_and_is_no_error(tmp_path: Path) -> None:
    """Without /proc and /sys, as on macOS, what psutil knows is left."""
    found = sample(tmp_path / "not yet", tmp_path / "nothing")
    names = {key[0] for key in (*found.counters, *found.gauges)}
    missing = ("pressure", "disk", "cgroup")
    assert not [name for name in names if any(word in name for word in missing)]
    assert {"soakd_host_cpu_seconds_total", "soakd_host_load", "soakd_process_threads"} <= names


def test_this_machine_moves_its_figures(tmp_path: Path) -> None:
    """Work is seen in the CPU time, and free space is what the system says.

    The kernel says of idle and iowait that they may go down again.
    """
    cpu = "soakd_host_cpu_seconds_total"
    after = before = sample(tmp_path, Path("/"))

    def grown(*key: str) -> float:
        return after.counters[key] - before.counters[key]

    give_up = time.monotonic() + 20.0
    while grown(cpu, "user") + grown(cpu, "nice") < 0.3:  # the kernel counts in ticks, and not every one
        assert time.monotonic() < give_up, "a busy processor is not seen"
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        after = sample(tmp_path, Path("/"))
    assert all(grown(*key) >= 0 for key in after.counters if key not in {(cpu, "idle"), (cpu, "iowait")})
    stat = os.statvfs(tmp_path)
    assert after.gauges["soakd_host_disk_size_bytes",] == stat.f_blocks * stat.f_frsize
    assert 0 < after.gauges["soakd_host_disk_free_bytes",] <= after.gauges["soakd_host_disk_size_bytes",]
    memory = after.gauges["soakd_host_memory_bytes", "total"]
    assert 0 < after.gauges["soakd_host_memory_bytes", "available"] <= memory
    assert after.gauges["soakd_host_cpus",] == os.cpu_count()


def test_writing_is_seen_on_the_disk_of_the_folder(disk: Path) -> None:
    """4 MiB that were made durable must have reached it."""
    device = device_of(disk)
    assert device is not None
    before = activity(device, Path("/"))
    if before is None:
        pytest.skip(f"{disk} is on no disk of its own")
    with (disk / "file").open("wb") as file:
        file.write(os.urandom(4 * 2**20))
        file.flush()
        os.fsync(file.fileno())
    after = activity(device, Path("/"))
    assert after is not None
    assert after.write.bytes - before.write.bytes >= 4 * 2**20
    assert after.write.operations > before.write.operations


def test_files_and_threads_of_soakd_are_counted_by_process(tmp_path: Path) -> None:
    """Engines add up; one that is gone counts for nothing."""
    waits = "import sys, os; file = open(os.devnull); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        one = sample(tmp_path, Path("/"), (process.pid,)).gauges
        two = sample(tmp_path, Path("/"), (process.pid, process.pid)).gauges
        assert process.stdin
        process.stdin.close()
        process.wait()
    gone = sample(tmp_path, Path("/"), (process.pid,)).gauges
    assert one["soakd_process_open_fds", "engine"] >= 4
    assert one["soakd_process_threads", "engine"] == 1
    assert two["soakd_process_open_fds", "engine"] == 2 * one["soakd_process_open_fds", "engine"]
    assert gone["soakd_process_open_fds", "engine"] == gone["soakd_process_threads", "engine"] == 0
    assert gone["soakd_process_threads", "supervisor"] >= 1


def interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have psutil see the interfaces of a server with containers."""

    class Moved:
        def __init__(self, sent: int, received: int) -> None:
            self.bytes_sent, self.bytes_recv = sent, received

    every = {"lo": Moved(1, 2), "eth0": Moved(10, 20), "docker0": Moved(100, 200), "veth12": Moved(100, 200)}
    monkeypatch.setattr("psutil.net_io_counters", lambda *, pernic, nowrap: every)


def test_what_goes_through_network_cards_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of containers pass a virtual link and a bridge on their way to the card."""
    interfaces(monkeypatch)
    (tmp_path / "sys/class/net/eth0/device").mkdir(parents=True)
    found = sample(tmp_path, tmp_path).counters
    assert found["soakd_host_network_bytes_total", "receive"] == 20
    assert found["soakd_host_network_bytes_total", "transmit"] == 10


def test_without_a_network_card_all_but_loopback_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container every interface is virtual."""
    interfaces(monkeypatch)
    found = sample(tmp_path, tmp_path).counters
    assert found["soakd_host_network_bytes_total", "receive"] == 420
    assert found["soakd_host_network_bytes_total", "transmit"] == 210


def test_a_sample_costs_little(disk: Path) -> None:
    """Less than 5 ms of CPU; the least of several, since a busy machine disturbs them."""

    async def costs() -> list[float]:
        collector = HostCollector(folder=disk, engines=lambda: [os.getpid()], fsync_interval=60)
        await first_with_fsync(collector)
        found = []
        for _ in range(10):
            began = time.process_time()
            await collector.collect()
            found.append(time.process_time() - began)
        await collector.close()
        return found

    assert min(asyncio.run(costs())) < 0.005
