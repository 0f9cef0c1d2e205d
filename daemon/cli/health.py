"""`soakd health`: ask a running soakd how it is, for container health checks."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.address import CONFIG_HELP, INSECURE_HELP, URL_HELP, USER_HELP, question
from daemon.cli.probe import ALIVE, READY, report
from daemon.errors import ExitCode

_EXAMPLES = """Examples:

soakd health

soakd health --ready --url https://127.0.0.1:8443 --insecure --password-file /run/secrets/metrics
"""
_FILE_HELP = "File with the password; /readyz needs it, /healthz does not."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(health)


def health(
    *,
    url: Annotated[str | None, typer.Option(metavar="URL", help=URL_HELP)] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether the load is running.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help=INSECURE_HELP)] = False,
    username: Annotated[str | None, typer.Option(metavar="NAME", help=USER_HELP)] = None,
    password_file: Annotated[Path | None, typer.Option(metavar="FILE", help=_FILE_HELP)] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help=CONFIG_HELP)] = None,
) -> int:
    """Ask a running soakd how it is: exit code 0 for well, 1 for not well or no answer within 3 s."""
    asked = question(
        READY if ready else ALIVE,
        url=url,
        insecure=insecure,
        username=username,
        password_file=password_file,
        config=config,
    )
    line, well = report(asked)
    typer.echo(line, file=sys.stdout if well else sys.stderr)
    return ExitCode.OK if well else ExitCode.BUG
