"""The workload `sql` on real databases: what scripts do there, and what is looked at before a run."""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from daemon.backends.base import POSTGRES, SQLITE, Backend
from daemon.clock import SystemClock
from daemon.config.operations import read_operations
from daemon.errors import OpError, TargetError, UsageError
from daemon.ops import PoolName, Transaction, Tx, Values
from daemon.workloads.base import Crowd, Identity
from daemon.workloads.sql import inspect
from daemon.workloads.sql.commands import Draw, Operation
from daemon.workloads.sql.functions import Value
from daemon.workloads.sql.generators import ColumnSample
from daemon.workloads.sql.script import operation, parse_script
from daemon.workloads.sql.workload import Found, Sql, unchanging
from tests.doubles import ScriptedBackend
from tests.test_backend_contract import null_backend, postgres_backend, sqlite_backend
from tests.test_backend_script import on

CROWD = Crowd(shards=1, writers=2, readers=2)


def script(text: str, name: str = "script", **other: Any) -> Operation:
    """Return the operation of a script."""
    return operation(name, parse_script(text, "s.sql"), "s.sql", **other)


def workload(
    *operations: Operation,
    backend: Backend,
    variables: Mapping[str, Value] | None = None,
    seed: int = 1,
) -> Sql:
    """Return the workload of some operations."""
    return made(operations, backend, Found(variables or {}, {}, seed, CROWD))


def made(operations: Sequence[Operation], backend: Backend, found: Found) -> Sql:
    """Return the workload of some operations, for what was found in the target."""
    return Sql(
        identity=Identity(1, 0, 0),
        dialect=backend.dialect,
        operations=operations,
        variables=found.variables,
        found=found,
        wall=SystemClock.wall,
        workers=2,
        existing=(),
        rng=Random(1),
        under_way=1,
    )


