"""`soakd query-test`: how long each query of a workload takes, and why."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.flags import QUERY_FLAGS
from daemon.cli.options import with_settings
from daemon.config.sources import Loaded
from daemon.errors import ExitCode, TargetError, ThresholdError, UsageError
from daemon.units import parse_duration

_EXAMPLES = """Examples:

soakd query-test --workload marketplace --iterations 100

soakd query-test --workload marketplace --scale 100000 --target postgresql://user@host/db --report before.json

soakd query-test --workload marketplace --skip-data --compare before.json --max-slow 0

Exit codes: 0 all is well, 2 the command line is wrong, 3 the target cannot be used or a query failed,
4 more queries are slow than --max-slow allows.
"""
MOST = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(QUERY_FLAGS)(query_test))


def query_test(
    loaded: Loaded,
    *,
    iterations: Annotated[
        int, typer.Option(min=1, max=MOST, help="Measured runs of each query, each with keys of its own.")
    ] = 100,
    warmup: Annotated[
        int, typer.Option(min=0, max=MOST, help="Runs of each query before those that are measured.")
    ] = 10,
    slow: Annotated[
        str, typer.Option(metavar="TIME", help="A query is slow when its mean or its p95 is above this.")
    ] = "100ms",
    max_slow: Annotated[
        int | None, typer.Option(min=0, help="End with exit code 4 if more queries than this are slow.")
    ] = None,
    writers: Annotated[
        int, typer.Option(min=0, max=1000, help="Writers that run the workload's writes meanwhile.")
    ] = 0,
    skip_data: Annotated[
        bool, typer.Option("--skip-data", help="Load nothing: take the data that is there.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to it, as JSON.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="BASE.json", help="Show what has changed since that report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and no tables.")] = False,
) -> int:
    """Measure every query of a workload, one by one: rows, mean, percentiles; plans of the slow ones."""
    from daemon.cli.query_progress import QueryProgress  # noqa: PLC0415
    from daemon.clock import SystemClock  # noqa: PLC0415
    from daemon.control.recording import check_apart  # noqa: PLC0415
    from daemon.control.summarize import check_writable, write_summary  # noqa: PLC0415 - not needed for --help
    from daemon.lab.compare import compare as compared  # noqa: PLC0415
    from daemon.lab.compare import read_base  # noqa: PLC0415
    from daemon.lab.lab import Asked  # noqa: PLC0415
    from daemon.lab.lab import query_test as command  # noqa: PLC0415

    try:
        limit = parse_duration(slow)
    except ValueError as error:
        raise UsageError(f"--slow: {error}") from None
    base = read_base(compare) if compare else None
    if report:
        check_writable(report, "report")
    check_apart(loaded.settings)
    clock = SystemClock()
    with QueryProgress(loaded.settings, clock) as progress:
        asked = Asked(iterations, warmup, limit, writers, skip_data, progress.begin, progress.step)
        found = asyncio.run(command(loaded.settings, clock, asked, progress.shower))
    found["comparison"] = compared(base, found) if base else None
    _keep(loaded, found)
    _show(found, as_json=as_json)
    if report:
        write_summary(report, found, "report")
    return _verdict(found, max_slow)


def _keep(loaded: Loaded, report: dict[str, Any]) -> None:
    """Write the report into the history, for the reports of runs; one that cannot be written does no harm."""
    from daemon.history.lab import keep  # noqa: PLC0415 - not needed for --help

    settings = loaded.settings.history
    if settings.enabled:
        try:
            keep(settings.file, report)
        except UsageError as error:
            typer.echo(f"soakd: warning: not kept: {error}", err=True)


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON
    from daemon.lab import compare  # noqa: PLC0415
    from daemon.results import queries  # noqa: PLC0415

    for line in queries.head_lines(report):
        typer.echo(line)
    typer.echo()
    print_table(queries.COLUMNS, queries.query_rows(report))
    for line in queries.tail_lines(report):
        typer.echo(line)
    if comparison := report["comparison"]:
        typer.echo()
        print_table(compare.COLUMNS, compare.comparison_rows(comparison))
        for line in compare.condition_lines(comparison):
            typer.echo(line)


def _verdict(report: dict[str, Any], max_slow: int | None) -> int:
    from daemon.results.queries import failed_queries, slow_queries  # noqa: PLC0415

    failed, slow = failed_queries(report), slow_queries(report)
    if failed:
        raise TargetError(f"{failed[0]} failed: {report['queries'][failed[0]]['failure']}")
    if max_slow is not None and len(slow) > max_slow:
        raise ThresholdError(
            f"{len(slow)} queries are slow ({', '.join(slow)}), --max-slow allows {max_slow}"
        )
    return ExitCode.OK
