"""The state of one run as the supervisor knows it, and the figures made from it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daemon import ledger
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.shards import Listener, Shard
from daemon.load.messages import EnginePlan
from daemon.load.turns import Pace
from daemon.load.vitals import rss_bytes
from daemon.ops import PoolName
from daemon.record.account import Account
from daemon.record.catalog import OUTAGES, PHASES, ROW_OUTCOMES
from daemon.record.snapshot import Snapshot
from daemon.scenario.programme import Programme, Step
from daemon.workloads.base import Identity, Stretch

LOOK_WITHIN = 1.0  # s for the engines' present figures


def _nobody(_phase: str) -> None:
    """Nobody wants to know of boundaries."""


class Run:
    """The state of one run, and the figures that it exports."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        notify: Listener,
        seed: int,
        programme: Programme | None = None,
    ) -> None:
        """Prepare; nothing is started. A programme is begun with its first step."""
        self.settings = settings
        self.clock = clock
        self.notify = notify
        self.programme = programme
        self.step = programme.steps[0] if programme else None
        self._step_began: float | None = None
        self._phase = "preparing"
        self._phase_began = clock.now()
        self.versions: dict[str, str] = {}
        self.pragmas: Mapping[str, str] = {}
        self.server_settings: Mapping[str, str] | None = None
        self.number = ledger.run_number(clock.wall())
        self.seed = seed
        self.existing: Sequence[Stretch] = ()
        self.beside: Callable[[], Snapshot] = Snapshot
        self.found: dict[str, Any] = {}
        self.warm = Snapshot()
        self.at_end = Snapshot()
        self.stop_reason = "duration"
        self.started_at = clock.wall()
        self.measured_from = clock.now()
        self.measured_until: float | None = None
        self.statement_texts: Mapping[str, str] = {}
        self.at_boundary: Callable[[str], None] = _nobody
        self.shards = [
            Shard(n, plan=self._planner(n), clock=clock, notify=notify) for n in range(settings.shards)
        ]

    def _planner(self, shard: int) -> Callable[[int], EnginePlan]:
        return lambda epoch: plan.engine_plan(
            self.settings,
            Identity(self.number, shard, epoch),
            self.seed,
            self.existing,
            found=self.found,
            paces=self._paces(shard),
        )

    def begin_step(self, step: Step) -> None:
        """Have the engines work as a step says from now on."""
        self.step, self._step_began = step, self.clock.now()
        for shard in self.shards:
            shard.change(self._paces(shard.number))

    def _paces(self, shard: int) -> Mapping[PoolName, Pace]:
        """Return how the pools of a shard are to work at this moment of the step."""
        if self.step is None:
            return {}
        pools = self.settings.pools
        elapsed = 0.0 if self._step_began is None else self.clock.now() - self._step_began
        workers: Mapping[PoolName, int] = {"writer": pools.writers, "reader": pools.readers}
        return self.step.paces(workers, shard, self.settings.shards, elapsed)

    @property
    def phase(self) -> str:
        """One of `PHASES`."""
        return self._phase

    def enter(self, phase: str) -> None:
        """Go on to the next phase; `at_boundary` is told which one ends."""
        if self._phase != "warming up":  # which ends where its figures are left out
            self.at_boundary(self._phase)
        self._phase = phase
        self._phase_began = self.clock.now()

    @property
    def phase_elapsed(self) -> float:
        """Time in the present phase, s."""
        return self.clock.now() - self._phase_began

    @property
    def phase_duration(self) -> float:
        """Length of the present phase, s; 0 when it has no known end."""
        settings = self.settings
        lengths = {
            "warming up": settings.warmup,
            "running": settings.duration,
            "draining": settings.batch.drain_timeout,
        }
        return lengths.get(self._phase, 0.0)

    def leave_out(self) -> None:
        """Leave what was counted until now out of the summary."""
        self.warm = self.snapshot()
        self.at_boundary("warming up")

    def measure(self) -> None:
        """Begin the measured part."""
        self.enter("running")
        self.started_at = self.clock.wall()
        self.measured_from = self.clock.now()

    def end_measure(self, stop_reason: str) -> None:
        """End the measured part: what the drain still finishes is counted, but in no rate."""
        self.measured_until = self.clock.now()
        self.at_end = self.snapshot()
        self.enter("draining")
        self.stop_reason = stop_reason

    def measured(self) -> Snapshot:
        """Return what was counted in the measured part."""
        return self.snapshot().since(self.warm)

    def timely(self) -> Snapshot:
        """Return what of that was done before the measured part ended, for the rates."""
        return self.at_end.since(self.warm)

    @property
    def duration(self) -> float:
        """Length of the measured part so far, s."""
        return (self.measured_until or self.clock.now()) - self.measured_from

    def engine_pids(self) -> list[int]:
        """Return the process ids of the engines that live."""
        return [life.process.pid for shard in self.shards for life in shard.lives[-1:] if life.alive]

    def see_settings(self, settings: Mapping[str, str]) -> None:
        """Keep the server's settings that differ from their defaults, for the summary."""
        self.server_settings = settings

    def see_texts(self, texts: Mapping[str, str]) -> None:
        """Keep the texts of the statements that are sampled, by query id."""
        self.statement_texts = texts

    def target_up(self) -> bool:
        """Tell whether the database answers, as far as all shards know."""
        return all(shard.target_up for shard in self.shards)

    def ready(self) -> str | None:
        """Return None while the load is running, else why it is not."""
        return None if self.phase in ("warming up", "running") else self.phase

    async def look(self, within: float = LOOK_WITHIN) -> None:
        """Have all engines tell their figures, so that `snapshot` is of now; wait `within` s at most."""
        await asyncio.gather(*(shard.look(within) for shard in self.shards))

    def snapshot(self) -> Snapshot:
        """Return the merged figures of all shards, and the supervisor's own."""
        merged = self.beside()
        snapshots = [shard.snapshot() for shard in self.shards]
        for shard, snapshot in zip(self.shards, snapshots, strict=True):
            merged.merge(snapshot)
            merged.counters["soakd_engine_restarts_total", str(shard.number)] = shard.restarts
            merged.counters["soakd_engine_gap_seconds_total", str(shard.number)] = shard.gap_seconds
        for name in OUTAGES:
            merged.counters[name,] = max(snapshot.counters.get((name,), 0.0) for snapshot in snapshots)
        rows = self.rows()
        for outcome in ROW_OUTCOMES:
            merged.counters["soakd_rows_total", outcome] = getattr(rows, outcome)
        merged.counters["soakd_rows_in_doubt_total",] = rows.in_doubt
        gauges = merged.gauges
        gauges["soakd_target_up",] = float(self.target_up())
        gauges["soakd_batch_size_limit_rows",] = self.settings.batch.size
        gauges["soakd_batch_timeout_seconds",] = self.settings.batch.timeout
        gauges["soakd_supervisor_rss_bytes",] = rss_bytes()
        for phase in PHASES:
            gauges["soakd_run_phase", phase] = float(phase == self.phase)
        return merged

    def rows(self) -> Account:
        """Return what became of the rows of all lives of all shards, as they have said so far."""
        total = Account()
        for shard in self.shards:
            for account in shard.accounts.values():
                total = total.plus(account)
        return total