async def look(
    backend: Backend, operations: Sequence[Operation], variables: Mapping[str, Value], seed: int
) -> Found:
    """Return what operations find in a target."""
    found = await inspect.look(
        backend=backend, operations=operations, variables=variables, seed=seed, crowd=CROWD
    )
    return found["found"]


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A backend of an empty database."""
    if request.param == "sqlite":
        return sqlite_backend(tmp_path / "script.db")
    return postgres_backend(request.getfixturevalue("database"))


async def rows(backend: Backend, sql: str) -> list[Values]:
    """Return the rows of a query."""

    async def fn(tx: Tx) -> list[Values]:
        return await tx.execute(sql)

    found: list[Values] = (await backend.transact(Transaction(fn))).result
    return found


async def execute(backend: Backend, text: str, times: int = 1, **variables: Value) -> Sql:
    """Execute a script some times as one client."""
    client = workload(script(text), backend=backend, variables=variables)
    rng = Random(5)
    for _ in range(times):
        await backend.transact(client.transaction(0, 0, rng), deadline=SystemClock.now() + 30)
    return client


def test_a_script_runs_from_its_first_command_to_its_last(backend: Backend) -> None:
    """Variables, conditions, results of statements, pauses."""
    text = """
    \\set id :id + 1
    INSERT INTO t VALUES (:id, :id * 10, 'it''s :id 5 %');
    SELECT n + 1 AS n, name FROM t WHERE id = :id \\gset row_
    \\if :row_n % 20 = 1
      UPDATE t SET name = 'even' WHERE id = :id;
    \\elif :row_n = 11
      \\set word 7
      UPDATE t SET name = :word WHERE id = :id;
    \\else
      \\sleep 1 us
      \\if false
        DELETE FROM t;
      \\endif
      UPDATE t SET name = :row_name WHERE id = :id;
    \\endif
    SELECT 5 AS five FROM t WHERE id > 1000 \\aset
    """

    async def check(backend: Backend) -> None:
        await execute(backend, text, 4, id=0)
        assert await rows(backend, "SELECT * FROM t ORDER BY id") == [
            (1, 10, "7"),
            (2, 20, "even"),
            (3, 30, "it's :id 5 %"),
            (4, 40, "even"),
        ]

    on(backend, check)


def test_a_whole_transaction_takes_effect_at_once_or_not_at_all(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        good = "BEGIN; INSERT INTO t VALUES (1, 1, 'a'); INSERT INTO t VALUES (2, 1, 'a'); END;"
        await execute(backend, good)
        with pytest.raises(OpError):
            await execute(
                backend, "BEGIN; INSERT INTO t VALUES (3, 1, 'a'); INSERT INTO t VALUES (2, 1, 'a'); END;"
            )
        assert await rows(backend, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]

    on(backend, check)


ONE, TWO, FIVE = (f"INSERT INTO t VALUES ({n}, 1, 'a');" for n in (1, 2, 5))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{ONE} {ONE}", [1]),
        (f"BEGIN; {ONE} ROLLBACK;", []),
        (f"{FIVE} BEGIN; {ONE} COMMIT; SELECT x FROM t;", [1, 5]),
        (f"BEGIN; {ONE} COMMIT; BEGIN; DELETE FROM t; SELECT x FROM t; COMMIT;", [1]),
        (f"\\startpipeline\nBEGIN; {ONE} {TWO} END;\n\\endpipeline", [1, 2]),
        (f"BEGIN;\n\\startpipeline\n{ONE} {ONE}\n\\endpipeline\nEND;", []),
    ],
)
def test_transactions_end_where_the_script_says(backend: Backend, text: str, left: list[int]) -> None:
    """And after an error nothing is left open: the connection serves the next one."""

    async def check(backend: Backend) -> None:
        for _ in range(4):  # more than there are connections
            with contextlib.suppress(OpError):
                await execute(backend, text)
            assert [one for (one,) in await rows(backend, "SELECT id FROM t ORDER BY id")] == left
            await execute(backend, "DELETE FROM t;")

    on(backend, check)


def test_unprepared_statements_do_the_same(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        client = workload(
            script("\\set a 5\nINSERT INTO t VALUES (:a, :a + 1, NULL);", prepared=False), backend=backend
        )
        await backend.transact(client.transaction(0, 0, Random(1)))
        assert await rows(backend, "SELECT * FROM t") == [(5, 6, None)]

    on(backend, check)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\\set a 1\n\\set b :a / (:a - 1)\nSELECT 1;", "s.sql:2: division by zero"),
        ("SELECT 1 AS x WHERE 1 = 2 \\gset", "s.sql:1: \\gset wants one row, and there are 0"),
        ("SELECT 1 AS x WHERE 1 = 2 \\aset\n\nSELECT :x;", "s.sql:3: the variable x is not set yet"),
        ("SELECT 'a' AS x \\gset\n\\set y :x + 1\n", "s.sql:2: 'a' is not a number"),
    ],
)
def test_a_script_that_cannot_go_on_is_an_error_with_its_line(
    backend: Backend, text: str, reason: str
) -> None:
    async def check(backend: Backend) -> None:
        with pytest.raises(OpError, match=re.escape(reason)) as caught:
            await execute(backend, text)
        assert caught.value.error_class == "other"
        await execute(backend, "SELECT 1;")

    on(backend, check)


def test_readers_cannot_write(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        client = workload(script("DELETE FROM t;", kind="read"), backend=backend)
        assert client.ops[0].pool == "reader"
        with pytest.raises(OpError):
            await backend.transact(client.transaction(0, 0, Random(1)))

    on(backend, check)


def test_each_worker_is_a_client_with_variables_of_its_own() -> None:
    """Numbered over pools and shards without a gap, writers first."""
    crowd = Crowd(shards=2, writers=3, readers=4)
    shares: dict[PoolName, tuple[int, int]] = {"writer": (2, 1), "reader": (2, 2)}
    numbers = [
        crowd.client(pool, shard, worker)
        for pool, counts in shares.items()
        for shard, count in enumerate(counts)
        for worker in range(count)
    ]
    assert sorted(numbers) == list(range(7))

    client = workload(
        script("\\set n :n + :client_id\nSELECT :n;"), backend=null_backend(), variables={"n": 0}
    )
    seen = [client.transaction(0, worker, Random(1)).args[0]["client_id"] for worker in (0, 1, 0)]
    assert seen == [2, 3, 2]


def test_a_seed_repeats_what_a_worker_does(backend: Backend) -> None:
    text = "\\set a random(1, 1000000000)\nINSERT INTO t VALUES (:a, :a, 'x');"

    async def check(backend: Backend) -> None:
        found = []
        for seed in (1, 1, 2):
            client = workload(script(text), backend=backend, seed=seed)
            rng = Random(seed)
            for _ in range(5):
                await backend.transact(client.transaction(0, 0, rng))
            found.append(await rows(backend, "SELECT * FROM t ORDER BY id"))
            await execute(backend, "DELETE FROM t;")
        assert found[0] == found[1] != found[2]

    on(backend, check)


def test_a_value_known_beforehand_is_worked_out_once() -> None:
    """And one that some operation sets is not known beforehand."""
    given: dict[str, Value] = {"a": 1, "b": 2, "c_x": 3}
    operations = [script("SELECT :a;"), script("\\set a 1\nSELECT 1;"), script("SELECT 1 AS x \\gset c_")]
    assert unchanging(given, operations) == {"b": 2}
    with pytest.raises(UsageError, match=re.escape("s.sql:1: division by zero")):
        workload(script("\\set a 1 / :zero\nSELECT :a;"), backend=null_backend(), variables={"zero": 0})


PGBENCH_TABLES = (
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler text)",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler text)",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler text)",
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler text)",
)


async def pgbench_tables(backend: Backend, scale: int) -> None:
    """Make pgbench's tables with the rows of a scale, but for accounts, of which there are few."""

    async def fill(tx: Tx) -> None:
        for statement in PGBENCH_TABLES:
            await tx.execute(statement)
        for table, rows in (("branches", scale), ("tellers", 10 * scale)):
            for number in range(1, rows + 1):
                await tx.execute(
                    f"INSERT INTO pgbench_{table} VALUES ({number}, 1{', 0' * (table == 'tellers')}, '')"
                )

    await backend.transact(Transaction(fill, read_only=False))


