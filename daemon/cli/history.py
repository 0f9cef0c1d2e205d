"""`soakd history`: look at the runs that were written down, name them, compare them, take them out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daemon.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from daemon.history.file import History
    from daemon.history.read import Kept

FILE = typer.Option("--file", metavar="FILE", help="The history; else the configuration says it.")
CONFIG = typer.Option("--config", "-c", metavar="FILE", help="YAML file of settings (also SOAKD_CONFIG).")
RUN = typer.Argument(
    metavar="RUN", help="`last`, `last-1` for the one before, a run id, the end of one, or a tag."
)
AS_JSON = typer.Option("--json", help="Write JSON instead of a table.")

File = Annotated[Path | None, FILE]
Config = Annotated[Path | None, CONFIG]
AsJson = Annotated[bool, AS_JSON]

_EXAMPLES = """Examples:

soakd history list

soakd history show last

soakd history delete last-1
"""
_LIST_EXAMPLES = """Examples:

soakd history list --limit 10

soakd history list --tag baseline --json
"""
_TAG_EXAMPLES = """Examples:

soakd history tag last baseline

soakd history tag last-1 --remove baseline
"""
_TREND_EXAMPLES = """Examples:

soakd history trend response.writer.p99

soakd history trend rate.writer --workload events --limit 30
"""
_EXPORT_EXAMPLES = """Examples:

soakd history export --format csv --output runs.csv

