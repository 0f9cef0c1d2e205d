"""`soakd report`: what a run of the history came to, as a page, a text, or data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daemon.cli.history import Config, File, opened
from daemon.cli.writing import write_text
from daemon.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.report.content import Report

Format = Literal["html", "md", "json", "csv", "junit"]

_EXAMPLES = """Examples:

soakd report last --output report.html

soakd report 20261120112711473 --format md

soakd report last --format junit --output junit.xml

soakd report last --format csv --histograms > buckets.csv
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(report)


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="`last`, `last-1` for the one before, a run id, the end of one, or a tag."
        ),
    ] = "last",
    *,
    form: Annotated[
        Format,
        typer.Option("--format", help="html: one page that needs no network; csv: the intervals."),
    ] = "html",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Unset: soakd-report-RUN.html, other formats on standard output.",
        ),
    ] = None,
    histograms: Annotated[
        bool, typer.Option("--histograms", help="With csv: how long operations took, by bucket.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of --format json, and nothing else.")
    ] = False,
    file: File = None,
    config: Config = None,
) -> int:
    """Tell what a run came to: verdict, worst moments and why, what to change, everything over time."""
    if schema:
        from daemon.report.data import SCHEMA  # noqa: PLC0415

        typer.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)
        return ExitCode.OK
    from daemon.history.read import find, load  # noqa: PLC0415 - not needed for --help
    from daemon.report.content import content  # noqa: PLC0415

    with opened(file, config) as db:
        record = load(db, find(db, run))
    text = _forms(histograms=histograms)[form](content(record))
    if output is None and form == "html":
        output = Path(f"soakd-report-{record.run.run_id}.html")
    write_text(text, output)
    if output is not None and str(output) != "-":
        typer.echo(f"wrote {output}")
    return ExitCode.OK


def _forms(*, histograms: bool) -> "Mapping[Format, Callable[[Report], str]]":
    from daemon.report import data, junit, tabular, templates  # noqa: PLC0415 - not needed for --help

    table = tabular.buckets if histograms else tabular.intervals
    return {
        "html": templates.as_html,
        "md": templates.as_markdown,
        "json": data.as_json,
        "csv": lambda made: table(made.record),
        "junit": junit.as_junit,
    }
