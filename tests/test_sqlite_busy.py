"""Waiting for locks, in virtual time."""

import time

import pytest

from daemon.backends.sqlite_busy import LONGEST, SHORTEST, BusyHandler
from tests.virtual import VirtualClock

INFINITY = float("inf")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """A clock that sleeping moves."""
    clock = VirtualClock()

    def sleep(seconds: float) -> None:
        clock.time += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    return clock


def tries(handler: BusyHandler) -> int:
    """Ask until the handler gives up; return how often it wanted to go on."""
    number = 0
    while handler(number):
        number += 1
        assert number < 10_000
    return number


def test_it_waits_as_long_as_it_has_patience(clock: VirtualClock) -> None:
    """Not a try longer, in pauses that grow up to a bound."""
    handler = BusyHandler(1.0, lambda: INFINITY, clock)
    began = clock.now()
    assert 1 / LONGEST <= tries(handler) <= 1 / LONGEST + 10
    assert clock.now() - began == pytest.approx(1.0)
    handler.settle()
    assert handler.waits.count == 1
    assert handler.waits.sum == pytest.approx(1.0)


def test_the_first_pause_is_short(clock: VirtualClock) -> None:
    """Most locks are free again at once."""
    handler = BusyHandler(1.0, lambda: INFINITY, clock)
    began = clock.now()
    assert handler(0)
    assert clock.now() - began == pytest.approx(SHORTEST)


def test_it_gives_up_at_the_deadline(clock: VirtualClock) -> None:
    handler = BusyHandler(5.0, lambda: 1000.1, clock)
    tries(handler)
    assert clock.now() == pytest.approx(1000.1)


def test_without_patience_there_is_no_wait_and_none_is_noted(clock: VirtualClock) -> None:
    handler = BusyHandler(0.0, lambda: INFINITY, clock)
    assert not handler(0)
    handler.settle()
    assert clock.now() == 1000.0
    assert handler.waits.count == 0


def test_only_waiting_takes_of_the_patience(clock: VirtualClock) -> None:
    """A checkpoint waits, copies for long, and waits again."""
    handler = BusyHandler(1.0, lambda: INFINITY, clock)
    assert handler(0)
    clock.time += 60.0
    assert handler(1)


def test_each_statement_has_patience_of_its_own_and_is_noted(clock: VirtualClock) -> None:
    handler = BusyHandler(1.0, lambda: INFINITY, clock)
    for _ in range(3):
        tries(handler)
    handler.settle()
    handler.settle()
    assert handler.waits.count == 3
    assert handler.waits.sum == pytest.approx(3.0)
