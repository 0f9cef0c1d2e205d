"""`soakd run`: put the target under load."""

import typer

from daemon.cli.flags import RUN_FLAGS
from daemon.cli.options import with_settings
from daemon.config.sources import Loaded

_EXAMPLES = """Examples:

soakd run --duration 60s

soakd run --target postgresql://user@host/db --writers 50 --batch-size 200 --duration 30m

soakd run --write-rate 5000 --arrivals poisson --duration 0 --json

soakd run --config soakd.yaml --set sqlite.synchronous=full --summary result.json

The first Ctrl-C ends the load and writes what is queued; the second ends at once.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(RUN_FLAGS)(run))


def run(loaded: Loaded) -> int:
    """Put a database under load until the duration is over, and account for every row."""
    from daemon.control import supervisor  # noqa: PLC0415 - brings the HTTP server and more, which --help can do without

    return supervisor.run(loaded.settings)
