"""What one subject of the samples is: a statement for each version, and what its rows mean."""

from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg import errors

from daemon.record.snapshot import Snapshot

Rows = list[tuple[Any, ...]]

# The server has it not, or not for this user: what is left is as good without it.
NOT_OFFERED = (
    errors.InsufficientPrivilege,
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.FeatureNotSupported,
    errors.ObjectNotInPrerequisiteState,
)


class Topic(NamedTuple):
    """One statement of a sample.

    In the statement every column carries the alias of its view, so that a test can compare it with
    the columns that each version documents.

    Attributes:
        name: for messages.
        sql: gives the statement for a major version of the server.
        read: puts what its rows say into a snapshot.
        every: least time between two runs, s; in between the last rows are read again.
    """

    name: str
    sql: Callable[[int], str]
    read: Callable[[Rows, Snapshot], None]
    every: float = 0.0
