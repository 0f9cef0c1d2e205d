"""How a query lab goes on, on standard error: the standard output is its report's."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress

from daemon import log
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control.loading_screen import Bars, Lines
from daemon.control.seeding import Shower


class QueryProgress:
    """Bars on a terminal; elsewhere events while data is loaded, and nothing more."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Prepare; nothing is shown before there is something to tell."""
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal and settings.log.format == "auto":
            self._shower: Bars | Lines = Bars(console)
            self._bar = Progress(console=console, transient=True)
        else:
            fmt: log.Format = "console" if settings.log.format == "console" else "json"
            log.configure(level=settings.log.level, fmt=fmt, stream=sys.stderr)
            facts = {"workload": settings.workload, "target": settings.public()["target"]}
            self._shower = Lines(_note, clock, settings.log.interval, facts)

    @property
    def shower(self) -> Shower:
        """Shows the loading."""
        return self._shower

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, total: int) -> None:
        """Show that so many runs of queries are to be made."""
        if self._bar:
            self._bar.add_task("queries", total=total)
            self._bar.start()

    def step(self) -> None:
        """Show that one of them has been made."""
        if self._bar:
            self._bar.advance(self._bar.task_ids[0])


def _note(event: str, **facts: object) -> None:
    log.write("info", event, facts)
