"""The invariants of `progress`: they hold whatever goes on, and each is seen to be broken when it is."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from daemon.errors import Rejected
from daemon.ops import Transaction, Tx
from daemon.record.account import Account
from daemon.workloads import registry
from daemon.workloads.base import Invariant, Scope
from daemon.workloads.progress.tables import statement
from tests.progress_rig import RUN, USERS, Place, Rig, place

__all__ = ["place"]  # a fixture

NAMES = ["counted_once", "events_accounted", "references"]
EVENTS = 120  # that the run has merged before something is broken
# What is done to the data, the invariants that it breaks, and what is said of it.
BREAKS: Sequence[tuple[str, str, set[str], str]] = (
    (
        "an event that is counted twice",
        "UPDATE {counters} SET events = events + 1 WHERE user_id = 5 AND challenge = 1",
        {"counted_once"},
        "rows were merged into them",
    ),
    (
        "a batch that was noted and not counted",
        "UPDATE {merges} SET events = events + 10 WHERE run = 6",
        {"counted_once"},
        "rows were merged into them",
    ),
    (
        "a counter that is gone",
        "DELETE FROM {counters} WHERE user_id = 5 AND challenge = 1",
        {"counted_once"},
        "the counters add up to",
    ),
    (
        "acknowledged events that are gone",
        "DELETE FROM {merges} WHERE run = 7",
        {"counted_once", "events_accounted"},
        f"0 events were merged, {EVENTS} were acknowledged",
    ),
    (
        "a counter of nobody",
        "UPDATE {counters} SET user_id = 99999 WHERE user_id = 5",
        {"references"},
        "user 99999: there is no such user",
    ),
    (
        "a counter of a goal that there is not",
        "UPDATE {counters} SET goal = goal + 40 WHERE user_id = 5 AND challenge = 1",
        {"references"},
        "of user 5: there is no such goal",
    ),
    (
        "a counter that counts nothing",
        "UPDATE {counters} SET events = 0 WHERE user_id = 5",
        {"counted_once", "references"},
        "of user 5: 0 events",
    ),
)


def invariants(rig: Rig) -> dict[str, Invariant]:
    """Return all invariants by name."""
    made = registry.invariants("progress", rig.options, dialect=rig.backend.dialect)
    return {one.name: one for one in made}


async def look(rig: Rig, invariant: Invariant, scope: Scope) -> Sequence[str]:
    """Return what a check finds on a snapshot of its own."""
    work = Transaction(invariant.check, (scope,), isolation="repeatable read")
    found: Sequence[str] = (await rig.backend.transact(work)).result
    return found


def scope_of(account: Account, *, complete: bool, sample: int = USERS) -> Scope:
    """Return the scope of a check of the run."""
    return Scope(complete, sample, Random(1), RUN, account)


@pytest.mark.parametrize("complete", [True, False])
def test_what_is_broken_is_seen(place: Place, *, complete: bool) -> None:
    async def check(rig: Rig) -> None:
        checks = invariants(rig)
        assert list(checks) == NAMES
        assert set(NAMES) == set().union(*(names for _, _, names, _ in BREAKS))
        account = await rig.load(EVENTS)
        await rig.sql("INSERT INTO {merges} VALUES (6, 0, 0, 0, 1, 0)")
        scope = scope_of(account, complete=complete)

        async def break_and_check(tx: Tx, change: str, names: set[str], words: str) -> None:
            for name, one in checks.items():
                assert await one.check(tx, scope) == [], name
            await tx.execute(statement(rig.backend.dialect, change))
            for _ in range(2):
                found = {name: await one.check(tx, scope) for name, one in checks.items()}
                assert {name for name, problems in found.items() if problems} == names, change
                told = [problem for problems in found.values() for problem in problems]
                assert any(words in problem for problem in told), told
                assert all("\n" not in problem for problem in told)
            raise Rejected

        for _, change, names, words in BREAKS:
            with pytest.raises(Rejected):
                await rig.backend.transact(
                    Transaction(break_and_check, (change, names, words), read_only=False)
                )

    place.run(check)


def test_events_that_nobody_has_accepted_are_seen_at_once_at_the_end_and_else_a_check_later(
    place: Place,
) -> None:
    async def check(rig: Rig) -> None:
        await rig.load(EVENTS)
        one = invariants(rig)["events_accounted"]
        fewer = Account(EVENTS - 1, EVENTS - 1)
        assert await look(rig, one, scope_of(fewer, complete=True)) == [
            f"{EVENTS} events were merged, {EVENTS - 1} at most are accounted for"
        ]
        assert await look(rig, one, scope_of(fewer, complete=False)) == [], (
            "they may have been accepted since"
        )
        assert await look(rig, one, scope_of(fewer, complete=False)) == [
            f"{EVENTS} events were merged, {EVENTS - 1} were accepted"
        ]

    place.run(check)


def test_events_under_way_and_in_doubt_are_allowed_for(place: Place) -> None:
    async def check(rig: Rig) -> None:
        await rig.load(EVENTS)
        one = invariants(rig)["events_accounted"]
        for account in (Account(EVENTS + 30, EVENTS - 20), Account(EVENTS, EVENTS)):
            for _ in range(2):
                assert await look(rig, one, scope_of(account, complete=False)) == []
        doubtful = Account(EVENTS + 5, EVENTS - 5, 3, 7, 10)
        assert await look(rig, one, scope_of(doubtful, complete=True)) == []
        assert await look(rig, one, scope_of(doubtful._replace(in_doubt=4), complete=True)) != []

    place.run(check)


def test_a_sample_of_users_is_a_block_anywhere(place: Place) -> None:
    async def check(rig: Rig) -> None:
        await rig.sql("UPDATE {counters} SET goal = goal + 40 WHERE goal = 1")
        one, seen = invariants(rig)["references"], set()
        for seed in range(40):
            found = await look(rig, one, Scope(complete=False, sample=5, rng=Random(seed), run=RUN))
            users = {int(problem.split("user ")[1].split(":")[0]) for problem in found}
            assert max(users) - min(users) < 5
            seen |= users
        assert len(seen) > 10

    place.run(check)


def test_everything_holds_at_every_moment_of_a_load(place: Place) -> None:
    """Two shards and two lives at once; every check looks at a snapshot of its own."""

    async def check(rig: Rig) -> None:
        checks = invariants(rig)
        del checks["events_accounted"]  # its account is the supervisor's: whole runs see to it
        loads = asyncio.gather(*(rig.load(2500, shard=n % 2, epoch=n // 2) for n in range(4)))
        rounds = 0
        while not loads.done() or rounds < 3:
            for name, one in checks.items():
                scope = scope_of(Account(), complete=rounds % 2 == 0)
                assert await look(rig, one, scope) == [], name
            rounds += 1
        total = Account()
        for account in await loads:
            total = total.plus(account)
        assert total == Account(10_000, 10_000)
        for one in invariants(rig).values():
            assert await look(rig, one, scope_of(total, complete=True)) == []

    place.run(check, writers=10)
