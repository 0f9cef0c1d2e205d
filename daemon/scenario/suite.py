"""Suites: several scenarios one after the other, as a file, or as names on a command line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from daemon.config.likeness import nearest
from daemon.config.section import Section
from daemon.config.sources import Given
from daemon.config.types import Duration
from daemon.config.yaml import Lines, read_document
from daemon.errors import UsageError
from daemon.scenario.model import Name
from daemon.scenario.read import Found, find, is_name, layer, read_as, shipped

SUITES = Path(__file__).parent / "suites"
MOST_SCALE = 1000.0  # times that a scenario may be stretched
MOST_PARTS = 1000
Reset = Literal["tables", "statistics", "checkpoint"]
Scale = Annotated[float, Field(gt=0, le=MOST_SCALE, allow_inf_nan=False)]


class Part(Section):
    """A scenario of a suite, with what is different there."""

    scenario: str = Field(min_length=1, description="A name, or a path from the folder of this file.")
    name: Name | None = Field(None, description="What it is called in the report; unset: as the scenario.")
    target: str | None = Field(None, description="Database for this scenario alone.")
    time_scale: Scale = Field(1.0, description="What its durations are multiplied by, beside the suite's.")
    settings: Mapping[str, Any] = Field({}, description="Settings that replace those of the scenario.")


def _part(value: object) -> object:
    """Take a bare text as the name of a scenario."""
    return {"scenario": value} if isinstance(value, str) else value


class Suite(Section):
    """Scenarios one after the other."""

    description: str = Field(min_length=1, description="What it is for, in one sentence.")
    target: str | None = Field(None, description="Database under load.")
    settings: Mapping[str, Any] = Field({}, description="Settings that replace those of all scenarios.")
    time_scale: Scale = Field(1.0, description="What all durations are multiplied by.")
    cool_down: Duration = Field(10.0, description="Rest between two scenarios; scaled as they are.")
    reset: tuple[Reset, ...] = Field(
        ("checkpoint",), description="Before each scenario, beside what it resets itself."
    )
    stop_on_failure: bool = Field(default=False, description="Whether a scenario that fails is the last one.")
    scenarios: tuple[Annotated[Part, BeforeValidator(_part, json_schema_input_type=Part | str)], ...] = Field(
        min_length=1, max_length=MOST_PARTS, description="Names, files, or mappings, in order."
    )


class Chosen(NamedTuple):
    """A scenario that is to be run.

    Attributes:
        name: what it is called in the suite; no other is called so.
        found: the scenario, with the settings and resets of the suite in it.
        scale: what its durations are multiplied by.
    """

    name: str
    found: Found
    scale: float


class Selection(NamedTuple):
    """What a suite comes to: its name, what it says, and its scenarios."""

    name: str
    suite: Suite
    parts: Sequence[Chosen]

    @property
    def seconds(self) -> float:
        """How long its phases and the rests between its scenarios last, as the suite scales them."""
        rests = self.suite.cool_down * (len(self.parts) - 1) * self.suite.time_scale
        return rests + sum(part.found.scenario.seconds * part.scale for part in self.parts)


def suites() -> list[str]:
    """Return the names of the suites that come with soakd."""
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def select(names: Sequence[str]) -> Selection:
    """Return the suite that is named, or one that is made of the scenarios that are named.

    Args:
        names: the name or the file of a suite; or of one scenario or several.

    Raises:
        UsageError: there is none such, or it cannot be used; a line for each mistake.
    """
    if len(names) == 1 and names[0] in suites() and not Path(names[0]).is_file():
        return read_suite(SUITES / f"{names[0]}.yaml")
    if len(names) == 1 and (not is_name(names[0]) or Path(names[0]).is_file()):
        value, lines = read_document(Path(names[0]), "soakd suite")
        if not (isinstance(value, Mapping) and "phases" in value):
            return _selection(Path(names[0]), value, lines)
    for name in names:
        if is_name(name) and not Path(name).is_file() and name not in shipped():
            raise UsageError(_unknown(name))
    suite = Suite(
        description="As named on the command line.", scenarios=tuple(Part(scenario=n) for n in names)
    )
    found = [find(name, "soakd suite") for name in names]
    parts = [_chosen(suite, part, one, {}) for part, one in zip(suite.scenarios, found, strict=True)]
    return Selection("suite", suite, _numbered(parts))


def read_suite(path: Path) -> Selection:
    """Return the suite of a file.

    Raises:
        UsageError: it cannot be read, or is no suite; a line for each mistake.
    """
    return _selection(path, *read_document(path, "soakd suite"))


def _selection(path: Path, value: object, lines: Lines) -> Selection:
    suite = read_as(Suite, path, value, lines)
    parts = []
    for number, part in enumerate(suite.scenarios):
        place: tuple[str | int, ...] = ("scenarios", number)
        line = lines.get((*place, "scenario"), lines.get(place, 1))
        found = find(part.scenario, f"{path}:{line}: scenario", path.parent)
        replaced = layer(suite.settings, path, lines, ("settings",))
        replaced |= layer(part.settings, path, lines, (*place, "settings"))
        target, where = (part.target, (*place, "target")) if part.target else (suite.target, ("target",))
        if target is not None:
            replaced["target"] = Given(target, f"{path}:{lines.get(where, 1)} target")
        parts.append(_chosen(suite, part, found, replaced))
    return Selection(path.stem, suite, _numbered(parts))


def _chosen(suite: Suite, part: Part, found: Found, replaced: Mapping[str, Given]) -> Chosen:
    reset = tuple(dict.fromkeys((*found.scenario.reset, *suite.reset)))
    return Chosen(
        part.name or found.name,
        found._replace(
            scenario=found.scenario.model_copy(update={"reset": reset}),
            settings={**found.settings, **replaced},
        ),
        suite.time_scale * part.time_scale,
    )


def _numbered(parts: Sequence[Chosen]) -> list[Chosen]:
    """Return the parts, those that are called as one before with a number behind their names."""
    seen: Counter[str] = Counter()
    numbered = []
    for part in parts:
        seen[part.name] += 1
        times = seen[part.name]
        numbered.append(part._replace(name=f"{part.name}-{times}") if times > 1 else part)
    return numbered


def _unknown(name: str) -> str:
    if name in suites():
        return f"soakd suite {name}: a suite stands alone; name it without others, or name its scenarios"
    best = nearest(name, [*suites(), *shipped()])
    hint = f"did you mean {best}?" if best else "`soakd scenarios` lists them; a file needs its .yaml"
    return f"soakd suite {name}: there is no such suite or scenario; {hint}"
