"""Exceptions, and the exit code that each of them ends the program with."""

from enum import IntEnum
from typing import Literal

ErrorClass = Literal[
    "serialization",
    "deadlock",
    "lock_timeout",
    "busy",
    "timeout",
    "connection",
    "constraint",
    "disk_full",
    "other",
]
ERROR_CLASSES: tuple[ErrorClass, ...] = (
    "serialization",
    "deadlock",
    "lock_timeout",
    "busy",
    "timeout",
    "connection",
    "constraint",
    "disk_full",
    "other",
)

# Failures that may succeed when the same work is tried again unchanged.
TRANSIENT: frozenset[ErrorClass] = frozenset(
    {"serialization", "deadlock", "lock_timeout", "busy", "timeout", "connection", "disk_full"}
)


SIGNALLED = 128
"""Exit codes above it are this and the number of the signal that came a second time."""


class ExitCode(IntEnum):
    """What the process says to the shell when it ends."""

    OK = 0
    BUG = 1
    USAGE = 2
    TARGET = 3
    THRESHOLD = 4
    DATA_LOSS = 5


class SoakdError(Exception):
    """A failure that a person can act on: one line that says what, where and what to do."""

    exit_code: int = ExitCode.BUG


class UsageError(SoakdError):
    """The command line or the configuration is wrong."""

    exit_code = ExitCode.USAGE


class TargetError(SoakdError):
    """The database cannot be reached, or cannot be used for a run."""

    exit_code = ExitCode.TARGET


class ThresholdError(SoakdError):
    """A run went well in itself, and its figures are not what was asked for."""

    exit_code = ExitCode.THRESHOLD


class DataLossError(SoakdError):
    """Rows that were acknowledged are missing, or rows are there that should not be."""

    exit_code = ExitCode.DATA_LOSS


class StoppedError(SoakdError):
    """A signal came before the load had begun: what was done so far stays, and can be gone on with."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class FailedError(SoakdError):
    """Several things went wrong: a line for each, and the exit code of the worst."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OpError(Exception):
    """One operation failed on the database.

    Attributes:
        error_class: why, as one of `ERROR_CLASSES`.
        in_doubt: True when the transaction may have been committed all the same
            (the connection was lost while COMMIT was under way).
        served: when the backend took the operation up, or None if it never did (s, monotonic).
    """

    def __init__(
        self,
        error_class: ErrorClass,
        message: str = "",
        *,
        in_doubt: bool = False,
        served: float | None = None,
    ) -> None:
        super().__init__(message or error_class)
        self.error_class: ErrorClass = error_class
        self.in_doubt = in_doubt
        self.served = served

    @property
    def transient(self) -> bool:
        """True when the same work may succeed on a later try."""
        return self.error_class in TRANSIENT


class Rejected(Exception):  # noqa: N818 - an expected business outcome, not an error
    """The operation ran and the business rules said no: its own outcome, never an error.

    Attributes:
        served: when the backend took the operation up (s, monotonic); None until it has said so.
    """

    served: float | None = None
