"""Figures as people read them in a terminal: short, with their unit, three digits that count."""

from collections.abc import Mapping

NOTHING = "–"


def seconds(value: float | None) -> str:
    """Return a time in at most six characters: `85µs`, `1.23ms`, `456ms`, `12.3s`, `1200s`."""
    if value is None:
        return NOTHING
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        scaled = value * factor
        if scaled < 999.5:
            return f"{_three(scaled)}{unit}" if scaled >= 0.995 or not scaled else f"{scaled:.2f}{unit}"
    return f"{_three(value)}s"


def count(value: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,.0f}"


def total(value: float) -> str:
    """Return a whole number in at most eleven characters: in millions from a thousand millions on."""
    return count(value) if value < 1e9 else f"{value / 1e6:,.0f} M"


def rate(value: float) -> str:
    """Return a number per second: whole from 100 on, with a decimal below."""
    return f"{value:,.0f}" if value >= 99.95 or not value else f"{value:.1f}"


def size(value: float) -> str:
    """Return a number of bytes in at most eight characters: `512 B`, `4.10 MiB`, `1,234 TiB`."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 999.5 * 1024 ** (power - 1):
            return f"{_three(value / 1024**power)} {unit}"
    return f"{value:.0f} B"


def percent(ratio: float) -> str:
    """Return a share of 1 as a percentage."""
    return f"{ratio * 100:.0f} %" if ratio >= 0.0995 or not ratio else f"{ratio * 100:.1f} %"


def clock_time(value: float) -> str:
    """Return a length of time as `h:mm:ss`, with days in front when there are any."""
    whole = int(value)
    days, rest = divmod(whole, 86400)
    shown = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {shown}" if days else shown


def listing(counts: Mapping[str, float]) -> str:
    """Return names with their counts: `busy 3 · timeout 1`."""
    return " · ".join(f"{name} {count(n)}" for name, n in counts.items())


def _three(value: float) -> str:
    """Return the value with three significant digits, more before the decimal point if need be."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}" if value else "0"
