"""Measuring a query: what is counted, what is timed, what is seen of it, and what its plan says."""

import asyncio
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import SystemClock
from daemon.errors import TargetError
from daemon.lab.measure import Measured, figures, measure
from daemon.lab.plans import Plan, explain
from daemon.lab.pressure import Pressure
from daemon.lab.report import query_report
from daemon.lab.watch import Call
from daemon.ops import Transaction, Tx, query
from daemon.results.queries import failed_queries, slow_queries
from tests.marketplace_rig import MINTS, Place, Rig, loaded, place
from tests.test_marketplace_workload import number

__all__ = ["place"]  # a fixture


async def measured(
    rig: Rig, make: Callable[[Random], Transaction], *, patience: float = 30.0, iterations: int = 20
) -> tuple[Measured, int]:
    """Return what is measured of a query, and the number of runs, of which 5 are warm-up."""
    runs = 0

    def done() -> None:
        nonlocal runs
        runs += 1

    found = await measure(
        rig.backend, SystemClock(), make, rng=Random(1), warmup=5, iterations=iterations, patience=patience,
        on_done=done,
    )  # fmt: skip
    return found, runs


def reading(rig: Rig, sql: str, *params: object) -> Callable[[Random], Transaction]:
    """Return what makes a query of the statement, always the same."""
    filled = rig.backend.dialect.sql(sql, balances="balances", mints="mints")
    return lambda _: Transaction(query, (filled, params), True, True)


def test_each_iteration_has_keys_of_its_own_and_warm_up_is_left_out(place: Place) -> None:
    async def check(rig: Rig) -> None:
        workload, asked = rig.workload, []
        op = number(workload, "mint_by_hash")

        def make(rng: Random) -> Transaction:
            work = workload.transaction(op, 0, rng)
            asked.append(work.args[1])
            return work

        found, runs = await measured(rig, make)
        assert (len(found.times), found.rows, runs) == (20, [1] * 20, 25)
        assert len(set(asked)) > 10
        assert min(found.times) > 0
        assert (found.errors, found.failure) == ({}, "")
        slowest = found.times.index(max(found.times))
        assert found.slowest[0].params == asked[5 + slowest]

    place.run(check)


def test_all_statements_of_a_query_are_seen_and_all_rows_counted(place: Place) -> None:
    async def two(tx: Tx, first: str, second: str) -> str:
        await tx.execute(first)
        await tx.execute(second)
        return "whatever it returns"

    async def check(rig: Rig) -> None:
        mints, balances = (
            f"SELECT * FROM {rig.backend.dialect.table(name)}" for name in ("mints", "balances")
        )
        found, _ = await measured(rig, lambda _: Transaction(two, (mints, balances)))
        assert found.rows == [MINTS + MINTS * 4] * 20
        assert found.slowest == [Call(mints, ()), Call(balances, ())]

    place.run(check)


def test_what_the_database_refuses_is_told_once_and_not_timed(place: Place) -> None:
    async def check(rig: Rig) -> None:
        found, runs = await measured(rig, reading(rig, "SELECT * FROM nowhere"))
        assert (found.times, runs) == ([], 1)
        assert found.errors == {"other": 1}
        assert "nowhere" in found.failure
        report = {"queries": {"q": query_report(found, 0.1)}}
        assert (failed_queries(report), slow_queries(report)) == (["q"], [])

    place.run(check)


def test_a_query_that_runs_into_its_time_limit_is_slow(place: Place) -> None:
    async def check(rig: Rig) -> None:
        endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        found, _ = await measured(rig, reading(rig, endless), patience=0.05, iterations=2)
        assert len(found.times) == 2
        assert min(found.times) > 0.03
        assert found.errors["timeout"] == 7
        report = {"queries": {"q": query_report(found, 10.0)}}
        assert (failed_queries(report), slow_queries(report)) == ([], ["q"])
        plan = (await explain(rig.backend, SystemClock(), found.slowest, 0.5))[0]
        assert plan.lines, "it is explained without being executed"
        assert "no plan" not in plan.lines[0]

    place.run(check)


