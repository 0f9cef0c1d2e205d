"""Operations of the workload `sql` as people write them in YAML: named statements with parameters.

Every mistake is told with its line and what to write instead.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from daemon.config.likeness import nearest
from daemon.config.yaml import Loader, compose, read_text
from daemon.errors import UsageError
from daemon.workloads.sql.commands import Command, Draw, Kind, Operation, Run, Set
from daemon.workloads.sql.expression import Constant, parse_expression
from daemon.workloads.sql.functions import ScriptError, Value
from daemon.workloads.sql.generators import GENERATORS, Generator
from daemon.workloads.sql.script import NAME, operation, parse_script

SETTING = "sql.path"  # what names these files
T = TypeVar("T")

Loc = tuple[int | str, ...]


class Spot(NamedTuple):
    """Where a value stands: the line of its key, and the one on which its text begins."""

    line: int
    text: int


class Definitions(NamedTuple):
    """What one file defines.

    Attributes:
        operations: in the order of the file.
        variables: with which clients begin.
        scripts: files that operations are read from.
    """

    operations: Sequence[Operation]
    variables: Mapping[str, Value]
    scripts: Sequence[Path]


class _Entry(BaseModel):
    """One operation as it is written."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    prepared: bool = True
    parameters: dict[str, Any] = {}
    sql: str | None = None
    transaction: str | list[str] | None = None
    script: str | None = None


class _File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    operations: dict[str, _Entry]
    variables: dict[str, Value] = {}


def read_definitions(path: Path) -> Definitions:
    """Return what a YAML file defines.

    Raises:
        UsageError: it cannot be read, or something in it is wrong; the message begins with file and line.
    """
    found = compose(path, SETTING, lambda loader, root: [_Reader(path, loader, root).definitions()])
    return found[0] if found else Definitions((), {}, ())


