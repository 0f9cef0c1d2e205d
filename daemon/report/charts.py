"""Which charts a report has: rates, times, queue, database and host over one time axis, and distributions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from daemon.history.read import Record
from daemon.history.signals import SIGNALS
from daemon.ops import POOLS
from daemon.record.histogram import Histogram
from daemon.report import svg
from daemon.report.content import Report
from daemon.report.figures import Figures
from daemon.report.spikes import stretches
from daemon.report.svg import Axis, Line, Mark, Point, Scale
from daemon.report.view import AFTER, BEFORE
from daemon.results import readable

HEIGHT = 150.0
GAP = 2.0  # lengths of an interval without one, from which a line is broken
SHORT = 0.3  # s: an interval at the end of a phase that is too short for a rate
MOST_MARKS = 60  # of a kind in a chart; more are shown in the strip of events only
SPREAD = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
BARS = 8  # of a distribution, for each doubling of the time
FAILURES = "Errors, time-outs, drops"
EVENTS = ("outage", "restart", "planned", "checkpoint", "vacuum", "note")


class Chart(NamedTuple):
    """A drawing with its heading.

    Attributes:
        title: what it shows.
        note: what to know about it.
        legend: label and colour of each line.
        drawing: SVG.
    """

    title: str
    note: str
    legend: Sequence[tuple[str, int, str]]
    drawing: str


class Panel(NamedTuple):
    """Signals that are drawn together: title, signals, and whether 1 is to be on the axis."""

    title: str
    signals: Sequence[str]
    whole: bool = False


PANELS: Sequence[Panel] = (
    Panel("Connections and lanes", ("pool.usage", "engine.cpu"), whole=True),
    Panel("Sessions waiting", ("pg.waiting_lock", "pg.waiting_io", "pg.waiting_lwlock", "pg.blocked")),
    Panel("Server: WAL and temporary files", ("pg.wal", "pg.temp")),
    Panel("Server: checkpoints and full pages", ("pg.checkpoint_blocks", "pg.full_pages")),
    Panel("Server: cache, dead rows, sessions", ("pg.cache_hit", "pg.dead_rows", "pg.sessions"), whole=True),
    Panel("SQLite: WAL and file", ("sqlite.wal", "sqlite.database")),
    Panel("SQLite: longest checkpoint and wait", ("sqlite.checkpoint_longest", "sqlite.busy_longest")),
    Panel("SQLite: shares", ("sqlite.checkpoint_time", "sqlite.reads_held", "sqlite.cache_hit"), whole=True),
    Panel("Host: processors", ("host.cpu", "host.iowait", "host.steal", "host.throttled"), whole=True),
    Panel("Host: pressure and memory",
          ("host.pressure_cpu", "host.pressure_io", "host.pressure_memory", "host.memory"), whole=True),
    Panel("Host: disk", ("host.disk_write", "host.disk_read", "host.network")),
    Panel("Host: longest fsync, disk wait, engine's lag", ("host.fsync", "host.disk_wait", "engine.lag")),
)  # fmt: skip
SHOW: Mapping[str, Callable[[float], str]] = {
    "ratio": readable.percent,
    "seconds": readable.seconds,
    "bytes": readable.size,
    "bytes/s": lambda value: f"{readable.size(value)}/s",
    "1/s": lambda value: f"{readable.rate(value)}/s",
    "number": lambda value: f"{value:g}",
}


def over_time(record: Record) -> list[Chart]:
    """Return the charts that share the time axis, the strip of events first."""
    ends = [row["at"] + row["length"] for row in record.intervals]
    x = Axis(0.0, max([*ends, 1000]) / 1000, steps="time")
    marks = _marks(record)
    drawn = [_strip(record, x)]
    drawn += _load(record, x, marks)
    drawn += [chart for panel in PANELS if (chart := _panel(panel, record, x, marks))]
    return drawn


def distributions(report: Report) -> list[Chart]:
    """Return for each pool how its times are distributed, over a logarithmic axis."""
    return [_distribution(pool) for pool in report.pools if pool.times]


def ranges(reports: Sequence[tuple[str, Report]]) -> Iterator[Chart]:
    """Yield for each pool how response times compare between runs, by their names."""
    for pool in POOLS:
        rows = []
        for name, report in reports:
            figures = next((one for one in report.pools if one.name == pool), None)
            values = [figures.quantile("response", q) if figures else None for _, q in SPREAD]
            dots = [(2 - n, value) for n, value in enumerate(values) if value is not None]
            if len(dots) == len(SPREAD):
                rows.append((name, dots))
        if rows:
            values_of = [value for _, dots in rows for _, value in dots]
            axis = Axis(min(values_of) / 1.3, max(values_of) * 1.3, log=True)
            title = f"Response times of the {pool}s"
            legend = [(label, 2 - n, "line") for n, (label, _) in enumerate(SPREAD)]
            yield Chart(title, "logarithmic", legend, svg.ranges(axis, rows, readable.seconds, title))


def _load(record: Record, x: Axis, marks: Sequence[Mark]) -> Iterator[Chart]:
    for pool, rows in record.pools.items():
        rates = [row for row in rows if row["length"] >= SHORT * 1000]
        lines = [
            Line(
                "answered/s",
                0,
                _points(rates, lambda r: (r["ok"] + r["rejected"]) * 1000 / r["length"]),
                "area",
            )
        ]
        if any(row["target_rate"] for row in rows):
            lines.append(Line("target/s", 1, _points(rates, lambda r: r["target_rate"]), "dashed"))
        yield _lines(f"Rate of the {pool}s", lines, x, marks, lambda v: f"{readable.rate(v)}/s")
        times = [
            Line("response p99", 0, _points(rows, lambda r: r["p99"])),
            Line("response p95", 1, _points(rows, lambda r: r["p95"])),
            Line("response p50", 2, _points(rows, lambda r: r["p50"])),
            Line("service p99", 3, _points(rows, lambda r: r["service_p99"]), "dashed"),
            Line("service p50", 4, _points(rows, lambda r: r["service_p50"]), "dashed"),
        ]
        if any(row["target_rate"] for row in rows):
            times.append(Line("late by (p99)", 5, _points(rows, lambda r: r["lag_p99"] or None)))
        yield _lines(f"Times of the {pool}s", times, x, marks, readable.seconds, log=True)
    rows = record.intervals
    if any(row["queue_capacity"] for row in rows):
        used = Line("rows waiting", 0, _points(rows, lambda r: r["queue_rows"]), "area")
        yield _lines("Batch queue", [used], x, marks, readable.count)
    flushed = [row for row in rows if row["length"] >= SHORT * 1000]
    if any(row["committed"] for row in rows):
        lines = [
            Line(
                "rows committed/s", 0, _points(flushed, lambda r: r["committed"] * 1000 / r["length"]), "area"
            ),
        ]
        yield _lines("Rows", lines, x, marks, lambda v: f"{readable.rate(v)}/s")
        sizes = [row for row in flushed if row["flushes"]]
        batch = Line("rows per batch", 1, _points(sizes, lambda r: r["committed"] / r["flushes"]))
        yield _lines("Batches", [batch], x, marks, readable.count)
    yield _failures(record, x, marks)


def _failures(record: Record, x: Axis, marks: Sequence[Mark]) -> Chart:
    lines = []
    colour = 0
    for pool, every in record.pools.items():
        rows = [row for row in every if row["phase"] not in AFTER and row["length"] >= SHORT * 1000]
        for outcome in ("error", "timeout", "dropped"):
            if any(row[outcome] for row in rows):
                points = _points(rows, lambda r, o=outcome: r[o] * 1000 / max(1, r["length"]))  # type: ignore[misc]
                lines.append(Line(f"{pool} {outcome}/s", colour, points, "area"))
                colour += 1
    if not lines:
        return Chart(FAILURES, "none but what the drain left", (), "")
    return _lines(FAILURES, lines, x, marks, lambda v: f"{readable.rate(v)}/s")


def _panel(panel: Panel, record: Record, x: Axis, marks: Sequence[Mark]) -> Chart | None:
    lines = []
    for number, name in enumerate(panel.signals):
        rows = record.samples.get(name, ())
        if rows and (panel.whole or any(row["value"] or row["peak"] for row in rows)):
            label = f"{name} – {SIGNALS[name].about.rstrip('.')}" if name in SIGNALS else name
            lines.append(
                Line(label, number, _points(rows, lambda r: r["value"] if r["peak"] is None else r["peak"]))
            )
    if not lines:
        return None
    unit = SIGNALS[panel.signals[0]].unit
    whole, binary = 1.0 if panel.whole else 0.0, unit.startswith("bytes")
    return _lines(panel.title, lines, x, marks, SHOW[unit], least=whole, binary=binary)


def _lines(
    title: str,
    lines: Sequence[Line],
    x: Axis,
    marks: Sequence[Mark],
    show: Callable[[float], str],
    *,
    log: bool = False,
    least: float = 0.0,
    binary: bool = False,
) -> Chart:
    drawn = [line for line in lines if any(y is not None for _, y in line.points)]
    scale = Scale(x, svg.y_axis(drawn, log=log, least=least, binary=binary), readable.clock_time, show)
    drawing = svg.chart(scale, drawn, marks, height=HEIGHT + 30 if log else HEIGHT, title=title)
    legend = [(line.label, line.colour, line.style) for line in drawn]
    return Chart(title, "logarithmic" if log else "", legend, drawing)


def _points(
    rows: Sequence[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], float | None]
) -> list[Point]:
    """Return a point in the middle of each row, and a gap where rows are missing or another run begins."""
    points: list[Point] = []
    end: float | None = None
    run = rows[0]["run"] if rows else None
    for row in rows:
        if end is not None and (row["at"] - end > GAP * row["length"] or row["run"] != run):
            points.append((end / 1000, None))
        run = row["run"]
        points.append(((row["at"] + row["length"] / 2) / 1000, of(row)))
        end = row["at"] + row["length"]
    return points


def phases(record: Record) -> list[Mark]:
    """Return what was done when; the measured part by the phases of its scenario, as they were noted."""
    begun = [
        (row["at"] / 1000, str(row["details"]["name"]))
        for row in record.events
        if row["name"] == "phase.begun"
    ]
    found: list[Mark] = []
    for mark in _parts(record):
        if mark.label != "running" or not begun:
            found.append(mark)
            continue
        edges = [mark.begin, *(min(at, mark.end) for at, _ in begun[1:]), mark.end]
        found += [
            Mark(begin, end, "phase", name)
            for (begin, end), (_, name) in zip(pairwise(edges), begun, strict=True)
        ]
    return found


def _parts(record: Record) -> list[Mark]:
    """Return the parts of a run - warm-up, measured part, drain - from its intervals."""
    found: list[Mark] = []
    for row in record.intervals:
        begin, end = row["at"] / 1000, (row["at"] + row["length"]) / 1000
        if found and found[-1].label == row["phase"]:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Mark(begin, end, "phase", row["phase"]))
    return found


def outages(record: Record) -> list[Mark]:
    """Return the stretches in which the target did not answer."""
    found: list[Mark] = []
    for row in record.intervals:
        if row["up"] >= 1:
            continue
        begin, end = row["at"] / 1000, (row["at"] + row["length"]) / 1000
        if found and begin - found[-1].end < 0.5:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Mark(begin, end, "outage", "target does not answer"))
    return found


def _events(record: Record, kind: str) -> list[Mark]:
    if kind == "outage":
        return outages(record)
    return [
        Mark(
            row["at"] / 1000,
            (row["at"] + row["length"]) / 1000,
            kind,
            f"{row['name']}, {readable.clock_time(row['at'] / 1000)}",
        )
        for row in record.events
        if row["kind"] == kind
    ]


def _marks(record: Record) -> list[Mark]:
    """Return what is marked in every chart: the phases beside the measured ones, and events that are few."""
    shaded = [
        mark for mark in _parts(record) if mark.label in BEFORE | AFTER and mark.end - mark.begin > 0.05
    ]
    found = [mark._replace(kind="aside") for mark in shaded]
    for kind in ("outage", "restart", "planned", "checkpoint", "vacuum"):
        events = _events(record, kind)
        found += events if len(events) <= MOST_MARKS else []
    return found


def _strip(record: Record, x: Axis) -> Chart:
    rows = [("phase", phases(record))]
    slow = [
        Mark(begin, end, "spike", f"{readable.clock_time(begin)}, the worst but {n}" if n else "the worst")
        for n, (begin, end) in enumerate(stretches(record))
    ]
    rows += [("spike", slow)] if slow else []
    rows += [(kind, marks) for kind in EVENTS if (marks := _events(record, kind))]
    drawing = svg.lanes(x, rows, readable.clock_time, "Phases and events")
    return Chart("Phases and events", "", (), drawing)


def _distribution(pool: Figures) -> Chart:
    shown = [(kind, pool.times[kind]) for kind in ("response", "service") if kind in pool.times]
    lines = [
        Line(kind, colour, _shares(histogram))
        for colour, (kind, histogram) in zip((0, 3), shown, strict=False)
    ]
    low = min(x for line in lines for x, _ in line.points)
    high = max(x for line in lines for x, _ in line.points)
    scale = Scale(
        Axis(low, max(high, low * 2), log=True), svg.y_axis(lines), readable.seconds, readable.percent
    )
    marks = [
        Mark(value, value, "quantile", f"{name} {readable.seconds(value)}")
        for name, q in SPREAD
        if (value := pool.quantile("response", q)) is not None
    ]
    note = "; ".join(
        [
            "response " + ", ".join(mark.label for mark in marks),
            f"share of operations in each bar, {BARS} bars for each doubling of the time",
        ]
    )
    drawing = svg.bars(scale, lines, marks, height=200.0, title=f"Times of the {pool.name}s")
    legend = [(line.label, line.colour, "area") for line in lines]
    return Chart(f"Distribution of the {pool.name}s' times", note, legend, drawing)


def _shares(histogram: Histogram) -> list[Point]:
    """Return the share of the values in each bar, by its left edge; then an end at 0.

    Bars are equally wide on the logarithmic axis, `BARS` for each doubling, and shares add up to 1.
    """
    edges, counts = np.log2(histogram.layout.edges()) * BARS, histogram.counts
    filled = np.flatnonzero(counts)
    places = np.arange(np.floor(edges[filled[0]]), np.ceil(edges[filled[-1] + 1]) + 1)
    below = np.interp(places, edges, np.concatenate(([0], np.cumsum(counts))))
    shares = np.diff(below) / histogram.count
    bars = zip(2 ** (places / BARS), [*shares, 0.0], strict=True)
    return [(float(x), float(y)) for x, y in bars]
