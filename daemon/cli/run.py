"""`soakd run`: put the target under load."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from daemon.cli.flags import RUN_FLAGS
from daemon.cli.options import with_settings
from daemon.config.sources import Layer, Loaded
from daemon.errors import UsageError

_EXAMPLES = """Examples:

soakd run --duration 60s

soakd run --target postgresql://user@host/db --writers 50 --batch-size 200 --duration 30m

soakd run --write-rate 5000 --arrivals poisson --duration 0 --json

soakd run --config soakd.yaml --set sqlite.synchronous=full --summary result.json

soakd run --scenario sustained --time-scale 0.1 --threshold profile:events

The first Ctrl-C ends the load and writes what is queued; the second ends at once.
"""
MOST = 1000.0  # times that a scenario may be stretched


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(RUN_FLAGS, _settings)(run))


def run(
    loaded: Loaded,
    *,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario", metavar="NAME|FILE", help="Follow a scenario; `soakd scenarios` lists them."
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option("--time-scale", metavar="N", help="Multiply all durations of the scenario.")
    ] = 1.0,
) -> int:
    """Put a database under load until the duration is over, and account for every row."""
    from daemon.control import supervisor  # noqa: PLC0415 - brings the HTTP server and more, which --help can do without

    if scenario is None:
        return supervisor.run(loaded.settings)
    from daemon.scenario.programme import programme  # noqa: PLC0415 - needed with a scenario only
    from daemon.scenario.read import find  # noqa: PLC0415

    found = find(scenario)
    followed = programme(found.name, found.scenario, time_scale)
    if loaded.sources["duration"] != "--scenario":
        raise UsageError(
            f"{loaded.sources['duration']}: the scenario {found.name} has durations of its own; "
            "leave it out, and shorten or stretch them with --time-scale"
        )
    return supervisor.run(loaded.settings, followed)


def _settings(own: Mapping[str, Any]) -> Layer:
    """Return the settings that a scenario makes."""
    scale = own["time_scale"]
    if not 0 < scale <= MOST:
        raise UsageError(f"--time-scale {scale:g} must be above 0 and at most {MOST:g}")
    if own["scenario"] is None:
        if scale != 1.0:
            raise UsageError("--time-scale is about a scenario; name one with --scenario, or give --duration")
        return {}
    from daemon.scenario.layer import settings_of  # noqa: PLC0415 - needed with a scenario only
    from daemon.scenario.read import find  # noqa: PLC0415

    return settings_of(find(own["scenario"]), scale)
