"""Scripts of pgbench: SQL statements between commands that begin with a backslash.

After PostgreSQL's documentation (https://www.postgresql.org/docs/15/pgbench.html, "Custom Scripts").
What that has and this has not is refused with its line and what to do instead.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from daemon.errors import UsageError
from daemon.ops import Isolation
from daemon.workloads.sql.commands import (
    Command,
    Elif,
    Else,
    Endif,
    EndPipeline,
    If,
    Kind,
    Operation,
    Run,
    Set,
    Sleep,
    StartPipeline,
)
from daemon.workloads.sql.expression import Expression, parse_expression
from daemon.workloads.sql.functions import ScriptError
from daemon.workloads.sql.statement import Piece, line_of, pieces, statement

_META = re.compile(r"\\(?P<name>[^\s\\]*)[ \t]*(?P<rest>(?:[^\\\n]|\\\n|\\(?!\n))*)\n?")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
NAME = re.compile(r"[^\W\d]\w*")
"""What variables are called."""
_UNITS: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_ELSEWHERE = {
    "shell": "run it beside soakd",
    "setshell": "give the value with sql.variables, or draw it with \\set",
    "setrandom": "write \\set name random(low, high)",
    "syncpipeline": "write \\endpipeline and \\startpipeline",
    ";": "write ; alone, since each statement is prepared on its own",
}


def parse_script(text: str, place: str) -> list[Command]:
    """Return the commands of a script, in its order.

    Args:
        text: the script.
        place: the file, for messages.

    Raises:
        UsageError: it cannot be run; one line with file and line.
    """
    return _Reader(text.replace("\r\n", "\n"), place).commands()


def operation(
    name: str,
    commands: Sequence[Command],
    place: str,
    *,
    kind: Kind | None = None,
    weight: float = 1.0,
    prepared: bool = True,
) -> Operation:
    """Return the operation that commands make: its kind, and whether it is one whole transaction.

    Args:
        name: what it is called.
        commands: what to do.
        place: the file, for messages.
        kind: whether it reads or writes; None to find out from its statements.
        weight: its share.
        prepared: whether statements are prepared.

    Raises:
        UsageError: the name cannot be a label, there is no statement, or transactions do not end.
    """
    if not _LABEL.fullmatch(name):
        raise UsageError(
            f"{place}: {name!r} cannot be an operation's name: at most 63 letters, digits, _ - ."
        )
    statements = [command.statement for command in commands if isinstance(command, Run)]
    if not statements:
        raise UsageError(f"{place}: there is no SQL statement in it")
    _check_transactions(commands, place)
    writes = any(one.writes for one in statements if not one.control)
    inner, level = _inside_one(commands)
    return Operation(
        name,
        kind or ("write" if writes else "read"),
        weight,
        tuple(commands if inner is None else inner),
        inner is not None,
        level,
        prepared,
        place,
    )


def _check_transactions(commands: Sequence[Command], place: str) -> None:
    open_since = depth = 0
    for command in commands:
        depth += isinstance(command, If) - isinstance(command, Endif)
        control = _control(command)
        if control is None:
            continue
        at = f"{place}:{command.line}"
        if depth:
            raise UsageError(f"{at}: a transaction cannot begin or end inside \\if; put it around the \\if")
        if (control == "begin") == bool(open_since):
            state = "has begun already" if open_since else "has not begun"
            raise UsageError(f"{at}: the transaction {state}")
        if control != "begin" and isinstance(command, Run) and command.statement.level != "":
            raise UsageError(f"{at}: only COMMIT, END, ROLLBACK or ABORT can end a transaction here")
        open_since = command.line if control == "begin" else 0
    if open_since:
        raise UsageError(f"{place}:{open_since}: this transaction does not end; add END;")


def _inside_one(commands: Sequence[Command]) -> tuple[list[Command] | None, Isolation]:
    r"""Return what stands between BEGIN and END with the \set around them, if there is nothing else.

    With it comes the isolation level that BEGIN names.
    """
    edges = [number for number, one in enumerate(commands) if _control(one)]
    if len(edges) != 2 or _control(commands[edges[1]]) != "commit":
        return None, ""
    first, last = edges
    begin = commands[first]
    level = begin.statement.level if isinstance(begin, Run) else None
    before, after = commands[:first], commands[last + 1 :]
    if level is None or not all(isinstance(one, Set) for one in (*before, *after)):
        return None, ""
    return [*before, *commands[first + 1 : last], *after], level


def _control(command: Command) -> str | None:
    return command.statement.control if isinstance(command, Run) else None


class _Reader:
    def __init__(self, text: str, place: str) -> None:
        self._text = text
        self._place = place
        self._line = 1
        self._commands: list[Command] = []
        self._open: list[tuple[str, int]] = []  # \if, \else and \startpipeline that wait for their end
        self._metas: Mapping[str, Callable[[str, str], None]] = {
            "set": self._set,
            "sleep": self._sleep,
            "if": self._if,
            "elif": self._elif,
            "else": self._else,
            "endif": self._endif,
            "startpipeline": self._pipeline,
            "endpipeline": self._pipeline_end,
            "gset": self._gset,
            "aset": self._gset,
        }

    def commands(self) -> list[Command]:
        position = 0
        while position < len(self._text):
            position = self._statement(position)
        if self._open:
            name, line = self._open[-1]
            end = "endpipeline" if name == "startpipeline" else "endif"
            raise UsageError(f"{self._place}:{line}: this \\{name} has no \\{end}")
        return self._commands

    def _statement(self, position: int) -> int:
        """Read up to the end of a statement and what follows it there; return where to go on."""
        found: list[Piece] = []
        end = len(self._text)
        meta = False
        for piece in pieces(self._text, position, self._place):
            if piece.kind in ("end", "backslash"):
                meta = piece.kind == "backslash"
                end = piece.start + (0 if meta else 1)
                break
            if found or piece.word or piece.kind == "variable" or piece.text.strip():
                found.append(piece)
        if found:
            self._line = line_of(self._text, found[0].start)
            one = statement(found, self._line, self._place)
            if one:
                self._commands.append(Run(self._line, one))
        return self._meta(end) if meta else end

    def _meta(self, position: int) -> int:
        self._line = line_of(self._text, position)
        match = _META.match(self._text, position)
        if match is None:
            self._refuse("a command is missing behind \\")
        name = match["name"]
        rest = " ".join(match["rest"].replace("\\\n", " ").split())
        if name not in self._metas:
            advice = next((text for word, text in _ELSEWHERE.items() if name.startswith(word)), None)
            known = ", ".join(f"\\{one}" for one in self._metas)
            self._refuse(f"\\{name} is not supported; {advice or f'there are {known}'}")
        self._metas[name](name, rest)
        return match.end()

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(f"{self._place}:{self._line}: {what}")

    def _expression(self, text: str) -> Expression:
        try:
            return parse_expression(text)
        except ScriptError as error:
            self._refuse(str(error))

    def _alone(self, name: str, rest: str) -> None:
        if rest:
            self._refuse(f"\\{name} takes nothing behind it, but there is {rest!r}")

    def _set(self, name: str, rest: str) -> None:
        variable, _, text = rest.partition(" ")
        if not NAME.fullmatch(variable) or not text:
            self._refuse(f"\\{name} goes with a variable and an expression: \\set aid random(1, 100000)")
        self._commands.append(Set(self._line, variable, self._expression(text)))

    def _sleep(self, name: str, rest: str) -> None:
        match = re.fullmatch(r"(?:([0-9]{1,9})|:([^\W\d]\w*))\s*(us|ms|s)?", rest)
        if match is None:
            self._refuse(f"\\{name} goes with a number or a :variable, and us, ms or s: \\sleep 10 ms")
        number, variable, unit = match.groups()
        self._commands.append(Sleep(self._line, variable or int(number), _UNITS[unit or "s"]))

    def _if(self, name: str, rest: str) -> None:
        self._open.append((name, self._line))
        self._commands.append(If(self._line, self._expression(rest)))

    def _elif(self, name: str, rest: str) -> None:
        self._inside("if", name)
        self._commands.append(Elif(self._line, self._expression(rest)))

    def _else(self, name: str, rest: str) -> None:
        self._alone(name, rest)
        self._inside("if", name)
        self._open[-1] = (name, self._line)
        self._commands.append(Else(self._line))

    def _endif(self, name: str, rest: str) -> None:
        self._alone(name, rest)
        if not self._open or self._open[-1][0] not in ("if", "else"):
            self._refuse(f"\\{name} has no \\if")
        self._open.pop()
        self._commands.append(Endif(self._line))

    def _pipeline(self, name: str, rest: str) -> None:
        self._alone(name, rest)
        if any(opened == name for opened, _ in self._open):
            self._refuse(f"\\{name} inside another one; write \\endpipeline before it")
        self._open.append((name, self._line))
        self._commands.append(StartPipeline(self._line))

    def _pipeline_end(self, name: str, rest: str) -> None:
        self._alone(name, rest)
        self._inside("startpipeline", name)
        self._open.pop()
        self._commands.append(EndPipeline(self._line))

    def _inside(self, opener: str, name: str) -> None:
        if not self._open or self._open[-1][0] != opener:
            self._refuse(f"\\{name} has no \\{opener}")

    def _gset(self, name: str, rest: str) -> None:
        if any(opened == "startpipeline" for opened, _ in self._open):
            self._refuse(f"\\{name} has no result to take inside \\startpipeline; put it after \\endpipeline")
        last = self._commands[-1] if self._commands else None
        if not isinstance(last, Run) or last.into is not None:
            self._refuse(f"\\{name} must follow a SQL statement")
        if rest and not NAME.fullmatch(rest):
            self._refuse(f"\\{name} goes with a prefix for its variables, not with {rest!r}")
        self._commands[-1] = last._replace(into=rest, exactly=name == "gset")
