"""The verdict on a run: what is worst decides how it ends."""

import signal

import pytest

from daemon.control.conduct import verdict
from daemon.control.settle import Books
from daemon.control.signals import Signals
from daemon.errors import DataLossError, ExitCode, TargetError, UsageError

FULL = UsageError("summary out.json: cannot be written (No space left on device); it was shown instead")


@pytest.mark.parametrize(
    ("lost", "problem", "error"),
    [(1, "gone", DataLossError), (0, "gone", TargetError), (0, None, UsageError)],
)
def test_what_is_worst_is_told(lost: int, problem: str | None, error: type[Exception]) -> None:
    """Rows that are gone weigh more than books that stay open, and those more than a full disk."""
    with pytest.raises(error):
        verdict(Books({}, lost, problem), (), (), Signals(), FULL)


def test_a_second_signal_is_told_though_the_summary_could_not_be_written() -> None:
    """Whoever sent it wants to see it in the exit code."""
    signals = Signals()
    signals.second = signal.SIGTERM
    assert (
        verdict(Books({}, 0, "the second signal came first"), (), (), signals, FULL) == 128 + signal.SIGTERM
    )


def test_a_run_without_fault_ends_well() -> None:
    """Nothing is lost, nothing open, everything written."""
    assert verdict(Books({}, 0, None), (), (), Signals(), None) == ExitCode.OK
