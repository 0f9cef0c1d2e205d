"""Single keys from a terminal, without waiting for the end of a line."""

import os
import select
import termios
import time
import tty
from contextlib import suppress
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
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

    def quits(self, within: float) -> bool:
        """Wait so many s, or until q is pressed or the terminal is gone, which return True.

        Also with no time at all what has been pressed is seen.
        """
        until = self._clock.now() + within
        while True:
            left = max(0.0, until - self._clock.now())
            if self._before is None:
                time.sleep(left)
            elif select.select([self._stream], [], [], left)[0]:
                if self._ends(self._stream.fileno()):
                    return True
                continue
            if self._clock.now() >= until:
                return False

    @staticmethod
    def _ends(handle: int) -> bool:
        try:
            keys = os.read(handle, 64)
        except OSError:  # the terminal is gone
            return True
        return not keys or b"q" in keys.lower()
