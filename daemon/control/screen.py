"""What a run shows of itself: a live panel on a terminal, one JSON event per interval elsewhere."""

import asyncio
import io
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from daemon import log
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control.jobs import Jobs
from daemon.control.judging import Judging
from daemon.control.live import LiveState, LiveView
from daemon.control.run import Run
from daemon.results.progress import progress_event
from daemon.results.table import summary_table
from daemon.results.window import Mark, Window
from daemon.units import format_duration

REFRESH = 0.25  # s between two looks at the figures
RATE_SPAN = 2.0  # s that present rates are taken over
RECENT_SPAN = 10.0  # s that present percentiles are taken over
WARNINGS = frozenset(
    {
        "engine.died",
        "engine.restart_failed",
        "history.off",
        "reader.not_pinned",
        "reset.failed",
        "row.failed",
        "operation.refused",
        "run.unsettled",
        "screen.failed",
        "sampler.off",
        "state.changed",
        "summary.failed",
        "target.blocked",
        "threshold.failed",
        "invariant.violated",
        "invariant.unchecked",
    }
)


def _nobody(_event: str, _facts: Mapping[str, object]) -> None:
    """Nobody listens to what is said."""


class Screen:
    """Shows a run from its beginning to its summary. Memory: about a dozen marks."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Decide how to show it; `open` begins."""
        self._settings = settings
        self._target = settings.public()["target"]
        self._clock = clock
        self._console = Console()
        self._json = settings.log.format == "json" or (
            settings.log.format == "auto" and not self._console.is_terminal
        )
        self._panel = self._console.is_terminal and settings.log.format == "auto"
        self._view: LiveView | None = None
        self._window = Window(RECENT_SPAN)
        self._shown = AsyncExitStack()
        self._jobs = Jobs()
        self.url = ""
        self.heard: Callable[[str, Mapping[str, object]], None] = _nobody

    def open(self) -> None:
        """Take the terminal, or the log stream."""
        stream = sys.stdout
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII only
        if self._panel:
            self._view = self._shown.enter_context(LiveView(self._console))
            stream = self._view.stream
        log.configure(level=self._settings.log.level, fmt="json" if self._json else "console", stream=stream)

    async def close(self) -> None:
        """Give the terminal back, and report no more; a second call does nothing."""
        self._jobs.stop()
        await self._shown.aclose()
        self._view = None

    def note(self, event: str, **facts: object) -> None:
        """Say what has happened."""
        self.heard(event, facts)
        log.write("warning" if event in WARNINGS else "info", event, facts)

    def prepare(self) -> None:
        """Say that the target is being prepared, which may take it a while."""
        if not self._panel:
            self.note("run.preparing", target=self._target)

    def begin(self, run: Run) -> None:
        """Say that the load begins, how to look at it, and from now on how it goes."""
        if self._panel:
            return
        self.note(
            "run.started",
            run_id=str(run.number),
            target=self._target,
            workload=self._settings.workload,
            duration=format_duration(self._settings.duration),
            metrics=f"{self.url}/metrics",
            seed=run.seed,
        )
        last = Mark.of(self._clock.now(), run.snapshot())

        async def progress() -> None:
            nonlocal last
            now = Mark.of(self._clock.now(), run.snapshot())
            self.note(
                "run.progress",
                **progress_event(phase=run.phase, elapsed=run.phase_elapsed, earlier=last, later=now),
            )
            last = now

        self._jobs.every(self._settings.log.interval, progress, "progress")
        self._jobs.start()

    async def draw(self, run: Run, judging: Judging) -> None:
        """Keep the panel up to date while there is one."""
        while self._view:
            await self._try_to_draw(self._view, run, judging)
            await asyncio.sleep(REFRESH)

    async def _try_to_draw(self, view: LiveView, run: Run, judging: Judging) -> None:
        try:
            self._draw(view, run, judging)
        except Exception as error:  # noqa: BLE001 - a boundary: a picture that fails must not end the run
            await self.close()
            self.note("screen.failed", reason=repr(error))

    def _draw(self, view: LiveView, run: Run, judging: Judging) -> None:
        mark = Mark.of(self._clock.now(), run.snapshot())
        self._window.add(mark)
        view.update(
            LiveState(
                run_id=str(run.number),
                workload=self._settings.workload + (f" · {run.step.name}" if run.step else ""),
                target=self._target,
                phase=run.phase,
                elapsed=run.phase_elapsed,
                duration=run.phase_duration,
                mark=mark,
                now=self._window.figures(RATE_SPAN),
                recent=self._window.figures(RECENT_SPAN),
                url=self.url,
                state=judging.state,
                judged=judging.judged,
            )
        )

    async def end(self, summary: dict[str, Any], *, file: Path | None) -> None:
        """Show the summary, and the file that it was written to."""
        await self.close()
        if self._json:
            self.note("run.finished", **summary)
        else:
            with suppress(OSError):  # the terminal may be gone, and the run has its verdict still to give
                self._console.print(summary_table(summary))
                if file:
                    self._console.print(f"\nsummary written to {file}", highlight=False)
