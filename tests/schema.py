"""Do the models of Grafana's library, which are made from its schema, hold only what they declare?"""

import enum
import types
import typing
from collections.abc import Iterator
from typing import Any


def misfits(value: object, hint: Any, where: str) -> Iterator[str]:
    """Yield the places in a model, or what it is made of, where something else is than `hint` says."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, Any):  # what it really is depends on the kind of panel
        hint = type(value) if hasattr(value, "to_json") else object
    if origin in (typing.Union, types.UnionType):
        yield from _of_union(value, arguments, where)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{where}: {value!r} is none of {arguments}"
    elif origin in (list, dict):
        yield from _of_items(value, origin, arguments[-1], where)
    elif hint is not object:
        yield from _of_class(value, hint, where)


def _of_union(value: object, options: tuple[Any, ...], where: str) -> Iterator[str]:
    """The option that it is meant to be is the one of its own type, or the one that it fits best."""
    options = tuple(option for option in options if (option is types.NoneType) == (value is None))
    meant = [option for option in options if option is type(value)] or options
    found = [list(misfits(value, option, where)) for option in meant]
    yield from min(found, key=len, default=[f"{where}: {value!r} is not allowed"])


def _of_items(value: object, kind: type, hint: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict) and kind is dict:
        pairs: Any = value.items()
    elif isinstance(value, list) and kind is list:
        pairs = enumerate(value)
    else:
        yield f"{where}: {value!r} is no {kind.__name__}"
        return
    for key, item in pairs:
        yield from misfits(item, hint, f"{where}[{key}]")


def _of_class(value: object, hint: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict) and hasattr(hint, "from_json"):  # the models leave some parts unread
        value = hint.from_json(value)
    fits = _scalar(value, hint) if issubclass(hint, str | int | float) else isinstance(value, hint)
    if not fits:
        yield f"{where}: {value!r} is no {hint.__name__}"
    elif hasattr(value, "to_json"):
        for field, inner in typing.get_type_hints(type(value)).items():
            yield from misfits(getattr(value, field), inner, f"{where}.{field}")


def _scalar(value: object, hint: type) -> bool:
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if issubclass(hint, enum.Enum):
        return value in {member.value for member in hint}
    return isinstance(value, int | float if hint is float else hint)
