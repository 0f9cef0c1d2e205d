"""Checking the invariants of a workload: samples beside the load, everything at its end."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.control.jobs import Jobs
from daemon.control.shards import Listener
from daemon.errors import OpError, TargetError
from daemon.ops import Transaction
from daemon.record.account import Account
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Invariant, Scope

RESULTS = ("ok", "violated", "timeout", "error")
SAMPLE = 100  # things in the first sample
LARGEST_SAMPLE = 10_000
TOLD = 5  # violations of an invariant that the summary repeats


@dataclass(slots=True)
class State:
    """What is known of one invariant.

    Attributes:
        results: number of checks by result.
        violations: of the latest check that came to an end.
        worst: what was found when it was violated for the first time; empty if it never was.
        final: result of the check of everything; None before it.
        sample: things in the next sample.
    """

    results: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    violations: Sequence[str] = ()
    worst: Sequence[str] = ()
    final: str | None = None
    sample: int = SAMPLE


class Limits(NamedTuple):
    """How often and how long checks are made: see the settings `invariants`."""

    interval: float
    budget: float
    final_budget: float


class Audit:
    """Checks invariants on a connection of its own, one after the other, each on one snapshot."""

    def __init__(
        self,
        invariants: Sequence[Invariant],
        *,
        make: Callable[[], Backend],
        limits: Limits,
        clock: Clock,
        notify: Listener,
        facts: Callable[[], tuple[int, Account]],
    ) -> None:
        """Prepare; nothing is connected.

        Args:
            invariants: what to check; nothing is done if there is none.
            make: makes a backend of the target.
            limits: how often, and how long.
            clock: monotonic time.
            notify: told when an invariant is found violated, or could not be checked at the end.
            facts: the run's number, and what became of its rows.
        """
        self._invariants = invariants
        self._make = make
        self._limits = limits
        self._clock = clock
        self._notify = notify
        self._facts = facts
        self._rng = Random()
        self._states = {one.name: State() for one in invariants}
        self._backend: Backend | None = None
        self._jobs = Jobs()
        self._round: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to check now and then; returns at once."""
        if self._invariants and self._limits.interval:
            self._jobs.every(self._limits.interval, self._begin, "invariants")
            self._jobs.start()

    async def close(self) -> None:
        """Check no samples any more and give the connection back; a check under way is cut off.

        Never raises. `finish` may follow, on a connection of its own.
        """
        self._jobs.stop()
        if self._round is not None:
            self._round.cancel()
            await asyncio.wait({self._round})
            self._round = None  # with it goes a session that it was just opening: libpq's object closes it
        if self._backend is not None:
            await self._backend.close()
            self._backend = None

    async def finish(self) -> None:
        """Check everything, once; no sample is checked after it."""
        self._jobs.stop()
        if self._round is not None:
            await asyncio.wait({self._round})
        if self._limits.final_budget:
            for invariant in self._invariants:
                result = await self._check(invariant, complete=True, within=self._limits.final_budget)
                self._states[invariant.name].final = result
                if result in ("timeout", "error"):
                    self._notify("invariant.unchecked", invariant=invariant.name, result=result)

    def snapshot(self) -> Snapshot:
        """Return the figures."""
        made = Snapshot()
        for name, state in self._states.items():
            made.gauges["soakd_invariant_violations", name] = len(state.violations)
            for result, number in state.results.items():
                made.counters["soakd_invariant_checks_total", name, result] = number
        return made

    def report(self) -> dict[str, Any]:
        """Return what was found, for the summary."""
        return {
            name: {
                "checks": dict(state.results),
                "final": state.final,
                "violations": list(state.worst[:TOLD]),
            }
            for name, state in self._states.items()
        }

    @property
    def problems(self) -> list[str]:
        """What was violated at any time, a line for each invariant."""
        return [f"{name}: {state.worst[0]}" for name, state in self._states.items() if state.worst]

    async def _begin(self) -> None:
        """Begin a round, unless the one before still goes on: the job itself must never last."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._check_all())

    async def _check_all(self) -> None:
        for invariant in self._invariants:
            await self._check(invariant, complete=False, within=self._limits.budget)

    async def _check(self, invariant: Invariant, *, complete: bool, within: float) -> str:
        """Check one invariant, note what came of it, and return the result."""
        state = self._states[invariant.name]
        try:
            state.violations = await self._ask(
                invariant, state.sample, complete=complete, deadline=self._clock.now() + within
            )
        except (OpError, TargetError) as error:
            late = isinstance(error, OpError) and error.error_class == "timeout"
            result = "timeout" if late else "error"
        else:
            result = "violated" if state.violations else "ok"
        if result == "violated" and not state.worst:
            state.worst = state.violations
            self._notify("invariant.violated", invariant=invariant.name, detail=state.worst[0])
        wanted = state.sample // 2 if result == "timeout" else 2 * state.sample
        state.sample = min(max(1, wanted), LARGEST_SAMPLE)
        state.results[result] += 1
        return result

    async def _ask(
        self, invariant: Invariant, sample: int, *, complete: bool, deadline: float
    ) -> Sequence[str]:
        """Return the violations of an invariant.

        Raises:
            OpError: the target refused, or was too slow.
            TargetError: there is no connection to it.
        """
        backend = await self._connected()
        while True:
            run, account = self._facts()
            scope = Scope(complete, sample, self._rng, run, account)
            work = Transaction(invariant.check, (scope,), isolation="repeatable read")
            found: Sequence[str] = (await backend.transact(work, deadline=deadline)).result
            # What was lost since then is missing in the snapshot, and was not in the account.
            if not found or self._facts()[1].lost == account.lost:
                return found

    async def _connected(self) -> Backend:
        """Return the connection, made when it is first needed.

        Raises:
            TargetError: it cannot be made.
        """
        if self._backend is None:
            backend = self._make()
            await backend.open()
            self._backend = backend
        return self._backend
