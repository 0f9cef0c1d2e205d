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
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0.000_001, le=10_000_000, allow_inf_nan=False)]
