"""Durations and sizes as people write them."""

import re
from typing import Final

_UNIT = r"(\d+(?:\.\d+)?)\s*(us|µs|ms|s|m|h|d)"
_PART = re.compile(_UNIT, re.ASCII)
_DURATION = re.compile(rf"(?:{_UNIT}\s*)+", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Divided by, as 200 / 1e6 is the float nearest to 0.0002 and 200 * 1e-6 is not.
_PER_SECOND = {"us": 1_000_000, "µs": 1_000_000, "ms": 1000}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|KB|MB|GB)?", re.ASCII)
_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}

MAX_DURATION: Final = 3650 * 86400.0
"""Longest duration, s (ten years): a longer one is a slip, and timers cannot keep it."""
MAX_SIZE: Final = 2**62
"""Largest size, bytes: what a signed 64-bit number holds with room to spare."""


def parse_duration(text: str | float) -> float:
    """Return seconds from 0 to `MAX_DURATION` for `250ms`, `10s`, `1h30m`, `0`, or a number of seconds.

    Text needs a unit, so that nobody has to guess one; a bare number, as it comes out of a
    file or from code, is in seconds.

    Raises:
        ValueError: it is not a duration; the message says how one looks.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(_duration_help(text))
    if isinstance(text, int | float):
        return _bounded(text, text)
    compact = text.strip()
    if compact == "0":
        return 0.0
    if not _DURATION.fullmatch(compact):
        raise ValueError(_duration_help(text))
    parts = _PART.findall(compact)
    return _bounded(
        sum(float(n) * _SECONDS.get(unit, 1) / _PER_SECOND.get(unit, 1) for n, unit in parts), text
    )


def _bounded(seconds: float, text: object) -> float:
    # also refuses nan, which compares as False with everything
    if not 0 <= seconds <= MAX_DURATION:
        raise ValueError(_duration_help(text))
    return float(seconds)


def _duration_help(text: object) -> str:
    if isinstance(text, str) and text.strip().replace(".", "", 1).isdecimal() and len(text) < 12:
        return f"{text!r} has no unit; write for example {text.strip()}s or {text.strip()}ms"
    shown = repr(text) if len(repr(text)) <= 40 else repr(text)[:40] + "…"
    return f"{shown} is not a duration; write for example 250ms, 10s, 30m, 2h or 0, at most 3650d"


def format_duration(seconds: float) -> str:
    """Return a short duration that `parse_duration` reads back to a nanosecond: `250ms`, `1h30m`, `0`."""
    if seconds < 5e-10:
        return "0"
    if seconds < 1e-3:
        return f"{_plain(seconds * 1e6, 3)}us"
    if seconds < 1:
        return f"{_plain(seconds * 1e3, 6)}ms"
    whole = int(seconds)
    if whole != seconds:
        return f"{_plain(seconds, 9)}s"
    parts = []
    for unit in ("d", "h", "m", "s"):
        n, whole = divmod(whole, _SECONDS[unit])
        if n:
            parts.append(f"{n}{unit}")
    return "".join(parts)


def _plain(number: float, digits: int) -> str:
    """Return a number with at most so many digits after the point and never an exponent."""
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def parse_size(text: str | float) -> int:
    """Return bytes from 0 to `MAX_SIZE` for `64MiB`, `4KiB`, `512B`, or a bare number of bytes.

    Raises:
        ValueError: it is not a size; the message says how one looks.
    """
    match = (
        _SIZE.fullmatch(str(text).strip()) if len(str(text)) <= 40 and not isinstance(text, bool) else None
    )
    size = float(match[1]) * _BYTES[match[2]] if match else -1.0
    if not 0 <= size <= MAX_SIZE:
        shown = repr(text) if len(repr(text)) <= 40 else repr(text)[:40] + "…"
        raise ValueError(f"{shown} is not a size; write for example 64MiB, 4KiB or 4096")
    return int(size)


def format_size(size: int) -> str:
    """Return an exact spelling of a number of bytes that `parse_size` reads back: `64MiB`, `100`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)
