"""What is found out about a database file without opening it."""

from pathlib import Path

import pytest

from daemon.backends.sqlite_file import check_file_system, check_library, read_mounts, remove
from daemon.errors import TargetError

MOUNTS = [
    "/dev/sda1 / ext4 rw 0 0",
    "server:/export /srv/share nfs4 rw 0 0",
    "/dev/sdb1 /srv/share/local xfs rw 0 0",
    r"//host/c /mnt/my\040disk cifs rw 0 0",
    "drvfs /mnt/c 9p rw 0 0",
]


@pytest.mark.parametrize("path", ["/srv/share/x.db", "/srv/share/a/b.db", "/mnt/my disk/x.db", "/mnt/c/x.db"])
def test_network_file_systems_are_refused(path: str) -> None:
    """The innermost mount decides."""
    with pytest.raises(TargetError, match=r"network file system .*choose a file on a local disk"):
        check_file_system(Path(path), MOUNTS)


@pytest.mark.parametrize("path", ["/x.db", "/srv/shared/x.db", "/srv/share/local/x.db", "/mnt/x.db"])
def test_local_file_systems_are_not(path: str) -> None:
    """Neither are folders whose names only begin alike."""
    check_file_system(Path(path), MOUNTS)


def test_a_later_mount_hides_an_earlier_one() -> None:
    """The last line for a place is the one in force."""
    check_file_system(Path("/a/x.db"), ["server:/a /a nfs rw 0 0", "/dev/sdc /a ext4 rw 0 0"])


def test_without_a_list_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    """Other systems than Linux have none; the list of this system can be read."""
    check_file_system(tmp_path / "x.db", [])
    check_file_system(tmp_path / "x.db", read_mounts())


@pytest.mark.parametrize("version", ["3.7.17", "3.40.1", "3.51.2"])
def test_libraries_that_may_damage_a_wal_are_refused(version: str) -> None:
    """Everything before the repair."""
    with pytest.raises(TargetError, match=version):
        check_library(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "3.54.1", "4.0.0"])
def test_repaired_libraries_are_accepted(version: str) -> None:
    """Everything from the repair on."""
    check_library(version)


def test_removing_takes_the_files_of_one_database_only(tmp_path: Path) -> None:
    """The WAL and its index go, a neighbour stays, and what is not there does no harm."""
    for name in ("a.db", "a.db-wal", "a.db-shm", "b.db", "a.db.bak"):
        (tmp_path / name).touch()
    remove(tmp_path / "a.db")
    remove(tmp_path / "a.db")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.db.bak", "b.db"]
