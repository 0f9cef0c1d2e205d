"""From a scenario's file, or its name, to the scenario; mistakes are told with file and line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from daemon.config.likeness import nearest
from daemon.config.reference import group_keys
from daemon.config.sources import Given
from daemon.config.yaml import Lines, read_document
from daemon.errors import UsageError
from daemon.scenario.model import Scenario
from daemon.scenario.programme import Places

M = TypeVar("M", bound=BaseModel)
SHIPPED = Path(__file__).parent / "shipped"
SHOULD = {
    "model_type": "fields with their values",
    "dict_type": "fields with their values",
    "tuple_type": "a list",
    "string_pattern_mismatch": "of lower-case letters, digits, - and _, and begin with no sign",
}
"""What a value should be, where pydantic says it in words of Python."""


class Found(NamedTuple):
    """A scenario and where it came from.

    Attributes:
        name: its name, or that of its file.
        scenario: what it says.
        settings: its settings as a layer under flags and variables.
        commands: the shell commands in it: file, line and name of the event.
        places: file and line of everything in it.
    """

    name: str
    scenario: Scenario
    settings: Mapping[str, Given]
    commands: Sequence[str]
    places: Places


def shipped() -> list[str]:
    """Return the names of the scenarios that come with soakd."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(name: str, asked: str = "--scenario", folder: Path = Path()) -> Found:
    """Return a scenario by its name, or from a file.

    Args:
        name: of one that comes with soakd, or a path.
        asked: what asks for it, for messages.
        folder: what the path begins from.

    Raises:
        UsageError: there is none, or it is not one; a line for each mistake.
    """
    path = folder / name
    if is_name(name) and not path.is_file():
        if name not in shipped():
            best = nearest(name, shipped())
            hint = f"did you mean {best}?" if best else "`soakd scenarios` lists them; a file needs its .yaml"
            raise UsageError(f"{asked} {name}: there is no such scenario; {hint}")
        path = SHIPPED / f"{name}.yaml"
    return read(path)


def is_name(text: str) -> bool:
    """Tell whether a text looks like the name of something that comes with soakd, and not like a path."""
    return re.fullmatch(r"[a-z0-9][a-z0-9-]*", text) is not None


def read(path: Path) -> Found:
    """Return the scenario of a file.

    Raises:
        UsageError: it cannot be read, or is no scenario; a line for each mistake.
    """
    value, lines = read_document(path, "--scenario")
    if isinstance(value, Mapping) and "scenarios" in value:
        raise UsageError(f"{path}: is a suite of scenarios; run it with `soakd suite {path}`")
    scenario = read_as(Scenario, path, value, lines)
    places = {key: f"{path}:{line}" for key, line in lines.items()}
    commands = [
        f"{places['phases', number, 'events', place]}: event {event.name}"
        for number, phase in enumerate(scenario.phases)
        for place, event in enumerate(phase.events)
        if event.shell is not None
    ]
    return Found(path.stem, scenario, layer(scenario.settings, path, lines, ("settings",)), commands, places)


def read_as(kind: type[M], path: Path, value: object, lines: Lines) -> M:
    """Return what a file says as a model.

    Raises:
        UsageError: it is none; a line for each mistake.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        every = error.errors(include_url=False, include_context=False)
        # A list of which nothing is valid is told as empty beside; its mistakes are enough.
        found = [one for one in every if one["type"] != "too_short" or len(every) == 1]
        raise UsageError("\n".join(dict.fromkeys(_line(kind, path, lines, one) for one in found))) from None


def layer(
    values: Mapping[str, Any], path: Path, lines: Lines, place: tuple[str | int, ...]
) -> dict[str, Given]:
    """Return settings that stand at a place of a file as a layer, by their dotted names."""
    return dict(_flat(values, path, lines, place, len(place)))


def _flat(
    values: Mapping[str, Any], path: Path, lines: Lines, place: tuple[str | int, ...], depth: int
) -> Iterator[tuple[str, Given]]:
    for name, value in values.items():
        here = (*place, name)
        key = ".".join(str(part) for part in here[depth:])
        if key in group_keys() and isinstance(value, Mapping):
            yield from _flat(value, path, lines, here, depth)
        else:
            yield key, Given(value, f"{path}:{lines.get(here, 1)} {key}")


def _line(kind: type[BaseModel], path: Path, lines: Lines, mistake: Mapping[str, Any]) -> str:
    """Return one mistake as file, line, what, and what to write."""
    known: tuple[int | str, ...] = ()
    loc: tuple[int | str, ...] = mistake["loc"]
    for part in loc:  # pydantic adds the names of models to the keys
        if (*known, part) in lines:
            known = (*known, part)
    where = f"{path}:{lines.get(known, 1)}"
    name = _dotted(known)
    what = f"{name}: " if name else ""
    if mistake["type"] == "extra_forbidden":
        best = nearest(str(loc[-1]), _fields(kind))
        return f"{where}: there is no field {name}{f'; did you mean {best}?' if best else ''}"
    if mistake["type"] == "missing":
        return f"{where}: {what}{loc[-1]} is missing"
    if mistake["type"] in ("too_short", "string_too_short"):
        return f"{where}: {what}there is nothing in it; give one at least"
    said = mistake["msg"].removeprefix("Value error, ")
    should = SHOULD.get(mistake["type"], said.removeprefix("Input should be "))
    if should != said and isinstance(mistake["input"], str | int | float):
        return f"{where}: {what}{mistake['input']!r} is not valid; it should be {should}"
    if should != said:
        return f"{where}: {what or 'this '}should be {should}"
    return f"{where}: {what}{said}"


def _dotted(known: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in known).lstrip(".")


def _fields(kind: type[BaseModel]) -> list[str]:
    schema = kind.model_json_schema()
    parts = (schema, *schema.get("$defs", {}).values())
    return sorted({name for part in parts for name in part.get("properties", ())})
