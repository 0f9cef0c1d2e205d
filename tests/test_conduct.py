"""The verdict on a run: what is worst decides how it ends."""

import signal

import pytest

from daemon.control.conduct import verdict
from daemon.control.settle import Books
from daemon.control.signals import Signals
from daemon.errors import DataLossError, ExitCode, TargetError, ThresholdError, UsageError

FULL = UsageError("summary out.json: cannot be written (No space left on device); it was shown instead")


@pytest.mark.parametrize(
    ("lost", "violated", "problem", "complaints", "error"),
    [
        (1, (), "gone", ("slow",), DataLossError),
        (0, ("sums",), "gone", ("slow",), DataLossError),
        (0, (), "gone", ("slow",), TargetError),
        (0, (), None, ("slow",), ThresholdError),
        (0, (), None, (), UsageError),
    ],
)
def test_what_is_worst_is_told(
    lost: int,
    violated: tuple[str, ...],
    problem: str | None,
    complaints: tuple[str, ...],
    error: type[Exception],
) -> None:
    """Wrong data weigh more than open books, those more than a threshold, that more than a full disk."""
    with pytest.raises(error):
        verdict(Books({}, lost, problem), violated, complaints, Signals(), FULL)


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
