"""Control groups: quota, throttling and memory in the layouts that systems and containers have."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.observe import cgroup

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
HYBRID_V2 = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
# What kernel 6.12 writes for a group whose quota held it back.
STAT_V2 = """\
usage_usec 1996051
user_usec 1990311
system_usec 5740
core_sched.force_idle_usec 0
nr_periods 101
nr_throttled 98
throttled_usec 7868012
nr_bursts 0
burst_usec 0
"""
STAT_WITHOUT_CONTROLLER = "usage_usec 1996051\nuser_usec 1990311\nsystem_usec 5740\n"
STAT_V1 = "nr_periods 21\nnr_throttled 20\nthrottled_time 1656640959\nnr_bursts 0\nburst_time 0\n"


def machine(root: Path, files: Mapping[str, str]) -> Path:
    """Write files under a root and return it."""
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_a_service_with_limits_of_its_own(tmp_path: Path) -> None:
    """As systemd makes it with CPUQuota=150% and MemoryMax=512M."""
    group = "/sys/fs/cgroup/system.slice/soakd.service"
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/system.slice/soakd.service\n",
            "/proc/self/mountinfo": f"{V2}\n",
            f"{group}/cpu.max": "150000 100000\n",
            f"{group}/cpu.stat": STAT_V2,
            f"{group}/memory.max": "536870912\n",
            f"{group}/memory.current": "73400320\n",
            "/sys/fs/cgroup/system.slice/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/cpu.stat": STAT_WITHOUT_CONTROLLER,
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(1.5, 7.868012, 98)
    assert cgroup.memory(root) == cgroup.Memory(512 * 2**20, 70 * 2**20)


def test_a_container_sees_its_own_group_as_the_top(tmp_path: Path) -> None:
    """With a name space for control groups, which version 2 has by default."""
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": f"{V2}\n",
            "/sys/fs/cgroup/cpu.max": "50000 100000\n",
            "/sys/fs/cgroup/cpu.stat": STAT_V2,
            "/sys/fs/cgroup/memory.max": "max\n",
            "/sys/fs/cgroup/memory.current": "1048576\n",
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(0.5, 7.868012, 98)
    assert cgroup.memory(root) == cgroup.Memory(0, 1048576)


def test_the_limit_of_a_group_further_up_is_found(tmp_path: Path) -> None:
    """A session has none of its own; its slice has."""
    slice_ = "/sys/fs/cgroup/user.slice/user-1000.slice"
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
            "/proc/self/mountinfo": f"{V2}\n",
            f"{slice_}/session-3.scope/cpu.max": "max 100000\n",
            f"{slice_}/session-3.scope/cpu.stat": STAT_WITHOUT_CONTROLLER,
            f"{slice_}/session-3.scope/memory.max": "max\n",
            f"{slice_}/session-3.scope/memory.current": "100\n",
            f"{slice_}/cpu.max": "100000 50000\n",
            f"{slice_}/cpu.stat": STAT_V2,
            f"{slice_}/memory.max": "2000\n",
            f"{slice_}/memory.current": "300\n",
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(2, 7.868012, 98)
    assert cgroup.memory(root) == cgroup.Memory(2000, 300)


def test_without_a_limit_anywhere_it_is_zero(tmp_path: Path) -> None:
    """And what is used is soakd's own group's."""
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/user.slice/session-3.scope\n",
            "/proc/self/mountinfo": f"{V2}\n",
            "/sys/fs/cgroup/user.slice/session-3.scope/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/user.slice/session-3.scope/cpu.stat": STAT_WITHOUT_CONTROLLER,
            "/sys/fs/cgroup/user.slice/session-3.scope/memory.max": "max\n",
            "/sys/fs/cgroup/user.slice/session-3.scope/memory.current": "100\n",
            "/sys/fs/cgroup/user.slice/memory.max": "max\n",
            "/sys/fs/cgroup/user.slice/memory.current": "300\n",
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(0, 0, 0)
    assert cgroup.memory(root) == cgroup.Memory(0, 100)


@pytest.mark.parametrize("path", ["/../soakd.scope", "/elsewhere"])
def test_outside_of_what_the_container_is_shown_its_top_is_what_is_known(tmp_path: Path, path: str) -> None:
    """The path of another name space leads nowhere, and above all not out of the mount."""
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": f"0::{path}\n",
            "/proc/self/mountinfo": V2.replace("0:26 /", "0:26 /kubepods/pod1") + "\n",
            "/sys/fs/cgroup/cpu.max": "25000 100000\n",
            "/sys/fs/cgroup/cpu.stat": STAT_V2,
            "/sys/fs/soakd.scope/cpu.max": "99 1\n",
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(0.25, 7.868012, 98)


def test_version_1_with_the_path_of_the_machine_in_a_container(tmp_path: Path) -> None:
    """Without a name space of its own a container reads the machine's path, and mounts that part."""
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "4:memory:/docker/c0ffee\n2:cpu,cpuacct:/docker/c0ffee\n1:name=systemd:/x\n",
            "/proc/self/mountinfo": "\n".join(
                line.replace(" / /sys", " /docker/c0ffee /sys") for line in (V1_CPU, V1_MEMORY)
            ),
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "20000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.stat": STAT_V1,
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes": "1142784\n",
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(0.2, 1.656640959, 20)
    assert cgroup.memory(root) == cgroup.Memory(268435456, 1142784)


def test_a_controller_is_looked_for_in_the_hierarchy_that_has_it(tmp_path: Path) -> None:
    """Recorded on a machine that mixes both versions: no quota, no limit, the largest number for none."""
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "4:memory:/api/336d\n3:cpuset:/\n2:cpuacct:/\n1:cpu,cpuacct:/\n0::/\n",
            "/proc/self/mountinfo": f"{V1_CPU}\n{V1_MEMORY}\n{HYBRID_V2}\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
            "/sys/fs/cgroup/memory/api/336d/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/memory/api/336d/memory.usage_in_bytes": "42225664\n",
            "/sys/fs/cgroup/unified/cpu.stat": STAT_V2,
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(0, 0, 0)
    assert cgroup.memory(root) == cgroup.Memory(0, 42225664)


def test_the_root_of_version_2_does_not_tell_what_is_used(tmp_path: Path) -> None:
    """It has no limit and no files for one."""
    root = machine(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": f"{V2}\n",
            "/sys/fs/cgroup/cpu.stat": STAT_WITHOUT_CONTROLLER,
        },
    )
    assert cgroup.cpu(root) == cgroup.Cpu(0, 0, 0)
    assert cgroup.memory(root) == cgroup.Memory(0, None)


@pytest.mark.parametrize(
    "files",
    [{}, {"/proc/self/cgroup": "0::/a\n"}, {"/proc/self/cgroup": "", "/proc/self/mountinfo": f"{V2}\n"}],
    ids=["no proc", "no mount", "no group"],
)
def test_no_control_groups_are_no_error(tmp_path: Path, files: Mapping[str, str]) -> None:
    root = machine(tmp_path, files)
    assert cgroup.cpu(root) is None
    assert cgroup.memory(root) is None
