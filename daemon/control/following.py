"""Following a scenario: phase after phase, each with its load, its thresholds and its events."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from daemon.control import plan
from daemon.control.happenings import Happenings
from daemon.control.judging import Judging
from daemon.control.run import Run
from daemon.observe.sampler import Notify
from daemon.ops import POOLS, PoolName
from daemon.record.snapshot import Snapshot
from daemon.results.summary import PoolPlan, pool_summary
from daemon.scenario.programme import Programme, Step
from daemon.target import parse_target

Wait = Callable[[float], Awaitable[bool]]
"""Waits for so many seconds, s; False when the run is over before."""


class Following:
    """Goes through the steps of a programme, and keeps what came of each."""

    def __init__(self, run: Run, programme: Programme, judging: Judging, notify: Notify) -> None:
        self._results: list[dict[str, Any]] = []
        self._run = run
        self._programme = programme
        self._judging = judging
        self._notify = notify
        self._happenings = Happenings(
            make=partial(plan.make_backend, run.settings, run.clock),
            kind=parse_target(run.settings.target.get_secret_value()).kind,
            look=run.look,
            snapshot=run.snapshot,
            clock=run.clock,
            notify=notify,
        )

    def summary(self) -> dict[str, Any]:
        """Return the sections `scenario` and `phases` of a summary."""
        return {"scenario": self._programme.name, "phases": self._results}

    async def follow(self, wait: Wait) -> None:
        """Go through all steps, or until the run is over."""
        for step in self._programme.steps:
            if not await self._step(step, wait):
                return

    async def _step(self, step: Step, wait: Wait) -> bool:
        run, begun, before = self._run, self._run.clock.now(), self._run.snapshot()
        run.begin_step(step)
        self._judging.enter(step.name, step.thresholds)
        self._notify("phase.begun", name=step.name, seconds=round(step.seconds, 3))
        events: list[dict[str, Any]] = []
        playing = asyncio.create_task(self._happenings.play(step.events, events))
        try:
            going_on = await wait(step.seconds)
        finally:
            playing.cancel()
            await asyncio.wait({playing})
        if not playing.cancelled():
            playing.result()  # a bug is not to pass unseen
        seconds = run.clock.now() - begun
        await run.look()
        thresholds = self._judging.leave()
        self._notify("phase.ended", name=step.name, seconds=round(seconds, 3))
        self._results.append(
            {
                "name": step.name,
                "begun_seconds": round(begun - run.measured_from, 3),
                "seconds": round(seconds, 3),
                "complete": going_on,
                "pools": self._pools(step, seconds, run.snapshot().since(before)),
                "thresholds": thresholds,
                "events": events,
            }
        )
        return going_on

    def _pools(self, step: Step, seconds: float, happened: Snapshot) -> Mapping[str, Any]:
        """Return what became of each pool's operations in a step."""
        found: dict[str, Any] = {}
        for pool in POOLS:
            course, most = step.pools[pool], self._workers(pool)
            number = most if course.workers is None else min(most, course.workers)
            if number:
                target = course.shape.total(seconds) / seconds if course.shape and seconds else None
                arrivals = "poisson" if course.random else "constant"
                found[pool] = pool_summary(
                    pool, PoolPlan(number, target, arrivals), happened, happened, seconds
                )
        return found

    def _workers(self, pool: PoolName) -> int:
        pools = self._run.settings.pools
        return pools.writers if pool == "writer" else pools.readers
