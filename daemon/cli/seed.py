"""`soakd seed`: load the data that a workload begins with."""

import asyncio
from typing import Annotated

import typer

from daemon.cli.flags import SEED_FLAGS
from daemon.cli.options import with_settings
from daemon.config.sources import Loaded
from daemon.errors import UsageError
from daemon.units import parse_duration

_EXAMPLES = """Examples:

soakd seed --workload ledger --scale 10000 --target postgresql://user@host/db

soakd seed --workload ledger --scale 1GiB --loaders 8 --seed 42

soakd seed --workload ledger --clean --older-than 1h

Ctrl-C leaves what is loaded; the same command goes on from there. `soakd run` loads a little by
itself where there is nothing.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(SEED_FLAGS)(seed))


def seed(
    loaded: Loaded,
    *,
    skip_data: Annotated[
        bool, typer.Option("--skip-data", help="Create the tables and indexes, and load nothing.")
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --clean: drop data loaded, and rows of runs begun, longer ago than this.",
        ),
    ] = None,
) -> int:
    """Load the data that a workload begins with: the same for the same seed, several loaders at once."""
    from daemon.clock import SystemClock  # noqa: PLC0415
    from daemon.control import seed as command  # noqa: PLC0415 - not needed for --help

    try:
        age = None if older_than is None else parse_duration(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from None
    return asyncio.run(command.seed(loaded.settings, SystemClock(), skip_data=skip_data, older_than=age))
