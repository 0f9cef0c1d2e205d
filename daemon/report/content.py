"""What a report says, whatever its form: the verdict with its reasons first, then everything behind it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from daemon.history.read import Kept, Record
from daemon.report.advice import Finding, findings
from daemon.report.evidence import Facts
from daemon.report.figures import Figures, operations, pools
from daemon.report.spikes import Spike, spikes
from daemon.report.view import View
from daemon.results import readable

HEADLINES: Mapping[str, str] = {
    "passed": "Passed",
    "failed": "Failed",
    "unjudged": "Not judged",
    "interrupted": "Interrupted",
    "running": "Still running",
}


class Report(NamedTuple):
    """Everything that a report says.

    Attributes:
        record: the run, as the history knows it.
        headline: the verdict in a word or two.
        reasons: why, a sentence each.
        seconds: length of the measured part.
        pools: figures of the pools.
        operations: figures of the operations.
        spikes: the worst moments, the worst first.
        findings: what limited it and what to change, the most important first.
    """

    record: Record
    headline: str
    reasons: Sequence[str]
    seconds: float
    pools: Sequence[Figures]
    operations: Sequence[Figures]
    spikes: Sequence[Spike]
    findings: Sequence[Finding]

    @property
    def run(self) -> Kept:
        """The run."""
        return self.record.run

    @property
    def failed(self) -> bool:
        """Whether somebody has to act."""
        return self.run.state in ("failed", "interrupted")


def content(record: Record) -> Report:
    """Return the report of a run."""
    view = View.measured(record)
    by_pool = pools(record)
    worst = spikes(record)
    found = findings(Facts(record, view, {pool.name: pool for pool in by_pool}, worst))
    return Report(
        record=record,
        headline=HEADLINES[record.run.state],
        reasons=_reasons(record, worst, found),
        seconds=view.seconds,
        pools=by_pool,
        operations=operations(record, view.seconds),
        spikes=worst,
        findings=found,
    )


def moment(run: Kept, seconds: float) -> str:
    """Return a time of the run as people read it: `0:04:10, 14:03:27Z`."""
    wall = datetime.fromtimestamp(run.started + seconds, UTC)
    return f"{readable.clock_time(seconds)}, {wall:%H:%M:%S}Z"


def _reasons(record: Record, worst: Sequence[Spike], found: Sequence[Finding]) -> list[str]:
    rows: Mapping[str, Any] = (record.run.summary or {}).get("rows", {})
    bad = [row for row in record.thresholds if not row["ok"]]
    said = []
    if record.thresholds:
        over = record.run.state not in ("interrupted", "running")
        held = "hold" if over else "held when it was last seen"
        said.append(f"{len(record.thresholds) - len(bad)} of {len(record.thresholds)} thresholds {held}.")
    elif record.run.state == "unjudged":
        said.append("No thresholds were set, so nothing was judged; no acknowledged row is missing.")
    said += [f"{row['name']}: {row['found'] or row['verdict']}." for row in bad]
    if rows.get("lost"):
        said.append(f"{rows['lost']:,} acknowledged rows are missing in the target.")
    if record.run.state == "interrupted":
        said.append(
            f"The run was cut off after {readable.clock_time(record.run.seconds)}; this is what was known."
        )
    if worst:
        top = worst[0]
        what = f"p99 {readable.seconds(top.p99)}" if top.p99 is not None else "no answers"
        why = ", ".join(reason.name for reason in top.reasons) or "unexplained"
        said.append(f"Worst moment: {what} ({top.pool}) at {moment(record.run, top.at)}: {why}.")
    if found and found[0].weight != "note":
        said.append(f"To change first: {found[0].name} ({found[0].evidence}).")
    return said
