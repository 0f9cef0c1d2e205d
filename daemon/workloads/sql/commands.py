"""What a script is made of: plain data, which can be sent to another process."""

from typing import Literal, NamedTuple

from daemon.ops import Isolation
from daemon.workloads.sql.expression import Expression
from daemon.workloads.sql.generators import Generator
from daemon.workloads.sql.statement import Statement

Kind = Literal["read", "write"]


class Set(NamedTuple):
    """Give a variable the value of an expression."""

    line: int
    name: str
    expression: Expression


class Draw(NamedTuple):
    """Give a variable the next value of a generator."""

    line: int
    name: str
    generator: Generator


class Run(NamedTuple):
    """Run a statement.

    Attributes:
        line: where it begins.
        statement: what to run.
        into: prefix of the variables that its columns go to; None throws its rows away.
        exactly: whether it must give exactly one row; else the last one counts, if there is any.
    """

    line: int
    statement: Statement
    into: str | None = None
    exactly: bool = True


class Sleep(NamedTuple):
    """Wait: so many units, or as many as a variable says, of so many seconds each."""

    line: int
    amount: int | str
    unit: float


class If(NamedTuple):
    """Go on only if the condition holds."""

    line: int
    condition: Expression


class Elif(NamedTuple):
    """Else, go on if this condition holds."""

    line: int
    condition: Expression


class Else(NamedTuple):
    """Go on here if no condition held."""

    line: int


class Endif(NamedTuple):
    """The end of the last `If`."""

    line: int


class StartPipeline(NamedTuple):
    """From here on send statements without waiting for their results."""

    line: int


class EndPipeline(NamedTuple):
    """Wait for the results of all statements since `StartPipeline`."""

    line: int


Command = Set | Draw | Run | Sleep | If | Elif | Else | Endif | StartPipeline | EndPipeline


class Operation(NamedTuple):
    """One script or named statement of the user's: an operation of the workload.

    Attributes:
        name: label value in metrics and summaries.
        kind: `read` operations are run by readers, on connections that cannot write.
        weight: share among the operations of its kind, ≥ 0.
        commands: what to do, in this order; what begins and ends `whole` is left out.
        whole: all statements are one transaction. Else each is one of its own, unless they say otherwise.
        isolation: level of that transaction; empty: the server's default.
        prepared: statements are prepared once per connection, if the connection does that at all.
        place: the file, for messages.
    """

    name: str
    kind: Kind
    weight: float
    commands: tuple[Command, ...]
    whole: bool
    isolation: Isolation
    prepared: bool
    place: str
