"""`soakd scenarios`: what can be followed, and how a scenario is written."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.errors import ExitCode, UsageError
from daemon.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

_EXAMPLES = """Examples:

soakd scenarios

soakd scenarios --show sustained > mine.yaml

soakd scenarios --schema > scenario.schema.json

soakd scenarios --suites
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(scenarios)


def scenarios(
    *,
    show: Annotated[
        str | None,
        typer.Option("--show", metavar="NAME", help="Print the file of one, to begin your own with."),
    ] = None,
    suites: Annotated[
        bool, typer.Option("--suites", help="The suites instead, which `soakd suite NAME` runs.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of scenario files, or of suites.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """List the scenarios that come with soakd; `soakd run --scenario NAME` follows one.

    With the header `# yaml-language-server: $schema=scenario.schema.json` in a scenario file, an
    editor completes and checks it.
    """
    if schema:
        typer.echo(_schema(suites=suites))
        return ExitCode.OK
    if show is not None:
        typer.echo(_file(show).read_text(encoding="utf-8"), nl=False)
        return ExitCode.OK
    found = _suites() if suites else _scenarios()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return ExitCode.OK
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    rows = [(one["name"], format_duration(one["duration_seconds"]), one["description"]) for one in found]
    print_table(("suite" if suites else "scenario", "duration", "what for"), rows)
    if not suites:
        typer.echo("\n`soakd scenarios --suites` lists those that belong together.")
    return ExitCode.OK


# The models are imported within, since they take a while to be built and a table of commands need not wait.


def _schema(*, suites: bool) -> str:
    from daemon.scenario.model import Scenario  # noqa: PLC0415
    from daemon.scenario.suite import Suite  # noqa: PLC0415

    kind = Suite if suites else Scenario
    return json.dumps(kind.model_json_schema(), indent=2, ensure_ascii=False)


def _file(name: str) -> "Path":
    """Return the file of a scenario or a suite.

    Raises:
        UsageError: there is none of that name.
    """
    from daemon.scenario.read import SHIPPED, shipped  # noqa: PLC0415
    from daemon.scenario.suite import SUITES, suites  # noqa: PLC0415

    if name in shipped():
        return SHIPPED / f"{name}.yaml"
    if name in suites():
        return SUITES / f"{name}.yaml"
    raise UsageError(f"--show {name}: there is no such scenario or suite; `soakd scenarios` lists them")


def _scenarios() -> list[dict[str, Any]]:
    from daemon.scenario.read import SHIPPED, read, shipped  # noqa: PLC0415

    found = {name: read(SHIPPED / f"{name}.yaml").scenario for name in shipped()}
    return [
        {"name": name, "description": one.description, "duration_seconds": one.seconds}
        for name, one in found.items()
    ]


def _suites() -> list[dict[str, Any]]:
    from daemon.scenario.suite import SUITES, read_suite, suites  # noqa: PLC0415

    return [
        {
            "name": name,
            "description": found.suite.description,
            "duration_seconds": found.seconds,
            "scenarios": [part.name for part in found.parts],
        }
        for name in suites()
        for found in (read_suite(SUITES / f"{name}.yaml"),)
    ]
