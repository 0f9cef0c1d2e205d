"""The invariants of `ledger`: they hold whatever goes on, and each is seen to be broken when it is."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from daemon.errors import Rejected
from daemon.ops import Transaction, Tx
from daemon.workloads.base import Scope
from daemon.workloads.ledger.tables import statement
from tests.ledger_rig import HISTORY, WALLETS, Place, Rig, place
from tests.test_ledger_workload import many

__all__ = ["place"]  # a fixture

NAMES = {
    "conservation",
    "balance_is_entries",
    "no_negative_balance",
    "one_effect_per_key",
    "read_model",
    "ledger",
    "outbox",
}
LAST = WALLETS * HISTORY  # number of the newest loaded event

# What is done to the data, the invariants that it breaks, and what is said of it.
BREAKS: Sequence[tuple[str, Sequence[str], set[str], str]] = (
    (
        "money from nowhere",
        ["UPDATE {wallets} SET balance = balance + 3 WHERE id = 5"],
        {"conservation", "balance_is_entries"},
        "wallet 5 holds",
    ),
    (
        "money in the wrong wallet",
        ["UPDATE {wallets} SET balance = balance + CASE id WHEN 5 THEN 3 ELSE -3 END WHERE id IN (5, 6)"],
        {"balance_is_entries"},
        "wallet 6 holds",
    ),
    (
        "debts",
        [
            "UPDATE {wallets} SET balance = balance - 90000, opening = opening - 90000 WHERE id = 5",
            "UPDATE {balances} SET balance = balance - 90000 WHERE wallet = 5",
        ],
        {"no_negative_balance"},
        "wallet 5 holds -",
    ),
    (
        "a second effect",
        [
            (
                "INSERT INTO {events} (tx, request, kind, wallet, other, delta, ts) "
                f"SELECT tx, request, kind, wallet, other, 0, ts FROM {{events}} WHERE id = {LAST}"
            )
        ],
        {"one_effect_per_key"},
        "had 2 effects",
    ),
    (
        "an effect that nobody asked for",
        [f"UPDATE {{events}} SET request = 'ghost' WHERE id = {LAST}"],
        {"one_effect_per_key"},
        "effect of ghost",
    ),
    (
        "a read model that is off",
        ["UPDATE {balances} SET balance = balance + 3 WHERE wallet = 5"],
        {"read_model"},
        "wallet 5 is shown with",
    ),
    (
        "a read model that lacks a wallet",
        ["DELETE FROM {balances} WHERE wallet = 5"],
        {"read_model"},
        "wallet 5 is shown with None",
    ),
    (
        "a lost entry",
        ["DELETE FROM {entries} WHERE wallet = 5 AND event = 5"],
        {"ledger", "balance_is_entries", "read_model"},
        "which is not there",
    ),
    (
        "a wrong entry",
        ["UPDATE {entries} SET amount = amount + 3 WHERE wallet = 5 AND event = 5"],
        {"ledger", "balance_is_entries", "read_model"},
        "event 5 makes an entry of",
    ),
    (
        "a consumer that has lost count",
        ["UPDATE {positions} SET consumed = consumed + 1 WHERE consumer = 'outbox_2'"],
        {"outbox"},
        "outbox_2 has consumed",
    ),
)
# What shows only when everything is looked at.
HIDDEN: Sequence[tuple[str, str, str, str]] = (
    (
        "a request without an effect",
        "INSERT INTO {requests} (key, kind, wallet, other, amount, ts) VALUES ('lost', 'credit', 1, 0, 1, 1)",
        "one_effect_per_key",
        "requests are noted as done",
    ),
    (
        "an entry without an event",
        "INSERT INTO {entries} (wallet, event, amount, ts) VALUES (5, 987654321, 0, 1)",
        "ledger",
        "entries, and there are",
    ),
    (
        "all consumers have lost count alike",
        "UPDATE {positions} SET consumed = consumed + 1 WHERE consumer LIKE 'outbox%'",
        "outbox",
        "outbox_1 has consumed",
    ),
)


async def broken(
    rig: Rig, statements: Sequence[str], *, complete: bool
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """Return what two rounds of checks find when the data is broken; then it is as it was."""
    invariants = rig.invariants()
    scope = Scope(complete, WALLETS, Random(1))
    rounds: list[dict[str, Sequence[str]]] = []

    async def break_and_check(tx: Tx) -> None:
        for invariant in invariants.values():
            assert await invariant.check(tx, scope) == []
        for template in statements:
            await tx.execute(statement(rig.backend.dialect, template))
        for _ in range(2):
            found = {name: await one.check(tx, scope) for name, one in invariants.items()}
            rounds.append({name: problems for name, problems in found.items() if problems})
        raise Rejected

    with pytest.raises(Rejected):
        await rig.backend.transact(Transaction(break_and_check, read_only=False))
    first, second = rounds
    return first, second


@pytest.mark.parametrize("complete", [True, False])
def test_what_is_broken_is_seen_as_long_as_it_lasts(place: Place, *, complete: bool) -> None:
    async def check(rig: Rig) -> None:
        assert rig.invariants().keys() == NAMES == set().union(*(names for _, _, names, _ in BREAKS))
        for what, statements, names, words in BREAKS:
            first, second = await broken(rig, statements, complete=complete)
            assert first.keys() == names, what
            assert second == first, what
            told = [problem for problems in first.values() for problem in problems]
            assert any(words in problem for problem in told), (what, told)
            assert all("\n" not in problem for problem in told)

    place.run(check)


def test_what_a_sample_cannot_show_is_seen_at_the_end(place: Place) -> None:
    async def check(rig: Rig) -> None:
        for what, change, name, words in HIDDEN:
            assert await broken(rig, [change], complete=False) == ({}, {}), what
            found, _ = await broken(rig, [change], complete=True)
            assert found.keys() == {name}, what
            assert words in found[name][0]

    place.run(check)


def test_money_that_appears_between_two_samples_is_missed_by_neither(place: Place) -> None:
    """Sums are compared with the state that was seen before, so requests in between do not matter."""

    async def check(rig: Rig) -> None:
        conservation = rig.invariants()["conservation"]
        for _ in range(3):
            assert await rig.check(conservation, complete=False) == []
            await many(rig, 5, workers=10)
        assert await rig.check(conservation, complete=False) == []
        await rig.sql("UPDATE {wallets} SET balance = balance + 1 WHERE id = 2")
        await many(rig, 5, workers=10)
        assert len(await rig.check(conservation, complete=False)) == 1
        await rig.sql("UPDATE {wallets} SET balance = balance - 1 WHERE id = 2")
        assert await rig.check(conservation, complete=False) == []

    place.run(check)


def test_a_sample_is_a_block_of_wallets_anywhere(place: Place) -> None:
    """One wrong wallet of twenty is in some samples of five, and every wallet is in some."""

    async def check(rig: Rig) -> None:
        await rig.sql("UPDATE {balances} SET balance = balance + 1")
        invariant, seen = rig.invariants()["read_model"], set()
        for number in range(60):
            scope = Scope(complete=False, sample=5, rng=Random(number))
            problems = (await rig.backend.transact(Transaction(invariant.check, (scope,)))).result
            assert len(problems) == 5
            seen |= {int(problem.split()[1]) for problem in problems}
        assert seen == set(range(1, WALLETS + 1))

    place.run(check)


def test_everything_holds_at_every_moment_of_a_load(place: Place) -> None:
    """Requests, replays and consumers at once; each check looks at a snapshot of its own."""

    async def check(rig: Rig) -> None:
        invariants, ended = rig.invariants(), asyncio.Event()
        checks = 0

        async def consume(name: str) -> None:
            while not ended.is_set():
                await rig.backend.transact(rig.consumers()[name].step)
                await asyncio.sleep(0.002)

        async def audit() -> None:
            nonlocal checks
            while not ended.is_set() or checks < 3:
                for name, invariant in invariants.items():
                    assert await rig.check(invariant, complete=checks % 3 == 2) == [], name
                checks += 1

        async def load() -> None:
            try:
                await many(rig, 40, workers=20)
            finally:
                ended.set()

        async with asyncio.TaskGroup() as tasks:
            for name in rig.consumers():
                tasks.create_task(consume(name))
            tasks.create_task(audit())
            tasks.create_task(load())
        await rig.catch_up()
        assert await rig.violated() == {}

    place.run(check, writers=20)