def builtin(name: str) -> Operation:
    """Return a built-in script."""
    return read_operations(None, name, {}).operations[0]


def test_the_scale_is_the_number_of_branches(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        operations = [builtin("tpcb-like"), builtin("select-only")]
        with pytest.raises(
            UsageError, match=r"tpcb-like.sql:1: .*pgbench_branches.*, from which :scale is taken"
        ):
            await look(backend, operations, {}, 1)
        await pgbench_tables(backend, 3)
        assert (await look(backend, operations, {}, 1)).variables == {"scale": 3}
        assert (await look(backend, operations, {"scale": 7}, 1)).variables == {"scale": 7}
        await execute(backend, "DELETE FROM pgbench_branches;")
        with pytest.raises(UsageError, match="pgbench_branches is empty"):
            await look(backend, operations, {}, 1)

    on(backend, check)


@pytest.mark.parametrize("name", ["tpcb-like", "simple-update", "select-only"])
def test_the_built_in_scripts_run_unchanged(backend: Backend, name: str) -> None:
    async def check(backend: Backend) -> None:
        await pgbench_tables(backend, 2)
        one = builtin(name)
        found = await look(backend, [one], {}, 1)
        client = workload(one, backend=backend, variables=found.variables)
        for _ in range(20):
            await backend.transact(client.transaction(0, 0, Random(3)))
        history = await rows(backend, "SELECT count(*), sum(delta) FROM pgbench_history")
        tellers = await rows(backend, "SELECT sum(tbalance) FROM pgbench_tellers")
        assert history[0][0] == (0 if name == "select-only" else 20)
        assert tellers[0][0] == (history[0][1] if name == "tpcb-like" else 0)

    on(backend, check)


MISSPELT = {
    "SELECT 1;\nSELECT nmae FROM t;": (r"s.sql:2: .*nmae", r"s.sql:2: .*nmae"),
    "UPDATE tt SET n = 1;": (r"s.sql:1: .*\"tt\" does not exist", r"s.sql:1: .*no such table: tt"),
    "SELEKT 1;": ("", ""),
    "INSERT INTO t VALUES (:client_id, 1, 2, 3);": (
        "s.sql:1: .*more expressions",
        "s.sql:1: .*3 columns but 4 values",
    ),
}


@pytest.mark.parametrize("text", MISSPELT)
def test_a_statement_that_the_target_does_not_understand_is_told_before_the_run(
    backend: Backend, text: str
) -> None:
    """What cannot be prepared without being run is left to the run."""

    async def check(backend: Backend) -> None:
        line = MISSPELT[text][0 if backend.dialect is POSTGRES else 1]
        if not line:
            await look(backend, [script(text)], {}, 1)
            return
        with pytest.raises(UsageError, match=line):
            await look(backend, [script(text)], {}, 1)

    on(backend, check)


def test_what_a_script_makes_itself_is_not_missed(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        text = "\\set a 1\nSELECT n FROM t WHERE id = :a AND name LIKE 'a%';\n"
        text += "CREATE TABLE u (a int); SELECT a FROM u;"
        assert await look(backend, [script(text)], {"x": 1}, 1) == Found({"x": 1}, {}, 1, CROWD)
        assert await rows(backend, "SELECT count(*) FROM t") == [(0,)]

    on(backend, check)


def test_a_column_is_sampled_evenly_and_the_same_for_a_seed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In PostgreSQL a large table by its pages."""

    def sampled(*columns: ColumnSample) -> Operation:
        draws = [Draw(1, f"p{n}", column) for n, column in enumerate(columns)]
        return operation("o", [*draws, *parse_script("SELECT :p0;", "s.sql")], "s.sql")

    async def check(backend: Backend) -> None:
        await execute(backend, "\\set id :id + 1\nINSERT INTO t VALUES (:id, :id % 3, NULL);", 1000, id=0)
        ids = ColumnSample("t", "id", 100)
        numbers = [int(str(one)) for one in (await look(backend, [sampled(ids)], {}, 7)).samples[ids]]
        assert len(numbers) == 100
        assert numbers == sorted(numbers)
        assert numbers[-1] - numbers[0] == 990
        everything = ids._replace(sample=5000)
        found = await look(backend, [sampled(everything, ids)], {}, 8)
        assert len(found.samples[everything]) == 1000
        assert [int(str(one)) for one in found.samples[ids]] != numbers
        with pytest.raises(UsageError, match=r"s\.sql:1: t\.name holds no values to draw from"):
            await look(backend, [sampled(ColumnSample("t", "name"))], {}, 1)
        with pytest.raises(UsageError, match=r"s\.sql:1: .*nmae"):
            await look(backend, [sampled(ColumnSample("t", "nmae"))], {}, 1)
        with pytest.raises(UsageError, match=r"s\.sql:1: "):
            await look(backend, [sampled(ColumnSample("nowhere", "id"))], {}, 1)
        monkeypatch.setattr(inspect, "LARGE", 100)
        await execute(backend, "ANALYZE t;")
        large = [(await look(backend, [sampled(ids)], {}, 7)).samples[ids] for _ in range(2)]
        assert large[0] == large[1]
        assert 0 < len(large[0]) <= 100

    on(backend, check)


def test_the_null_backend_has_everything_that_is_asked_of_it() -> None:
    column = ColumnSample("t", "id")
    commands = [Draw(1, "p", column), *parse_script("SELECT :p, :scale \\gset", "s.sql")]
    one = operation("o", commands, "s.sql")

    async def check(backend: Backend) -> None:
        found = await look(backend, [one], {}, 1)
        assert found == Found({"scale": 1}, {column: (1,)}, 1, CROWD)
        client = workload(script("SELECT 1 AS a \\gset\n\\sleep 1 us\n"), backend=backend)
        await backend.transact(client.transaction(0, 0, Random(1)))

    asyncio.run(check(null_backend()))


def test_a_target_that_does_not_answer_is_not_the_fault_of_a_script() -> None:
    backend = ScriptedBackend(SystemClock())
    backend.down = True
    backend.dialect = SQLITE
    with pytest.raises(TargetError, match="the target does not answer: down"):
        asyncio.run(look(backend, [script("SELECT 1;")], {}, 1))
