"""The kinds of values that a signal can have, and how each is written."""

import re
from typing import Literal

from daemon.results import readable
from daemon.units import format_duration, format_size, parse_duration, parse_size

Kind = Literal["seconds", "share", "rate", "count", "bytes"]

MOST = 1e12
"""Largest number of a value; a larger one is a slip."""
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(%|/s)?", re.ASCII)
_SUFFIX = {"share": "%", "rate": "/s", "count": ""}
_EXAMPLES = {"seconds": "200ms or 2s", "share": "1% or 99.9%", "rate": "5000", "count": "0", "bytes": "64MiB"}


def parse_value(kind: Kind, text: str) -> float:
    """Return a value in seconds, shares of 1, operations per second, numbers or bytes.

    A share needs its %, a time its unit; a rate may have `/s` behind it.

    Raises:
        ValueError: it is not a value of this kind; the message says how one looks.
    """
    try:
        return _parse(kind, text)
    except ValueError:
        raise ValueError(f"{text!r} is not {_NAMES[kind]}; write for example {_EXAMPLES[kind]}") from None


_NAMES = {
    "seconds": "a duration",
    "share": "a percentage",
    "rate": "a number per second",
    "count": "a number",
    "bytes": "a size",
}


def _parse(kind: Kind, text: str) -> float:
    if kind == "seconds":
        # Through its own spelling, so that what is printed is read back as the very same number.
        return parse_duration(format_duration(parse_duration(text)))
    if kind == "bytes":
        return parse_size(text)
    match = _NUMBER.fullmatch(text)
    suffix = match[2] if match else None
    if match is None or float(match[1]) > MOST or (suffix or "") not in {"", _SUFFIX[kind]}:
        raise ValueError(text)
    if kind == "share":
        if suffix is None:
            raise ValueError(text)
        return float(_plain(float(match[1]))) / 100
    return float(_plain(float(match[1])))


def format_value(kind: Kind, value: float) -> str:
    """Return a spelling that `parse_value` reads back as the same number."""
    if kind == "seconds":
        return format_duration(value)
    if kind == "bytes":
        return format_size(round(value))
    return f"{_plain(value * 100)}%" if kind == "share" else _plain(value)


def show_value(kind: Kind, value: float | None) -> str:
    """Return a value for people: three digits that count, with its unit."""
    if value is None:
        return readable.NOTHING
    if kind == "seconds":
        return readable.seconds(value)
    if kind == "share":
        # Two digits more than `readable.percent`, for 99.95 % is not 100 %.
        return f"{_plain(round(value * 100, 2))} %"
    if kind == "bytes":
        return readable.size(value)
    return f"{readable.rate(value)}/s" if kind == "rate" else readable.count(value)


def _plain(number: float) -> str:
    """Return a number with at most six digits after the point and never an exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
