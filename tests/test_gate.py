"""The gate: readers come, the writer is called, and nobody waits for ever."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from daemon.backends.gate import Gate
from daemon.clock import SystemClock

PATIENCE = 10.0  # s until a test that hangs fails


class Calls:
    """A gate, and who was called."""

    def __init__(self, lanes: int, longest: float = PATIENCE) -> None:
        self.told: list[str] = []
        self.gate = Gate(
            lanes,
            longest,
            SystemClock(),
            call_readers=lambda: self.told.append("readers"),
            call_writer=lambda: self.told.append("writer"),
        )

    @contextmanager
    def readers(self, number: int) -> Iterator[list[threading.Thread]]:
        """Have so many lanes come to the gate; they are awaited at the end."""
        threads = [threading.Thread(target=self.gate.wait) for _ in range(number)]
        for thread in threads:
            thread.start()
        yield threads
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_an_open_gate_lets_everybody_through() -> None:
    """Nobody is called, nobody waits."""
    calls = Calls(2)
    with calls.readers(2):
        pass
    assert calls.told == []
    assert not calls.gate.ripe()


def test_the_writer_is_called_when_the_last_reader_has_come() -> None:
    """Until then it has nothing to look for; then they wait for it."""
    calls = Calls(3)
    calls.gate.close()
    calls.gate.close()
    assert calls.told == ["readers"]
    with calls.readers(2) as first:
        until(lambda: calls.gate._here == 2)
        assert not calls.gate.ripe()
        with calls.readers(1) as last:
            until(lambda: calls.told == ["readers", "writer"])
            assert calls.gate.ripe()
            assert all(thread.is_alive() for thread in [*first, *last])
            assert 0 < calls.gate.open() < PATIENCE
    assert not calls.gate.ripe()
    assert calls.told == ["readers", "writer"]


def test_readers_that_wait_go_on_by_themselves_in_time() -> None:
    """A lane does not come, or the writer does not: the writer is told, and the next try is a new one."""
    calls = Calls(3, longest=0.05)
    calls.gate.close()
    began = time.monotonic()
    with calls.readers(2):
        pass
    assert 0.04 <= time.monotonic() - began < PATIENCE
    assert calls.told == ["readers", "writer"]
    assert calls.gate.ripe()
    calls.gate.close()
    assert calls.told == ["readers", "writer"]  # first the writer has to look
    assert calls.gate.open() >= 0.04
    assert not calls.gate.ripe()
    calls.gate.close()
    assert calls.told == ["readers", "writer", "readers"]


def test_one_who_comes_after_the_time_does_not_wait() -> None:
    """All lanes were in long reads: the first to end goes on at once."""
    calls = Calls(1, longest=0.0)
    calls.gate.close()
    calls.gate.wait()
    assert calls.gate.ripe()


def test_a_retired_gate_stays_open() -> None:
    """Whoever waits goes on, and closing it has no effect."""
    calls = Calls(2)
    calls.gate.close()
    with calls.readers(1):
        until(lambda: calls.gate._here == 1)
        calls.gate.retire()
    calls.gate.close()
    with calls.readers(2):
        pass
    assert calls.told == ["readers"]


@pytest.mark.parametrize("lanes", [1, 4])
def test_it_works_again_and_again(lanes: int) -> None:
    """Lanes that come back while the one before is being opened are not lost."""
    calls = Calls(lanes)
    rounds = 200
    ended = threading.Event()

    def lane() -> None:
        while not ended.is_set():
            calls.gate.wait()

    threads = [threading.Thread(target=lane) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        calls.gate.close()
        until(calls.gate.ripe)
        calls.gate.open()
    ended.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert calls.told.count("readers") == rounds
