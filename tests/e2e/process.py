"""A soakd process under test: started, listened to, signalled, and cleared away."""

import asyncio
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import psutil

from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control.recount import recount
from daemon.results.verify import Check
from tests import forked
from tests.forked import Forked

T = TypeVar("T")
Samples = dict[tuple[str, ...], float]  # (name, label=value, …) → value

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(r"\\(.)")
SOAKD = Path(sys.executable).with_name("soakd")
LATE = 5.0  # s that a busy machine may take to end what is over
START_WITHIN = 20.0  # s; a busy machine is slow to load libraries
STEP = 0.05  # s between two looks
SLOW_STEP = 0.3  # s between two looks that are a load of their own, as scrapes are
# Closed loops as fast as they can be would keep the processors from the tests beside this one.
UNHURRIED = ("--set", "pools.write_think_time=25ms", "--set", "pools.read_think_time=25ms")


def eventually(
    look: Callable[[], T | None], within: float, what: str | Callable[[], str], step: float = STEP
) -> T:
    """Return the first thing but None that `look` sees; fail when there is none in time, and say what."""
    give_up = time.monotonic() + within
    while (seen := look()) is None:
        assert time.monotonic() < give_up, f"not within {within} s: {what() if callable(what) else what}"
        time.sleep(step)
    return seen


class Answer(NamedTuple):
    """What the endpoint said."""

    status: int
    text: str


def get(url: str) -> Answer | None:
    """Ask the endpoint; None when there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def samples(page: str) -> Samples:
    """Return the samples of a /metrics page; what no sample is, is passed over.

    The library's parser takes four times as long, which whoever waits for a figure takes from the load.
    That both see the same is for `test_smoke.py` to show.
    """
    found = {}
    for name, labels, value in SAMPLE.findall(page):
        pairs = sorted((label, ESCAPED.sub(_unescaped, text)) for label, text in LABEL.findall(labels))
        found[name, *(f"{label}={text}" for label, text in pairs)] = float(value)
    return found


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def total(found: Samples, name: str, *labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    return sum(value for key, value in found.items() if key[0] == name and set(labels) <= set(key))


class Soakd:
    """One `soakd run` in a folder of its own.

    Its log is JSON (give `--log-interval` for more of it), and workers pause after each operation
    unless told otherwise.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            folder: its working directory; its output goes there.
            arguments: after `soakd run`.
            environ: variables beside the present ones.
        """
        folder.mkdir(exist_ok=True)
        self.folder = folder
        number = len(list(folder.glob("stdout*")))
        self._stdout, self._stderr = folder / f"stdout{number}", folder / f"stderr{number}"
        self.summary_file = folder / f"summary{number}.json"
        given = [*UNHURRIED, *arguments]
        for name, value in (
            ("--listen", "127.0.0.1:0"),
            ("--summary", self.summary_file.name),
            ("--log-interval", "1h"),
        ):
            if name not in given:
                given += [name, value]
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = Forked(
                ["run", "--json", *given],
                cwd=folder,
                env={**os.environ, **(environ or {})},
                stdout=out,
                stderr=err,
            )

    @property
    def stdout(self) -> str:
        """What it has said."""
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        """What it has complained about."""
        return self._stderr.read_text()

    @property
    def summary(self) -> dict[str, Any]:
        """The summary that it has written."""
        found: dict[str, Any] = json.loads(self.summary_file.read_text())
        return found

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the events that it has logged."""
        lines = self.stdout.splitlines(keepends=True)
        read = (json.loads(line) for line in lines if line.endswith("\n") and (name or "") in line)
        return [event for event in read if name in (None, event["event"])]

    def event(self, name: str, within: float = START_WITHIN) -> dict[str, Any]:
        """Wait for an event."""

        def look() -> dict[str, Any] | None:
            if found := self.events(name):
                return found[0]
            assert self.process.poll() is None, f"ended before {name}: {self.stderr}{self.stdout[-2000:]}"
            return None

        return eventually(look, within, f"event {name}")

    def started(self) -> "Soakd":
        """Wait until the load runs; return itself."""
        self.event("run.started")
        return self

    @cached_property
    def url(self) -> str:
        """Where it serves its figures, without a path."""
        found: str = self.event("run.started")["metrics"]
        return found.removesuffix("/metrics")

    def answers(self, url: str) -> Answer:
        """Wait until something listens there and return what it says."""

        def look() -> Answer | None:
            assert self.process.poll() is None, f"ended before it listened: {self.stderr}"
            return get(url)

        return eventually(look, START_WITHIN, f"an answer from {url}")

    def scrape(self, *names: str) -> Samples:
        """Return what /metrics shows, of some metrics or of all; fail when it shows nothing."""
        query = urlencode([("name[]", name) for name in names])
        answer = get(f"{self.url}/metrics?{query}")
        assert answer is not None
        assert answer.status == 200
        return samples(answer.text)

    def reaches(
        self, condition: Callable[[Samples], bool], what: str, within: float = START_WITHIN
    ) -> Samples:
        """Wait until the figures meet a condition and return them; `until` is cheaper, of one metric."""

        def look() -> Samples | None:
            found = self.scrape()
            return found if condition(found) else None

        return eventually(look, within, what, SLOW_STEP)

    def until(
        self, condition: Callable[[float], bool], name: str, *labels: str, within: float = START_WITHIN
    ) -> None:
        """Wait until the sum of a metric's series with these labels meets a condition."""
        seen = math.nan

        def look() -> bool | None:
            nonlocal seen
            seen = total(self.scrape(name), name, *labels)
            return condition(seen) or None

        eventually(look, within, lambda: f"{name} {' '.join(labels)} is {seen}", SLOW_STEP)

    def committed(self, rows: int) -> None:
        """Wait until so many rows are committed."""
        self.until(lambda seen: seen >= rows, "soakd_rows_total", "outcome=committed")

    @property
    def engines(self) -> list[psutil.Process]:
        """Its engine processes that live."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children()
            return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return []

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    def wait(self, within: float = 30.0) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {within} s: {self.stdout[-2000:]}") from None

    def stop(self) -> None:
        """Kill it and its engines, if they are still there."""
        engines = self.engines
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for engine in engines:
            with suppress(psutil.NoSuchProcess):
                engine.kill()


def command(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run another command of soakd to its end."""
    return forked.run(arguments, cwd=folder, env={**os.environ, **(environ or {})})


def verified(target: str) -> Sequence[Check]:
    """Recount the newest run as `soakd verify` does, and see it confirmed; return the checks."""
    result = asyncio.run(recount(Settings.model_validate({"target": target}), SystemClock(), None))
    assert result.ok, (result.finished, result.problems)
    return result.checks


def balanced(rows: Mapping[str, int]) -> bool:
    """Return whether every accepted row has found its end."""
    return (
        rows["accepted"] == rows["committed"] + rows["failed"] + rows["abandoned"] and min(rows.values()) >= 0
    )


def settings(**values: object) -> Sequence[str]:
    """Return `--set` arguments; a double underscore stands for the dot."""
    return [
        part for name, value in values.items() for part in ("--set", f"{re.sub('__', '.', name)}={value}")
    ]
