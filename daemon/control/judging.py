"""Judging a run while it goes on: its thresholds and the state of the target, once a second."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from daemon.config.settings import Settings
from daemon.control.jobs import Jobs
from daemon.control.run import Run
from daemon.errors import UsageError
from daemon.judge import state as states
from daemon.judge.assessment import Assessment, Change
from daemon.judge.fitting import Conditions, objection
from daemon.judge.grammar import BadThreshold, Threshold
from daemon.judge.meter import Meter
from daemon.judge.profiles import expand
from daemon.judge.rules import LEVELS
from daemon.judge.state import HISTOGRAMS, State
from daemon.judge.verdict import Judged, as_json, describe
from daemon.observe.metrics import zeros
from daemon.observe.sampler import Notify
from daemon.ops import OpSpec
from daemon.record.snapshot import Snapshot
from daemon.scenario.programme import Programme
from daemon.target import parse_target

EVERY = 1.0  # s between two looks
CHANGES = 100  # changes of the state that a summary tells, the last ones


class Part(NamedTuple):
    """What thresholds are about: the measured part, or a phase of a scenario.

    Attributes:
        name: of the phase; empty: the measured part.
        began: monotonic time, s.
        judged: its thresholds, and what has become of them.
    """

    name: str
    began: float
    judged: Sequence[Judged]


class _Phase(NamedTuple):
    """A phase of a scenario and its thresholds."""

    name: str
    began: float
    assessment: Assessment


class Judging:
    """Looks at a run from the beginning of the load to the end of the measured part.

    The state is told from the first look on, thresholds are held against the measured part.
    """

    def __init__(
        self,
        run: Run,
        thresholds: Sequence[Threshold],
        *,
        ops: Sequence[OpSpec],
        samples: Callable[[], Snapshot],
        notify: Notify,
    ) -> None:
        """Prepare.

        Args:
            run: what is judged.
            thresholds: its bounds, each once.
            ops: the operations of its workload.
            samples: gives what is sampled beside the load.
            notify: told when a threshold is failed, and when the state changes.
        """
        self.state = State()
        self.failed = asyncio.Event()
        self._run = run
        self._every = every_threshold(thresholds, run.programme)
        self._assessment = Assessment(thresholds)
        self._phase: _Phase | None = None
        self._phases: list[_Phase] = []
        self._samples = samples
        self._notify = notify
        self._meter = Meter([], further=HISTOGRAMS)
        self._began: float | None = None
        self._measured = False
        self._over = False
        self._spent = dict.fromkeys(LEVELS, 0.0)
        self._changes: deque[dict[str, Any]] = deque(maxlen=CHANGES)
        backend = parse_target(run.settings.target.get_secret_value()).kind
        nothing = zeros(ops, run.settings.shards, backend)
        self._zeros = Snapshot(nothing.counters, nothing.gauges)
        self._jobs = Jobs()

    @property
    def edges(self) -> list[float]:
        """The times that thresholds are about, s."""
        return [threshold.value for threshold in self._every if threshold.kind == "seconds"]

    @property
    def judged(self) -> Sequence[Judged]:
        """The thresholds and what has become of them."""
        return self._assessment.judged

    @property
    def parts(self) -> list[Part]:
        """The thresholds of the run as they stand, and those of the phases that have begun."""
        phases = [Part(phase.name, phase.began, phase.assessment.judged) for phase in self._phases]
        return [Part("", self._run.measured_from, self.judged), *phases]

    def begin(self) -> None:
        """Look once a second from now on; `stop` ends it."""
        self._look()

        async def look() -> None:
            self._look()

        self._jobs.every(EVERY, look, "judging")
        self._jobs.start()

    def measure(self) -> None:
        """Begin with the thresholds: what was before is left out of all values."""
        self._measured = True
        self._assess(self._run.snapshot())

    def end(self) -> None:
        """Take the last look, at the figures that the measured part ended with."""
        self.stop()
        if not self._over:
            self._assess(self._run.at_end)
            self._over = True

    def stop(self) -> None:
        """Look no more."""
        self._jobs.stop()

    def snapshot(self) -> Snapshot:
        """Return the state and the thresholds as they are exported."""
        made = Snapshot(gauges={("soakd_state",): float(self.state.number)})
        for judged in self.judged:
            bad = not judged.ok if self._over else judged.failing
            made.gauges["soakd_threshold_ok", str(judged.threshold)] = float(not bad)
        return made

    def enter(self, name: str, thresholds: Sequence[Threshold]) -> None:
        """Hold further thresholds against what is measured from now on."""
        self._phase = _Phase(name, self._run.clock.now(), Assessment(thresholds))
        self._phases.append(self._phase)
        self._assess_phase(self._run.snapshot())

    def leave(self) -> list[dict[str, Any]]:
        """End the phase with a last look; return its thresholds as JSON data."""
        self._assess_phase(self._run.snapshot())
        phase, self._phase = self._phase, None
        return [as_json(judged) for judged in phase.assessment.judged] if phase else []

    def summary(self) -> dict[str, Any]:
        """Return the sections `thresholds` and `state` of a summary."""
        spent = {f"{level}_seconds": round(seconds, 3) for level, seconds in self._spent.items()}
        return {
            "thresholds": [as_json(judged) for judged in self.judged],
            "state": {**states.as_json(self.state), **spent, "changes": list(self._changes)},
        }

    def complaints(self) -> list[str]:
        """Return a line for each threshold that fails the run."""
        whole = [f"threshold {judged.threshold}: {describe(judged)}" for judged in self._assessment.failed]
        return whole + [
            f"phase {phase.name}: threshold {judged.threshold}: {describe(judged)}"
            for phase in self._phases
            for judged in phase.assessment.failed
        ]

    def _look(self) -> None:
        snapshot = self._run.snapshot()
        self._see(snapshot)
        if self._measured:
            self._assess(snapshot)
            self._assess_phase(snapshot)

    def _figures(self, snapshot: Snapshot) -> Snapshot:
        merged = Snapshot()
        merged.merge(self._zeros)
        merged.merge(snapshot)
        merged.merge(self._samples())
        return merged

    def _assess(self, snapshot: Snapshot) -> None:
        if self._over or not self.judged:
            return
        elapsed = self._run.duration
        at = self._run.measured_from + elapsed
        for change in self._assessment.look(elapsed, at, self._figures(snapshot)):
            self._tell(change, elapsed)
        if self._assessment.aborting:
            self.failed.set()

    def _assess_phase(self, snapshot: Snapshot) -> None:
        phase = self._phase
        if phase is None or not phase.assessment.judged:
            return
        now = self._run.clock.now()
        elapsed = now - phase.began
        for change in phase.assessment.look(elapsed, now, self._figures(snapshot)):
            self._tell(change, elapsed)
        if phase.assessment.aborting:
            self.failed.set()

    def _tell(self, change: Change, elapsed: float) -> None:
        judged = change.judged
        self._notify(
            "threshold.failed" if change.failed else "threshold.met",
            threshold=str(judged.threshold),
            found=describe(judged),
            value=judged.value,
            limit=judged.threshold.value,
            elapsed_seconds=round(elapsed, 3),
        )

    def _see(self, snapshot: Snapshot) -> None:
        """Find the state out."""
        now = self._run.clock.now()
        began = self._began = now if self._began is None else self._began
        before, elapsed = self.state, now - began
        if elapsed:
            self._spent[before.level] += now - self._meter.newest.at
        self._meter.look(elapsed, now, self._figures(snapshot))
        self.state = states.step(before, elapsed, states.inputs(self._meter.newest, self._meter.recent))
        if self.state.level != before.level:
            self._changed(before, elapsed)

    def _changed(self, before: State, elapsed: float) -> None:
        rules = [str(fired) for fired in self.state.fired]
        change = {"elapsed_seconds": round(elapsed, 3), "was": before.level, "level": self.state.level}
        self._changes.append({**change, "rules": rules})
        advice = [fired.rule.advice for fired in self.state.fired]
        self._notify("state.changed", **change, rules=rules, advice=advice)


def thresholds_of(
    settings: Settings, ops: Sequence[OpSpec], programme: Programme | None = None
) -> list[Threshold]:
    """Return the thresholds of a run; those of the steps of a programme are looked at as well.

    Raises:
        UsageError: one of them could never have anything to judge here.
    """
    pools = settings.pools
    workers = {"writer": pools.writers, "reader": pools.readers}
    steps = programme.steps if programme else ()
    rates = {"writer": pools.write_rate, "reader": pools.read_rate}
    scheduled = {pool for step in steps for pool, course in step.pools.items() if course.shape}
    conditions = Conditions(
        backend=parse_target(settings.target.get_secret_value()).kind,
        sampled=bool(settings.samplers.interval),
        ops=[spec.name for spec in ops],
        pools=[name for name, number in workers.items() if number],
        paced=[name for name, rate in rates.items() if rate or name in scheduled],
    )
    found = expand(settings.thresholds)
    places = programme.places if programme else {}
    problems = []
    for threshold in every_threshold(found, programme):
        try:
            problem = objection(threshold, conditions)
        except BadThreshold as error:
            problem = str(error)
        if problem:
            problems.append(f"{places[threshold]}: {problem}" if threshold in places else problem)
    if problems:
        raise UsageError("\n".join(problems))
    return found


def every_threshold(thresholds: Sequence[Threshold], programme: Programme | None) -> list[Threshold]:
    """Return those of a run and of the steps of its programme."""
    steps = programme.steps if programme else ()
    return list(chain(thresholds, *(step.thresholds for step in steps)))
