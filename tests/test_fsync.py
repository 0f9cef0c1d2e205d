"""The fsync probe: real files, one at a time, no file left, one line for each stretch of failures."""

import asyncio
import io
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from daemon import log
from daemon.clock import SystemClock
from daemon.observe import fsync
from daemon.observe.disk import device_of
from daemon.observe.fsync import FILE, FsyncProbe, temporary_folder

INTERVAL = 0.005  # s


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged meanwhile, as JSON lines."""
    root = logging.getLogger()
    before = (root.handlers, root.level)
    stream = io.StringIO()
    log.configure(level="info", fmt="json", stream=stream)
    yield stream
    root.handlers, root.level = before
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def probing(
    folder: Path, watch: Callable[[FsyncProbe], Awaitable[None]], *, root: Path = Path("/nowhere")
) -> FsyncProbe:
    """Let a probe go while something watches it."""

    async def run() -> FsyncProbe:
        probe = FsyncProbe(folder, clock=SystemClock(), interval=INTERVAL, root=root)
        probe.start()
        probe.start()
        try:
            await watch(probe)
        finally:
            await probe.close()
        return probe

    return asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.002)


def test_times_are_kept_and_the_file_is_removed_at_the_end(tmp_path: Path) -> None:
    async def watch(probe: FsyncProbe) -> None:
        await until(lambda: probe.times.count >= 3)
        assert (tmp_path / FILE).stat().st_size == 4096
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600

    probe = probing(tmp_path, watch)
    assert 0 < probe.times.min <= probe.times.max < 10
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_soakd_left_is_taken_over_and_removed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"left")

    async def watch(probe: FsyncProbe) -> None:
        await until(lambda: probe.times.count >= 1)

    probing(tmp_path, watch)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk_gets_one_probe_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one waits until the one before has ended, and the time is that of the slow one."""
    release, entered, real = threading.Event(), [0], os.fsync

    def slow(handle: int) -> None:
        entered[0] += 1
        assert release.wait(10)
        real(handle)

    (tmp_path / FILE).write_bytes(bytes(4096))
    monkeypatch.setattr(os, "fsync", slow)

    async def watch(probe: FsyncProbe) -> None:
        await until(lambda: entered[0] == 1)
        began = time.monotonic()
        await asyncio.sleep(20 * INTERVAL)
        assert entered[0] == 1
        assert probe.times.count == 0
        waited = time.monotonic() - began
        release.set()
        await until(lambda: probe.times.count >= 2)
        assert probe.times.max >= waited

    probing(tmp_path, watch)


def test_an_end_does_not_wait_long_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is removed all the same, and what is still under way cannot bring it back."""
    release = threading.Event()
    hanging = threading.Event()

    def hang(_handle: int) -> None:
        hanging.set()
        release.wait(20)

    monkeypatch.setattr(os, "fsync", hang)
    monkeypatch.setattr(fsync, "CLOSE_WITHIN", 0.05)

    async def run() -> float:
        probe = FsyncProbe(tmp_path, clock=SystemClock(), interval=INTERVAL, root=Path("/nowhere"))
        probe.start()
        await until(hanging.is_set)
        began = time.monotonic()
        await probe.close()
        took = time.monotonic() - began
        release.set()
        return took

    assert asyncio.run(run()) < 5
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_once_and_tried_again(
    tmp_path: Path, logged: io.StringIO
) -> None:
    """A second stretch of failures is told again."""
    folder = tmp_path / "data"

    async def fails_and_recovers(probe: FsyncProbe, stretch: int) -> None:
        await until(lambda: len(events(logged)) == stretch)
        await asyncio.sleep(10 * INTERVAL)
        assert len(events(logged)) == stretch
        before = probe.times.count
        folder.mkdir()
        await until(lambda: probe.times.count > before)

    async def watch(probe: FsyncProbe) -> None:
        await fails_and_recovers(probe, 1)
        folder.rename(tmp_path / "moved away")
        await fails_and_recovers(probe, 2)

    probing(folder, watch)
    assert {event["event"] for event in events(logged)} == {"fsync_probe.failed"}
    assert events(logged)[0]["folder"] == str(folder)
    assert events(logged)[0]["reason"] == "No such file or directory"


def test_a_link_that_somebody_has_laid_there_is_not_followed(tmp_path: Path, logged: io.StringIO) -> None:
    """In a folder that others can write to, it could lead to a file that is not to be overwritten."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"x" * 5000)
    (tmp_path / FILE).symlink_to(precious)

    async def watch(probe: FsyncProbe) -> None:
        await until(lambda: bool(events(logged)))
        assert probe.times.count == 0

    probing(tmp_path, watch)
    assert precious.read_bytes() == b"x" * 5000


def test_in_memory_there_is_nothing_to_measure(tmp_path: Path, logged: io.StringIO) -> None:
    """On tmpfs it returns at once and would look like a very good disk."""
    root, folder = tmp_path / "root", tmp_path / "data"
    folder.mkdir()
    (root / "proc/self").mkdir(parents=True)
    line = f"25 30 {device_of(folder)} / /run rw,nosuid - tmpfs tmpfs rw\n"
    (root / "proc/self/mountinfo").write_text(line)

    async def watch(probe: FsyncProbe) -> None:
        await until(lambda: bool(events(logged)))
        await asyncio.sleep(5 * INTERVAL)

    probe = probing(folder, watch, root=root)
    assert probe.times.count == 0
    assert [event["event"] for event in events(logged)] == ["fsync_probe.off"]
    assert list(folder.iterdir()) == []


def test_the_temporary_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = temporary_folder()
    assert folder == temporary_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever laid it there chose where it leads."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"soakd-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="not a folder of this user"):
        temporary_folder()
