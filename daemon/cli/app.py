"""The tree of commands; only the modules of the command that was asked for are imported."""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_group

from daemon import __version__

COMMANDS: Mapping[str, str] = {
    "run": "Put a database under load until the duration is over, and account for every row.",
    "suite": "Run scenarios one after the other, and end in one report that compares them.",
    "seed": (
        "Load the data that a workload begins with: the same for the same seed, several loaders at once."
    ),
    "query-test": (
        "Measure every query of a workload, one by one: rows, mean, percentiles; plans of the slow ones."
    ),
    "scenarios": "List the scenarios that come with soakd; `soakd run --scenario NAME` follows one.",
    "workloads": "List the workloads with their operations, settings, tables, consumers and invariants.",
    "check": "Find out whether a run could work: configuration, target, privileges, disk. Changes nothing.",
    "verify": (
        "Recount what a run wrote: rows, gaps and duplicates per shard and worker, against its accounts."
    ),
    "health": "Ask a running soakd how it is: exit code 0 for well, 1 for not well or no answer within 3 s.",
    "top": "Show what a running soakd measures: load, database and host, redrawn every second.",
    "report": (
        "Tell what a run or a suite came to: verdict, worst moments and why, what to change, all over time."
    ),
    "config": "Show, describe or begin a configuration.",
    "history": "Look at the runs of the past, name, compare, export them.",
}
"""Name → what the list of commands says of it: the first paragraph of its own help.

The module of the same name has a `register`, which adds the command to the app that it is given.
"""
_MARKUP: Literal["rich"] = "rich"

_ABOUT = """Put a database under load for minutes or months, and measure it truthfully.

soakd run drives PostgreSQL or SQLite with writers and readers, gathers rows into batches,
serves Prometheus metrics, and accounts for every row it was given.
"""
_EXAMPLES = """Examples:

soakd run --duration 60s

soakd run --target postgresql://user@host/db --writers 50 --duration 30m

soakd check --target postgresql://user@host/db
"""


class Commands(TyperGroup):
    """Knows of each command what the list says, and loads the rest of one when it is called or completed.

    A start takes as long as its imports, and a health check runs every few seconds, so a
    command does not pay for the others.
    """

    def load(self) -> None:
        """Load all of them, for whoever walks the tree."""
        for name in COMMANDS:
            self._load(name)

    def resolve_command(
        self,
        ctx: Any,  # noqa: ANN401 - a type that Typer keeps for itself
        args: list[str],
    ) -> tuple[str | None, Any, list[str]]:
        """Return name, command and the words for it; see `TyperGroup`."""
        if args[0] in COMMANDS:
            self._load(args[0])
        return super().resolve_command(ctx, args)

    def _load(self, name: str) -> None:
        app = typer.Typer(rich_markup_mode=_MARKUP)
        import_module(f"daemon.cli.{name.replace('-', '_')}").register(app)
        self.commands.update(get_group(app).commands)


def build_app() -> typer.Typer:
    """Return the app: a group of `Commands`, of which none is loaded."""
    app = typer.Typer(
        cls=Commands,
        name="soakd",
        help=_ABOUT,
        epilog=_EXAMPLES,
        no_args_is_help=True,
        rich_markup_mode=_MARKUP,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, about in COMMANDS.items():
        app.command(name, help=about)(_not_loaded)
    return app


def _not_loaded() -> None:
    """Be replaced before it is called; a run that does nothing must not end well."""
    raise AssertionError("a command that was not loaded was called")


def _show_version(asked: bool) -> None:  # noqa: FBT001 - the signature that Typer calls
    if asked:
        typer.echo(f"soakd {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end."),
    ] = False,
) -> None:
    """See `_ABOUT`."""
