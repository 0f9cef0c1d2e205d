"""Starting engine processes. Imports little: they are to load their libraries while we load ours."""

import asyncio
import mmap
import os
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).parents[2]
# The package's own folder comes last and the current one not at all: a file of the user's
# called random.py is not to be imported by a load generator that was started beside it.
BOOT = "import sys; sys.path.append(sys.argv[1]); from daemon.load.engine import main; main()"
COUNTERS_SIZE = mmap.PAGESIZE
# What a terminal or a service manager sends to every process of a group: the supervisor answers
# it for all. A new process inherits the mask, so it is deaf to them from its first instruction on.
NOT_FOR_ENGINES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EngineProcess(NamedTuple):
    """A process that waits for its plan, and what connects it to this one.

    Attributes:
        process: the process; it ends by itself when the socket is closed.
        socket: where messages go.
        counters: its counters of rows, which outlive it.
        stderr: what it writes there, to be read when it has died.
    """

    process: asyncio.subprocess.Process
    socket: socket.socket
    counters: mmap.mmap
    stderr: IO[bytes]


def kill(process: asyncio.subprocess.Process) -> None:
    """End a process the hard way.

    `process.kill()` would first look whether it has ended, and with that take its exit status from
    the thread of asyncio that waits for it, which then complains of an unknown process.
    """
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


async def start_engine() -> EngineProcess:
    """Start an engine process.

    Raises:
        OSError: there is no process, descriptor or disk space for it now.
    """
    ours, theirs = socket.socketpair()
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - a file never makes the engine wait; it lives as long as that
    with tempfile.TemporaryFile() as file, theirs:
        file.write(bytes(COUNTERS_SIZE))  # not only a hole: on a full disk that would be a SIGBUS later
        file.flush()
        counters = mmap.mmap(file.fileno(), COUNTERS_SIZE)
        # Blocking and unblocking, not restoring an older mask: several may be started at once.
        signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_ENGINES)
        try:
            process = await _spawn(theirs.fileno(), file.fileno(), stderr)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_ENGINES)
    return EngineProcess(process, ours, counters, stderr)


async def _spawn(channel: int, counters: int, stderr: IO[bytes]) -> asyncio.subprocess.Process:
    """Start the process with these descriptors for its messages and its counters."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        BOOT,
        str(ROOT),
        str(channel),
        str(counters),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=(channel, counters),
        # Each thread of a BLAS pool costs memory, and nothing here multiplies matrices.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
