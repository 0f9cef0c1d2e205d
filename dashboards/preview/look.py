"""What things look like in the preview: Grafana's colours, and numbers with their units."""

from collections.abc import Sequence

PAGE, CARD, RULE, TEXT, FAINT = "#111217", "#181b1f", "#2c3235", "#d8d9da", "#8e8e8e"
NAMED = {
    "green": "#73bf69",
    "yellow": "#fade2a",
    "light-yellow": "#fff899",
    "orange": "#ff9830",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "blue": "#5794f2",
    "light-blue": "#a9ccff",
    "dark-blue": "#3274d9",
    "purple": "#b877d9",
    "light-purple": "#dcb8ec",
}
PALETTE = ("#73bf69", "#fade2a", "#5794f2", "#ff9830", "#b877d9", "#56b9c2", "#d683ce", "#96d98d", "#8ab8ff")

_RATES = {"ops": " ops/s", "rowsps": " rows/s", "cps": " c/s"}
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def colour(name: str) -> str:
    """Return the colour that Grafana means by a name, or the code that it is."""
    return NAMED.get(name, name)


def judged(value: float, steps: Sequence[tuple[float | None, str]]) -> str:
    """Return the colour that thresholds give a value."""
    reached = [name for limit, name in steps if limit is None or value >= limit]
    return colour(reached[-1])


def readable(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value as Grafana would write it in a unit of its own naming."""
    if unit == "percentunit":
        return f"{_digits(value * 100, decimals)} %"
    if unit == "s":
        return _time(value)
    if unit in ("bytes", "binBps"):
        return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB")) + ("/s" if unit == "binBps" else "")
    if unit == "none":
        return _digits(value, decimals)
    return _scaled(value, 1000, ("", "K", "Mil", "Bil")) + _RATES.get(unit, "")


def _time(value: float) -> str:
    if value >= 60:
        minutes, seconds = divmod(value, 60)
        return f"{minutes:.0f}m {seconds:.0f}s"
    for size, name in _TIMES:
        if value >= size:
            return f"{_digits(value / size)} {name}"
    return "0 s" if value <= 0 else f"{_digits(value * 1e6)} µs"


def _scaled(value: float, base: int, names: Sequence[str]) -> str:
    place = 0
    while abs(value) >= base and place + 1 < len(names):
        value, place = value / base, place + 1
    return f"{_digits(value)} {names[place]}".rstrip()


def _digits(value: float, decimals: int | None = None) -> str:
    if decimals is None:
        decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
    return f"{value:.{decimals}f}"
