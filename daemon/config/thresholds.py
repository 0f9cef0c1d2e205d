"""The setting `thresholds`: a list of texts, each of which says a threshold."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema


def _texts(value: object) -> object:
    """Return the texts of one that has several, as the environment and the command line give them."""
    if value is None:
        return ()
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _sound(value: tuple[str, ...]) -> tuple[str, ...]:
    """See that each is a threshold, or the name of a profile of them."""
    if value:
        # Brings what measures, which a command without thresholds need not load.
        from daemon.judge.profiles import expand  # noqa: PLC0415

        expand(value)
    return value


Thresholds = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    AfterValidator(_sound),
    WithJsonSchema(
        {
            "type": ["array", "string", "null"],
            "items": {"type": "string"},
            "examples": ["errors.rate < 1%", "profile:events"],
        }
    ),
]
