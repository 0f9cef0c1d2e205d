"""Charts as SVG text: pure functions from numbers to lines, areas and bars.

A chart is WIDTH units wide; the page scales it. Colours are classes (`c0` … `c7`), so that light and dark
are the business of the page's style sheet.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Literal, NamedTuple

WIDTH = 960.0
DAY = 86400.0  # s
TIMES = (2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)  # s
LEFT, RIGHT, TOP, BOTTOM = 78.0, 12.0, 8.0, 22.0
MOST_POINTS = 500  # per line; more are gathered, and of those the greatest is drawn
Point = tuple[float, float | None]


class Axis(NamedTuple):
    """A range of values and how they are laid out.

    Attributes:
        low: the least value.
        high: the greatest; above `low`.
        log: by the logarithm; then `low` is above 0.
        steps: what is round: powers of ten, of two (bytes), or times of the clock.
    """

    low: float
    high: float
    log: bool = False
    steps: Literal["decimal", "binary", "time"] = "decimal"

    def at(self, value: float) -> float:
        """Return where a value lies, 0 to 1; what is beyond the range is at its end."""
        if self.log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values within the range, about `most` of them."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first + 1) / most))
            decades = [10.0**n for n in range(first, last + 1, stride)]
            if len(decades) > 2:
                return decades
            fine = [m * 10.0**n for n in range(first - 1, last + 1) for m in (1, 2, 5)]
            return [value for value in fine if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]
        step = _round_step((self.high - self.low) / most, self.steps)
        first_step = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first_step, math.floor(self.high / step + 1e-9) + 1)]


class Line(NamedTuple):
    """One line of a chart.

    Attributes:
        label: in the legend.
        colour: number of its class.
        points: x ascending, and y; None is a gap.
        style: how it is drawn.
    """

    label: str
    colour: int
    points: Sequence[Point]
    style: Literal["line", "area", "dashed"] = "line"


class Mark(NamedTuple):
    """Something on the x axis: a moment, or a stretch where `end` is above `begin`."""

    begin: float
    end: float
    kind: str
    label: str


class Scale(NamedTuple):
    """Both axes of a chart and how their ticks are written."""

    x: Axis
    y: Axis
    show_x: Callable[[float], str]
    show_y: Callable[[float], str]


def chart(scale: Scale, lines: Sequence[Line], marks: Sequence[Mark], *, height: float, title: str) -> str:
    """Return a chart of lines over marked stretches."""
    parts = [_frame(height, title), *(_mark(mark, scale.x, height) for mark in marks), _grid(scale, height)]
    parts += [_line(line, scale, height) for line in lines]
    return "".join([*parts, "</svg>"])


def bars(scale: Scale, series: Sequence[Line], marks: Sequence[Mark], *, height: float, title: str) -> str:
    """Return a chart of steps, as of a distribution: each point is the left end of a step."""
    stepped = []
    for line in series:
        points: list[Point] = []
        last: float | None = 0.0
        for x, y in line.points:
            points += [(x, last), (x, y)]
            last = y
        stepped.append(line._replace(points=points, style="area"))
    parts = [_frame(height, title), *(_mark(mark, scale.x, height) for mark in marks), _grid(scale, height)]
    parts += [_line(line, scale, height, thin=False) for line in stepped]
    return "".join([*parts, "</svg>"])


def lanes(
    x: Axis, rows: Sequence[tuple[str, Sequence[Mark]]], show_x: Callable[[float], str], title: str
) -> str:
    """Return a strip of lanes, each with its name at the left and its marks along the time."""
    step = 18.0
    height = TOP + step * len(rows) + BOTTOM
    parts = [_frame(height, title)]
    for number, (name, marks) in enumerate(rows):
        y = TOP + step * number
        at = f'x="{LEFT - 6:g}" y="{y + 13:g}"'
        parts.append(f'<text class="t" {at} text-anchor="end">{escape(name)}</text>')
        for mark in marks:
            left, right = _x(x, mark.begin), _x(x, mark.end)
            parts.append(
                f'<rect class="m {mark.kind}" x="{left:.1f}" width="{max(2.0, right - left):.1f}" '
                f'y="{y + 3:g}" height="{step - 6:g}"><title>{escape(mark.label)}</title></rect>'
            )
            if right - left > 8 * len(mark.label) and mark.kind == "phase":
                parts.append(f'<text class="t" x="{left + 5:.1f}" y="{y + 13:g}">{escape(mark.label)}</text>')
    parts.append(_x_ticks(x, show_x, height))
    return "".join([*parts, "</svg>"])


def ranges(
    x: Axis,
    rows: Sequence[tuple[str, Sequence[tuple[int, float]]]],
    show_x: Callable[[float], str],
    title: str,
) -> str:
    """Return a row for each name with dots on a shared axis, the first and the last joined by a line.

    Args:
        x: the axis.
        rows: names, and the colour and value of each dot, ascending.
        show_x: how values are written; the last of a row is.
        title: what is shown.
    """
    step = 34.0
    height = TOP + step * len(rows) + BOTTOM
    parts = [_frame(height, title)]
    parts += [
        f'<path class="g" d="M{_x(x, value):.1f} {TOP:g}V{height - BOTTOM:g}"/>' for value in x.ticks(8)
    ]
    for number, (name, dots) in enumerate(rows):
        y = TOP + step * number
        parts.append(f'<text class="t" x="{LEFT:g}" y="{y + 11:g}">{escape(name)}</text>')
        places = [_x(x, value) for _, value in dots]
        parts.append(f'<path class="g" d="M{places[0]:.1f} {y + 22:g}H{places[-1]:.1f}"/>')
        for place, (colour, value) in zip(places, dots, strict=True):
            parts.append(
                f'<circle class="k c{colour}" cx="{place:.1f}" cy="{y + 22:g}" r="4.5">'
                f"<title>{escape(show_x(value))}</title></circle>"
            )
        anchor = "end" if places[-1] > WIDTH - 80 else "start"
        parts.append(
            f'<text class="t" x="{places[-1]:.1f}" y="{y + 14:g}" text-anchor="{anchor}">'
            f"{escape(show_x(dots[-1][1]))}</text>"
        )
    parts.append(_x_ticks(x, show_x, height))
    return "".join([*parts, "</svg>"])


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return at most `most` points: of several the greatest, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    groups = [points[n : n + size] for n in range(0, len(points), size)]
    return [max(group, key=lambda point: -1.0 if point[1] is None else point[1]) for group in groups]


def y_axis(lines: Sequence[Line], *, log: bool = False, least: float = 0.0, binary: bool = False) -> Axis:
    """Return an axis that holds all points of the lines, from 0 on where it is not logarithmic.

    Args:
        lines: what is to be drawn.
        log: whether the axis is logarithmic; values of 0 are left out.
        least: value that is to be on it, for lines that hardly leave 0.
        binary: whether powers of two are round, as for bytes.
    """
    values = [y for line in lines for _, y in line.points if y is not None and (y > 0 or not log)]
    if log:
        low, high = min(values, default=1e-3), max(values, default=1.0)
        return Axis(low / 1.3, max(high * 1.3, low * 3), log=True)
    high = max([*values, least]) or 1.0
    return Axis(0.0, high * 1.05, steps="binary" if binary else "decimal")


def _round_step(rough: float, steps: str) -> float:
    if steps == "time" and rough > 1:
        return next((float(step) for step in TIMES if step >= rough), math.ceil(rough / DAY) * DAY)
    if steps == "binary":
        return float(2.0 ** math.ceil(math.log2(rough)))
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.at(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float, height: float) -> float:
    return height - BOTTOM - axis.at(value) * (height - TOP - BOTTOM)


def _frame(height: float, title: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title, quote=True)}">'


def _grid(scale: Scale, height: float) -> str:
    parts = []
    for value in scale.y.ticks(4 if height < 160 else 5):
        y = _y(scale.y, value, height)
        parts.append(f'<path class="g" d="M{LEFT:g} {y:.1f}H{WIDTH - RIGHT:g}"/>')
        parts.append(
            f'<text class="t" x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(scale.show_y(value))}</text>"
        )
    return "".join([*parts, _x_ticks(scale.x, scale.show_x, height)])


def _x_ticks(axis: Axis, show: Callable[[float], str], height: float) -> str:
    parts = []
    for value in axis.ticks(8):
        x = _x(axis, value)
        anchor = "end" if x > WIDTH - RIGHT - 20 else "middle"
        parts.append(
            f'<text class="t" x="{x:.1f}" y="{height - 6:g}" text-anchor="{anchor}">'
            f"{escape(show(value))}</text>"
        )
    return "".join(parts)


def _mark(mark: Mark, axis: Axis, height: float) -> str:
    left, right = _x(axis, mark.begin), _x(axis, mark.end)
    title = f"<title>{escape(mark.label)}</title>"
    if right - left < 1.5:
        return f'<path class="v {mark.kind}" d="M{left:.1f} {TOP:g}V{height - BOTTOM:g}">{title}</path>'
    return (
        f'<rect class="b {mark.kind}" x="{left:.1f}" y="{TOP:g}" width="{right - left:.1f}" '
        f'height="{height - TOP - BOTTOM:g}">{title}</rect>'
    )


def _line(line: Line, scale: Scale, height: float, *, thin: bool = True) -> str:
    points = thinned(line.points) if thin else line.points
    pieces: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{_x(scale.x, x):.1f} {_y(scale.y, y, height):.1f}")
    base = f"{height - BOTTOM:g}"
    parts = []
    for piece in pieces:
        if not piece:
            continue
        path = "M" + "L".join(piece if len(piece) > 1 else piece * 2)
        if line.style == "area":
            left, right = piece[0].split()[0], piece[-1].split()[0]
            parts.append(f'<path class="a c{line.colour}" d="{path}L{right} {base}L{left} {base}Z"/>')
        dashed = " d" if line.style == "dashed" else ""
        parts.append(f'<path class="l c{line.colour}{dashed}" d="{path}"/>')
    return "".join(parts)
