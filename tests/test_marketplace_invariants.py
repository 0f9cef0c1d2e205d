"""The invariants of `marketplace`: they hold whatever goes on, and each is seen to be broken when it is."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from daemon.errors import Rejected
from daemon.ops import Transaction, Tx
from daemon.workloads.base import Scope
from daemon.workloads.marketplace.tables import statement
from tests.marketplace_rig import MINTS, Place, Rig, place
from tests.test_marketplace_workload import trades

__all__ = ["place"]  # a fixture

NAMES = {"rows_have_mints", "no_negative_balance", "supply", "money", "balances_are_invoices"}
HOLDER = "(SELECT min(address) FROM {balances} WHERE mint = 5)"
OTHER = "(SELECT max(address) FROM {balances} WHERE mint = 5)"
INVOICE = (
    "INSERT INTO {invoices} (mint, buyer, seller, quantity, price, status, ts) "
    f"VALUES (5, {HOLDER}, {OTHER}, 1, PRICE, 'paid', 1)"
)

# What is done to the data, the invariants that it breaks, and what is said of it.
BREAKS: Sequence[tuple[str, str, set[str], str]] = (
    (
        "an offer to sell what is not there",
        "INSERT INTO {sell_offers} (mint, address, quantity, price, ts) VALUES (999, 'x', 1, 1, 1)",
        {"rows_have_mints"},
        "of sell_offers is of mint 999, which is not there",
    ),
    (
        "an offer to buy what is not there",
        "INSERT INTO {buy_offers} (mint, address, quantity, price, ts) VALUES (999, 'x', 1, 1, 1)",
        {"rows_have_mints"},
        "of buy_offers is of mint 999",
    ),
    (
        "an invoice over what is not there",
        (
            "INSERT INTO {invoices} (mint, buyer, seller, quantity, price, status, ts) "
            "VALUES (999, 'x', 'y', 1, 1, 'pending', 1)"
        ),
        {"rows_have_mints"},
        "of invoices is of mint 999",
    ),
    (
        "tokens owed",
        (
            "UPDATE {balances} SET quantity = quantity - 90000, opening = opening - 90000 "
            f"WHERE mint = 5 AND address = {HOLDER}"
        ),
        {"no_negative_balance", "supply"},
        "of mint 5",
    ),
    (
        "money owed",
        (
            "UPDATE {addresses} SET funds = funds - 9000000, opening = opening - 9000000 "
            f"WHERE address = {HOLDER}"
        ),
        {"no_negative_balance"},
        "has -",
    ),
    (
        "tokens from nowhere",
        f"UPDATE {{balances}} SET quantity = quantity + 3 WHERE mint = 5 AND address = {HOLDER}",
        {"supply", "balances_are_invoices"},
        "of mint 5 are held, and",
    ),
    (
        "a mint without holders",
        "DELETE FROM {balances} WHERE mint = 5",
        {"supply"},
        "None of mint 5 are held",
    ),
    (
        "tokens in the wrong hands",
        (
            f"UPDATE {{balances}} SET quantity = quantity + CASE address WHEN {HOLDER} THEN 3 ELSE -3 END "
            f"WHERE mint = 5 AND address IN ({HOLDER}, {OTHER})"
        ),
        {"balances_are_invoices"},
        "of mint 5, invoices make",
    ),
    (
        "a paid invoice that has moved nothing",
        INVOICE.replace("PRICE", "0"),
        {"balances_are_invoices"},
        "of mint 5, invoices make",
    ),
)
# What shows only, or better, when everything is looked at: what a sample sees of it, and what the end.
HIDDEN: Sequence[tuple[str, str, set[str], set[str], str]] = (
    (
        "money in the wrong hands",
        (
            f"UPDATE {{addresses}} SET funds = funds + CASE address WHEN {HOLDER} THEN 3 ELSE -3 END "
            f"WHERE address IN ({HOLDER}, {OTHER})"
        ),
        set(),
        {"balances_are_invoices"},
        "cents, invoices make",
    ),
    (
        "money from nowhere",
        f"UPDATE {{addresses}} SET funds = funds + 3 WHERE address = {HOLDER}",
        {"money"},
        {"money", "balances_are_invoices"},
        "and began with",
    ),
)


async def broken(rig: Rig, template: str, *, complete: bool) -> dict[str, Sequence[str]]:
    """Return what the checks find when the data is broken; then it is as it was."""
    invariants, scope = rig.invariants(), Scope(complete, MINTS, Random(1))
    found: dict[str, Sequence[str]] = {}

    async def break_and_check(tx: Tx) -> None:
        for one in invariants.values():
            assert await one.check(tx, scope) == []
        await tx.execute(statement(rig.backend.dialect, template))
        found.update({name: await one.check(tx, scope) for name, one in invariants.items()})
        raise Rejected

    with pytest.raises(Rejected):
        await rig.backend.transact(Transaction(break_and_check, read_only=False))
    return {name: problems for name, problems in found.items() if problems}


def words_of(found: dict[str, Sequence[str]]) -> str:
    """Return all that is told, a line for each violation."""
    told = [problem for problems in found.values() for problem in problems]
    assert all("\n" not in problem for problem in told)
    return "\n".join(told)


@pytest.mark.parametrize("complete", [True, False])
def test_what_is_broken_is_seen(place: Place, *, complete: bool) -> None:
    async def check(rig: Rig) -> None:
        assert rig.invariants().keys() == NAMES == set().union(*(one[2] for one in (*BREAKS, *HIDDEN)))
        for what, template, names, words in BREAKS:
            found = await broken(rig, template, complete=complete)
            assert found.keys() == names, what
            assert words in words_of(found), what

    place.run(check)


def test_what_a_sample_cannot_show_is_seen_at_the_end(place: Place) -> None:
    async def check(rig: Rig) -> None:
        for what, template, sampled, final, words in HIDDEN:
            assert (await broken(rig, template, complete=False)).keys() == sampled, what
            found = await broken(rig, template, complete=True)
            assert found.keys() == final, what
            assert words in words_of(found), what

    place.run(check)


def test_a_sample_is_a_block_of_mints_anywhere(place: Place) -> None:
    """All mints are wrong; a sample finds its five, and every mint is in some."""

    async def check(rig: Rig) -> None:
        await rig.sql("UPDATE {mints} SET supply = supply + 1")
        invariant, seen = rig.invariants()["supply"], set()
        for seed in range(80):
            scope = Scope(complete=False, sample=5, rng=Random(seed))
            problems = (await rig.backend.transact(Transaction(invariant.check, (scope,)))).result
            assert len(problems) == 5
            seen |= {int(problem.split()[3]) for problem in problems}
        assert seen == set(range(1, MINTS + 1))

    place.run(check)


def test_everything_holds_at_every_moment_of_a_load(place: Place) -> None:
    async def check(rig: Rig) -> None:
        ended, checks = asyncio.Event(), 0

        async def audit() -> None:
            nonlocal checks
            while not ended.is_set() or checks < 3:
                for name, invariant in rig.invariants().items():
                    assert await rig.check(invariant, complete=checks % 3 == 2) == [], name
                checks += 1

        async def load() -> None:
            try:
                assert (await trades(rig, 15, 25))["done"] > 300
            finally:
                ended.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(audit())
            tasks.create_task(load())
        assert await rig.violated() == {}

    place.run(check, writers=20)
