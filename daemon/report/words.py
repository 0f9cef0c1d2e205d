"""The report's figures as people read them: what the templates of page and text have in common."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any, NamedTuple

from daemon.report.content import Report, moment
from daemon.report.figures import Figures
from daemon.results import queries, readable
from daemon.workloads.registry import WORKLOADS

PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
UNEXPLAINED = "unexplained"
BACKENDS = ("postgres", "sqlite", "null")


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        heads: of the columns; those from the second on that begin with a space are numbers.
        rows: cells.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class QueryTest(NamedTuple):
    """What the query lab has found.

    Attributes:
        about: what its figures are of, a line each.
        figures: of each query.
        slow: what is wrong with each of the slow or failed ones, and its plans.
    """

    about: Sequence[str]
    figures: Table
    slow: Sequence[tuple[str, str]]


def names(report: Report) -> dict[str, Any]:
    """Return everything that a template may name."""
    return {
        "report": report,
        "title": f"soakd run {report.run.run_id}",
        "facts": list(_facts(report)),
        "thresholds": _thresholds(report),
        "phases": _phases(report),
        "planned": _planned(report),
        "pools": _figures("pool", report.pools),
        "operations": _figures("operation", report.operations),
        "spikes": _spikes(report),
        "statements": _statements(report),
        "query_test": _query_test(report),
        "settings": _settings(report),
        "environment": report.record.environment,
    }


def _settings(report: Report) -> list[tuple[str, str]]:
    """Return the settings that the run had to do with: not those of other workloads and databases."""
    run = report.run
    others = {*WORKLOADS, *BACKENDS} - {run.workload, run.backend}
    return sorted(flat({name: value for name, value in run.config.items() if name not in others}).items())


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings by their dotted names; those that are unset are left out."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            found[prefix + name] = "; ".join(str(one) for one in value)
        elif value is not None:
            found[prefix + name] = str(value).lower() if isinstance(value, bool) else f"{value}"
    return found


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    run, summary = report.run, report.run.summary or {}
    yield "workload", run.workload + (f", scenario {run.scenario}" if run.scenario else "")
    yield "target", run.target
    yield "began", f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield "measured for", readable.clock_time(summary.get("duration_seconds", report.seconds))
    yield "ended because of", run.stop_reason or "nothing yet"
    if rows := summary.get("rows"):
        lost = {name: rows[name] for name in ("failed", "abandoned", "in_doubt", "lost") if rows.get(name)}
        yield (
            "rows",
            f"{readable.count(rows['accepted'])} accepted, {readable.count(rows['committed'])} committed"
            + (f", {readable.listing(lost)}" if lost else ", none lost"),
        )
    if summary:
        yield "durability", summary["durability"]
    if run.tags:
        yield "tags", " ".join(run.tags)
    yield "soakd", run.soakd_version


def _thresholds(report: Report) -> Table:
    return Table(
        ("verdict", "threshold", "found", "worst at"),
        [
            (
                row["verdict"] + ("" if row["ok"] or row["verdict"] == "fail" else " (fails)"),
                row["name"],
                row["found"],
                moment(report.run, row["at"] / 1000) if row["at"] is not None else "",
            )
            for row in report.record.thresholds
        ],
    )


def _phases(report: Report) -> Table:
    """Return what each phase of a scenario came to; nothing where it has one only."""
    phases = (report.run.summary or {}).get("phases", ())
    heads = ("phase", " lasted", "pool", " per second", " target", " failed",
             " p50", " p95", " p99", "thresholds")  # fmt: skip
    rows = []
    for phase in phases if len(phases) > 1 else ():
        bad = [judged["threshold"] for judged in phase["thresholds"] if not judged["ok"]]
        held = f"{len(phase['thresholds']) - len(bad)} of {len(phase['thresholds'])} hold"
        said = ", ".join([held, *bad]) if phase["thresholds"] else ""
        for name, pool in phase["pools"].items():
            rows.append(
                (
                    phase["name"],
                    readable.seconds(phase["seconds"]) + ("" if phase["complete"] else " (cut off)"),
                    name,
                    readable.rate(pool["achieved_rate"]),
                    readable.rate(pool["target_rate"]) if pool["target_rate"] else readable.NOTHING,
                    readable.count(pool["error"] + pool["timeout"]),
                    *(readable.seconds(pool["response"][q]) for q in ("p50", "p95", "p99")),
                    said,
                )
            )
    return Table(heads, rows)


def _planned(report: Report) -> Table:
    """Return what was done on purpose, how it ended, and the load before, during and after."""
    rows = [
        (
            f"{phase['name']}, {readable.clock_time(event['at_seconds'])}",
            event["name"],
            event.get("sql") or event["shell"],
            readable.seconds(event.get("seconds")),
            event["error"] or "done",
            *(_load(event.get(when)) for when in ("before", "during", "after")),
        )
        for phase in (report.run.summary or {}).get("phases", ())
        for event in phase["events"]
    ]
    return Table(("when", "event", "what", " took", "outcome", "before", "during", "after"), rows)


def _load(impact: Mapping[str, Any] | None) -> str:
    """Return rate and p99 of each pool in a span beside a planned event."""
    return "; ".join(
        f"{name} {readable.rate(pool['rate'])}/s, p99 {readable.seconds(pool['p99'])}"
        for name, pool in (impact or {"pools": {}})["pools"].items()
    )


def _figures(noun: str, found: Sequence[Figures]) -> Table:
    heads = (noun, " per second", " target", " ok", " rejected", " failed", " dropped",
             *(f" {name}" for name, _ in PERCENTILES), " max", " service p99")  # fmt: skip
    return Table(heads, [_line(one) for one in found])


def _line(one: Figures) -> Sequence[str]:
    response = one.times.get("response")
    return (
        one.name,
        readable.rate(one.rate),
        readable.rate(one.target) if one.target else readable.NOTHING,
        readable.count(one.outcomes["ok"]),
        readable.count(one.outcomes["rejected"]),
        readable.count(one.failed),
        readable.count(one.outcomes["dropped"]),
        *(readable.seconds(one.quantile("response", q)) for _, q in PERCENTILES),
        readable.seconds(response.max if response else None),
        readable.seconds(one.quantile("service", 0.99)),
    )


def _spikes(report: Report) -> Table:
    return Table(
        ("when", " lasted", "pool", " p99", " times usual", "what database and host did"),
        [
            (
                moment(report.run, spike.at),
                readable.seconds(spike.seconds),
                spike.pool,
                readable.seconds(spike.p99) if spike.p99 is not None else "no answers",
                f"{spike.times:.1f}",
                "; ".join(f"{reason.name}: {reason.seen}" for reason in spike.reasons) or UNEXPLAINED,
            )
            for spike in report.spikes
        ],
    )


def _statements(report: Report) -> Table:
    rows = [row for row in report.record.statements if row["calls"]][:10]
    return Table(
        ("statement", " calls", " time", " mean", " rows", "text"),
        [
            (
                row["name"],
                readable.count(row["calls"]),
                readable.seconds(row["seconds"]),
                readable.seconds(row["seconds"] / row["calls"]),
                readable.count(row["rows"]),
                " ".join((row["text"] or "").split())[:300],
            )
            for row in rows
        ],
    )


def _query_test(report: Report) -> QueryTest | None:
    found = report.record.query_test
    if found is None:
        return None
    made = datetime.fromisoformat(found["created"]).astimezone(UTC)
    heads = (queries.COLUMNS[0], *(f" {name}" for name in queries.COLUMNS[1:8]), *queries.COLUMNS[8:])
    return QueryTest(
        about=[f"{made:%Y-%m-%d %H:%M:%S} UTC", *queries.head_lines(found)],
        figures=Table(heads, queries.query_rows(found)),
        slow=[(complaint, dedent("\n".join(lines))) for complaint, lines in queries.explanations(found)],
    )
