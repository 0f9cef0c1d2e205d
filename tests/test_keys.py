"""Keys from a terminal: q is seen whatever else is pressed, and however little time there is."""

import io
import os
import pty
from collections.abc import Iterator
from typing import TextIO

import pytest

from daemon.clock import SystemClock
from daemon.top.keys import Keys


class Tty:
    """A terminal, and who types at it."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "r")

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)


@pytest.fixture
def tty() -> Iterator[Tty]:
    opened = Tty()
    yield opened
    opened.stream.close()
    os.close(opened.master)


@pytest.mark.parametrize(("typed", "quits"), [(b"q", True), (b"Q", True), (b"x", False), (b"\x1b[A", False)])
def test_q_ends_and_other_keys_do_not(tty: Tty, typed: bytes, quits: bool) -> None:  # noqa: FBT001
    with Keys(tty.stream, SystemClock()) as keys:
        tty.type(typed)
        assert keys.quits(0.05) is quits


def test_a_key_is_seen_even_when_there_is_no_time_to_wait(tty: Tty) -> None:
    """On a machine that is so busy that each look takes longer than the interval."""
    with Keys(tty.stream, SystemClock()) as keys:
        assert keys.quits(0.0) is False
        tty.type(b"q")
        assert keys.quits(0.0) is True
        tty.type(b"q")
        assert keys.quits(-1.0) is True


def test_q_behind_other_keys_is_seen(tty: Tty) -> None:
    with Keys(tty.stream, SystemClock()) as keys:
        tty.type(b"xq")
        assert keys.quits(0.0) is True


def test_a_terminal_that_is_gone_ends() -> None:
    """As when the connection is lost and nobody has sent a signal."""
    tty = Tty()
    with Keys(tty.stream, SystemClock()) as keys:
        os.close(tty.master)
        assert keys.quits(5.0) is True
    tty.stream.close()


def test_without_a_terminal_there_is_only_time() -> None:
    clock = SystemClock()
    with Keys(io.StringIO("q"), clock) as keys:
        began = clock.now()
        assert keys.quits(0.02) is False
        assert clock.now() - began >= 0.02
