"""Draws a whole dashboard: the title, the rows, and each panel in its place."""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dashboards.preview import look
from dashboards.preview.charts import clock, draw
from dashboards.preview.figures import SCRAPES, Shown
from dashboards.reading import OUTLINE, Document, outline, rows

WIDTH, LINE, GAP, HEAD, DPI = 1680, 34, 8, 74, 100  # pixels; LINE is the height of a line of the grid
COLOURS = 256
NOTE = "Preview: this dashboard's own JSON with figures of a real run, drawn without Grafana"

Mark = tuple[float, float, str]  # begin and end (Unix time, s), colour


class Canvas:
    """A figure that is measured in pixels from the upper left corner, as a page is."""

    def __init__(self, height: int) -> None:
        self.figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=look.PAGE)
        self._height = height

    def box(self, x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
        """Return a rectangle as matplotlib measures it."""
        return x / WIDTH, 1 - (y + h) / self._height, w / WIDTH, h / self._height

    def text(
        self, x: float, y: float, text: str, size: float, colour: str = look.TEXT, weight: str = "normal"
    ) -> None:
        """Write a text whose upper left corner is there."""
        left, top, _, _ = self.box(x, y, 0, 0)
        self.figure.text(left, top, text, fontsize=size, color=colour, va="top", weight=weight)

    def card(self, x: float, y: float, w: float, h: float) -> None:
        """Draw the ground of a panel."""
        left, bottom, width, height = self.box(x, y, w, h)
        self.figure.patches.append(
            FancyBboxPatch((left, bottom), width, height, boxstyle="square,pad=0", facecolor=look.CARD,
                           edgecolor=look.RULE, linewidth=0.8, transform=self.figure.transFigure, zorder=-1)
        )  # fmt: skip

    def save(self, path: Path, told: str) -> None:
        """Write the picture, with few colours, which makes it small; and in it a text for programs."""
        notes = PngInfo()
        notes.add_text(OUTLINE, told)
        buffer = io.BytesIO()
        FigureCanvasAgg(self.figure)
        self.figure.savefig(buffer, format="png", facecolor=look.PAGE)
        drawn = Image.open(buffer).convert("RGB").quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
        drawn.save(path, optimize=True, pnginfo=notes)


def picture(document: Document, shown: Shown, path: Path) -> None:
    """Draw a dashboard as it is when it is opened; folded rows are drawn too."""
    shown = shown.opened(document)
    tall = [1 + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in inside)
            - min(panel["gridPos"]["y"] for panel in inside) for _, inside in rows(document)]  # fmt: skip
    canvas = Canvas(HEAD + sum(tall) * LINE + GAP)
    canvas.text(GAP * 2, 12, document["title"], 15, weight="bold")
    canvas.text(GAP * 2, 42, document["description"], 9, look.FAINT)
    choice = "   ".join(
        f"{name}: {value.replace('.+', 'All')}" for name, value in shown.chosen.items() if name != "job"
    )
    span = f"{choice}   {clock(shown.begin)} to {clock(shown.end)} UTC"
    canvas.text(WIDTH - 640, 16, NOTE, 9, look.colour("orange"))
    canvas.text(WIDTH - 640, 42, span, 9, look.FAINT)
    y = HEAD
    marks = _marks(document, shown)
    for (heading, inside), height in zip(rows(document), tall, strict=True):
        folded = "  (folded at first)" if heading["collapsed"] else ""
        canvas.text(GAP * 2, y + 9, f"{heading['title']}{folded}", 10.5, weight="bold")
        top = min(panel["gridPos"]["y"] for panel in inside)
        for panel in inside:
            _panel(canvas, panel, y + LINE + (panel["gridPos"]["y"] - top) * LINE, shown, marks)
        y += height * LINE
    canvas.save(path, outline(document))


def _marks(document: Document, shown: Shown) -> list[Mark]:
    """Return begin, end and colour of what annotations mark; points in a row are one mark, as in Grafana."""
    found: list[Mark] = []
    for mark in document["annotations"]["list"]:
        for series in shown.query(mark["expr"]):
            begin = end = float("-inf")
            for at, value in series.points:
                if value <= 0:
                    continue
                if at > end + SCRAPES:
                    begin = at
                elif found:
                    found.pop()
                end = at
                found.append((begin, end, mark["iconColor"]))
    return found


def _panel(canvas: Canvas, panel: Document, y: float, shown: Shown, marks: list[Mark]) -> None:
    place = panel["gridPos"]
    column = (WIDTH - 2 * GAP) / 24
    x, w, h = GAP + place["x"] * column, place["w"] * column - GAP, place["h"] * LINE - GAP
    canvas.card(x, y, w, h)
    canvas.text(x + 8, y + 7, panel["title"], 9)
    if panel["type"] == "timeseries":
        inner = (x + 54, y + 30, w - 66, h - 100)
    elif panel["type"] == "heatmap":
        inner = (x + 54, y + 30, w - 66, h - 56)
    else:
        inner = (x + 8, y + 26, w - 16, h - 32)
    axes = canvas.figure.add_axes(canvas.box(*inner))
    draw(axes, panel, shown)
    if panel["type"] == "timeseries" and axes.axison:
        for begin, end, colour in marks:
            axes.axvspan(begin, end, color=look.colour(colour), alpha=0.13, linewidth=0)
            for edge in {begin, end}:
                axes.axvline(edge, color=look.colour(colour), linewidth=0.9, alpha=0.7, dashes=(2, 2))
        axes.set_xlim(shown.begin, shown.end)
