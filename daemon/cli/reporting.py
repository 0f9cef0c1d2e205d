"""Writing the report of what has just been run, in the form that the file's name asks for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from daemon.cli.writing import write_text
from daemon.errors import FailedError, SoakdError, UsageError
from daemon.report.form import Form

if TYPE_CHECKING:
    from daemon.config.history import History

FORMS: Mapping[str, Form] = {
    ".html": "html", ".htm": "html", ".md": "md", ".json": "json", ".csv": "csv", ".xml": "junit",
}  # fmt: skip


def check_reports(history: "History", files: Sequence[Path]) -> None:
    """See now that reports can be written later.

    Raises:
        UsageError: there is no history to make them from, or a file cannot be one.
    """
    if files and not history.enabled:
        raise UsageError("--report is made from the history; leave out --no-history (history.enabled)")
    from daemon.control.summarize import check_writable  # noqa: PLC0415 - not needed for --help

    for file in files:
        if file.suffix.lower() not in FORMS:
            raise UsageError(f"--report {file}: end its name in one of {', '.join(FORMS)}")
        check_writable(file, "--report")


@contextmanager
def reported(history: "History", files: Sequence[Path]) -> Iterator[None]:
    """Run what is inside, and write the reports of the run, however it has ended.

    Raises:
        SoakdError: what was raised inside, and with it what kept a report from being written.
    """
    check_reports(history, files)
    failure: SoakdError | None = None
    try:
        yield
    except SoakdError as error:
        failure = error
    problems = [str(failure)] if failure else []
    try:
        if files:
            _write(history.file, files)
    except UsageError as error:
        problems.append(str(error))
    if problems:
        raise FailedError("\n".join(problems), (failure or UsageError).exit_code)


def _write(history: Path, files: Sequence[Path]) -> None:
    from daemon.history.file import reading  # noqa: PLC0415 - not needed before the load
    from daemon.history.read import load, mine  # noqa: PLC0415
    from daemon.report.content import content  # noqa: PLC0415
    from daemon.report.forms import of_run  # noqa: PLC0415

    with reading(history) as db:
        run = mine(db)
        if run is None:
            raise UsageError(
                f"--report {files[0]}: the history holds nothing of this run: the load has not begun, "
                "or see history.off in the log"
            )
        record = load(db, run)
    made = content(record)
    write_reports(files, lambda form: of_run(made, form))


def write_reports(files: Sequence[Path], make: Callable[[Form], str]) -> None:
    """Write a report into files, and say so on standard error, where it is in nobody's way.

    Args:
        files: which; their names say the form.
        make: returns the report in a form.

    Raises:
        UsageError: one cannot be written.
    """
    for file in files:
        write_text(make(FORMS[file.suffix.lower()]), file)
        typer.echo(f"wrote {file}", err=True)
