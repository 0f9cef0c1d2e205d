"""Structured logs: one event per line, JSON or for people, with secrets taken out.

Nothing here is called per operation; an event costs some microseconds.
"""

import json
import logging
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.target import MASK, redact

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

_SECRET_KEY = re.compile(
    r"password|passwd|secret|(?:^|[_\-.])(?:token|dsn|authorization|conninfo)(?:$|[_\-.])", re.IGNORECASE
)
_DEPTH = 8  # levels of nesting that are shown
# Libraries that would otherwise report every reconnect or job at INFO.
_QUIET = ("apscheduler.executors", "apscheduler.scheduler", "uvicorn.error", "asyncio")
# Warns of each attempt to connect, for as long as an outage lasts; the samplers tell it in their figures.
_QUIETER = ("psycopg.pool",)


def configure(*, level: Level, fmt: Format, stream: TextIO) -> None:
    """Set logging up for the process; calling it again changes it.

    Args:
        level: least severity that is written.
        fmt: `json` for one JSON object per line, `console` for people.
        stream: where to; every event is one line, flushed at once.
    """
    threshold = getattr(logging, level.upper())
    render = (
        _to_json if fmt == "json" else _console(colours=stream.isatty() and not os.environ.get("NO_COLOR"))
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,  # plain: local variables would tell secrets
            redact_event,  # after it, so that it sees the text of exceptions
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(threshold)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in _QUIETER:
        logging.getLogger(name).setLevel(max(threshold, logging.ERROR))


def write(level: Level, event: str, facts: Mapping[str, object]) -> None:
    """Write one event.

    Args:
        level: its severity.
        event: its name, as `run.started`.
        facts: everything else about it; the keys `event`, `level` and `timestamp` are taken.
    """
    getattr(structlog.get_logger(), level)(event, **dict(facts))


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets: by key at any depth, and the passwords inside of any text."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


class _Lines:
    """Writes lines; a log that cannot be written (disk full, pipe gone) never ends a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        # A ValueError is a closed stream, or a character that its encoding lacks.
        with suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _Forward(logging.Handler):
    """Sends what libraries log through the same chain."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger().bind(logger=record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _clean(key: object, value: object, depth: int) -> Any:  # noqa: ANN401 - log values may be anything
    if isinstance(key, str) and _SECRET_KEY.search(key) and value not in (None, ""):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _clean_all(value, depth + 1) if depth < _DEPTH else "…"
    return redact(_text(value))


def _clean_all(values: Mapping[object, object] | Collection[object], depth: int) -> Any:  # noqa: ANN401
    if isinstance(values, Mapping):
        return {redact(_text(key)): _clean(key, value, depth) for key, value in values.items()}
    return [_clean(None, value, depth) for value in values]


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    ordered = {**first, **event}
    try:
        return orjson.dumps(ordered, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:  # an integer beyond 64 bits, or text that is not Unicode
        return json.dumps(ordered, default=str)


def _console(*, colours: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colours, sort_keys=False, pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
    )
