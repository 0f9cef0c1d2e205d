"""The picture of `soakd top` as a terminal shows it; 80 columns and 24 lines are enough."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from daemon.results import bars, readable
from daemon.results.window import PoolFigures
from daemon.top.buckets import Buckets
from daemon.top.picture import Picture
from daemon.top.sections import Line
from daemon.top.trend import Points, Trend, spark

# Headings, and widths that hold the usual figures, so that nothing moves while they change.
_COLUMNS = (
    ("", 9),
    ("now/s", 9),
    ("target/s", 8),
    ("in flight", 9),
    ("p50", 6),
    ("p95", 6),
    ("p99", 6),
)
_FIXED = sum(width + 1 for _, width in _COLUMNS)
_NAME = 11  # columns of the names of lines, the gap after them included
BEHIND = 0.9  # share of the rate asked for below which the rate is coloured
TREND = "rate, p99 of a min"
MOST = 60  # columns of a trend, one for each second


def view(picture: Picture, trend: Trend, *, url: str, width: int) -> RenderableType:
    """Return the picture.

    Args:
        picture: what to show.
        trend: its last minute.
        url: where it comes from.
        width: columns of the terminal.
    """
    return Group(
        _title(picture, url),
        _pools(picture, trend, max(0, min(MOST, width - _FIXED))),
        _caption(picture),
        _facts([_queue(picture), *map(_fact, picture.lines)]),
        *_sections(picture),
    )


def trouble(problem: str, before: RenderableType | None) -> RenderableType:
    """Return what is wrong, above the last picture if there was one."""
    line = Text(problem, style="bold red")
    return Group(line, before) if before else line


def _title(picture: Picture, url: str) -> Table:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(justify="right", no_wrap=True, min_width=len(picture.phase))
    number, backend, workload = picture.run
    what = f" · {workload} on {backend}"
    style = "bold green" if picture.phase == "running" else "bold yellow"
    line.add_row(
        Text.assemble(("soakd", "bold"), what, (f" · {url} · run {number}", "dim")),
        Text(picture.phase, style),
    )
    return line


def _pools(picture: Picture, trend: Trend, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for n, (heading, least) in enumerate(_COLUMNS):
        table.add_column(heading, justify="right" if n else "left", no_wrap=True, min_width=least)
    table.add_column(TREND[:width], no_wrap=True, width=width)
    for pool in picture.pools:
        figures = pool.figures
        table.add_row(
            pool.name,
            _rate(figures) if picture.seconds else readable.NOTHING,
            readable.rate(figures.target) if figures.target else readable.NOTHING,
            readable.count(figures.in_flight),
            *_times(pool.response),
            _spark(trend.rates(pool.name), width, "green", lowest=True),
        )
        table.add_row(
            Text("  service", "dim"),
            "",
            "",
            "",
            *_times(pool.service),
            _spark(trend.p99(pool.name), width, "cyan", lowest=False),
        )
    return table


def _rate(figures: PoolFigures) -> Text:
    behind = figures.target is not None and figures.rate < BEHIND * figures.target
    return Text(readable.rate(figures.rate), "bold yellow" if behind else "bold")


def _times(buckets: Buckets) -> list[str]:
    return [readable.seconds(value) for value in buckets.quantiles()]


def _spark(points: Points, width: int, style: str, *, lowest: bool) -> Text:
    return Text(spark(points, width, min if lowest else max), style)


def _caption(picture: Picture) -> Text:
    if not picture.seconds:
        return Text("rates and times need a second look", "dim", justify="right")
    times = f"response and service times from buckets of the last {picture.latest:.1f} s"
    return Text(f"{times}, rates of {picture.seconds:.1f} s", "dim", justify="right")


def _queue(picture: Picture) -> tuple[str, RenderableType] | None:
    rows, capacity = picture.queue
    return ("queue", bars.queue_bar(rows, capacity)) if capacity else None


def _fact(line: Line) -> tuple[str, RenderableType]:
    return line.name, Text(line.text, line.style)


def _facts(facts: list[tuple[str, RenderableType] | None]) -> Table:
    table = Table.grid()
    table.add_column(style="dim", no_wrap=True, width=_NAME)
    table.add_column(overflow="fold")
    for fact in facts:
        if fact:
            table.add_row(*fact)
    return table


def _sections(picture: Picture) -> Iterator[RenderableType]:
    for section in picture.sections:
        yield Rule(Text(section.title, "dim"), align="left", style="dim")
        yield _facts([_fact(line) for line in section.lines])
