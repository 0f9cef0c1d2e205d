"""`soakd scenarios`: what can be followed, and how a scenario is written."""

import json
from typing import Annotated

import typer

from daemon.errors import ExitCode, UsageError
from daemon.units import format_duration

_EXAMPLES = """Examples:

soakd scenarios

soakd scenarios --show sustained > mine.yaml

soakd scenarios --schema > scenario.schema.json
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
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of scenario files.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """List the scenarios that come with soakd; `soakd run --scenario NAME` follows one.

    With the header `# yaml-language-server: $schema=scenario.schema.json` in a scenario file, an
    editor completes and checks it.
    """
    # Here, since the models take a while to be built and a table of commands need not wait for them.
    from daemon.scenario.model import Scenario  # noqa: PLC0415
    from daemon.scenario.read import SHIPPED, read, shipped  # noqa: PLC0415

    if schema:
        typer.echo(json.dumps(Scenario.model_json_schema(), indent=2, ensure_ascii=False))
        return ExitCode.OK
    if show is not None:
        if show not in shipped():
            raise UsageError(f"--show {show}: there is no such scenario; `soakd scenarios` lists them")
        typer.echo((SHIPPED / f"{show}.yaml").read_text(encoding="utf-8"), nl=False)
        return ExitCode.OK
    found = {name: read(SHIPPED / f"{name}.yaml").scenario for name in shipped()}
    lengths = {name: sum(phase.duration for phase in one.phases) for name, one in found.items()}
    if as_json:
        data = [
            {"name": name, "description": one.description, "duration_seconds": lengths[name]}
            for name, one in found.items()
        ]
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return ExitCode.OK
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    rows = [(name, format_duration(lengths[name]), one.description) for name, one in found.items()]
    print_table(("scenario", "duration", "what for"), rows)
    return ExitCode.OK
