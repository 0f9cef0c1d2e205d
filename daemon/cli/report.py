"""`soakd report`: what a run of the history came to, as a page, a text, or data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.history import Config, File, opened
from daemon.cli.writing import write_text
from daemon.errors import ExitCode, UsageError
from daemon.report.form import Form

if TYPE_CHECKING:
    from daemon.history.file import History
    from daemon.history.read import Record
    from daemon.history.suites import KeptSuite

_EXAMPLES = """Examples:

soakd report last --output report.html

soakd report 20261120112711473 --format md

soakd report last --format junit --output junit.xml

soakd report last --format csv --histograms > buckets.csv

soakd report suite --format md
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(report)


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN|SUITE]",
            help="`last`, `last-1` for the one before, a run id, the end of one, or a tag; "
            "`suite`, `suite-1`, the id or the name of a suite.",
        ),
    ] = "last",
    *,
    form: Annotated[
        Form,
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
    """Tell what a run or a suite came to: verdict, worst moments and why, what to change, all over time."""
    if schema:
        typer.echo(_schema(run), nl=False)
        return ExitCode.OK
    from daemon.history.read import find, load, runs  # noqa: PLC0415 - not needed for --help
    from daemon.history.suites import WAYS, find_suite  # noqa: PLC0415

    with opened(file, config) as db:
        suite = None if runs(db, tag=run, limit=1) else find_suite(db, run)
        if suite is not None:
            text, number = _of_suite(db, suite, form, histograms=histograms), suite.suite_id
        else:
            try:
                record = load(db, find(db, run))
            except UsageError as error:
                raise UsageError(f"{error}; a suite by {WAYS}") from None
            text, number = _of_run(record, form, histograms=histograms), record.run.run_id
    if output is None and form == "html":
        output = Path(f"soakd-report-{number}.html")
    write_text(text, output)
    if output is not None and str(output) != "-":
        typer.echo(f"wrote {output}")
    return ExitCode.OK


def _schema(name: str) -> str:
    """Return the schema of what is reported under that name."""
    from daemon.report import data, suite_forms  # noqa: PLC0415 - not needed for --help

    return suite_forms.schema() if name.startswith("suite") else data.SCHEMA.read_text(encoding="utf-8")


def _of_run(record: "Record", form: Form, *, histograms: bool) -> str:
    from daemon.report import forms, tabular  # noqa: PLC0415 - not needed for --help
    from daemon.report.content import content  # noqa: PLC0415

    if form == "csv" and histograms:
        return tabular.buckets(record)
    return forms.of_run(content(record), form)


def _of_suite(db: "History", suite: "KeptSuite", form: Form, *, histograms: bool) -> str:
    from daemon.report import forms  # noqa: PLC0415 - not needed for --help
    from daemon.report.suite import collect  # noqa: PLC0415

    if histograms:
        raise UsageError("--histograms is about a run; name one of the suite's, as its report does")
    return forms.of_suite(collect(db, suite), form)
