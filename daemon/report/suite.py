"""What the report of a suite says: its verdict, its scenarios side by side, all on one time axis."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from daemon.errors import SIGNALLED
from daemon.history.file import History
from daemon.history.read import Record, load
from daemon.history.suites import STOPPED, KeptPart, KeptSuite
from daemon.report.content import Report, content, moment
from daemon.report.figures import Figures
from daemon.report.view import AFTER, BEFORE
from daemon.results import readable

Verdict = Literal["passed", "failed", "unjudged", "stopped", "interrupted", "running", "not run"]
HEADLINES: Mapping[Verdict, str] = {
    "passed": "Passed",
    "failed": "Failed",
    "unjudged": "Not judged",
    "stopped": "Stopped",
    "interrupted": "Interrupted",
    "running": "Still running",
}


class PartReport(NamedTuple):
    """A scenario of the suite.

    Attributes:
        part: what was planned, and how it ended.
        verdict: in a word.
        report: of its run; None where there is none.
    """

    part: KeptPart
    verdict: Verdict
    report: Report | None

    @property
    def name(self) -> str:
        """What it is called in the suite."""
        return self.part.name

    def pool(self, name: str) -> Figures | None:
        """Return the figures of a pool; None where it did nothing."""
        pools = self.report.pools if self.report else ()
        return next((pool for pool in pools if pool.name == name), None)


class SuiteReport(NamedTuple):
    """Everything that the report of a suite says.

    Attributes:
        suite: as the history knows it.
        verdict: in a word.
        reasons: why, a sentence each.
        parts: its scenarios, in order.
        record: all runs as if they were one, their times counted from the beginning of the suite; None
            where there is no run.
    """

    suite: KeptSuite
    verdict: Verdict
    reasons: Sequence[str]
    parts: Sequence[PartReport]
    record: Record | None

    @property
    def headline(self) -> str:
        """The verdict as a heading."""
        return HEADLINES[self.verdict]


def collect(db: History, suite: KeptSuite) -> SuiteReport:
    """Return the report of a suite."""
    parts = []
    for part in suite.parts:
        report = content(load(db, part.run)) if part.run else None
        parts.append(PartReport(part, _verdict(part, alive=suite.alive), report))
    verdict = _overall(suite, [part.verdict for part in parts])
    return SuiteReport(suite, verdict, list(_reasons(suite, parts)), parts, joined(suite.started, parts))


def joined(started: float, parts: Sequence[PartReport]) -> Record | None:
    """Return the runs of a suite as one record, in which the scenarios are the phases.

    Args:
        started: when the suite began, s since the epoch; times count from there.
        parts: its scenarios.
    """
    records = [(part.name, part.report.record) for part in parts if part.report]
    if not records:
        return None
    pools: dict[str, list[Mapping[str, Any]]] = {}
    samples: dict[str, list[Mapping[str, Any]]] = {}
    intervals: list[Mapping[str, Any]] = []
    events: list[Mapping[str, Any]] = []
    for name, record in records:
        later = round((record.run.started - started) * 1000)
        intervals += _moved(record.intervals, later, name)
        events += _moved(record.events, later)
        for pool, rows in record.pools.items():
            pools.setdefault(pool, []).extend(_moved(rows, later, name))
        for signal, rows in record.samples.items():
            samples.setdefault(signal, []).extend(_moved(rows, later))
    first = records[0][1]
    return first._replace(intervals=intervals, pools=pools, samples=samples, events=events)


def _moved(
    rows: Sequence[Mapping[str, Any]], later: int, name: str | None = None
) -> Iterator[Mapping[str, Any]]:
    """Yield rows that are `later` ms later, their measured phases called by a name."""
    for row in rows:
        moved = {**row, "at": row["at"] + later}
        if name is not None and row["phase"] not in BEFORE | AFTER:
            moved["phase"] = name
        yield moved


def _verdict(part: KeptPart, *, alive: bool) -> Verdict:
    run = part.run
    if part.exit_code is None:
        if run is None:
            return "not run"
        return "running" if alive else "interrupted"
    if part.exit_code:
        return "stopped" if part.exit_code > SIGNALLED else "failed"
    if run is None:
        return "passed"
    if (run.stop_reason or "").startswith("SIG"):
        return "stopped"
    return "unjudged" if run.state == "unjudged" else "passed"


def _overall(suite: KeptSuite, verdicts: Sequence[Verdict]) -> Verdict:
    if suite.alive:
        return "running"
    if suite.ended is None:
        return "interrupted"
    if "failed" in verdicts:
        return "failed"
    if suite.stop_reason != "done":
        return "stopped"
    return "passed" if "passed" in verdicts else "unjudged"


def _reasons(suite: KeptSuite, parts: Sequence[PartReport]) -> Iterator[str]:
    counts = Counter(part.verdict for part in parts)
    others = "".join(f", {number} {word}" for word, number in counts.items() if word != "passed")
    yield f"{counts['passed']} of {len(parts)} scenarios passed{others}."
    if suite.stop_reason == STOPPED:
        yield "It was to end with the first scenario that fails."
    elif suite.ended is not None and suite.stop_reason != "done":
        yield f"It was ended early by {suite.stop_reason}."
    for part in parts:
        if part.verdict == "failed":
            yield f"{part.name}: {_why(part)}"
    spikes = [(spike, part, part.report) for part in parts if part.report for spike in part.report.spikes]
    if spikes:
        top, part, report = max(spikes, key=lambda found: found[0].p99 or found[0].seconds)
        what = f"p99 {readable.seconds(top.p99)}" if top.p99 is not None else "no answers"
        why = ", ".join(reason.name for reason in top.reasons) or "unexplained"
        yield f"Worst moment: {what} ({top.pool}) in {part.name} at {moment(report.run, top.at)}: {why}."


def _why(part: PartReport) -> str:
    """Return in a sentence why a scenario failed."""
    bad = [row for row in part.report.record.thresholds if not row["ok"]] if part.report else []
    if bad:
        first = bad[0]
        further = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        return f"{first['expression']} is not met ({first['found'] or first['verdict']}){further}."
    lines = (part.part.problem or f"exit code {part.part.exit_code}").splitlines()
    return f"{lines[0]}."
