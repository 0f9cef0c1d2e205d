"""What panels are made of, as plain data: stat, lines, heatmap, table.

Colours mean something: red is bad, orange wants a look, green is well, grey dashes are configured limits.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dashboards.promql import quantile

GOOD, WARN, BAD, NEUTRAL, LIMIT = "green", "orange", "red", "blue", "#8e8e8e"

Steps = Sequence[tuple[float | None, str]]
PLAIN: Steps = ((None, NEUTRAL),)
"""Thresholds of a figure that is neither good nor bad in itself."""


class Query(NamedTuple):
    """One query of a panel.

    Attributes:
        expr: PromQL.
        legend: name of its series, with `{{label}}`.
        colour: of its series; empty: each its own.
        dashed: it is a limit, a target or a floor: a line without an area.
    """

    expr: str
    legend: str = "{{instance}}"
    colour: str = ""
    dashed: bool = False


def limit(expr: str, legend: str) -> Query:
    """Return the query of a configured limit."""
    return Query(expr, legend, LIMIT, dashed=True)


def percentiles(histogram: str, *matchers: str) -> tuple[Query, ...]:
    """Return the queries of a histogram's p50, p95 and p99, in three shades of one colour."""
    return tuple(
        Query(quantile(q, histogram, *matchers), f"p{q * 100:.0f} · {{{{instance}}}}", colour)
        for q, colour in ((0.5, "light-blue"), (0.95, "blue"), (0.99, "dark-blue"))
    )


def rising(warn: float, bad: float) -> Steps:
    """Return thresholds of a figure that should be low."""
    return ((None, GOOD), (warn, WARN), (bad, BAD))


def falling(bad: float, warn: float) -> Steps:
    """Return thresholds of a figure that should be high."""
    return ((None, BAD), (bad, WARN), (warn, GOOD))


class Stat(NamedTuple):
    """A tile with the present value of each series.

    Attributes:
        title: as short as the tile is narrow.
        description: how to read it, and what to do about it.
        unit: Grafana's name of the unit.
        queries: each series is one value.
        steps: colours by value.
        words: texts and colours to show instead of values.
        none: shown when there is no series.
        names: show the names of the series instead of their values.
        decimals: digits after the point; None: as many as are of use.
        link: uid and title of the dashboard to go on with.
        width: of 24.
        height: in lines of the grid.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    steps: Steps = PLAIN
    words: Mapping[int, tuple[str, str]] = {}
    none: str = "no data"
    names: bool = False
    decimals: int | None = None
    link: tuple[str, str] | None = None
    width: int = 3
    height: int = 4


class Lines(NamedTuple):
    """A chart over time.

    Attributes:
        title: a question or a plain statement.
        description: how to read it, and what to do about it.
        unit: Grafana's name of the unit.
        queries: what is drawn.
        steps: drawn as dashed lines where there is more than one.
        colours: of series by the words that their names begin with.
        none: shown when there is no series.
        stacked: areas on top of each other.
        bars: for what happens now and then; a line would not show a single point.
        log: logarithmic scale, for figures of very different size.
        top: end of the scale; None: that of the data.
        width: of 24.
        height: in lines of the grid.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    steps: Steps = PLAIN
    colours: Mapping[str, str] = {}
    none: str = "no data"
    stacked: bool = False
    bars: bool = False
    log: bool = False
    top: float | None = None
    width: int = 8
    height: int = 8


class Heatmap(NamedTuple):
    """A chart of a histogram over time.

    Attributes:
        title: a question or a plain statement.
        description: how to read it, and what to do about it.
        unit: Grafana's name of the unit of the buckets.
        expr: rates of the buckets, by `le` alone.
        none: shown when there is no series.
        width: of 24.
        height: in lines of the grid.
    """

    title: str
    description: str
    unit: str
    expr: str
    none: str = "no data"
    width: int = 8
    height: int = 8


class Table(NamedTuple):
    """A table with a row for each combination of labels, the highest of the first column first.

    Attributes:
        title: a question or a plain statement.
        description: how to read it, and what to do about it.
        columns: heading, Grafana's name of the unit, and the query, by all `keys` and nothing else.
        keys: the labels that tell rows apart, and their headings.
        none: shown when there is no series.
        width: of 24.
        height: in lines of the grid.
    """

    title: str
    description: str
    columns: Sequence[tuple[str, str, str]]
    keys: Mapping[str, str]
    none: str = "no data"
    width: int = 24
    height: int = 8


Panel = Stat | Lines | Heatmap | Table


class Row(NamedTuple):
    """A heading and the panels under it, laid out from left to right; a full line begins a new one.

    Attributes:
        title: what the panels answer together.
        panels: those of one line are of the same height.
        folded: shown, and asked for, when somebody opens it.
    """

    title: str
    panels: Sequence[Panel]
    folded: bool = False


class Page(NamedTuple):
    """One dashboard.

    Attributes:
        name: of its file.
        uid: in its address.
        title: in the list of dashboards and on top of the page.
        description: what it is for.
        marker: a metric that only the instances have which it is about.
        instance: chosen at first, by the name that deploy/prometheus.yml gives it.
        rows: from top to bottom.
        choices: labels that its reader chooses from beside the instance.
        backend: of the runs that it is about; empty: any.
    """

    name: str
    uid: str
    title: str
    description: str
    marker: str
    instance: str
    rows: Sequence[Row]
    choices: Sequence[str] = ()
    backend: str = ""
