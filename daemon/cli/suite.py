"""`soakd suite`: several scenarios one after the other, and one report that compares them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.flags import SUITE_FLAGS
from daemon.cli.options import Load, with_loading
from daemon.cli.reporting import check_reports, write_reports
from daemon.cli.run import AllowShell, Report, TimeScale, check_scale
from daemon.errors import ExitCode, FailedError, UsageError
from daemon.units import parse_duration

if TYPE_CHECKING:
    from daemon.config.settings import Settings
    from daemon.control.suite import Result, Suite

_EXAMPLES = """Examples:

soakd suite game --time-scale 0.1 --target postgresql://user@host/db

soakd suite light moderate heavy --cool-down 30s --report suite.html --report junit.xml

soakd suite mine.yaml --stop-on-failure

The first Ctrl-C ends the present scenario in order, and with it the suite; the second ends at once.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_loading(SUITE_FLAGS)(suite))


def suite(
    load: Load,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE...", help="A suite, or scenarios in order; `soakd scenarios` lists both."
        ),
    ],
    *,
    time_scale: TimeScale = 1.0,
    cool_down: Annotated[
        str | None,
        typer.Option(
            "--cool-down",
            metavar="TIME",
            help="Rest between two scenarios, scaled as they are. Default: as the suite says, else 10s.",
            show_default=False,
        ),
    ] = None,
    stop_on_failure: Annotated[
        bool, typer.Option("--stop-on-failure", help="Let a scenario that fails be the last one.")
    ] = False,
    allow_shell: AllowShell = False,
    report: Report = None,
) -> int:
    """Run scenarios one after the other, and end in one report that compares them.

    A scenario that fails does not keep the others from being run. The exit code is the worst of theirs.
    """
    check_scale(time_scale)
    planned = _planned(load, names, (time_scale, cool_down), allow_shell=allow_shell)
    if stop_on_failure:
        planned = planned._replace(stop_on_failure=True)
    settings = planned.parts[0].settings
    check_reports(settings.history, report or ())
    from daemon.control.suite import run_suite  # noqa: PLC0415 - brings all that a run needs

    result = run_suite(planned)
    problems = [
        f"{outcome.name}: {line}"
        for outcome in result.outcomes
        for line in (outcome.problem or "").splitlines()
    ]
    code = result.code
    if settings.history.enabled:
        try:
            _tell(result, settings, report or [Path(f"soakd-report-{result.suite_id}.html")])
        except UsageError as error:
            problems.append(str(error))
            code = code or ExitCode.USAGE
    if problems:
        raise FailedError("\n".join(problems), code)
    return code


def _planned(
    load: Load, names: Sequence[str], times: tuple[float, str | None], *, allow_shell: bool
) -> "Suite":
    """Return what is to be run; `times` are the scale, and the rest between two scenarios if it is given.

    Raises:
        UsageError: something about it is wrong; a line for each mistake.
    """
    from daemon.scenario.suite import select  # noqa: PLC0415 - slow, and not needed for --help

    selection = select(names)
    # What a run needs takes a second to be loaded, and a slip is told before.
    from daemon.cli.following import follow  # noqa: PLC0415
    from daemon.control.suite import Part, Suite  # noqa: PLC0415

    scale, rest = times
    try:
        cool_down = selection.suite.cool_down if rest is None else parse_duration(rest)
    except ValueError as error:
        raise UsageError(f"--cool-down: {error}") from None
    parts, problems = [], []
    for name, found, own_scale in selection.parts:
        try:
            settings, programme = follow(load, found, scale * own_scale, allow_shell=allow_shell)
        except UsageError as error:
            problems += str(error).splitlines()
            continue
        if settings.summary is not None:
            problems.append(
                "summary: each scenario would write it anew; leave it out, and give --report x.json"
            )
        parts.append(Part(name, settings, programme))
    if problems:
        raise UsageError("\n".join(dict.fromkeys(problems)))
    return Suite(
        selection.name, parts, cool_down * scale * selection.suite.time_scale, selection.suite.stop_on_failure
    )


def _tell(result: "Result", settings: "Settings", files: Sequence[Path]) -> None:
    """Write the reports, and show on a terminal how the scenarios compare.

    Raises:
        UsageError: the history cannot be read, or a report not be written.
    """
    from daemon.cli.tables import print_table  # noqa: PLC0415 - not needed before the load
    from daemon.history.file import reading  # noqa: PLC0415
    from daemon.history.suites import find_suite  # noqa: PLC0415
    from daemon.report.forms import of_suite  # noqa: PLC0415
    from daemon.report.suite import collect  # noqa: PLC0415
    from daemon.report.suite_words import comparison  # noqa: PLC0415

    with reading(settings.history.file) as db:
        kept = find_suite(db, result.suite_id)
        if kept is None:
            raise UsageError(
                "the history holds nothing of this suite, so there is no report: see history.off"
            )
        made = collect(db, kept)
    if sys.stdout.isatty() and settings.log.format == "auto":
        table = comparison(made, (0.99,))
        print_table([head.strip() for head in table.heads], table.rows)
    write_reports(files, lambda form: of_suite(made, form))
