"""From a run to the history: a look each second and at the end of each phase, and what is said meanwhile."""

import asyncio
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from daemon import __version__, log
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control.jobs import Jobs
from daemon.control.judging import Part
from daemon.control.run import Run
from daemon.errors import UsageError
from daemon.history.chronicle import Chronicle
from daemon.history.look import Beginning, Ending, Event, Judgement, Look
from daemon.judge.verdict import as_json, describe
from daemon.observe.sampler import Notify
from daemon.record.snapshot import Snapshot
from daemon.results.environment import environment
from daemon.target import parse_target

INTERVAL = 1.0  # s between two looks
PLANNED = "event.ended"
SAID_OTHERWISE = frozenset({"run.preparing", "run.started", "run.progress", "run.finished"})
LOOK_WITHIN = 0.5  # s for the engines' present figures: less than the time between two looks
NO_SAMPLES = 5.0  # s between the engines' own samples where there are no others


class Recording:
    """Writes a run down while it goes on; does nothing where the history is off."""

    def __init__(self, settings: Settings, clock: Clock, notify: Notify) -> None:
        """Prepare; nothing is opened.

        Args:
            settings: of the run.
            clock: monotonic time and time of day.
            notify: told why nothing is written.
        """
        self._settings = settings
        self._clock = clock
        self._notify = notify
        self._jobs = Jobs()
        self._began = clock.now()
        self._run: Run | None = None
        self._samples: Callable[[], Snapshot] = Snapshot
        self._parts: Callable[[], Iterable[Part]] = tuple
        self._chronicle: Chronicle | None = None

    def heard(self, event: str, facts: Mapping[str, object]) -> None:
        """Write down what was said, but for what the history says in figures."""
        if event == PLANNED:
            seconds = float(str(facts["duration_seconds"]))
            begun = self._elapsed() - seconds
            self.happened(Event(begun, "planned", str(facts["name"]), seconds=seconds, details=facts))
        elif event not in SAID_OTHERWISE:
            self.happened(Event(self._elapsed(), "note", event, details=facts))

    def happened(self, event: Event) -> None:
        """Write an event down; its time counts from `begin`."""
        if self._chronicle:
            details = log.redact_event(None, "", dict(event.details))
            self._chronicle.note(event._replace(details=details))

    def begin(self, run: Run, samples: Callable[[], Snapshot], parts: Callable[[], Iterable[Part]]) -> None:
        """Begin with the load; opens the file in a thread of its own and returns at once.

        Args:
            run: what is written down.
            samples: gives what is sampled beside the load.
            parts: gives the thresholds as they stand.
        """
        settings = self._settings.history
        if not settings.enabled:
            return
        self._run, self._samples, self._parts = run, samples, parts
        self._began = self._clock.now()
        loop = asyncio.get_running_loop()

        def warn(reason: str) -> None:
            loop.call_soon_threadsafe(lambda: self._notify("history.off", reason=reason))

        self._chronicle = Chronicle(
            settings.file,
            clock=self._clock,
            sample_interval=max(INTERVAL, self._settings.samplers.interval or NO_SAMPLES),
            keep_runs=settings.keep_runs,
            keep_days=settings.keep_days,
            warn=warn,
        )
        self._chronicle.begin(self._beginning(run), self._look(run.phase))
        run.at_boundary = self._look_at
        self._jobs.every(INTERVAL, self._look_again, "history")
        self._jobs.start()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write down how the run has ended."""
        if self._run is None or self._chronicle is None:
            return
        judgements = judged(self._parts(), self._began)
        self._chronicle.finish(
            Ending(
                at=self._elapsed(),
                stop_reason=self._run.stop_reason,
                verdict=verdict(summary, judgements),
                summary=summary,
                measured=self._run.measured(),
                environment={"postgres settings": dict(self._run.server_settings or {})},
                judgements=judgements,
            )
        )
        self._run = None  # it is over: no more looks

    async def close(self) -> None:
        """Wait for the last words to be written, for some seconds at most."""
        self._jobs.stop()
        if self._chronicle:
            await asyncio.to_thread(self._chronicle.close)

    async def _look_again(self) -> None:
        run = self._run
        if run is None or run.phase_elapsed < INTERVAL:  # its boundary has just been looked at
            return
        phase = run.phase
        # What engines tell by themselves is up to a quarter of a second old, which would show as jitter.
        await run.look(LOOK_WITHIN)
        if self._run is not None and run.phase == phase:  # else its boundary was looked at meanwhile
            self._look_at(phase)

    def _look_at(self, phase: str) -> None:
        if self._chronicle:
            self._chronicle.look(self._look(phase))

    def _look(self, phase: str) -> Look:
        run = self._run
        if run is None:
            raise RuntimeError("begin comes first")
        judgements = judged(self._parts(), self._began)
        return Look(self._elapsed(), phase, run.snapshot(), self._samples(), run.statement_texts, judgements)

    def _elapsed(self) -> float:
        return self._clock.now() - self._began

    def _beginning(self, run: Run) -> Beginning:
        settings = self._settings
        member = run.programme.member if run.programme else None
        return Beginning(
            run_id=str(run.number),
            soakd_version=__version__,
            backend=parse_target(settings.target.get_secret_value()).kind,
            target=settings.public()["target"],
            workload=settings.workload,
            scenario=run.programme.name if run.programme else None,
            config=settings.public(),
            started=self._clock.wall(),
            environment=fingerprint(run),
            suite_id=member.suite if member else None,
            place=member.place if member else None,
        )


def fingerprint(run: Run) -> dict[str, dict[str, str]]:
    """Return what a run runs on and with, by section; facts that are not known here are left out."""
    versions = run.versions
    found = environment(
        sqlite_version=versions.get("sqlite_version"), server_version=versions.get("server_version")
    )
    sections = {
        "hardware": {
            name: found[name] for name in ("machine", "cpu", "cores", "usable_cores", "memory_bytes")
        },
        "system": {"os": found["os"], "kernel": platform.release(), "python": found["python"]},
        "versions": {**found["libraries"], "sqlite": found["sqlite"], "server": found["server"]},
        "sqlite pragmas": run.pragmas,
    }
    return {
        section: {name: str(value) for name, value in facts.items() if value is not None}
        for section, facts in sections.items()
    }


def judged(parts: Iterable[Part], began: float) -> tuple[Judgement, ...]:
    """Return what has become of thresholds, those of phases by the name of their phase.

    Args:
        parts: what they are about.
        began: when the run began, monotonic, s.
    """
    return tuple(
        Judgement(
            name=f"{part.name}: {one.threshold}" if part.name else str(one.threshold),
            expression=str(one.threshold),
            verdict=one.verdict,
            ok=one.ok,
            unit=one.threshold.kind,
            value=one.value,
            worst=one.worst,
            at=None if one.worst_at is None else part.began - began + one.worst_at,
            found=describe(one),
            details=as_json(one),
        )
        for part in parts
        for one in part.judged
    )


def verdict(summary: Mapping[str, Any], judgements: tuple[Judgement, ...]) -> str:
    """Return `failed` where something is lost, violated or not met, else `passed` or `unjudged`."""
    violated = any(one["violations"] for one in summary.get("invariants", {}).values())
    if summary["rows"]["lost"] or violated or not all(one.ok for one in judgements):
        return "failed"
    return "passed" if judgements else "unjudged"


def check_apart(settings: Settings) -> None:
    """See that the history is not the database under load: no file may be opened by two SQLite libraries.

    Raises:
        UsageError: they are the same file.
    """
    target = parse_target(settings.target.get_secret_value()).path
    history = settings.history
    if history.enabled and target is not None and target.resolve() == history.file.resolve():
        raise UsageError(
            f"history.file {history.file} is the database under load; name another file, "
            "or set history.enabled=false"
        )
