"""The workload `game`: its operations on both databases, alone and all at once."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from daemon.__main__ import main
from daemon.backends.base import Dialect
from daemon.errors import OpError, Rejected
from daemon.ops import Table, Transaction, Tx, Values
from daemon.workloads.game.invariants import RULES
from daemon.workloads.game.operations import Round, Statements, log_in, log_out, play, report, update
from daemon.workloads.game.tables import TABLES
from daemon.workloads.game.workload import READS, WRITES
from tests.game_rig import EVENTS, PLAYERS, Place, Rig, made, on_postgres, place, settings
from tests.test_backend_contract import null_backend

__all__ = ["on_postgres", "place"]  # fixtures

UNDONE, NOBODY = "the round was called off", "nobody is online"


def rounds(number: int, seed: int = 1, **game: Any) -> list[Round]:
    """Return the next rounds of a workload without a target."""
    workload, rng = made(settings(**game)), Random(seed)
    op = WRITES.index("transaction")
    return [workload.transaction(op, 0, rng).args[1] for _ in range(number)]


def test_the_operations_and_their_weights() -> None:
    writes = dict(zip(WRITES, (9, 8, 7, 6, 5), strict=True))
    workload = made(settings(writes=writes))
    assert [(spec.name, spec.pool) for spec in workload.ops] == [
        *((name, "writer") for name in WRITES),
        *((name, "reader") for name in READS),
    ]
    assert [spec.weight for spec in workload.ops if spec.pool == "writer"] == [9, 8, 7, 6, 5]


def test_rounds_are_drawn_one_by_one() -> None:
    drawn = rounds(4000, players_per_game=3, rollbacks=0.25)
    assert {one.game for one in drawn} == {one.newcomer for one in drawn} == set(range(1, PLAYERS + 1))
    seats = Counter((one.winner, one.leaver) for one in drawn)
    assert set(seats) == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert min(seats.values()) > 500
    assert {one.points for one in drawn} == set(range(1, 101))
    assert sum(one.undone for one in drawn) == pytest.approx(1000, abs=150)


@pytest.mark.parametrize("share", [0, 1])
def test_the_share_of_rollbacks_may_be_none_or_all(share: int) -> None:
    assert {one.undone for one in rounds(300, rollbacks=share)} == {bool(share)}


def test_a_seed_repeats_the_operations_and_another_one_does_not() -> None:
    def draw(seed: int) -> list[Any]:
        workload, rng = made(settings()), Random(seed)
        return [
            workload.transaction(op, 0, rng).args[1:-1] for op in range(len(workload.ops)) for _ in range(20)
        ]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_sessions_have_keys_of_their_own() -> None:
    workloads, rng = [made(settings(), shard=shard, workers=3) for shard in range(2)], Random(1)
    keys = [one.transaction(0, n % 3, rng).args[2] for one in workloads for n in range(300)]
    assert len(set(keys)) == 600


def test_every_read_finds_rows_in_a_stable_order(place: Place) -> None:
    async def check(rig: Rig) -> None:
        rng = Random(1)
        for name in READS:
            for _ in range(30):
                assert await rig.do(name, rng), name
        for name, key in (("history", 0), ("containment", 0)):
            rows = await rig.do(name, rng)
            keys = [row[key] for row in rows]
            assert keys == sorted(set(keys), reverse=name == "history"), "two pages and no row twice"
        assert len(await rig.do("history", rng)) == 6
        assert len(await rig.do("roster", rng)) == 4

    place.run(check)


def test_both_ways_of_looking_into_json_find_the_same(place: Place) -> None:
    """What containment finds is what the profiles say."""

    async def check(rig: Rig) -> None:
        workload, rng = rig.workload(), Random(1)
        for _ in range(10):
            work = workload.transaction(rig.op("containment"), 0, rng)
            clan, region = work.args[1]
            rows = (await rig.backend.transact(work)).result
            profiles = await rig.sql("SELECT id, profile FROM {players} ORDER BY id")
            wanted = [
                number
                for number, profile in profiles
                if re.search(rf'"clan": ?{clan}\b', profile) and f'"{region}"' in profile
            ]
            assert [row[0] for row in rows] == wanted[:6]
        grouped = await rig.do("complex", rng)
        assert sum(row[1] for row in grouped) == 4 * 4, (
            "four players of the clan and region in four games each"
        )

    place.run(check)


def test_a_login_adds_a_session_and_a_logout_ends_them_all(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql, run = Statements.of(rig.backend.dialect), rig.backend.transact
        await run(Transaction(log_in, (sql, 6, "a", "{}", 5), read_only=False))
        await run(Transaction(log_in, (sql, 6, "b", "{}", 5), read_only=False))
        assert await rig.sql("SELECT sessions, updated FROM {players} WHERE id = 6") == [(2, 5)]
        assert (await run(Transaction(log_out, (sql, 6, 9), read_only=False))).result == 2
        assert await rig.sql("SELECT sessions, updated FROM {players} WHERE id = 6") == [(0, 9)]
        assert await rig.sql("SELECT count(*) FROM {sessions} WHERE player = 6") == [(0,)]
        # The next one who is online is 7; and after the last player it goes on with the first.
        assert (await run(Transaction(log_out, (sql, 6, 9), read_only=False))).result == 2
        assert (await run(Transaction(log_out, (sql, PLAYERS, 9), read_only=False))).result == 2
        gone = await rig.sql("SELECT id FROM {players} WHERE sessions = 0 AND id % 2 = 1 ORDER BY id")
        assert gone == [(1,), (7,)]
        assert await rig.violated() == {}

    place.run(check)


def test_a_logout_with_nobody_online_is_rejected(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        for _ in range(PLAYERS // 2):
            await rig.backend.transact(Transaction(log_out, (sql, 9, 9), read_only=False))
        assert await rig.sql("SELECT count(*) FROM {sessions}") == [(0,)]
        with pytest.raises(Rejected, match=NOBODY):
            await rig.backend.transact(Transaction(log_out, (sql, 9, 9), read_only=False))

    place.run(check)


def test_a_round_moves_points_a_seat_and_an_event(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        before = dict(await rig.sql("SELECT player, score FROM {game_players} WHERE game = 5"))
        assert list(before) == [5, 6, 7, 8]
        # The newcomer 7 is in the game already, so 9 comes.
        a_round = Round(5, 0, 2, 7, 30, '{"points":30}', undone=False)
        await rig.backend.transact(Transaction(play, (sql, a_round, PLAYERS, EVENTS, 99), read_only=False))
        now = await rig.sql("SELECT player, score FROM {game_players} WHERE game = 5 ORDER BY player")
        assert now == [(5, before[5] + 30), (6, before[6]), (8, before[8]), (9, before[7])]
        events = await rig.sql("SELECT seq, player, kind, ts FROM {game_events} WHERE game = 5 ORDER BY seq")
        assert [seq for seq, _, _, _ in events] == list(range(2, EVENTS + 2))
        assert events[-1] == (EVENTS + 1, 5, "goal", 99)
        assert await rig.sql("SELECT games FROM {players} WHERE id IN (7, 9) ORDER BY id") == [(3,), (5,)]
        assert await rig.violated() == {}

    place.run(check)


def test_a_round_that_is_undone_leaves_no_trace(place: Place) -> None:
    async def check(rig: Rig) -> None:
        before = await rig.state()
        for seed in range(10):
            with pytest.raises(Rejected, match=UNDONE):
                await rig.do("transaction", Random(seed))
        assert await rig.state() == before

    place.run(check, rollbacks=1.0)


def test_a_batch_appends_rows_and_the_oldest_go(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        events = [(n, "chat", f'{{"points":{n}}}') for n in range(1, 8)]
        await rig.backend.transact(Transaction(report, (sql, 5, events, EVENTS, 99), read_only=False))
        rows = await rig.sql("SELECT seq, player, ts FROM {game_events} WHERE game = 5 ORDER BY seq")
        assert len(rows) == EVENTS
        assert rows[-7:] == [(EVENTS + n, n, 99) for n in range(1, 8)]
        assert await rig.violated() == {}

    place.run(check)


def test_a_game_with_few_events_keeps_them_until_it_is_full(place: Place) -> None:
    async def check(rig: Rig) -> None:
        await rig.sql(f"DELETE FROM {{game_events}} WHERE game = 5 AND seq <= {EVENTS - 2}")
        await rig.sql("UPDATE {games} SET events = 2 WHERE id = 5")
        sql = Statements.of(rig.backend.dialect)
        for there in (9, EVENTS, EVENTS):
            batch = [(1, "chat", "{}")] * 7
            await rig.backend.transact(Transaction(report, (sql, 5, batch, EVENTS, 9), read_only=False))
            assert await rig.sql("SELECT events FROM {games} WHERE id = 5") == [(there,)]
            assert await rig.violated() == {}

    place.run(check)


def test_an_update_changes_one_value_of_a_profile(place: Place) -> None:
    async def check(rig: Rig) -> None:
        before = (await rig.sql("SELECT profile FROM {players} WHERE id = 5"))[0][0]
        work = (Statements.of(rig.backend.dialect), 5, 77, 9)
        await rig.backend.transact(Transaction(update, work, False, True))
        after = (await rig.sql("SELECT profile FROM {players} WHERE id = 5"))[0][0]
        assert after == re.sub(r'("rating": ?)\d+', r"\g<1>77", before)

    place.run(check)


def test_what_is_not_there_is_an_error_and_no_success(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql, nowhere = Statements.of(rig.backend.dialect), 10**6
        a_round = Round(nowhere, 0, 1, 1, 1, "{}", undone=False)
        for fn, args in (
            (log_in, (sql, nowhere, "a", "{}", 1)),
            (update, (sql, nowhere, 1, 1)),
            (play, (sql, a_round, PLAYERS, EVENTS, 1)),
            (report, (sql, nowhere, [(1, "chat", "{}")], EVENTS, 1)),
        ):
            with pytest.raises(OpError, match="are there; load the data anew with --clean"):
                await rig.backend.transact(Transaction(fn, args, read_only=False))
        await rig.sql("DELETE FROM {game_players} WHERE game = 3 AND player > 3")
        with pytest.raises(OpError, match="game 3 has 1 players"):
            await rig.backend.transact(
                Transaction(play, (sql, a_round._replace(game=3), PLAYERS, EVENTS, 1), read_only=False)
            )
        await rig.sql("DELETE FROM {sessions} WHERE player = 5")
        with pytest.raises(OpError, match="player 5 is online without a session"):
            await rig.backend.transact(Transaction(log_out, (sql, 5, 1), read_only=False))

    place.run(check)


def test_writers_at_once_neither_deadlock_nor_lose_anything(place: Place) -> None:
    """Few players and games, some of which everybody wants; half of the rounds are undone."""

    async def check(rig: Rig) -> None:
        outcomes = await rig.many(25, workers=40)
        assert outcomes.keys() - {NOBODY} == {*WRITES, UNDONE}, outcomes
        assert sum(outcomes.values()) == 1000
        assert outcomes[UNDONE] > 50
        assert await rig.violated() == {}

    place.run(check, writers=20, keys="zipf", rollbacks=0.5)


def test_the_tables_neither_run_empty_nor_grow(place: Place) -> None:
    """Whatever they begin with: with one delete to two inserts about half of the players are online."""

    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        for _ in range(PLAYERS // 2 - 2):  # nearly nobody is online
            await rig.backend.transact(Transaction(log_out, (sql, 9, 9), read_only=False))
        online, sessions = [], []
        for shard in range(5):
            outcomes = await rig.many(15, workers=20, shard=shard)
            assert outcomes.keys() <= {*WRITES, UNDONE, NOBODY}, outcomes
            counts = await rig.sql("SELECT count(*) FROM {players} WHERE sessions > 0")
            online.append(counts[0][0])
            sessions.append((await rig.sql("SELECT count(*) FROM {sessions}"))[0][0])
        assert 10 <= sum(online[2:]) / 3 <= 30, online
        assert max(sessions) <= 3 * PLAYERS, sessions
        assert await rig.sql("SELECT count(*) FROM {game_events}") == [(PLAYERS * EVENTS,)]
        assert await rig.sql("SELECT count(*) FROM {game_players}") == [(PLAYERS * 4,)]

    place.run(check)


def test_a_logout_waits_for_the_only_one_who_is_online(on_postgres: Place) -> None:
    """Who is locked is passed over, but not taken for offline."""

    async def check(rig: Rig) -> None:
        sql, held, go = Statements.of(rig.backend.dialect), asyncio.Event(), asyncio.Event()

        async def hold(tx: Tx) -> None:
            await log_in(tx, sql, 5, "held", "{}", 1)
            held.set()
            await go.wait()

        await rig.sql("DELETE FROM {sessions} WHERE player <> 5")
        await rig.sql("UPDATE {players} SET sessions = 0 WHERE id <> 5")
        holding = asyncio.ensure_future(rig.backend.transact(Transaction(hold, read_only=False)))
        await held.wait()
        work = Transaction(log_out, (sql, 3, 9), read_only=False)
        out = asyncio.ensure_future(rig.backend.transact(work))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with asyncio.timeout(20):
            while (await rig.sql(waiting))[0][0] == 0:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.005)
        go.set()
        await holding
        assert (await out).result == 3
        assert await rig.violated() == {}

    on_postgres.run(check)


def test_on_the_null_target_everything_runs() -> None:
    async def check() -> None:
        backend, workload, rng = null_backend(), made(settings(rollbacks=0.5)), Random(1)
        for op in range(len(workload.ops)):
            for _ in range(5):
                await backend.transact(workload.transaction(op, 0, rng))

    asyncio.run(check())


class Spy:
    """A transaction that notes what is executed."""

    def __init__(self, tx: Tx, seen: dict[str, Values]) -> None:
        self._tx = tx
        self._seen = seen

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:
        self._seen[sql] = tuple(params)
        return await self._tx.execute(sql, params)

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        await self._tx.insert(table, rows)


async def executed(rig: Rig) -> dict[str, Values]:
    """Return every statement of every operation, with parameters of it."""
    seen: dict[str, Values] = {}
    workload, rng = rig.workload(), Random(1)

    async def spied(tx: Tx, work: Transaction) -> None:
        await work.fn(Spy(tx, seen), *work.args)

    for op in range(len(workload.ops)):
        work = workload.transaction(op, 0, rng)
        await rig.backend.transact(Transaction(spied, (work,), read_only=False))
    return seen


async def explain(tx: Tx, sql: str, values: Values, dialect: Dialect) -> str:
    """Return the plan of a statement; PostgreSQL is kept from what it prefers for tiny tables."""
    if dialect.name == "postgres":
        for scan in ("seqscan", "indexscan", "indexonlyscan"):  # the latter might walk a whole index
            await tx.execute(f"SET LOCAL enable_{scan} = off")
        return "\n".join(str(row[0]) for row in await tx.execute(f"EXPLAIN {sql}", values))
    return "\n".join(str(row[3]) for row in await tx.execute(f"EXPLAIN QUERY PLAN {sql}", values))


def scans(plan: str) -> list[str]:
    """Return the lines of a plan that look through whole tables, but for what was found before."""
    found = [line for line in plan.splitlines() if "Seq Scan" in line or "SCAN " in line]
    return [line for line in found if line not in ("SCAN c", "SCAN found")]


def test_no_operation_scans_a_table(place: Place) -> None:
    """Every statement finds its rows by an index, and what is in JSON by the one that is made for it."""

    async def check(rig: Rig) -> None:
        plans: dict[str, str] = {}
        for sql, values in (await executed(rig)).items():
            work = Transaction(explain, (sql, values, rig.backend.dialect), read_only=False)
            plans[sql] = (await rig.backend.transact(work)).result
        assert len(plans) >= 19
        assert not {sql: plan for sql, plan in plans.items() if scans(plan)}
        by_json = [plan for sql, plan in plans.items() if "clan" in sql]
        assert len(by_json) == 2
        assert all("players_profile" in plan for plan in by_json), by_json

    place.run(check, rollbacks=0.0)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("game.writes.delete", "20", "game.writes.delete 20 is not below game.writes.insert 20"),
        ("game.batch_rows", "41", "game.batch_rows 41 is more than game.events_per_game 40"),
        ("game.rollbacks", "1.5", "game.rollbacks"),
        ("game.players_per_game", "1", "game.players_per_game"),
        ("game.clan_size", "5", "game.clan_size"),
        ("game.keys", "gaussian", "game.keys"),
    ],
)
def test_bad_settings_are_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--workload", "game", "--set", f"{key}={value}"]) == 2
    complaint = capsys.readouterr().err
    assert words in complaint
    assert len(complaint.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("section", "names"), [("writes", WRITES), ("reads", READS)])
def test_weights_of_nothing_are_refused(section: str, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"game.{section}: all weights are 0"):
        settings(**{section: dict.fromkeys(names, 0)})


def test_the_page_names_every_operation_with_its_share_column_and_invariant() -> None:
    page = (Path(__file__).parent.parent / "docs/workloads/game.md").read_text(encoding="utf-8")
    shares = made(settings()).ops
    for spec in shares:
        assert f"| `{spec.name}` | {spec.pool} | {spec.weight:g} |" in page
    for table in TABLES:
        drawn = re.search(rf"^    {table.name} {{\n(.*?)^    }}", page, re.MULTILINE | re.DOTALL)
        assert drawn
        assert [tuple(line.split()[:2][::-1]) for line in drawn[1].splitlines()] == list(table.columns)
    rows = re.findall(r"^\| `(\w+)` \| [a-z`]", page.partition("## Invariants")[2], re.MULTILINE)
    assert rows == list(RULES)
