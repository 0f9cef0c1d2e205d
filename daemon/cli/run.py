"""`soakd run`: put the target under load."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.flags import RUN_FLAGS
from daemon.cli.options import Load, with_loading
from daemon.cli.reporting import reported
from daemon.errors import UsageError

_EXAMPLES = """Examples:

soakd run --duration 60s

soakd run --target postgresql://user@host/db --writers 50 --batch-size 200 --duration 30m

soakd run --write-rate 5000 --arrivals poisson --duration 0 --json

soakd run --config soakd.yaml --set sqlite.synchronous=full --summary result.json

soakd run --scenario sustained --time-scale 0.1 --threshold profile:events --report sustained.html

The first Ctrl-C ends the load and writes what is queued; the second ends at once.
"""
MOST = 1000.0  # times that a scenario may be stretched

TimeScale = Annotated[
    float, typer.Option("--time-scale", metavar="N", help="Multiply all durations of the scenario.")
]
AllowShell = Annotated[
    bool,
    typer.Option("--allow-shell", help="Let scenarios run the shell commands among their events."),
]
Report = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a report at the end: .html, .md, .json, .csv, or .xml for JUnit. May be repeated.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_loading(RUN_FLAGS)(run))


def run(
    load: Load,
    *,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario", metavar="NAME|FILE", help="Follow a scenario; `soakd scenarios` lists them."
        ),
    ] = None,
    time_scale: TimeScale = 1.0,
    allow_shell: AllowShell = False,
    report: Report = None,
) -> int:
    """Put a database under load until the duration is over, and account for every row."""
    from daemon.control import supervisor  # noqa: PLC0415 - brings the HTTP server and more, which --help can do without

    check_scale(time_scale)
    if scenario is None:
        if time_scale != 1.0 or allow_shell:
            raise UsageError(
                f"{'--allow-shell' if allow_shell else '--time-scale'} is about a scenario; "
                "name one with --scenario"
            )
        settings = load({}).settings
        with reported(settings.history, report or ()):
            return supervisor.run(settings)
    from daemon.cli.following import follow  # noqa: PLC0415 - needed with a scenario only
    from daemon.scenario.read import find  # noqa: PLC0415

    settings, programme = follow(load, find(scenario), time_scale, allow_shell=allow_shell)
    with reported(settings.history, report or ()):
        return supervisor.run(settings, programme)


def check_scale(scale: float) -> None:
    """See that a scenario can be stretched by so much.

    Raises:
        UsageError: it cannot.
    """
    if not 0 < scale <= MOST:
        raise UsageError(f"--time-scale {scale:g} must be above 0 and at most {MOST:g}")
