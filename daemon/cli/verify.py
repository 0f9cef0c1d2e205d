"""`soakd verify`: count again what a run wrote."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
