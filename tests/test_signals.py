"""Being told to stop: which signals ask, which demand, and which are left alone."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from daemon.control.signals import Signals


@contextmanager
def handler(number: signal.Signals, how: signal.Handlers) -> Iterator[None]:
    """Treat a signal in a way for as long as the context lasts."""
    before = signal.signal(number, how)
    try:
        yield
    finally:
        signal.signal(number, before)


def receive(*numbers: signal.Signals) -> Signals:
    """Return what became of signals that came one after the other."""

    async def main() -> Signals:
        signals = Signals()
        async with AsyncExitStack() as stack:
            signals.install(stack)
            for number in numbers:
                signal.raise_signal(number)
                await asyncio.sleep(0.01)
        return signals

    return asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_gives_the_reason(number: signal.Signals) -> None:
    signals = receive(number)
    assert signals.stop.is_set()
    assert not signals.abort.is_set()
    assert (signals.reason, signals.second) == (number.name, 0)


def test_the_second_signal_demands_and_is_remembered() -> None:
    signals = receive(signal.SIGTERM, signal.SIGINT)
    assert signals.abort.is_set()
    assert (signals.reason, signals.second) == ("SIGTERM", signal.SIGINT)


def test_without_a_signal_the_time_is_the_reason() -> None:
    signals = receive()
    assert not signals.stop.is_set()
    assert signals.reason == "duration"


def test_under_nohup_a_closed_terminal_is_not_heard() -> None:
    with handler(signal.SIGHUP, signal.SIG_IGN):
        assert not receive(signal.SIGHUP).stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_afterwards_the_signals_are_as_before() -> None:
    receive(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
