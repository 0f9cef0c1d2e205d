"""The workload `progress`: events for all users and goals, reads that find rows, each with an index."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.backends.base import NULL, SQLITE
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.load.merge import Merger
from daemon.ops import Transaction, Values
from daemon.workloads import registry
from daemon.workloads.base import Identity
from daemon.workloads.progress.tables import COUNTERS, MERGE, TABLES, statement
from daemon.workloads.progress.workload import LIST, SQL, Progress
from tests.progress_rig import RUN, SHAPE, USERS, Place, Rig, place

__all__ = ["place"]  # a fixture

READS = ("list", "by_challenge", "leaderboard")


def offline(shard: int = 0, epoch: int = 0, **progress: Any) -> Progress:
    """Return a workload without a target."""
    settings = Settings.model_validate({"workload": "progress", "progress": progress, "data": {"scale": 20}})
    made = registry.create(
        "progress",
        plan.workload_options(settings),
        identity=Identity(RUN, shard, epoch),
        dialect=NULL,
        workers=3,
        existing=(),
        wall=lambda: 1_800_000_000.0,
        rng=Random(1),
    )
    assert isinstance(made, Progress)
    return made


def drawn(workload: Progress, number: int, seed: int = 1) -> list[Values]:
    """Return events of three workers, by turns."""
    rng = Random(seed)
    return [workload.row(0, n % 3, rng) for n in range(number)]


def test_the_operations_and_their_weights() -> None:
    workload = offline(reads={"list": 5, "by_challenge": 0, "leaderboard": 1})
    assert [(spec.name, spec.pool, spec.weight) for spec in workload.ops] == [
        ("event", "writer", 1.0),
        ("list", "reader", 5),
        ("by_challenge", "reader", 0),
        ("leaderboard", "reader", 1),
    ]
    assert [table.merge for table in workload.tables] == [MERGE]


def test_events_are_for_all_users_and_goals_alike() -> None:
    events = drawn(offline(challenges=2, goals=3), 24_000)
    counts = Counter(event[4:7] for event in events)
    assert len(counts) == 20 * 2 * 3
    assert max(counts.values()) < 2 * min(counts.values())
    assert {event[7] for event in events} == set(range(1, 101))
    assert {event[8] for event in events} == {1_800_000_000_000_000}


def test_events_are_numbered_by_worker_and_life() -> None:
    events = drawn(offline(shard=2, epoch=1), 9)
    assert [event[:4] for event in events] == [
        (RUN, 2, n % 3, Identity(RUN, 2, 1).first_seq + n // 3) for n in range(9)
    ]


@pytest.mark.parametrize(("keys", "favourite"), [("zipf", 1), ("latest", 20)])
def test_some_users_may_do_more_than_others(keys: str, favourite: int) -> None:
    counts = Counter(event[4] for event in drawn(offline(keys=keys), 3000))
    assert counts.most_common(1)[0][0] == favourite
    assert counts[favourite] > 3 * 3000 / 20


def test_a_seed_repeats_the_events_and_reads_and_another_one_does_not() -> None:
    def draw(seed: int) -> list[Any]:
        workload, rng = offline(), Random(seed)
        reads = [workload.transaction(op, 0, rng).args for op in (1, 2, 3) for _ in range(20)]
        return [*drawn(workload, 50, seed), *reads]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_every_read_finds_rows_and_every_event_is_counted(place: Place) -> None:
    async def check(rig: Rig) -> None:
        workload, rng = rig.workload(), Random(1)
        for op, name in enumerate(READS, start=1):
            found = [(await rig.backend.transact(workload.transaction(op, 0, rng))).result for _ in range(40)]
            assert all(found), name
            assert len({repr(rows) for rows in found}) > 2, f"{name}: keys are drawn for each"
        before, counters = await rig.counted(), await rig.sql("SELECT count(*) FROM {counters}")
        assert (await rig.load(500)).committed == 500
        assert await rig.counted() == before + 500
        assert await rig.sql("SELECT count(*) FROM {counters}") > counters, "some are new, some were there"

    place.run(check)


def test_a_user_sees_the_progress_in_order_and_a_page_at_a_time(place: Place) -> None:
    async def check(rig: Rig) -> None:
        async def read(op: int, *params: int) -> list[Values]:
            sql = statement(rig.backend.dialect, SQL[op])
            work = rig.workload().transaction(op, 0, Random(1))
            found: list[Values] = (await rig.backend.transact(replace(work, args=(sql, params)))).result
            return found

        mine = await rig.sql(
            "SELECT challenge, goal, events, value, ts FROM {counters} WHERE user_id = 7 ORDER BY 1, 2"
        )
        assert len(mine) == SHAPE["challenges"] * SHAPE["started"]
        assert await read(1, 7, 1, 100) == mine
        assert await read(1, 7, 1, 3) == mine[:3]
        assert await read(1, 7, 2, 100) == [row for row in mine if row[0] >= 2]
        goals = await read(2, 7, 2)
        assert [row[0] for row in goals] == list(range(1, SHAPE["goals"] + 1))
        assert [row[0] for row in goals if row[3]] == [row[1] for row in mine if row[0] == 2]
        assert [row[3] for row in goals if row[3]] == [row[2] for row in mine if row[0] == 2]
        board = await read(3, 2, 1000)
        assert len(board) == USERS * SHAPE["started"]
        assert board == sorted(board, key=lambda row: (row[0], row[1], row[3]), reverse=True)
        assert await read(3, 2, 5) == board[:5]
        assert board[0][2] == f"user-{board[0][1]:08d}"

    place.run(check)


def test_every_read_uses_an_index(place: Place) -> None:
    """As soon as the tables are worth it."""

    async def check(rig: Rig) -> None:
        sqlite = rig.backend.dialect.name == "sqlite"
        for op in range(LIST, len(SQL) + 1):
            work = rig.workload().transaction(op, 0, Random(1))
            explain = f"{'EXPLAIN QUERY PLAN' if sqlite else 'EXPLAIN'} {work.args[0]}"

            async def look(tx: Any, explain: str = explain, params: Values = work.args[1]) -> str:
                if not sqlite:
                    for way in ("seqscan", "bitmapscan"):  # which suits tables as small as these
                        await tx.execute(f"SET LOCAL enable_{way} = off")
                return "\n".join(str(row[-1]) for row in await tx.execute(explain, params))

            shown = (await rig.backend.transact(Transaction(look))).result
            if sqlite:
                steps = [line for line in shown.splitlines() if line.startswith(("SCAN", "SEARCH"))]
                assert all("USING" in step for step in steps), shown
            else:
                assert "Seq Scan" not in shown, shown
                assert "Index Cond: " in shown, shown
                assert "Sort" not in shown, shown

    place.run(check)


def test_the_upsert_names_every_column_of_the_counters() -> None:
    sql = SQLITE.upsert(COUNTERS)
    for name, _ in COUNTERS.columns:
        assert name in sql
    assert sql.count("?") == len(COUNTERS.columns)


def test_all_tables_are_made_by_the_workload() -> None:
    assert list(offline().schema(NULL).tables) == [table.name for table in TABLES]


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"started": 51}, "progress.started 51 is more than progress.goals 50"),
        ({"reads": {"list": 0, "by_challenge": 0, "leaderboard": 0}}, "progress.reads: all weights are 0"),
        ({"goals": 0}, "greater than or equal to 1"),
        ({"canary": "-1s"}, "canary"),
    ],
)
def test_bad_settings_are_told_in_a_line(progress: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"workload": "progress", "progress": progress})
    assert words in str(caught.value)


def test_a_canary_counts_for_itself_and_is_seen(place: Place) -> None:
    async def check(rig: Rig) -> None:
        identity = Identity(RUN, 1, 2)
        (canary,) = registry.canaries(
            "progress", rig.options, identity=identity, dialect=rig.backend.dialect, workers=3
        )
        assert canary.interval == 1.0
        assert (await rig.backend.transact(canary.look)).result == 0
        for number in (1, 2):
            row = canary.row(number)
            assert row[:4] == (RUN, 1, 3, identity.first_seq + number)
            assert (await rig.sql(f"SELECT count(*) FROM {{users}} WHERE id = {row[4]}")) == [(0,)]

            await Merger(MERGE, number, rig.backend).write([row], again=False)
            assert (await rig.backend.transact(canary.look)).result == number
        others = [
            registry.canaries("progress", rig.options, identity=one, dialect=rig.backend.dialect, workers=3)
            for one in (Identity(RUN, 0, 2), Identity(RUN, 1, 1), Identity(RUN + 1, 1, 2))
        ]
        for (other,) in others:
            assert (await rig.backend.transact(other.look)).result == 0

    place.run(check)


def test_there_is_no_canary_where_nobody_writes_or_nothing_is_stored() -> None:
    options = plan.workload_options(Settings(workload="progress"))
    life = Identity(RUN, 0, 0)
    assert len(registry.canaries("progress", options, identity=life, dialect=SQLITE, workers=1)) == 1
    assert not registry.canaries("progress", options, identity=life, dialect=SQLITE, workers=0)
    assert not registry.canaries("progress", options, identity=life, dialect=NULL, workers=1)
    without = {**options, "canary": 0.0}
    assert not registry.canaries("progress", without, identity=life, dialect=SQLITE, workers=1)
