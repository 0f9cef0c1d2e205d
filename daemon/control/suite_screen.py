"""What a suite shows between its scenarios: lines with a bar on a terminal, events elsewhere."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from daemon import log
from daemon.config.settings import Log
from daemon.errors import SIGNALLED
from daemon.units import format_duration

WIDTH = 20  # characters of the bar


class SuiteScreen:
    """Says which scenario of how many it is, and what became of it."""

    def __init__(self, settings: Log, name: str, number: int) -> None:
        """Decide how to show it.

        Args:
            settings: level and format of the log.
            name: of the suite.
            number: of its scenarios.
        """
        self._settings = settings
        self._name = name
        self._number = number
        self._console = Console(highlight=False)
        terminal = self._console.is_terminal
        self._lines = terminal and settings.format == "auto"
        self._format: log.Format = (
            "json" if settings.format == "json" or (settings.format == "auto" and not terminal) else "console"
        )

    def begin(self, suite_id: str, names: Sequence[str]) -> None:
        """Say what is going to be run."""
        if not self._lines:
            facts: dict[str, object] = {"suite_id": suite_id, "suite": self._name, "scenarios": list(names)}
            self._note("suite.started", facts)

    def part_begins(self, place: int, name: str, seconds: float) -> None:
        """Say which scenario comes now."""
        if self._lines:
            self._line(place, name, f"for {format_duration(round(seconds, 3))}")
        else:
            facts = {**self._where(place, name), "duration_seconds": round(seconds, 3)}
            self._note("scenario.started", facts)

    def part_ended(self, place: int, name: str, code: int, problem: str | None) -> None:
        """Say how a scenario has ended."""
        if self._lines:
            word = Text("failed", "bold red") if code else Text("passed", "green")
            self._line(place + 1, name, word.append(f": {problem}" if problem else "", "default"))
        else:
            facts = {**self._where(place, name), "exit_code": code, "problem": problem}
            self._note("scenario.finished", facts)

    @contextmanager
    def resting(self, seconds: float) -> Iterator[None]:
        """Say for as long as the context is open that the target is given a rest."""
        what = f"cooling down for {format_duration(round(seconds, 3))}"
        if self._lines:
            with self._console.status(what):
                yield
        else:
            self._note("suite.cooling_down", {"seconds": round(seconds, 3)})
            yield

    def end(self, suite_id: str, codes: Sequence[int], stopped: str | None) -> None:
        """Say that it is over."""
        if not self._lines:
            facts: dict[str, object] = {
                "suite_id": suite_id,
                "suite": self._name,
                "scenarios": self._number,
                "passed": sum(code == 0 for code in codes),
                "failed": sum(0 < code <= SIGNALLED for code in codes),
                "stopped": stopped,
            }
            self._note("suite.finished", facts)

    def unwritten(self, reason: str) -> None:
        """Say that the history has not been written."""
        self._note("history.off", {"reason": reason}, "warning")

    def _where(self, place: int, name: str) -> dict[str, object]:
        return {"suite": self._name, "scenario": name, "number": place + 1, "of": self._number}

    def _line(self, done: int, name: str, what: str | Text) -> None:
        filled = WIDTH * done // self._number
        bar = Text("━" * filled, "green").append("━" * (WIDTH - filled), "dim")
        self._console.print(Text.assemble("\n", bar, f" {done} of {self._number} · {name} ", what))

    def _note(self, event: str, facts: Mapping[str, object], level: log.Level = "info") -> None:
        # A run has set the log up for its own screen, which is closed by now.
        log.configure(level=self._settings.level, fmt=self._format, stream=sys.stdout)
        log.write(level, event, facts)
