"""The process's standard streams: always there, and never the reason why a command ends."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Outlet(io.FileIO):
    """Standard output or error whose reader may leave: what comes then goes nowhere.

    So the exit code is always the command's own. `soakd verify | head -1` fails when rows are
    missing, however little of the answer was read, and `soakd config schema | head -1` does not
    fail. What a full disk does not take is lost as well, but what comes later is tried again: the
    log of a long run goes on when there is room.

    Attributes:
        problem: why the last thing written was lost, if somebody was to read it; else None.
    """

    problem: str | None = None

    def write(self, data: "ReadableBuffer") -> int:
        """Write, or pretend to."""
        try:
            written = super().write(data)
        except BrokenPipeError:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that was closed
                self.problem = error.strerror
            return memoryview(data).nbytes
        self.problem = None
        return written


def unwritten() -> str | None:
    """Write what standard output still holds; return why it was not taken, or None when it was."""
    sys.stdout.flush()
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return outlet.problem if isinstance(outlet, Outlet) else None


def open_streams() -> None:
    """See that the three standard streams are open: else a socket or a database becomes one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # A stream that is not the process's own was put there by whoever called us, to catch what is said.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _outlet(1, sys.stdout, "strict")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _outlet(2, sys.stderr, "backslashreplace")


def _outlet(number: int, old: TextIO | None, errors: str) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(Outlet(number, "w", closefd=False)),
        encoding=old.encoding if old else "utf-8",
        errors=(old and old.errors) or errors,
        line_buffering=number == 2 or (old is not None and old.isatty()),
    )
