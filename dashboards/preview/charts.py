"""Draws one panel each: chart, tile, heatmap, table."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dashboards.preview import look
from dashboards.preview.figures import Shown, name
from dashboards.reading import Document
from tests.prometheus import Point

SMALL, SMALLER = 7.5, 6.5  # points
MOST_NAMES = 7  # in a legend; the rest is counted
HEAT = LinearSegmentedColormap.from_list("heat", [look.CARD, "#1f60c4", "#8ab8ff", "#ffffff"])


class Line(NamedTuple):
    """One series of a chart."""

    name: str
    points: Sequence[Point]
    colour: str
    dashed: bool


def draw(axes: Axes, panel: Document, shown: Shown) -> None:
    """Draw what a panel shows below its title."""
    {"timeseries": _lines, "stat": _stat, "heatmap": _heatmap, "table": _table}[panel["type"]](
        axes, panel, shown
    )


def clock(at: float) -> str:
    """Return a time of day (UTC)."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _nothing(axes: Axes, panel: Document) -> None:
    axes.axis("off")
    text = panel["fieldConfig"]["defaults"]["noValue"]
    axes.text(0.5, 0.5, text, color=look.FAINT, ha="center", va="center", fontsize=SMALL + 1, wrap=True,
              transform=axes.transAxes)  # fmt: skip


def _time_axis(axes: Axes, shown: Shown) -> None:
    axes.set_xlim(shown.begin, shown.end)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock(at)))
    axes.tick_params(colors=look.FAINT, labelsize=SMALLER, length=0, pad=2)
    axes.tick_params(axis="x", pad=5)
    axes.set_facecolor(look.CARD)
    for side in axes.spines.values():
        side.set_visible(False)


def _lines(axes: Axes, panel: Document, shown: Shown) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    lines = list(_series(panel, shown))
    if not lines:
        _nothing(axes, panel)
        return
    custom = defaults["custom"]
    _time_axis(axes, shown)
    axes.grid(color=look.RULE, linewidth=0.6)
    if custom["scaleDistribution"]["type"] == "log":
        axes.set_yscale("symlog" if any(v <= 0 for line in lines for _, v in line.points) else "log")
    solid = [line for line in lines if not line.dashed]
    if custom["drawStyle"] == "bars":
        _bars(axes, solid)
    elif custom["stacking"]["mode"] == "normal":
        _areas(axes, solid)
    else:
        for line in solid:
            axes.plot(*np.array(line.points).T, color=line.colour, linewidth=1.1)
    for line in lines:
        if line.dashed:
            axes.plot(*np.array(line.points).T, color=line.colour, linewidth=1.1, dashes=(5, 3))
    _scale(axes, defaults, lines)
    _legend(axes, lines)


def _series(panel: Document, shown: Shown) -> Iterator[Line]:
    number = 0
    for target in panel["targets"]:
        for series in shown.target(target):
            title = name(target["legendFormat"], series.labels)
            plain, dashed = _style(panel, target["refId"], title)
            painted = look.colour(plain) if plain else look.PALETTE[number % len(look.PALETTE)]
            number += not plain
            yield Line(title, series.points, painted, dashed)


def _style(panel: Document, ref: str, title: str) -> tuple[str, bool]:
    """Return the colour that a panel gives a series, if it does, and whether it is dashed."""
    plain, dashed = "", False
    for override in panel["fieldConfig"]["overrides"]:
        kind, options = override["matcher"]["id"], override["matcher"]["options"]
        if (kind == "byFrameRefID" and options == ref) or (
            kind == "byRegexp" and re.search(options.strip("/"), title)
        ):
            for item in override["properties"]:
                if item["id"] == "color":
                    plain = item["value"]["fixedColor"]
                dashed = dashed or item["id"] == "custom.lineStyle"
    return plain, dashed


def _aligned(lines: Sequence[Line]) -> tuple[list[float], list[list[float]]]:
    """Return all times, and the values of each line at them, 0 where it has none."""
    times = sorted({at for line in lines for at, _ in line.points})
    return times, [[dict(line.points).get(at, 0.0) for at in times] for line in lines]


def _areas(axes: Axes, lines: Sequence[Line]) -> None:
    if lines:
        times, values = _aligned(lines)
        axes.stackplot(times, values, colors=[line.colour for line in lines], alpha=0.55, linewidth=0)


def _bars(axes: Axes, lines: Sequence[Line]) -> None:
    times, values = _aligned(lines)
    width = min((later - at for at, later in pairwise(times)), default=5.0) * 0.8
    bottom = np.zeros(len(times))
    for line, heights in zip(lines, values, strict=True):
        axes.bar(times, heights, width=width, bottom=bottom, color=line.colour, alpha=0.85)
        bottom += np.array(heights)


def _scale(axes: Axes, defaults: Document, lines: Sequence[Line]) -> None:
    """Give the axis its unit and, where they are within what is drawn, the thresholds."""
    if axes.get_yscale() == "linear":
        highest = max((value for line in lines for _, value in line.points), default=0.0)
        axes.set_ylim(0, defaults.get("max") or (axes.get_ylim()[1] * 1.02 if highest > 0 else 1))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    low, high = axes.get_ylim()
    for step in defaults["thresholds"]["steps"][1:]:
        if low <= step["value"] <= high:
            axes.axhline(step["value"], color=look.colour(step["color"]), linewidth=0.8, dashes=(4, 4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: look.readable(value, defaults["unit"])))
    axes.yaxis.set_minor_formatter("")
    axes.minorticks_off()