def test_a_target_that_is_gone_ends_it(database: str) -> None:
    async def check(rig: Rig) -> None:
        await rig.backend.close()
        with pytest.raises(TargetError, match="gone"):
            await measured(rig, reading(rig, "SELECT 1"))

    loaded(database).run(check)


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=300))
def test_figures_are_those_of_the_definition(times: list[float]) -> None:
    found = figures(times)
    assert found["count"] == len(times)
    assert found["mean"] == pytest.approx(sum(times) / len(times))
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        assert found[name] in times
        assert sum(time <= found[name] for time in times) >= share * len(times)
        assert sum(time < found[name] for time in times) < share * len(times)
    assert (found["min"], found["max"]) == (min(times), max(times))


def test_of_nothing_there_are_no_figures() -> None:
    assert figures([]) == {"count": 0}
    assert figures([3.0])["stddev"] == 0
    assert figures([1.0, 3.0])["stddev"] == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(
    ("times", "slow"),
    [
        ([0.05] * 100, []),
        ([0.05] * 90 + [0.2] * 10, ["p95"]),
        ([0.01] * 99 + [50], ["mean"]),
        ([0.2], ["mean", "p95"]),
    ],
)
def test_mean_and_95th_percentile_are_judged(times: Sequence[float], slow: list[str]) -> None:
    report = query_report(Measured(times=list(times), rows=[1] * len(times)), 0.1)
    assert report["slow"] == slow


async def plan_of(rig: Rig, sql: str, *params: object) -> Plan:
    """Return the plan of a statement."""
    call = Call(reading(rig, sql)(Random(1)).args[0], params)
    found = await explain(rig.backend, SystemClock(), [call, call], 10.0)
    assert len(found) == 1, "the same statement is explained once"
    return found[0]


# A condition without an index, and the columns that are to be named.
LACKING: Sequence[tuple[str, tuple[Any, ...], list[tuple[str, ...]]]] = (
    ("SELECT * FROM {mints} WHERE title = ?", ("Mint 7",), [("title",)]),
    ("SELECT * FROM {mints} AS m WHERE m.owner = ? AND m.supply > ?", ("x", 5), [("owner", "supply")]),
    ("SELECT * FROM {mints} WHERE id = ?", (7,), []),
    ("SELECT count(*) FROM {mints}", (), []),
    ("SELECT * FROM {balances} WHERE mint = ?", (7,), []),
    ("SELECT * FROM {balances} WHERE quantity > ?", (10**9,), [("quantity",)]),
)


def test_missing_indexes_are_named_and_making_them_helps(place: Place) -> None:
    async def check(rig: Rig) -> None:
        for sql, params, wanted in LACKING:
            plan = await plan_of(rig, sql, *params)
            assert [one.columns for one in plan.missing] == wanted, (sql, plan)
            assert plan.lines
            for one in plan.missing:
                await rig.sql(one.statement)
                assert (await plan_of(rig, sql, *params)).missing == []

    place.run(check)


def test_a_dropped_index_of_the_workload_is_missed(place: Place) -> None:
    async def missing(rig: Rig) -> list[str]:
        op = number(rig.workload, "address_balance")
        sql, params = rig.workload.transaction(op, 0, Random(1)).args
        return [one.columns[0] for one in (await plan_of(rig, sql, *params)).missing]

    async def drop(rig: Rig) -> None:
        await rig.sql(f"DROP INDEX {rig.backend.dialect.table('balances_address_mint')}")

    assert place.run(missing) == []
    place.run(drop)
    assert place.run(missing) == ["address"]


def test_writers_write_behind_until_they_are_told_to_end(place: Place) -> None:
    async def check(rig: Rig) -> None:
        pressure = Pressure(rig.backend, rig.workload, "1")
        writing = asyncio.create_task(pressure.run(5))
        give_up = SystemClock().now() + 20
        while pressure.outcomes["ok"] < 50 and SystemClock().now() < give_up:
            await asyncio.wait({writing}, timeout=0.01)
        writing.cancel()
        await asyncio.wait({writing})
        assert writing.cancelled()
        assert pressure.outcomes["ok"] >= 50
        assert pressure.outcomes.keys() <= {"ok", "rejected"}
        assert await rig.violated() == {}

    place.run(check)
