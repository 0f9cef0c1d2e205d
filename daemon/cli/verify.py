"""`soakd verify`: count again what a run wrote."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer

from daemon.cli.flags import FLAGS
from daemon.cli.options import with_settings
from daemon.config.sources import Loaded
from daemon.errors import DataLossError, ExitCode, UsageError
from daemon.results.verify import Check

_EXAMPLES = """Examples:

soakd verify --target sqlite:///soakd.db

soakd verify --run 20261120112711473 --target postgresql://user@host/db --json

Exit codes: 0 the table holds exactly what was committed and has not expired, 5 it does not,
3 no target, 2 no such run.
"""
BIGGEST = 2**63 - 1  # that a database can hold
COLUMNS = (
    *("shard", "epoch", "accepted", "committed", "failed", "abandoned"),
    *("stored", "expired", "gaps", "duplicates"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(FLAGS)(verify))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > BIGGEST:
        raise typer.BadParameter(f"{text!r} is not the number of a run; write one such as 20261120112711473")
    return int(text)


def verify(
    loaded: Loaded,
    *,
    run: Annotated[
        int | None,
        typer.Option(parser=_number, metavar="RUN", help="Number of the run; unset: the newest one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """Recount what a run wrote: rows, gaps and duplicates per shard and worker, against its accounts."""
    from daemon.clock import SystemClock  # noqa: PLC0415
    from daemon.control import recount  # noqa: PLC0415 - not needed for --help

    result = asyncio.run(recount.recount(loaded.settings, SystemClock(), run))
    number = result.run.run
    if as_json:
        checks = [{**check._asdict(), "account": check.account._asdict()} for check in result.checks]
        typer.echo(json.dumps({"run": str(number), "ok": result.ok, "checks": checks}, indent=2))
    else:
        from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

        print_table(COLUMNS, [_figures(check) for check in result.checks])
    if not result.finished:
        raise UsageError(
            f"run {number} is still going on, or its supervisor was killed: "
            "there are no accounts to compare with"
        )
    if result.problems:
        raise DataLossError(f"run {number}: " + "; ".join(result.problems))
    if not as_json:
        typer.echo(f"run {number}: the table holds exactly what was committed{_but(result.checks)}")
    return ExitCode.OK


def _but(checks: Sequence[Check]) -> str:
    """Return what is to be added about rows that were deleted because of their age."""
    expired = sum(check.expired for check in checks)
    return f", but for {expired} rows that have expired" if expired else ""


def _figures(check: Check) -> list[str]:
    known = check.account
    numbers = (check.shard, check.epoch, known.accepted, known.committed, known.failed, known.abandoned)
    found = (check.stored, check.expired, check.gaps, check.duplicates)
    return ["–" if number is None else str(number) for number in (*numbers, *found)]
