"""From a scenario's file, or its name, to the scenario; mistakes are told with file and line."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from daemon.config.likeness import nearest
from daemon.config.reference import group_keys
from daemon.config.sources import Given
from daemon.config.yaml import Lines, read_document
from daemon.errors import UsageError
from daemon.scenario import model
from daemon.scenario.model import Scenario

SHIPPED = Path(__file__).parent / "shipped"


class Found(NamedTuple):
    """A scenario and where it came from.

    Attributes:
        name: its name, or that of its file.
        scenario: what it says.
        settings: its settings as a layer under flags and variables.
    """

    name: str
    scenario: Scenario
    settings: Mapping[str, Given]


def shipped() -> list[str]:
    """Return the names of the scenarios that come with soakd."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(name: str) -> Found:
    """Return a scenario by its name, or from a file.

    Raises:
        UsageError: there is none, or it is not one; a line for each mistake.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and not Path(name).is_file():
        if name not in shipped():
            best = nearest(name, shipped())
            hint = f"did you mean {best}?" if best else "`soakd scenarios` lists them; a file needs its .yaml"
            raise UsageError(f"--scenario {name}: there is no such scenario; {hint}")
        return read(SHIPPED / f"{name}.yaml")
    return read(Path(name))


def read(path: Path) -> Found:
    """Return the scenario of a file.

    Raises:
        UsageError: it cannot be read, or is no scenario; a line for each mistake.
    """
    value, lines = read_document(path)
    try:
        scenario = Scenario.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise UsageError(
            "\n".join(dict.fromkeys(_line(path, lines, one["loc"], one["type"], one["msg"]) for one in found))
        ) from None
    layer = dict(_flat(scenario.settings, path, lines, ("settings",)))
    return Found(path.stem, scenario, layer)


def _flat(
    values: Mapping[str, Any], path: Path, lines: Lines, place: tuple[str, ...]
) -> Iterator[tuple[str, Given]]:
    """Yield settings by their dotted names, as in a configuration."""
    for name, value in values.items():
        here = (*place, name)
        key = ".".join(here[1:])
        if key in group_keys() and isinstance(value, Mapping):
            yield from _flat(value, path, lines, here)
        else:
            yield key, Given(value, f"{path}:{lines.get(here, 1)} {key}")


def _line(path: Path, lines: Lines, loc: tuple[int | str, ...], kind: str, message: str) -> str:
    """Return one mistake as file, line, what, and what to write."""
    known: tuple[int | str, ...] = ()
    for part in loc:  # pydantic adds the names of models to the keys
        if (*known, part) in lines:
            known = (*known, part)
    where = f"{path}:{lines.get(known, 1)}"
    name = _dotted(known)
    what = f"{name}: " if name else ""
    if kind == "extra_forbidden":
        best = nearest(str(loc[-1]), _fields())
        return f"{where}: there is no field {name}{f'; did you mean {best}?' if best else ''}"
    if kind == "missing":
        return f"{where}: {what}{loc[-1]} is missing"
    return f"{where}: {what}{message.removeprefix('Value error, ')}"


def _dotted(known: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in known).lstrip(".")


def _fields() -> list[str]:
    models = [one for one in vars(model).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    return sorted({field.alias or name for one in models for name, field in one.model_fields.items()})
