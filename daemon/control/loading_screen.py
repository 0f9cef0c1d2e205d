"""How loading goes on: bars on a terminal, an event now and then elsewhere."""

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from daemon.clock import Clock

Note = Callable[..., None]


class Lines:
    """Tells in events: `seed.started`, `seed.progress` at an interval, and `seed.finished`."""

    def __init__(self, note: Note, clock: Clock, interval: float, facts: Mapping[str, object]) -> None:
        """Prepare.

        Args:
            note: takes an event and its facts.
            clock: monotonic time.
            interval: between two events of progress, s.
            facts: said at the start.
        """
        self._note = note
        self._clock = clock
        self._interval = interval
        self._facts = facts
        self._began = self._told = clock.now()
        self._of: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._before = 0

    def begin(self, tables: Mapping[str, int], there: Mapping[str, int]) -> None:
        """Say what is to be loaded."""
        self._began = self._told = self._clock.now()
        self._of, self._rows = dict(tables), dict(there)
        self._before = sum(there.values())
        self._note("seed.started", **self._facts, rows=sum(tables.values()), there=self._before)

    def rows(self, table: str, rows: int) -> None:
        """Count rows, and say how far it is if that was said long ago."""
        self._rows[table] += rows
        now = self._clock.now()
        if now - self._told >= self._interval:
            self._told = now
            left = sum(self._of.values()) - sum(self._rows.values())
            rate = self._rate(now)
            self._note(
                "seed.progress",
                tables={name: {"rows": n, "of": self._of[name]} for name, n in self._rows.items()},
                rate=round(rate, 1),
                eta_seconds=round(left / rate, 1) if rate else None,
            )

    def say(self, what: str) -> None:
        """Say what goes on beside rows."""
        self._note("seed.progress", doing=what)

    def end(self) -> None:
        """Say what was loaded."""
        now = self._clock.now()
        self._note(
            "seed.finished",
            rows=sum(self._rows.values()),
            of=sum(self._of.values()),
            seconds=round(now - self._began, 3),
            rate=round(self._rate(now), 1),
        )

    def _rate(self, now: float) -> float:
        seconds = now - self._began
        return (sum(self._rows.values()) - self._before) / seconds if seconds > 0 else 0.0


class Bars:
    """Shows a bar for each table, with its rows, their rate and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", justify="right"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def begin(self, tables: Mapping[str, int], there: Mapping[str, int]) -> None:
        """Show the bars."""
        for name, rows in tables.items():
            self._tasks[name] = self._progress.add_task(
                name, total=rows, completed=there[name], start=False, rate=""
            )
        self._progress.start()

    def rows(self, table: str, rows: int) -> None:
        """Move a bar on."""
        task = self._tasks[table]
        self._progress.start_task(task)
        self._progress.advance(task, rows)
        speed = self._progress.tasks[task].speed
        self._progress.update(task, rate=f"{speed:,.0f}/s" if speed else "")

    def say(self, what: str) -> None:
        """Show a bar that only says that something goes on."""
        self._progress.add_task(what, total=None, rate="")

    def end(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()
