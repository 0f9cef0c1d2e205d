"""The kinds of values that settings have beside numbers and texts."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from daemon.units import format_duration, format_size, parse_duration, parse_size

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["250ms", "10s", "30m", "2h", "0"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["4KiB", "64MiB", 4096]}),
]
PageSize = Annotated[
    Literal[512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
    # a literal takes no text, and text is what the environment and the command line give
    BeforeValidator(parse_size),
]


def _scale(value: object) -> str:
    text = str(value).strip()
    try:
        # A bare number is one of units, but looks like one of bytes.
        good = parse_size(text) > 0 and (text.isdecimal() or text[-1].isalpha())
    except ValueError:
        good = False
    if not good:
        shown = repr(text) if len(text) <= 40 else repr(text[:40]) + "…"
        raise ValueError(
            f"{shown} is not a scale; write a whole number from 1 to 2^62, or a size such as 1GiB"
        )
    return text


Scale = Annotated[str, BeforeValidator(_scale)]
"""A number of things, or the size of a database that they fill: see `scale_units`."""


def scale_units(scale: str, unit_bytes: int) -> int:
    """Return the number of units that a `Scale` asks for, each of which takes so many bytes."""
    return int(scale) if scale.isdecimal() else max(1, parse_size(scale) // unit_bytes)


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0.000_001, le=10_000_000, allow_inf_nan=False)]
