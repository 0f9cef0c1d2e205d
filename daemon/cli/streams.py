"""The process's standard streams: always there, and never the reason why a command ends."""

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
    fail. Other errors, as those of a full disk, are raised.
    """

    def write(self, data: "ReadableBuffer") -> int:
        """Write, or pretend to."""
        try:
            return super().write(data)
        except BrokenPipeError:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            return super().write(data)


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
