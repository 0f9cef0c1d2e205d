"""The command `python -m bench`: measures the cases, prints the table, writes the results."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench import postgres, report
from bench.cases import Case, cases
from bench.figures import Figure, Goal, verdict
from bench.stage import BenchError, Stage

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return 0, or 1 with `--strict` when a target was missed."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(options.only, options.skip)
    if options.list:
        for case in chosen:
            print(f"{case.name:20} {case.about}")
        return 0
    started = datetime.now(UTC)
    console = Console(width=None if sys.stdout.isatty() else 200)
    folder = Path(tempfile.mkdtemp(prefix="soakd-bench-", dir=options.folder))
    folder.chmod(0o755)  # psql's server may be another user
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server, why = None, "not asked for"
        if any(case.name.startswith("postgres") for case in chosen):
            server, why = stack.enter_context(postgres.server())
        stage = Stage(options.rounds, options.seconds, folder, server, why, options.memory_seconds)
        facts = report.machine(stage)
        figures = _measure(chosen, stage, console)
    report.show(figures, facts, console)
    path = report.save(report.document(figures, facts, stage, started), options.results, started)
    console.print(f"written to {path}", highlight=False, soft_wrap=True)
    missed = [figure for figure in figures if verdict(figure).status == "missed"]
    return 1 if options.strict and missed else 0


def _measure(chosen: Sequence[Case], stage: Stage, console: Console) -> list[Figure]:
    """Run the cases one after the other; one that fails has a row that says why."""
    figures: list[Figure] = []
    planned = [case.seconds(stage) for case in chosen]
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    # The bar is drawn rarely: what it costs is taken from what is measured.
    with Progress(*columns, console=console, refresh_per_second=1, transient=True) as progress:
        bar = progress.add_task("", total=sum(planned))
        for number, case in enumerate(chosen):
            before = sum(planned[:number])
            began = progress.get_time()

            def say(
                text: str, before: float = before, began: float = began, most: float = planned[number]
            ) -> None:
                done = min(most, progress.get_time() - began)
                progress.update(bar, description=text, completed=before + done)

            stage.say = say
            say(case.name)
            try:
                figures += case.measure(stage)
            except BenchError as error:
                figures.append(Figure(case.name, case.about, "", Goal(), absent=str(error)))
            progress.console.print(f"{case.name}: done", style="dim", highlight=False)
    return figures


def _chosen(only: Sequence[str], skip: Sequence[str]) -> list[Case]:
    return [case for case in cases() if (not only or case.name in only) and case.name not in skip]


def _parser() -> argparse.ArgumentParser:
    names = [case.name for case in cases()]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--list", action="store_true", help="say what cases there are")
    parser.add_argument(
        "--only", action="append", default=[], choices=names, metavar="CASE", help="may be repeated"
    )
    parser.add_argument(
        "--skip", action="append", default=[], choices=names, metavar="CASE", help="may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each measurement (default: 6)")
    parser.add_argument(
        "--memory-seconds", type=float, default=600.0, help="length of the memory case (default: 600)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target was missed")
    parser.add_argument("--folder", help="where the databases are put (default: the temporary folder)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
