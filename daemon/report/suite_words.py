"""The figures of a suite's report as people read them, the scenarios side by side."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from daemon.ops import POOLS, PoolName
from daemon.report.content import moment
from daemon.report.figures import Figures
from daemon.report.suite import PartReport, SuiteReport
from daemon.report.words import UNEXPLAINED, Table, names
from daemon.results import readable

WORDS: Mapping[PoolName, str] = {"writer": "writes", "reader": "reads"}
QUANTILES = (0.5, 0.95, 0.99)
MOST_SPIKES = 3  # of each scenario; its own report has all


def suite_names(report: SuiteReport) -> dict[str, Any]:
    """Return everything that a template may name."""
    return {
        "report": report,
        "title": f"soakd suite {report.suite.name}",
        "facts": list(_facts(report)),
        "comparison": comparison(report),
        "moments": _moments(report),
        "thresholds": _thresholds(report),
        "parts": [(part, _shortened(names(part.report)) if part.report else None) for part in report.parts],
    }


def comparison(report: SuiteReport, quantiles: Sequence[float] = QUANTILES) -> Table:
    """Return a row for each scenario: verdict, rates against what was asked for, times, errors.

    Args:
        report: of the suite.
        quantiles: of the response times that are shown.
    """
    pools = [name for name in POOLS if any(part.pool(name) for part in report.parts)]
    heads = ["scenario", "verdict"]
    paced = any(pool.target for part in report.parts if part.report for pool in part.report.pools)
    for name in pools:
        heads += [
            f" {WORDS[name]}/s",
            *([" of target"] if paced else []),
            *(f" p{q * 100:g}" for q in quantiles),
        ]
    return Table(
        [*heads, " errors", " dropped"],
        [
            (
                part.name,
                part.verdict,
                *(cell for name in pools for cell in _pool(part.pool(name), quantiles, paced=paced)),
                *_failures(part),
            )
            for part in report.parts
        ],
    )


def anchors(report: SuiteReport) -> list[str]:
    """Return for each scenario what its section is reached by on the page."""
    return [f"#{number}-{part.name}" for number, part in enumerate(report.parts, 1)]


def change(part: PartReport) -> str:
    """Return what is to be changed first, by its most important finding; empty where there are notes only."""
    found = part.report.findings[:1] if part.report else ()
    return "".join(f"{one.name}: {one.change}" for one in found if one.weight != "note")


def _pool(pool: Figures | None, quantiles: Sequence[float], *, paced: bool) -> Sequence[str]:
    """Return the cells of a pool; `paced`: with the share of the target that was reached."""
    if pool is None:
        return (readable.NOTHING,) * (1 + paced + len(quantiles))
    reached = readable.percent(pool.rate / pool.target) if pool.target else readable.NOTHING
    return (
        readable.rate(pool.rate),
        *([reached] if paced else []),
        *(readable.seconds(pool.quantile("response", q)) for q in quantiles),
    )


def _failures(part: PartReport) -> tuple[str, str]:
    pools = part.report.pools if part.report else ()
    if not pools:
        return readable.NOTHING, readable.NOTHING
    failed = sum(pool.failed for pool in pools)
    ran = sum(sum(pool.outcomes.values()) - pool.outcomes["dropped"] for pool in pools)
    share = f" ({readable.percent(failed / ran)})" if failed else ""
    return readable.count(failed) + share, readable.count(sum(pool.outcomes["dropped"] for pool in pools))


def _moments(report: SuiteReport) -> Table:
    """Return for each scenario its worst moment, why, and what to change."""
    rows = []
    for part in report.parts:
        spike = part.report.spikes[0] if part.report and part.report.spikes else None
        when = why = readable.NOTHING
        if part.report and spike:
            height = readable.seconds(spike.p99) if spike.p99 is not None else "no answers"
            when = f"{height} ({spike.pool}) at {moment(part.report.run, spike.at)}"
            why = "; ".join(f"{reason.name}: {reason.seen}" for reason in spike.reasons) or UNEXPLAINED
        rows.append((part.name, when, why, change(part).replace("`", "") or readable.NOTHING))
    return Table(("scenario", "worst moment", "why", "what to change first"), rows)


def _thresholds(report: SuiteReport) -> Table:
    """Return the thresholds that are not met."""
    rows = [
        (
            part.name,
            row["name"],
            row["found"] or row["verdict"],
            moment(part.report.run, row["at"] / 1000) if row["at"] is not None else "",
        )
        for part in report.parts
        if part.report
        for row in part.report.record.thresholds
        if not row["ok"]
    ]
    return Table(("scenario", "threshold", "found", "worst at"), rows)


def _facts(report: SuiteReport) -> Iterator[tuple[str, str]]:
    suite = report.suite
    yield "suite", f"{suite.name}, {suite.suite_id}"
    yield "target", ", ".join(dict.fromkeys(part.target for part in suite.parts))
    yield "began", f"{datetime.fromtimestamp(suite.started, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if suite.ended is not None:
        yield "lasted", readable.clock_time(suite.ended - suite.started)
        yield "ended because of", suite.stop_reason or ""
    yield "soakd", suite.soakd_version


def _shortened(words: dict[str, Any]) -> dict[str, Any]:
    """Return the words of a run with its worst moments only."""
    spikes: Table = words["spikes"]
    return {**words, "spikes": spikes._replace(rows=spikes.rows[:MOST_SPIKES])}
