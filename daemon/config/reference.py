"""What every setting is called, what it expects and what it is for, in words made from the model.

Error messages, `soakd config init` and the reference in the documentation all come from here,
so that none of them can say something the model does not.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from daemon.config.settings import Settings
from daemon.units import format_duration, format_size

SECRETS = frozenset({"postgres.password", "http.password_hash"})
"""Settings whose value is never shown; of `target` only the password is hidden."""


class Setting(NamedTuple):
    """One setting.

    Attributes:
        key: dotted name, as in `pools.writers`.
        description: what it is for, one or two sentences.
        expects: what a value looks like, with bounds and units: `a whole number from 1 to 64`.
        default: the default as it is written in a file; None where unset is the default.
        boolean: it is on or off, and so the only kind that takes a YAML truth value.
    """

    key: str
    description: str
    expects: str
    default: str | None
    boolean: bool = False


class Group(NamedTuple):
    """A section of settings: its dotted name and what it is about."""

    key: str
    description: str


@cache
def setting_keys() -> tuple[str, ...]:
    """Return the dotted names of all settings, in the model's order."""
    return tuple(key for key, is_group in _names(Settings) if not is_group)


@cache
def group_keys() -> tuple[str, ...]:
    """Return the dotted names of all groups of settings, in the model's order."""
    return tuple(key for key, is_group in _names(Settings) if is_group)


def _names(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, bool]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield prefix + name, True
            yield from _names(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, False


@cache
def reference() -> Mapping[str, Setting | Group]:
    """Return all settings and groups by dotted name, in the model's order."""
    schema = Settings.model_json_schema()
    return {entry.key: entry for entry in _entries(Settings, schema["$defs"], schema, Settings().public())}


def _entries(
    model: type[BaseModel],
    defs: dict[str, Any],
    schema: dict[str, Any],
    defaults: dict[str, Any],
    prefix: str = "",
) -> Iterator[Setting | Group]:
    for name, field in model.model_fields.items():
        key, shape = prefix + name, schema["properties"][name]
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = defs[inner.__name__]
            yield Group(key, section["description"])
            yield from _entries(inner, defs, section, defaults[name], f"{key}.")
        else:
            # a duration or a size brings its own schema, and that hides its bounds
            bounds = {
                word: getattr(one, word) for one in field.metadata for word in _BOUNDS if hasattr(one, word)
            }
            expects = _expects(shape | {_BOUNDS[word]: value for word, value in bounds.items()})
            boolean = shape.get("type") == "boolean"
            yield Setting(key, shape["description"], expects, written(defaults[name]), boolean)


def written(value: object) -> str | None:
    """Return a value of `Settings.public()` as it is written in a file or after a flag; None for unset."""
    if value is None or value == []:
        return None
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
_WORDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def _expects(field: dict[str, Any]) -> str:
    """Return what a value looks like, from its JSON schema."""
    if "anyOf" in field:
        only = next(one for one in field["anyOf"] if one.get("type") != "null")
        return f"{_expects(only)}, or null for unset"
    if choices := field.get("enum", [field["const"]] if "const" in field else None):
        return "one of " + ", ".join(str(choice) for choice in choices)
    if field["type"] == ["string", "number"]:
        return f"a duration such as 250ms, 10s or 2h{_bounds(field, format_duration)}"
    if field["type"] == ["string", "integer"]:
        return f"a size such as 4KiB, 64MiB or 4096{_bounds(field, format_size)}"
    if "array" in field["type"]:
        return f"a list, or texts with commas between them, such as {', '.join(field['examples'])}"
    return _text(field) if field["type"] == "string" else _WORDS[field["type"]] + _bounds(field, str)


def _text(field: dict[str, Any]) -> str:
    kind = "a file" if field.get("format") == "path" else "text"
    return f"{kind} such as {' or '.join(field['examples'])}" if "examples" in field else kind


def _bounds(field: dict[str, Any], show: Callable[[Any], str]) -> str:
    low, above, high = (field.get(word) for word in ("minimum", "exclusiveMinimum", "maximum"))
    if low is not None and high is not None:
        return f" from {show(low)} to {show(high)}"
    given = (("at least", low), ("above", above), ("at most", high))
    parts = [f"{words} {show(value)}" for words, value in given if value is not None]
    return f", {' and '.join(parts)}" if parts else ""
