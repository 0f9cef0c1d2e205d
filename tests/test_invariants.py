"""Checking invariants beside a load: how often, how long, how much, and what is told of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from daemon.backends.base import INFINITY, Backend
from daemon.control.invariants import LARGEST_SAMPLE, RESULTS, SAMPLE, Audit, Limits
from daemon.errors import OpError, TargetError
from daemon.ops import Timed, Transaction, Tx
from daemon.record.account import Account
from daemon.workloads.base import Invariant, Scope
from tests.doubles import ScriptedBackend

LIMITS = Limits(interval=0.05, budget=1.0, final_budget=60.0)
TICK = 0.005  # s
ROWS = Account(10, 7, 3)


class Target(ScriptedBackend):
    """Runs checks on nothing, or fails."""

    def __init__(self) -> None:
        super().__init__(_Clock())
        self.error: OpError | None = None
        self.deadlines: list[float] = []
        self.isolations: list[str] = []
        self.closed = 0

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Run the check."""
        now = self.clock.now()
        self.deadlines.append(deadline - now)
        self.isolations.append(work.isolation)
        assert work.read_only
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return Timed(await work.fn(None, *work.args), now, now)

    async def close(self) -> None:
        """Note it."""
        self.closed += 1


class _Clock:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.now()


class Checked:
    """An invariant that a test can break, and the scopes it was checked with."""

    def __init__(self, name: str = "holds") -> None:
        self.problems: list[str] = []
        self.scopes: list[Scope] = []
        self.invariant = Invariant(name, self.check)

    async def check(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Note the scope."""
        self.scopes.append(scope)
        return list(self.problems)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    for _ in range(round(20 / TICK)):
        if condition():
            return
        await asyncio.sleep(TICK)
    raise AssertionError("not within 20 s")


def audited(
    script: Callable[[Audit, Target], Awaitable[None]],
    *checked: Checked,
    limits: Limits = LIMITS,
    make: Callable[[], Backend] | None = None,
) -> tuple[Audit, Target, list[tuple[str, dict[str, Any]]]]:
    """Audit while a script goes on; return the audit, the target and what was told."""
    told: list[tuple[str, dict[str, Any]]] = []

    async def main() -> tuple[Audit, Target]:
        target = Target()
        audit = Audit(
            [one.invariant for one in checked],
            make=make or (lambda: target),
            limits=limits,
            clock=target.clock,
            notify=lambda event, **facts: told.append((event, facts)),
            facts=lambda: (42, ROWS),
        )
        try:
            await script(audit, target)
        finally:
            await audit.close()
        return audit, target

    audit, target = asyncio.run(main())
    return audit, target, told


def results(audit: Audit, name: str = "holds") -> dict[str, float]:
    """Return the numbers of checks by result, without zeros."""
    counters = audit.snapshot().counters.items()
    return {key[2]: n for key, n in counters if key[:2] == ("soakd_invariant_checks_total", name) and n}


def test_samples_are_checked_now_and_then_on_one_snapshot_each() -> None:
    first, second = Checked("first"), Checked("second")

    async def script(audit: Audit, target: Target) -> None:
        audit.start()
        await until(lambda: len(second.scopes) >= 3)

    audit, target, told = audited(script, first, second)
    assert {(scope.complete, scope.run, scope.account) for scope in first.scopes} == {(False, 42, ROWS)}
    assert set(target.isolations) == {"repeatable read"}
    assert max(target.deadlines) <= LIMITS.budget
    assert results(audit, "first").keys() == {"ok"}
    assert told == []
    assert target.closed == 1


def test_from_the_first_scrape_on_there_is_a_figure_for_everything() -> None:
    async def script(audit: Audit, _: Target) -> None:
        snapshot = audit.snapshot()
        assert snapshot.gauges == {("soakd_invariant_violations", "holds"): 0}
        assert set(snapshot.counters) == {
            ("soakd_invariant_checks_total", "holds", result) for result in RESULTS
        }

    audited(script, Checked())


def test_a_violation_is_told_once_and_remembered_when_it_is_gone() -> None:
    checked = Checked()

    async def script(audit: Audit, _: Target) -> None:
        audit.start()
        checked.problems = ["wallet 3 holds -1", "wallet 4 holds -2"]
        await until(lambda: results(audit).get("violated", 0) >= 2)
        assert audit.snapshot().gauges["soakd_invariant_violations", "holds"] == 2
        checked.problems = []
        await until(lambda: results(audit).get("ok"))
        assert audit.snapshot().gauges["soakd_invariant_violations", "holds"] == 0
        await audit.finish()

    audit, _, told = audited(script, checked)
    assert told == [("invariant.violated", {"invariant": "holds", "detail": "wallet 3 holds -1"})]
    assert audit.problems == ["holds: wallet 3 holds -1"]
    report = audit.report()["holds"]
    assert report["final"] == "ok"
    assert report["violations"] == ["wallet 3 holds -1", "wallet 4 holds -2"]


def test_at_the_end_everything_is_checked_with_a_budget_of_its_own() -> None:
    checked = Checked()

    async def script(audit: Audit, target: Target) -> None:
        await audit.finish()
        assert target.deadlines[-1] > LIMITS.budget

    audit, _, told = audited(script, checked)
    assert [scope.complete for scope in checked.scopes] == [True]
    assert (audit.report()["holds"]["final"], audit.problems, told) == ("ok", [], [])


def test_what_has_given_its_connection_back_checks_everything_at_the_end() -> None:
    checked = Checked()

    async def script(audit: Audit, target: Target) -> None:
        audit.start()
        await until(lambda: checked.scopes)
        await audit.close()
        assert target.closed == 1
        seen = len(checked.scopes)
        await asyncio.sleep(4 * LIMITS.interval)
        assert len(checked.scopes) == seen
        await audit.finish()

    audit, target, _ = audited(script, checked)
    assert checked.scopes[-1].complete
    assert audit.report()["holds"]["final"] == "ok"
    assert target.closed == 2


def test_a_violation_at_the_end_counts() -> None:
    checked = Checked()
    checked.problems = ["too much"]

    async def script(audit: Audit, _: Target) -> None:
        await audit.finish()

    audit, _, _ = audited(script, checked)
    assert audit.report()["holds"]["final"] == "violated"
    assert audit.problems == ["holds: too much"]


def test_no_budget_for_the_end_leaves_it_out_and_no_interval_the_samples() -> None:
    checked = Checked()

    async def script(audit: Audit, _: Target) -> None:
        audit.start()
        await asyncio.sleep(4 * LIMITS.interval)
        await audit.finish()

    audit, target, _ = audited(script, checked, limits=Limits(0, 1, 0))
    assert checked.scopes == []
    assert audit.report()["holds"]["final"] is None
    assert target.closed == 0


def test_a_check_that_takes_too_long_looks_at_less_the_next_time() -> None:
    checked = Checked()

    async def script(audit: Audit, target: Target) -> None:
        target.error = OpError("timeout")
        audit.start()
        await until(lambda: results(audit).get("timeout", 0) >= 3)
        target.error = None
        await until(lambda: len(checked.scopes) >= 12)

    audited(script, checked)
    sizes = [scope.sample for scope in checked.scopes]
    assert sizes[0] <= SAMPLE // 8
    assert sizes == sorted(sizes)
    assert max(sizes) <= LARGEST_SAMPLE


def test_a_target_that_is_away_is_an_error_and_no_violation() -> None:
    async def script(audit: Audit, target: Target) -> None:
        target.error = OpError("connection")
        audit.start()
        await until(lambda: results(audit).get("error", 0) >= 2)
        await audit.finish()

    audit, _, told = audited(script, Checked())
    assert audit.problems == []
    assert audit.report()["holds"]["final"] == "error"
    assert told == [("invariant.unchecked", {"invariant": "holds", "result": "error"})]


def test_a_connection_that_cannot_be_made_is_tried_again() -> None:
    tries: list[Backend] = []

    class Late(Target):
        async def open(self) -> None:
            if len(tries) < 3:
                raise TargetError("not yet")

    def make() -> Backend:
        tries.append(Late())
        return tries[-1]

    async def script(audit: Audit, _: Target) -> None:
        audit.start()
        await until(lambda: results(audit).get("ok"))

    audit, _, _ = audited(script, Checked(), make=make)
    assert results(audit)["error"] == 2


def test_a_round_that_lasts_is_not_begun_twice_and_is_cut_off_at_the_end() -> None:
    running = 0

    async def slow(_: Tx, __: Scope) -> Sequence[str]:
        nonlocal running
        running += 1
        assert running == 1
        try:
            await asyncio.sleep(3600)
        finally:
            running -= 1
        return []

    checked = Checked()
    checked.invariant = Invariant("slow", slow)

    async def script(audit: Audit, _: Target) -> None:
        audit.start()
        await until(lambda: running)
        await asyncio.sleep(4 * LIMITS.interval)

    audited(script, checked)
    assert running == 0