soakd history export last --format db --output one-run.db
"""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Look at the runs of the past, name, compare, export them.",
        epilog=_EXAMPLES,
    )
    group.command("list", epilog=_LIST_EXAMPLES)(show_list)
    group.command()(show)
    group.command(epilog=_TAG_EXAMPLES)(tag)
    group.command()(delete)
    group.command(epilog=_TREND_EXAMPLES)(trend)
    group.command(epilog=_EXPORT_EXAMPLES)(export)
    app.add_typer(group, name="history")


@contextmanager
def opened(file: Path | None, config: Path | None) -> Iterator["History"]:
    """Open the history that was asked for.

    Raises:
        UsageError: there is none, or it cannot be read or changed.
    """
    from daemon.config.sources import load_settings  # noqa: PLC0415 - slow, and not needed for --help
    from daemon.history.file import complaints, reading  # noqa: PLC0415

    path = file or load_settings(config=config).settings.history.file
    with reading(path) as db, complaints(path):
        yield db


def show_list(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    tag: Annotated[str | None, typer.Option(help="Only runs with this tag.")] = None,
    workload: Annotated[str | None, typer.Option(help="Only runs of this workload.")] = None,
    as_json: AsJson = False,
    file: File = None,
    config: Config = None,
) -> int:
    """List the runs, the newest first, with their verdicts and rates."""
    from daemon.history.export import as_json as to_json  # noqa: PLC0415
    from daemon.history.read import runs  # noqa: PLC0415

    with opened(file, config) as db:
        found = runs(db, limit=limit, tag=tag, workload=workload)
    if as_json:
        typer.echo(to_json(found), nl=False)
        return ExitCode.OK
    if not found:
        typer.echo("no runs")
        return ExitCode.OK
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    head = (
        "run",
        "started",
        "length",
        "state",
        "workload",
        "target",
        "writes/s",
        "p99",
        "reads/s",
        "p99",
        "tags",
    )
    print_table(head, [_line(run) for run in found])
    return ExitCode.OK


def show(
    run: Annotated[str, RUN] = "last", *, as_json: AsJson = False, file: File = None, config: Config = None
) -> int:
    """Show one run as it was shown at its end."""
    from daemon.history.read import find  # noqa: PLC0415

    with opened(file, config) as db:
        found = find(db, run)
    if as_json:
        typer.echo(json.dumps(found._asdict(), indent=2, ensure_ascii=False))
        return ExitCode.OK
    typer.echo(
        f"run {found.run_id}: {found.state}, {found.stop_reason or 'goes on'}, on {found.target}"
        + (f", tags {' '.join(found.tags)}" if found.tags else "")
    )
    if found.summary is None:
        typer.echo(f"it has no summary; `soakd report {found.run_id}` tells what was written down")
        return ExitCode.OK
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON

    from daemon.results.table import summary_table  # noqa: PLC0415

    Console().print(summary_table(dict(found.summary)))
    return ExitCode.OK


def tag(
    run: Annotated[str, RUN],
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words to find it by.")],
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take them away.")] = False,
    file: File = None,
    config: Config = None,
) -> int:
    """Give a run tags, by which it is found and kept: retention leaves tagged runs alone."""
    from daemon.history.read import find  # noqa: PLC0415

    for word in tags:
        if not word or word.isdecimal() or any(c.isspace() for c in word) or word.startswith("last"):
            raise UsageError(
                f"tag {word!r}: a tag is a word, no number, and does not begin with `last`; give another"
            )
    with opened(file, config) as db, db.atomic():
        found = find(db, run)
        for word in tags:
            if remove:
                db.execute("DELETE FROM tags WHERE run = ? AND tag = ?", [found.number, word])
            else:
                db.execute("INSERT OR IGNORE INTO tags VALUES (?, ?)", [found.number, word])
        now = find(db, found.run_id).tags
    typer.echo(f"run {found.run_id}: {' '.join(now) or 'no tags'}")
    return ExitCode.OK


def delete(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="As for the other commands.")],
    *,
    file: File = None,
    config: Config = None,
) -> int:
    """Delete runs with everything that was written down about them."""
    from daemon.history.read import find  # noqa: PLC0415
    from daemon.history.retention import delete as remove  # noqa: PLC0415

    with opened(file, config) as db:
        found = {run.number: run for run in [find(db, name) for name in names]}
        going = [run.run_id for run in found.values() if run.state == "running"]
        if going:
            raise UsageError(f"run {going[0]} is still going on; stop it first")
        remove(db, found)
    typer.echo(f"deleted {' '.join(run.run_id for run in found.values())}")
    return ExitCode.OK


def trend(
    figure: Annotated[
        str, typer.Argument(help="As in `soakd history list --json`: rate.writer, for example.")
    ],
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, the newest ones.")] = 20,
    tag: Annotated[str | None, typer.Option(help="Only runs with this tag.")] = None,
    workload: Annotated[str | None, typer.Option(help="Only runs of this workload.")] = None,
    as_json: AsJson = False,
    file: File = None,
    config: Config = None,
) -> int:
    """Show one figure over the runs, the oldest first, each compared with the one before."""
    from daemon.history.read import runs  # noqa: PLC0415
    from daemon.history.trend import headline  # noqa: PLC0415

    with opened(file, config) as db:
        found = runs(db, limit=limit, tag=tag, workload=workload)
    figures = [(run, headline(run.summary)) for run in reversed(found)]
    points = [(run, known[figure]) for run, known in figures if figure in known]
    if not points:
        names = sorted({name for _, known in figures for name in known})
        raise UsageError(
            f"no run has the figure {figure}" + (f"; there are: {', '.join(names)}" if names else "")
        )
    if as_json:
        data = [
            {"run_id": run.run_id, "started": _when(run.started), figure: number} for run, number in points
        ]
        typer.echo(json.dumps(data, indent=2))
        return ExitCode.OK
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    rows = []
    most = max(number for _, number in points)
    for place, (run, number) in enumerate(points):
        before = points[place - 1][1] if place else 0.0
        change = f"{(number / before - 1) * 100:+.1f} %" if before else ""
        bar = "█" * round(number / most * 30) if most else ""
        rows.append((run.run_id, _when(run.started), run.workload, f"{number:.6g}", change, bar))
    print_table(("run", "started", "workload", figure, "change", ""), rows)
    return ExitCode.OK


def export(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Which runs; none: all.")
    ] = None,
    *,
    form: Annotated[
        Literal["csv", "json", "db"],
        typer.Option("--format", help="Figures of each run as csv or json; db: whole runs, as a history."),
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Unset: standard output.")
    ] = None,
    file: File = None,
    config: Config = None,
) -> int:
    """Take runs out of the history, for a spreadsheet, another program, or somebody else's machine."""
    from daemon.cli.writing import write_text  # noqa: PLC0415
    from daemon.history import export as exports  # noqa: PLC0415
    from daemon.history.read import find, runs  # noqa: PLC0415

    if form == "db" and output is None:
        raise UsageError("--format db is no text; name a file with --output")
    with opened(file, config) as db:
        found = [find(db, name) for name in names] if names else list(reversed(runs(db)))
        if form == "db" and output is not None:
            exports.copy(db, found, output)
            typer.echo(
                f"wrote {len(found)} runs to {output}; see them with: soakd history list --file {output}"
            )
            return ExitCode.OK
    write_text(exports.as_csv(found) if form == "csv" else exports.as_json(found), output)
    return ExitCode.OK


def _line(run: "Kept") -> tuple[str, ...]:
    from daemon.history.trend import headline  # noqa: PLC0415
    from daemon.results import readable  # noqa: PLC0415

    figures = headline(run.summary)
    shown = []
    for pool in ("writer", "reader"):
        rate = figures.get(f"rate.{pool}")
        shown.append(readable.rate(rate) if rate is not None else readable.NOTHING)
        shown.append(readable.seconds(figures.get(f"response.{pool}.p99")))
    return (
        run.run_id,
        _when(run.started),
        readable.clock_time(run.seconds),
        run.state,
        run.scenario or run.workload,
        run.target,
        *shown,
        " ".join(run.tags),
    )


def _when(stamp: float) -> str:
    return (
        datetime.fromtimestamp(stamp, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + "Z"
    )
