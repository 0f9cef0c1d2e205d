"""Running a shell command beside the load: bounded in time and in what is kept of its output."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import NamedTuple

KEPT = 2000  # bytes of output, the last ones
CHUNK = 4096  # bytes that are read at once
REAPED_WITHIN = 1.0  # s from the kill on


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        exit_code: of the shell, negative for a signal; None when there was none in time.
        error: why it is not what was wanted, with its last words; None when the code is 0.
    """

    exit_code: int | None
    error: str | None


async def run_shell(command: str, timeout: float) -> Outcome:  # noqa: ASYNC109 - kills, and does not only stop waiting
    """Run a command with `sh -c`, in a session of its own, which Ctrl-C on the terminal does not reach.

    It lasts until it has ended and nobody holds its output any more. What it has started is killed with
    it: when it ends, after `timeout` s, or when the caller is cancelled. Memory: `KEPT` bytes.
    """
    try:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(None, f"cannot be started: {error.strerror}")
    said = bytearray()
    try:
        async with asyncio.timeout(timeout):
            await _listen(process.stdout, said)
            code = await process.wait()
    except TimeoutError:
        return Outcome(None, f"killed after {timeout:g} s{_words(said)}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):  # of what has left the group and holds the output, nothing is waited for
            await asyncio.wait_for(process.wait(), REAPED_WITHIN)
    return Outcome(code, f"exit code {code}{_words(said)}" if code else None)


async def _listen(stream: asyncio.StreamReader | None, said: bytearray) -> None:
    """Take all output, so that the command never waits for us, and keep its end."""
    while stream is not None and (chunk := await stream.read(CHUNK)):
        said += chunk
        del said[:-KEPT]


def _words(said: bytearray) -> str:
    """Return the last line of what was said, for a message."""
    lines = said.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last}" if last else ""
