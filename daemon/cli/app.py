"""The tree of commands; only the modules of the command that was asked for are imported."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated

import typer

from daemon import __version__

COMMANDS: Mapping[str, str] = {
    "run": "daemon.cli.run",
    "suite": "daemon.cli.suite",
    "seed": "daemon.cli.seed",
    "query-test": "daemon.cli.query_test",
    "scenarios": "daemon.cli.scenarios",
    "workloads": "daemon.cli.workloads",
    "check": "daemon.cli.check",
    "config": "daemon.cli.config",
    "verify": "daemon.cli.verify",
    "health": "daemon.cli.health",
    "top": "daemon.cli.top",
    "history": "daemon.cli.history",
    "report": "daemon.cli.report",
}
"""Name → module; each module's `register` adds its commands to the app that it is given."""

VERSION = "--version"
COMPLETION_VARIABLE = "_SOAKD_COMPLETE"  # set by the shell when it asks for completions

_ABOUT = """Put a database under load for minutes or months, and measure it truthfully.

soakd run drives PostgreSQL or SQLite with writers and readers, gathers rows into batches,
serves Prometheus metrics, and accounts for every row it was given.
"""
_EXAMPLES = """Examples:

soakd run --duration 60s

soakd run --target postgresql://user@host/db --writers 50 --duration 30m

soakd check --target postgresql://user@host/db
"""


def build_app(arguments: Sequence[str], environ: Mapping[str, str]) -> typer.Typer:
    """Return the app with the command that the arguments begin with, or with all of them.

    A start takes as long as its imports, and a health check runs every few seconds, so a
    command does not pay for the others.
    """
    app = typer.Typer(
        name="soakd",
        help=_ABOUT,
        epilog=_EXAMPLES,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    asked = arguments[0] if arguments and COMPLETION_VARIABLE not in environ else ""
    needed = () if asked == VERSION else (asked,) if asked in COMMANDS else COMMANDS
    for name in needed:
        import_module(COMMANDS[name]).register(app)
    return app


def _show_version(asked: bool) -> None:  # noqa: FBT001 - the signature that Typer calls
    if asked:
        typer.echo(f"soakd {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(VERSION, callback=_show_version, is_eager=True, help="Show the version and end."),
    ] = False,
) -> None:
    """See `_ABOUT`."""
