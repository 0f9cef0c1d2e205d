"""Judging a run while it goes on: its thresholds and the state of the target, once a second."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

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
from daemon.target import parse_target

EVERY = 1.0  # s between two looks
CHANGES = 100  # changes of the state that a summary tells, the last ones


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
        self._assessment = Assessment(thresholds)
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
    def judged(self) -> Sequence[Judged]:
        """The thresholds and what has become of them."""
        return self._assessment.judged

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

    def summary(self) -> dict[str, Any]:
        """Return the sections `thresholds` and `state` of a summary."""
        spent = {f"{level}_seconds": round(seconds, 3) for level, seconds in self._spent.items()}
        return {
            "thresholds": [as_json(judged) for judged in self.judged],
            "state": {**states.as_json(self.state), **spent, "changes": list(self._changes)},
        }

    def complaints(self) -> list[str]:
        """Return a line for each threshold that fails the run."""
        return [f"threshold {judged.threshold}: {describe(judged)}" for judged in self._assessment.failed]

    def _look(self) -> None:
        snapshot = self._run.snapshot()
        self._see(snapshot)
        if self._measured:
            self._assess(snapshot)

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


def thresholds_of(settings: Settings, ops: Sequence[OpSpec]) -> list[Threshold]:
    """Return the thresholds of a run.

    Raises:
        UsageError: one of them could never have anything to judge here.
    """
    pools = settings.pools
    workers = {"writer": pools.writers, "reader": pools.readers}
    rates = {"writer": pools.write_rate, "reader": pools.read_rate}
    conditions = Conditions(
        backend=parse_target(settings.target.get_secret_value()).kind,
        sampled=bool(settings.samplers.interval),
        ops=[spec.name for spec in ops],
        pools=[name for name, number in workers.items() if number],
        paced=[name for name, rate in rates.items() if rate],
    )
    found = expand(settings.thresholds)
    try:
        objections = [objection(threshold, conditions) for threshold in found]
    except BadThreshold as error:
        raise UsageError(str(error)) from None
    if problems := [problem for problem in objections if problem]:
        raise UsageError("\n".join(problems))
    return found


def edges(thresholds: Sequence[Threshold]) -> list[float]:
    """Return the times that thresholds are about, s."""
    return [threshold.value for threshold in thresholds if threshold.kind == "seconds"]
