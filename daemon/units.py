"""Durations, sizes and rates as people write them."""

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|KB|MB|GB)?")
_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_duration(text: str | float) -> float:
    """Return seconds ≥ 0 for `250ms`, `10s`, `1h30m`, `0`, or a bare number of seconds in a file.

    Raises:
        ValueError: it is not a duration; the message says how one looks.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(_duration_help(text))
    if isinstance(text, int | float):
        if not 0 <= text < float("inf"):
            raise ValueError(_duration_help(text))
        return float(text)
    compact = text.strip()
    if compact == "0":
        return 0.0
    parts = _DURATION.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(_duration_help(text))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Return a short duration that `parse_duration` reads back: `250ms`, `1h30m`, `0`."""
    if seconds == 0:
        return "0"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.6g}us"
    if seconds < 1:
        return f"{seconds * 1e3:.6g}ms"
    whole = int(seconds)
    if whole != seconds:
        return f"{seconds:.6g}s"
    parts = []
    for unit in ("d", "h", "m", "s"):
        n, whole = divmod(whole, int(_SECONDS[unit]))
        if n:
            parts.append(f"{n}{unit}")
    return "".join(parts)


def parse_size(text: str | int) -> int:
    """Return bytes ≥ 0 for `64MiB`, `4KiB`, `512B`, or a bare number of bytes.

    Raises:
        ValueError: it is not a size; the message says how one looks.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if isinstance(text, bool) or match is None:
        raise ValueError(f"{text!r} is not a size; write for example 64MiB, 4KiB or 4096")
    return int(float(match[1]) * _BYTES[match[2]])


def _duration_help(text: object) -> str:
    return f"{text!r} is not a duration; write for example 250ms, 10s, 30m, 2h or 0"
