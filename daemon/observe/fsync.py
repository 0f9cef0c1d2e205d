"""How long the disk takes to make 4 KiB durable, tried now and then beside the load."""

import asyncio
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from daemon import log
from daemon.clock import Clock
from daemon.observe.disk import device_of, is_in_memory
from daemon.record.histogram import Histogram

FILE = ".soakd-fsync"
BLOCK = bytes(4096)
CLOSE_WITHIN = 2.0  # s that a probe under way gets when soakd ends


class FsyncProbe:
    """Writes and fsyncs a block of a file of its own in a folder, and keeps the times.

    In a thread, so a slow disk keeps nobody waiting; the next probe is due `interval` s after
    the one before has ended, so there are never two. Failures (a read-only folder, a disk
    error) are logged once per stretch of them and tried again. On a file system in memory
    nothing is tried. Memory: one histogram.
    """

    def __init__(self, folder: Path, *, clock: Clock, interval: float, root: Path) -> None:
        """Prepare; nothing is written.

        Args:
            folder: where to write. A file that a killed soakd left there is taken over.
            clock: tells the time.
            interval: pause between two probes, s.
            root: root of the file system, for /proc.
        """
        self.times = Histogram()
        self._folder = folder
        self._clock = clock
        self._interval = interval
        self._root = root
        self._stop = asyncio.Event()
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End, and remove the file."""
        self._stop.set()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=CLOSE_WITHIN)
        self._task.cancel()
        await asyncio.wait({self._task})
        with suppress(OSError):  # what cannot be removed is taken over by the next run
            await asyncio.to_thread((self._folder / FILE).unlink, missing_ok=True)

    async def _run(self) -> None:
        if await asyncio.to_thread(self._in_memory):
            log.write("info", "fsync_probe.off", {"folder": str(self._folder), "reason": "is in memory"})
            return
        while not self._stop.is_set():
            await self._probe()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._interval)

    async def _probe(self) -> None:
        try:
            self.times.add(await asyncio.to_thread(write_and_fsync, self._folder / FILE, self._clock))
            self._failing = False
        except OSError as error:
            if not self._failing:
                why = error.strerror or str(error)
                log.write("warning", "fsync_probe.failed", {"folder": str(self._folder), "reason": why})
            self._failing = True

    def _in_memory(self) -> bool:
        device = device_of(self._folder)
        return device is not None and is_in_memory(device, self._root)


def write_and_fsync(file: Path, clock: Clock) -> float:
    """Overwrite the first 4 KiB of a file durably and return how long that took, s.

    What has to be done once (make the file, give it a block) is done before and not timed.
    macOS' fsync does not wait for the drive's own cache.

    Raises:
        OSError: it cannot be done; a symbolic link is refused too.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_size < len(BLOCK):
            os.pwrite(handle, BLOCK, 0)
            os.fsync(handle)
        began = clock.now()
        os.pwrite(handle, BLOCK, 0)
        os.fsync(handle)
        return clock.now() - began
    finally:
        os.close(handle)


def temporary_folder() -> Path:
    """Return a folder for the probe where the target has none here: `soakd-UID` in TMPDIR or /tmp.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    folder = Path(tempfile.gettempdir()) / f"soakd-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    return folder
