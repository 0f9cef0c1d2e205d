"""From a script's commands to something that runs: everything that can be is worked out beforehand."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from daemon.backends.base import Dialect
from daemon.errors import OpError, UsageError
from daemon.ops import ScriptTx, Values
from daemon.workloads.sql.commands import (
    Draw,
    Elif,
    Else,
    Endif,
    EndPipeline,
    If,
    Operation,
    Run,
    Set,
    Sleep,
    StartPipeline,
)
from daemon.workloads.sql.drawing import Surroundings, drawing
from daemon.workloads.sql.evaluate import Variables, compiled
from daemon.workloads.sql.functions import ScriptError, Value, integer, truth

Parameters = Callable[[Variables], Sequence[Any]]

SET, RUN, RUN_UNPREPARED, TAKE, QUEUE, SEND, PAUSE, UNLESS, GO = range(9)
Step = tuple[int, Any, Any]


class Program:
    """The steps of one operation.

    Attributes:
        steps: what to do: a code, and what that needs.
        lines: the line of each step.
        place: the file.
    """

    __slots__ = ("lines", "place", "steps")

    def __init__(
        self, operation: Operation, dialect: Dialect, fixed: Mapping[str, Value], around: Surroundings
    ) -> None:
        """Compile an operation.

        Args:
            operation: what to do.
            dialect: how parameters are marked, and travel.
            fixed: variables that no operation sets.
            around: what generators need.

        Raises:
            UsageError: an expression can have no value.
        """
        self.place = operation.place
        self.steps: list[Step] = []
        self.lines: list[int] = []
        compiler = _Compiler(operation, dialect, fixed, around)
        for command in operation.commands:
            try:
                compiler.add(command)
            except ScriptError as error:
                raise UsageError(f"{operation.place}:{command.line}: {error}") from None
            self.lines += [command.line] * (len(compiler.steps) - len(self.lines))
        self.steps = compiler.steps

    async def run(self, tx: ScriptTx, variables: Variables, rng: Random) -> None:
        """Run it in a transaction, or outside one.

        Raises:
            OpError: the database refused a statement, or an expression has no value; it tells the line.
        """
        steps = self.steps
        number, end = 0, len(steps)
        queue: list[tuple[str, Sequence[Any]]] = []
        try:
            while number < end:
                code, what, how = steps[number]
                number += 1
                if code == SET:
                    variables[what] = how(variables, rng)
                elif code == RUN:
                    await tx.perform(what, how(variables))
                elif code == UNLESS:
                    number = number if truth(how(variables, rng)) else what
                elif code == GO:
                    number = what
                elif code == QUEUE:
                    queue.append((what, how(variables)))
                elif code == SEND:
                    sent, queue = queue, []
                    await tx.pipeline(sent)
                else:
                    await self._rarer(tx, variables, steps[number - 1])
        except OpError as error:
            error.args = (f"{self.place}:{self.lines[number - 1]}: {error}",)
            raise

    async def _rarer(self, tx: ScriptTx, variables: Variables, step: Step) -> None:
        code, what, how = step
        if code == RUN_UNPREPARED:
            await tx.perform(what, how(variables), keep=False)
        elif code == PAUSE:
            await tx.pause(max(0, integer(what(variables))) * how)
        else:
            sql, into, exactly = what
            names, rows = await tx.execute_named(sql, how(variables))
            _take(variables, names, rows, into, exactly=exactly)


def _take(
    variables: Variables, names: Sequence[str], rows: Sequence[Values], into: str, *, exactly: bool
) -> None:
    if exactly and len(rows) != 1:
        raise ScriptError(f"\\gset wants one row, and there are {len(rows)}")
    if rows:
        variables.update((into + name, _value(value)) for name, value in zip(names, rows[-1], strict=True))


def _value(found: object) -> Value:
    """Return what a column held as a variable keeps it: other than numbers and booleans it is text."""
    return found if found is None or isinstance(found, int | float | str) else str(found)


class _Compiler:
    """Gathers the steps of one operation; jumps get their targets once these are known."""

    def __init__(
        self, operation: Operation, dialect: Dialect, fixed: Mapping[str, Value], around: Surroundings
    ) -> None:
        self.steps: list[Step] = []
        self._dialect = dialect
        self._fixed = fixed
        self._around = around
        self._prepared = operation.prepared
        self._queues = False
        self._waiting: list[tuple[int | None, list[int]]] = []
        r"""For each \if: the step that jumps when its condition fails, and those at the ends of branches."""

    def add(self, command: object) -> None:
        match command:
            case Set(_, name, expression):
                self._step(SET, name, compiled(expression, self._fixed))
            case Draw(_, name, generator):
                self._step(SET, name, drawing(generator, self._around))
            case Run():
                self._run(command)
            case Sleep(_, amount, unit):
                self._step(PAUSE, _amount(amount), unit)
            case StartPipeline():
                self._queues = True
            case EndPipeline():
                self._queues = False
                self._step(SEND, None, None)
            case _:
                self._branch(command)

    def _step(self, code: int, what: object, how: object) -> None:
        self.steps.append((code, what, how))

    def _run(self, command: Run) -> None:
        sql = command.statement.text(self._dialect.placeholder)
        parameters = _parameters(command.statement.names, self._dialect)
        if self._queues:
            self._step(QUEUE, sql, parameters)
        elif command.into is not None:
            # the null backend has no rows to give
            exactly = command.exactly and self._dialect.name != "null"
            self._step(TAKE, (sql, command.into, exactly), parameters)
        else:
            self._step(RUN if self._prepared else RUN_UNPREPARED, sql, parameters)

    def _branch(self, command: object) -> None:
        match command:
            case If(_, condition):
                self._waiting.append((len(self.steps), []))
                self._step(UNLESS, None, compiled(condition, self._fixed))
            case Elif(_, condition):
                ends = self._next_branch()
                self._waiting.append((len(self.steps), ends))
                self._step(UNLESS, None, compiled(condition, self._fixed))
            case Else():
                self._waiting.append((None, self._next_branch()))
            case Endif():
                failed, ends = self._waiting.pop()
                for number in (*ends, *([] if failed is None else [failed])):
                    self._aim(number)

    def _next_branch(self) -> list[int]:
        r"""End a branch with a jump to the \endif; return all such jumps of this \\if."""
        failed, ends = self._waiting.pop()
        ends.append(len(self.steps))
        self._step(GO, None, None)
        if failed is not None:
            self._aim(failed)
        return ends

    def _aim(self, number: int) -> None:
        """Make a jump lead to the next step."""
        code, _, how = self.steps[number]
        self.steps[number] = (code, len(self.steps), how)


def _amount(amount: int | str) -> Callable[[Variables], Value]:
    if isinstance(amount, int):
        return lambda variables: amount  # noqa: ARG005 - as the other one
    read = _parameters((amount,), None)
    return lambda variables: read(variables)[0]


def _parameters(names: Sequence[str], dialect: Dialect | None) -> Parameters:
    """Return the function that takes a statement's parameters from the variables.

    To PostgreSQL they go as texts of no type, as pgbench sends them: the server then infers the
    type from the place. SQLite has no such inference, and gets them as they are.
    """
    if not names:
        return lambda variables: ()  # noqa: ARG005 - as the others

    def natives(variables: Variables) -> Sequence[Any]:
        try:
            return [variables[name] for name in names]
        except KeyError as error:
            raise ScriptError(f"the variable {error.args[0]} is not set yet") from None

    def texts(variables: Variables) -> Sequence[Any]:
        try:
            return [str(value) if type(value := variables[name]) is int else text(value) for name in names]
        except KeyError as error:
            raise ScriptError(f"the variable {error.args[0]} is not set yet") from None

    return texts if dialect is not None and dialect.name == "postgres" else natives


def text(value: Value) -> str | None:
    """Return a value as pgbench sends it; NULL is None."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    return None if value is None else str(value)