class _Reader:
    def __init__(self, path: Path, loader: Loader, root: yaml.Node) -> None:
        self._path = path
        self._loader = loader
        self._spots: dict[Loc, Spot] = {(): Spot(1, 1)}
        self._data = self._value(root, ())
        self._scripts: list[Path] = []

    def definitions(self) -> Definitions:
        file = self._validated(
            TypeAdapter(_File), self._data, (), {**_File.model_fields, **_Entry.model_fields}
        )
        for name in file.variables:
            self._check_name(name, ("variables", name))
        operations = [self._operation(name, entry) for name, entry in file.operations.items()]
        return Definitions(operations, file.variables, self._scripts)

    def _value(self, node: yaml.Node, loc: Loc) -> Any:  # noqa: ANN401 - whatever YAML makes of it
        """Return the plain value of a node, noting where each part of it stands."""
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._note((*loc, number), item, item.start_mark.line)
            return [self._value(item, (*loc, number)) for number, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self._loader.construct_object(node)
        found: dict[str, Any] = {}
        for key_node, item in node.value:
            key, line = str(key_node.value), key_node.start_mark.line
            if key in found:
                first = self._spots[(*loc, key)].line
                raise self._refusal(line + 1, f"{key} is given twice, first on line {first}; keep one")
            self._note((*loc, key), item, line)
            found[key] = self._value(item, (*loc, key))
        return found

    def _note(self, loc: Loc, node: yaml.Node, line: int) -> None:
        # the text of a block begins on the line after its mark
        block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        self._spots[loc] = Spot(line + 1, node.start_mark.line + (2 if block else 1))

    def _refusal(self, line: int, what: str) -> UsageError:
        return UsageError(f"{self._path}:{line}: {what}")

    def _wrong(self, loc: Loc, what: str) -> UsageError:
        """Return the refusal of a value, or of what is missing in it."""
        while loc not in self._spots:
            loc = loc[:-1]
        return self._refusal(self._spots[loc].line, what)

    def _validated(self, form: TypeAdapter[T], data: object, loc: Loc, known: Mapping[str, object]) -> T:
        """Return the data in its form; `known` are the names of what it may hold."""
        try:
            return form.validate_python(data, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = _words(first["type"], loc + first["loc"], first["msg"], known)
            raise self._wrong(loc + first["loc"], what) from None

    def _check_name(self, name: str, loc: Loc) -> None:
        if not NAME.fullmatch(name):
            raise self._wrong(loc, f"{name}: write a name of letters, digits and _")

    def _operation(self, name: str, entry: _Entry) -> Operation:
        loc: Loc = ("operations", name)
        bodies = [key for key in ("sql", "transaction", "script") if getattr(entry, key) is not None]
        if len(bodies) != 1:
            raise self._wrong(loc, f"{name}: give one of sql, transaction and script")
        draws = [
            self._parameter(key, value, (*loc, "parameters", key)) for key, value in entry.parameters.items()
        ]
        place = str(self._path)
        if entry.script is not None:
            path = self._path.parent / entry.script
            self._scripts.append(path)
            place, commands = str(path), read_script(path)
        else:
            commands = self._statements(entry.sql or entry.transaction or "", (*loc, bodies[0]))
        if entry.transaction is not None and any(
            isinstance(one, Run) and one.statement.control for one in commands
        ):
            raise self._wrong(
                (*loc, bodies[0]), f"{name}: transaction begins and ends by itself; leave BEGIN and END out"
            )
        one = operation(
            name, [*draws, *commands], place, kind=entry.kind, weight=entry.weight, prepared=entry.prepared
        )
        return one._replace(whole=one.whole or entry.transaction is not None)

    def _statements(self, text: str | list[str], loc: Loc) -> list[Command]:
        if isinstance(text, list):
            return [one for number, item in enumerate(text) for one in self._statements(item, (*loc, number))]
        # the empty lines make the numbers right that the script is told by
        return parse_script("\n" * (self._spots[loc].text - 1) + text, str(self._path))

    def _parameter(self, name: str, value: object, loc: Loc) -> Command:
        self._check_name(name, loc)
        line = self._spots[loc].line
        if isinstance(value, dict):
            return Draw(line, name, self._generator(value, loc))
        if isinstance(value, list):
            return Draw(line, name, self._made("choice", {"values": value}, loc))
        if not isinstance(value, str):
            return Set(line, name, Constant(self._validated(TypeAdapter(Value), value, loc, {})))
        try:
            return Set(line, name, parse_expression(value))
        except ScriptError as error:
            raise self._wrong(loc, f"{name}: {error}; if it is a fixed text, write [{value}]") from None

    def _generator(self, options: Mapping[str, Any], loc: Loc) -> Generator:
        word = str(options.get("generator"))
        if word not in GENERATORS:
            problem = f"there is no generator {word}" if "generator" in options else "generator is missing"
            raise self._wrong((*loc, "generator"), f"{problem}; {_advice(word, GENERATORS)}")
        return self._made(word, {key: value for key, value in options.items() if key != "generator"}, loc)

    def _made(self, word: str, options: Mapping[str, Any], loc: Loc) -> Generator:
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
        made = GENERATORS[word]
        form: TypeAdapter[Generator] = TypeAdapter(made)
        generator = self._validated(form, plain, loc, {"generator": "", **made.__annotations__})
        if problem := generator.problem():
            raise self._wrong(loc, f"{loc[-1]}: {problem}")
        return generator


def read_script(path: Path) -> list[Command]:
    """Return the commands of a script file.

    Raises:
        UsageError: it cannot be read, or cannot be run; with file and line.
    """
    try:
        return parse_script(read_text(path, SETTING).decode(), str(path))
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text; check {SETTING}") from None


def _words(kind: str, loc: Loc, message: str, known: Mapping[str, object]) -> str:
    """Return a problem that the models have found, in words for a person."""
    name = ".".join(str(part) for part in loc) or "the file"
    if kind == "missing":
        return f"{name} is missing"
    if kind == "extra_forbidden":
        return f"there is no {name}; {_advice(str(loc[-1]), known)}"
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _advice(word: str, known: Mapping[str, object]) -> str:
    best = nearest(word, known)
    return f"did you mean {best}?" if best else f"there are {', '.join(known)}"