def _legend(axes: Axes, lines: Sequence[Line]) -> None:
    handles = [
        axes.plot([], [], color=line.colour, linewidth=2.2, dashes=(2, 1) if line.dashed else (1, 0))[0]
        for line in lines[:MOST_NAMES]
    ]
    texts = [line.name for line in lines[:MOST_NAMES]]
    if more := lines[MOST_NAMES:]:
        texts[-1] += f"  … and {len(more)} more"
    left = -46 / axes.get_window_extent().width  # below the numbers of the scale
    axes.legend(
        handles, texts, loc="upper left", bbox_to_anchor=(left, -0.12), ncol=min(len(texts), 2),
        fontsize=SMALLER, frameon=False, labelcolor=look.TEXT, handlelength=1.1, columnspacing=1.0,
        borderpad=0, borderaxespad=0.2, labelspacing=0.25,
    )  # fmt: skip


def _stat(axes: Axes, panel: Document, shown: Shown) -> None:
    axes.axis("off")
    defaults, mode = panel["fieldConfig"]["defaults"], panel["options"]["textMode"]
    steps = [(step["value"], step["color"]) for step in defaults["thresholds"]["steps"]]
    found = [
        (name(target["legendFormat"], series.labels), series.points[-1][1])
        for target in panel["targets"]
        for series in shown.target(target)
    ]
    if not found:
        _nothing(axes, panel)
        return
    for row, (title, value) in enumerate(found):
        middle = 1 - (row + 0.5) / len(found)
        text, colour = _said(value, defaults, steps)
        if mode == "name":
            text = title
        if mode == "name" or len(found) == 1:
            size = min(17, 40 * panel["gridPos"]["w"] / max(len(text), 4))
            axes.text(0.5, middle, text, color=colour, ha="center", va="center", fontsize=size, weight="bold")
        else:
            axes.text(0.03, middle, title, color=look.TEXT, va="center", fontsize=SMALL + 1)
            axes.text(0.97, middle, text, color=colour, va="center", ha="right", fontsize=12, weight="bold")


def _said(value: float, defaults: Document, steps: Sequence[tuple[float | None, str]]) -> tuple[str, str]:
    """Return the text and colour of a value: a word where the panel has one for it."""
    for mapping in defaults["mappings"]:
        word = mapping["options"].get(f"{value:g}") if mapping["type"] == "value" else None
        if word:
            return word["text"], look.colour(word["color"])
    return look.readable(value, defaults["unit"], defaults.get("decimals")), look.judged(value, steps)


def _heatmap(axes: Axes, panel: Document, shown: Shown) -> None:
    (target,) = panel["targets"]
    series = sorted(shown.target(target), key=lambda one: float(one.labels["le"]))
    if not any(value > 0 for one in series for _, value in one.points):
        _nothing(axes, panel)
        return
    times = sorted({at for one in series for at, _ in one.points})
    below = np.array([[dict(one.points).get(at, 0.0) for at in times] for one in series])
    counts = np.diff(below, axis=0, prepend=0).clip(min=0)
    used = np.flatnonzero(counts.sum(axis=1) > 0)
    first, last = max(0, used[0] - 1), min(len(series), used[-1] + 2)
    step = times[1] - times[0] if len(times) > 1 else 1.0
    _time_axis(axes, shown)
    axes.pcolormesh(
        [*times, times[-1] + step], range(first, last + 1), np.sqrt(counts[first:last]), cmap=HEAT
    )
    places = range(first, last, max(1, (last - first) // 6))
    unit = panel["fieldConfig"]["defaults"]["unit"]
    bounds = [float(one.labels["le"]) for one in series]
    axes.set_yticks(
        [place + 1 for place in places],
        [look.readable(bounds[place], unit) if bounds[place] < float("inf") else "∞" for place in places],
    )


def _table(axes: Axes, panel: Document, shown: Shown) -> None:
    axes.axis("off")
    organize = panel["transformations"][1]["options"]
    names = organize["renameByName"]
    units = {
        override["matcher"]["options"]: override["properties"][0]["value"]
        for override in panel["fieldConfig"]["overrides"]
    }
    rows: dict[tuple[str, ...], list[str]] = {}
    keys = [key for key in names if not key.startswith("Value")]
    for column, target in enumerate(panel["targets"]):
        unit = units[names[f"Value #{target['refId']}"]]
        ranked = sorted(shown.target(target), key=lambda one: -one.points[-1][1])
        for series in ranked:
            cells = rows.setdefault(
                tuple(series.labels.get(key, "") for key in keys), [""] * len(panel["targets"])
            )
            cells[column] = look.readable(series.points[-1][1], unit)
    if not rows:
        _nothing(axes, panel)
        return
    heads = [names[key] for key in names]
    lines = [[*key, *cells] for key, cells in list(rows.items())[:9]]
    widths = [max(len(line[at]) for line in [heads, *lines]) + 2 for at in range(len(heads))]
    left = np.cumsum([0, *widths[:-1]]) / sum(widths)
    for row, line in enumerate([heads, *lines]):
        for at, text in zip(left, line, strict=True):
            axes.text(at + 0.01, 0.96 - row * 0.1, text, fontsize=SMALL - 0.3, va="top",
                      color=look.TEXT if row else look.FAINT)  # fmt: skip
