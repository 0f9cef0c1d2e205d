"""Logs: their form, and that no secret gets into them."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from daemon.log import Format, Level, configure, write

PASSWORD = "hunter2"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def log_to(stream: io.StringIO | None = None, *, level: Level = "info", fmt: Format = "json") -> io.StringIO:
    stream = stream or io.StringIO()
    configure(level=level, fmt=fmt, stream=stream)
    return stream


def fail(message: str) -> None:
    raise ConnectionError(message)


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_time_level_and_name() -> None:
    """Time in UTC, ISO 8601; figures stay figures."""
    stream = log_to()
    write("info", "run.started", {"run_id": "r1", "writers": 10, "rate": 2.5, "ready": True, "target": None})
    (event,) = events(stream)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert datetime.fromisoformat(event.pop("timestamp")).tzinfo == UTC
    assert event == {
        "level": "info",
        "event": "run.started",
        "run_id": "r1",
        "writers": 10,
        "rate": 2.5,
        "ready": True,
        "target": None,
    }


def test_events_below_the_level_are_not_written() -> None:
    """For soakd's own and for those of libraries."""
    stream = log_to(level="warning")
    structlog.get_logger().info("run.progress")
    logging.getLogger("some.library").info("hello")
    structlog.get_logger().error("engine.died")
    assert [event["event"] for event in events(stream)] == ["engine.died"]


@pytest.mark.parametrize("fmt", ["json", "console"])
@pytest.mark.parametrize(
    "given",
    [
        {"password": PASSWORD},
        {"PASSWORD": PASSWORD},
        {"password_hash": PASSWORD},
        {"pgpassword": PASSWORD},
        {"token": PASSWORD},
        {"api_token": PASSWORD},
        {"client_secret": PASSWORD},
        {"dsn": f"host=h password={PASSWORD}"},
        {"conninfo": PASSWORD},
        {"Authorization": f"Basic {PASSWORD}"},
        {"headers": {"authorization": PASSWORD}},
        {"config": {"http": [{"password": PASSWORD}]}},
        {"target": f"postgresql://soakd:{PASSWORD}@db/x"},
        {"note": f"cannot reach postgresql://soakd:{PASSWORD}@db:5432/x, giving up"},
        {"note": f"host=db user=u password='{PASSWORD}' dbname=x"},
        {"targets": [f"postgresql://u:{PASSWORD}@a", f"postgresql://u:{PASSWORD}@b"]},
        {"by_target": {f"postgresql://u:{PASSWORD}@a/b": 1}},
        {"raw": f"postgresql://u:{PASSWORD}@a/b".encode()},
        {"error": ValueError(f"bad postgresql://u:{PASSWORD}@a/b")},
    ],
)
def test_no_secret_is_written(fmt: Format, given: dict[str, Any]) -> None:
    """By key at any depth, in URLs and key=value texts, in bytes and in exceptions."""
    stream = log_to(fmt=fmt)
    structlog.get_logger().warning("x", **given)
    assert PASSWORD not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_no_secret_is_written_with_an_exception(fmt: Format) -> None:
    """The traceback is there, in plain text, without the password of its message or its variables."""
    stream = log_to(Terminal(), fmt=fmt)
    variable = f"postgresql://u:{PASSWORD}@db/x"
    try:
        fail(f"no answer from {variable}")
    except ConnectionError:
        structlog.get_logger().exception("target.lost")
        logging.getLogger("psycopg.pool").exception("also here: %s", variable)
    text = stream.getvalue()
    assert PASSWORD not in text
    assert text.count("ConnectionError: no answer from postgresql://u:***@db/x") == 2


def test_nesting_is_shown_to_a_bound() -> None:
    """What lies deeper is left out, for who knows what it is."""
    stream = log_to()
    value: Any = {"password": PASSWORD}
    for _ in range(50):
        value = {"a": [value]}
    structlog.get_logger().info("x", value=value)
    assert PASSWORD not in stream.getvalue()
    assert '"…"' in stream.getvalue()


def test_keys_that_only_sound_alike_stay() -> None:
    """A count of tokens is no token."""
    stream = log_to()
    structlog.get_logger().info("x", tokens=3, tokenizer="words", password="", secret=None)
    (event,) = events(stream)
    assert (event["tokens"], event["tokenizer"], event["password"], event["secret"]) == (3, "words", "", None)


def test_libraries_speak_through_the_same_chain() -> None:
    """Their name is a field; chatter below a warning is left out."""
    stream = log_to()
    for name in ("apscheduler.executors.default", "uvicorn.error"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble at %s", "mill")
    assert [(event["logger"], event["level"], event["event"]) for event in events(stream)] == [
        ("apscheduler.executors.default", "warning", "trouble at mill"),
        ("uvicorn.error", "warning", "trouble at mill"),
    ]


def test_each_try_to_connect_in_an_outage_is_not_worth_a_line() -> None:
    """An hour of it would be thousands; what is worse than a warning is told."""
    stream = log_to()
    logging.getLogger("psycopg.pool").warning("error connecting")
    logging.getLogger("psycopg.pool").error("broken")
    assert [event["event"] for event in events(stream)] == ["broken"]


def test_values_that_json_lacks_are_written_all_the_same() -> None:
    """A log line is never lost to a strange value."""
    stream = log_to()
    structlog.get_logger().info("x", big=2**70, path=io.BytesIO, broken="\udcff", none=float("nan"))
    (event,) = events(stream)
    assert event["big"] == 2**70
    assert event["broken"] == "\udcff"


def test_a_stream_that_fails_does_not_end_the_run() -> None:
    """The disk is full, or who read the pipe has gone."""

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    log_to(Full())
    structlog.get_logger().info("run.progress")
    closed = log_to()
    closed.close()
    structlog.get_logger().info("run.progress")
    assert closed.closed


def test_the_console_form_is_readable_and_coloured_only_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No escape codes in files, and none when NO_COLOR asks for none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, coloured, asked = io.StringIO(), Terminal(), Terminal()
    for stream in (plain, coloured):
        log_to(stream, fmt="console")
        structlog.get_logger().info("run.started", writers=10)
    monkeypatch.setenv("NO_COLOR", "1")
    log_to(asked, fmt="console")
    structlog.get_logger().info("run.started", writers=10)
    assert "run.started" in plain.getvalue()
    assert "writers=10" in plain.getvalue()
    assert ["\x1b" in stream.getvalue() for stream in (plain, coloured, asked)] == [False, True, False]
