"""Single keys from a terminal, without waiting for the end of a line."""

import os
import select
import termios
import time
import tty
from types import TracebackType
from typing import Any, Self, TextIO

from daemon.clock import Clock


class Keys:
    """Reads keys between `with` and its end; a stream that is no terminal has none."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        """Prepare; nothing is changed."""
        self._stream = stream
        self._clock = clock
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._before = termios.tcgetattr(self._stream)
            tty.setcbreak(self._stream)  # Ctrl-C keeps its meaning
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

    def quits(self, within: float) -> bool:
        """Wait so many s, or until q is pressed or the terminal is gone, which return True."""
        until = self._clock.now() + within
        while (left := until - self._clock.now()) > 0:
            if self._before is None:
                time.sleep(left)
            elif select.select([self._stream], [], [], left)[0]:
                keys = os.read(self._stream.fileno(), 64)
                if not keys or keys.lower().startswith(b"q"):
                    return True
        return False
