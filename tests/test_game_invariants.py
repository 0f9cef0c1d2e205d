"""The invariants of `game`: they hold whatever goes on, and each is seen to be broken when it is."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from daemon.errors import OpError, Rejected
from daemon.ops import Transaction, Tx
from daemon.workloads.base import Scope
from daemon.workloads.game.invariants import RULES
from daemon.workloads.game.tables import statement
from tests.game_rig import EVENTS, PLAYERS, Place, Rig, place
from tests.test_game_workload import explain, scans

__all__ = ["place"]  # a fixture

# What lets references be broken until the transaction ends, since the databases do keep them.
LOOSE = {
    "postgres": "SET LOCAL session_replication_role = replica",
    "sqlite": "PRAGMA defer_foreign_keys = ON",
}

# What is done to the data, the invariants that it breaks, and what is said of it.
BREAKS: Sequence[tuple[str, set[str], str]] = (
    (
        "DELETE FROM {players} WHERE id = 5",
        {"session_references", "game_player_references"},
        "player 5 is not there, and 2 rows of sessions refer to it",
    ),
    (
        "DELETE FROM {games} WHERE id = 5",
        {"game_player_references", "game_event_references"},
        f"game 5 is not there, and {EVENTS} rows of game_events refer to it",
    ),
    (
        "UPDATE {players} SET sessions = sessions + 1 WHERE id = 6",
        {"player_counters"},
        "sessions of player 6 is kept as 1, and is 0",
    ),
    (
        "DELETE FROM {sessions} WHERE player = 5",
        {"player_counters"},
        "sessions of player 5 is kept as 2, and is 0",
    ),
    ("UPDATE {players} SET score = score + 3 WHERE id = 5", {"player_counters"}, "score of player 5 is kept"),
    (
        "DELETE FROM {game_players} WHERE game = 5 AND player = 6",
        {"player_counters", "game_counters"},
        "players of game 5 is kept as 4, and is 3",
    ),
    (
        "UPDATE {game_players} SET score = score + 3 WHERE game = 5 AND player = 6",
        {"player_counters", "game_counters"},
        "score of game 5 is kept",
    ),
    (
        "UPDATE {games} SET players = 9 WHERE id = 5",
        {"game_counters"},
        "players of game 5 is kept as 9, and is 4",
    ),
    (
        "DELETE FROM {game_events} WHERE game = 5 AND seq = 3",
        {"game_counters", "event_numbers"},
        f"game 5 has numbered {EVENTS} of its events, and holds {EVENTS - 1} of these",
    ),
    (
        f"UPDATE {{game_events}} SET seq = {EVENTS + 1} WHERE game = 5 AND seq = 1",
        {"event_numbers"},
        f"last_event of game 5 is kept as {EVENTS}, and is {EVENTS + 1}",
    ),
    (
        "UPDATE {game_events} SET kind = 'undone' WHERE game = 5 AND seq = 3",
        {"rollbacks_leave_no_trace"},
        "game 5 has event 3, which was rolled back",
    ),
    (
        """UPDATE {games} SET state = '{{"mode":"duel","last":"undone"}}' WHERE id = 5""",
        {"rollbacks_leave_no_trace"},
        "the last event of game 5 is kept as undone, and is",
    ),
)


async def broken(rig: Rig, change: str, *, complete: bool) -> dict[str, Sequence[str]]:
    """Return what the checks find when the data is broken; then it is as it was."""
    scope = Scope(complete, PLAYERS, Random(1))
    found: dict[str, Sequence[str]] = {}

    async def break_and_check(tx: Tx) -> None:
        await tx.execute(LOOSE[rig.backend.dialect.name])
        for invariant in rig.invariants().values():
            assert await invariant.check(tx, scope) == []
        await tx.execute(statement(rig.backend.dialect, change))
        found.update({name: await one.check(tx, scope) for name, one in rig.invariants().items()})
        raise Rejected

    with pytest.raises(Rejected):
        await rig.backend.transact(Transaction(break_and_check, read_only=False))
    return {name: problems for name, problems in found.items() if problems}


def test_what_is_broken_is_seen_by_each_rule(place: Place) -> None:
    """In a sample and at the end; and no rule is there that could not fail."""

    async def check(rig: Rig) -> None:
        assert rig.invariants().keys() == RULES.keys() == set().union(*(names for _, names, _ in BREAKS))
        failed: list[str] = []
        for change, names, words in BREAKS:
            for complete in (True, False):
                found = await broken(rig, change, complete=complete)
                assert found.keys() == names, change
                told = [problem for problems in found.values() for problem in problems]
                assert any(words in problem for problem in told), (change, told)
                assert all("\n" not in problem for problem in told)
                failed += told
        for rule in (rule for rules in RULES.values() for rule in rules):
            assert [one for one in failed if all(part in one for part in rule.words.split("{}"))], rule.words

    place.run(check)


def test_the_databases_keep_the_references_themselves(place: Place) -> None:
    async def check(rig: Rig) -> None:
        for change in (
            "DELETE FROM {players} WHERE id = 5",
            "DELETE FROM {games} WHERE id = 5",
            "INSERT INTO {sessions} (player, id, client, started) VALUES (999, 'x', '[]', 1)",
        ):
            with pytest.raises(OpError) as refused:
                await rig.sql(change)
            assert refused.value.error_class == "constraint", change

    place.run(check)


def test_a_sample_is_a_block_anywhere(place: Place) -> None:
    """Of forty wrong players five are in a sample of five, and every player is in some."""

    async def check(rig: Rig) -> None:
        await rig.sql("UPDATE {players} SET score = score + 1")
        invariant, seen = rig.invariants()["player_counters"], set()
        for number in range(120):
            scope = Scope(complete=False, sample=5, rng=Random(number))
            problems = (await rig.backend.transact(Transaction(invariant.check, (scope,)))).result
            assert len(problems) == 5
            seen |= {int(problem.split()[3]) for problem in problems}
        assert seen == set(range(1, PLAYERS + 1))

    place.run(check)


def test_everything_holds_at_every_moment_of_a_load(place: Place) -> None:
    """Each check looks at a snapshot of its own, samples and everything by turns."""

    async def check(rig: Rig) -> None:
        invariants, ended = rig.invariants(), asyncio.Event()
        checks = 0

        async def audit() -> None:
            nonlocal checks
            while not ended.is_set() or checks < 3:
                for name, invariant in invariants.items():
                    assert await rig.check(invariant, complete=checks % 3 == 2, sample=10) == [], name
                checks += 1

        async def load() -> None:
            try:
                await rig.many(40, workers=20)
            finally:
                ended.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(audit())
            tasks.create_task(load())
        assert await rig.violated() == {}

    place.run(check, writers=20)


def test_a_sample_reads_no_whole_table(place: Place) -> None:
    async def check(rig: Rig) -> None:
        for rule in (rule for rules in RULES.values() for rule in rules):
            sql = statement(rig.backend.dialect, rule.sql)
            block = (3, 9) * sql.count("BETWEEN")
            work = Transaction(explain, (sql, block, rig.backend.dialect), read_only=False)
            plan: str = (await rig.backend.transact(work)).result
            assert not scans(plan), (sql, plan)

    place.run(check)
