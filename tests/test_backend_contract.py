"""What every backend promises, as one suite over all of them."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import psycopg
import pytest

from daemon.backends.base import Backend, Dialect
from daemon.backends.null import NullBackend
from daemon.backends.postgres import PostgresBackend
from daemon.backends.sqlite import SqliteBackend
from daemon.clock import SystemClock
from daemon.errors import OpError, Rejected
from daemon.ops import POOLS, Isolation, Table, Timed, Transaction, Tx, Values

T = TypeVar("T")

ITEMS = Table("items", (("id", "bigint"), ("n", "int"), ("name", "text"), ("doc", "json")), ("id",))


def row(number: int, name: str = "name") -> Values:
    """Return a row of `ITEMS`."""
    return (number, number % 1000, name, '{"a": 1}')


def postgres_backend(url: str) -> PostgresBackend:
    """Return a backend of a few connections."""
    return PostgresBackend(
        conninfo=url,
        password=None,
        writer_connections=2,
        reader_connections=2,
        synchronous_commit="on",
        connect_timeout=5.0,
        statement_timeout=0.0,
        lock_timeout=0.0,
        application_name="contract",
        prepare=True,
        clock=SystemClock(),
    )


def sqlite_backend(path: Path) -> SqliteBackend:
    """Return a backend of a new file."""
    return SqliteBackend(
        path=path,
        synchronous="normal",
        busy_timeout=5.0,
        checkpoint_pages=1000,
        wal_limit=1 << 26,
        page_size=4096,
        cache_size=1 << 22,
        mmap_size=0,
        reader_lanes=2,
        pinned_reader=0.0,
        clock=SystemClock(),
        notify=lambda event, facts: None,
    )


def null_backend() -> NullBackend:
    """Return a backend that takes no time."""
    return NullBackend(latency="none", mean=0.001, stddev=0.0, shape=2.5, clock=SystemClock(), rng=Random(1))


class Case(NamedTuple):
    """A backend under test."""

    kind: str
    make: Callable[[], Backend]

    def run(self, check: Callable[[Backend], Awaitable[T]]) -> T:
        """Open the backend, run the check on it, close it."""

        async def main() -> T:
            backend = self.make()
            await backend.open()
            try:
                return await check(backend)
            finally:
                await backend.close()

        return asyncio.run(main())


def case(kind: str, request: pytest.FixtureRequest) -> Case:
    """Return the backend of a kind; one that stores has the empty table `ITEMS`."""
    if kind == "null":
        return Case(kind, null_backend)
    if kind == "sqlite":
        path = request.getfixturevalue("tmp_path") / "contract.db"
        made = Case(kind, lambda: sqlite_backend(path))
    else:
        url = request.getfixturevalue("database")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA soakd")
        made = Case(kind, lambda: postgres_backend(url))

    async def create(backend: Backend) -> None:
        await execute(backend, backend.dialect.create_table(ITEMS))

    made.run(create)
    return made


@pytest.fixture(params=["postgres", "sqlite", "null"])
def any_backend(request: pytest.FixtureRequest) -> Case:
    """Each backend."""
    return case(request.param, request)


@pytest.fixture(params=["postgres", "sqlite"])
def store(request: pytest.FixtureRequest) -> Case:
    """Each backend that keeps what is written."""
    return case(request.param, request)


async def statement(tx: Tx, sql: str, params: Sequence[Any] = ()) -> list[Values]:
    """Run one statement as a whole transaction function."""
    return await tx.execute(sql, params)


async def execute(backend: Backend, sql: str, params: Sequence[Any] = ()) -> list[Values]:
    """Run one statement on a writing connection."""
    timed = await backend.transact(Transaction(statement, (sql, params), read_only=False))
    rows: list[Values] = timed.result
    return rows


async def stored(backend: Backend) -> list[Values]:
    """Return all rows of `ITEMS`, by key."""
    sql = backend.dialect.sql("SELECT id, n, name, doc FROM {items} ORDER BY id", items="items")
    timed = await backend.transact(Transaction(statement, (sql,), read_only=True, single=True))
    rows: list[Values] = timed.result
    return rows


def insert(backend: Backend) -> str:
    """Return the INSERT of one row."""
    return backend.dialect.insert(ITEMS, again=False)


def test_rows_are_there_once_they_are_acknowledged(store: Case) -> None:
    """What `write_rows` returned for is read back at once, by another connection."""

    async def check(backend: Backend) -> None:
        timed = await backend.write_rows(ITEMS, [row(1), row(2)], again=False)
        assert timed.result == 2
        assert [found[0] for found in await stored(backend)] == [1, 2]

    store.run(check)


@pytest.mark.parametrize("again", [False, True])
def test_values_come_back_as_they_were_written(store: Case, again: bool) -> None:  # noqa: FBT001
    """The extremes of the integer types, and text with everything that could need quoting."""
    rows = [
        (-(2**63), -(2**31), "", "{}"),
        (0, 0, "tab\t newline\n quote' \" \\N \\ percent % %s ?", '{"k": "v\\n"}'),
        (2**63 - 1, 2**31 - 1, "Grüße 漢字 🚀", '{"deep": [1, {"x": null}]}'),
    ]

    async def check(backend: Backend) -> None:
        await backend.write_rows(ITEMS, rows, again=again)
        found = await stored(backend)
        assert [values[:3] for values in found] == [values[:3] for values in rows]
        assert [json.loads(values[3]) for values in found] == [json.loads(values[3]) for values in rows]

    store.run(check)


@pytest.mark.parametrize("again", [False, True])
def test_a_large_batch_is_written_whole(store: Case, again: bool) -> None:  # noqa: FBT001
    """More rows than fit into any socket buffer."""

    async def check(backend: Backend) -> None:
        rows = [row(number, "x" * 1000) for number in range(3000)]
        assert (await backend.write_rows(ITEMS, rows, again=again)).result == 3000
        assert len(await stored(backend)) == 3000

    store.run(check)


def test_a_batch_is_all_or_nothing(store: Case) -> None:
    """One bad row, and none of the batch is there."""

    async def check(backend: Backend) -> None:
        with pytest.raises(OpError) as caught:
            await backend.write_rows(ITEMS, [row(1), row(2), row(2)], again=False)
        assert caught.value.error_class == "constraint"
        assert not caught.value.transient
        assert not caught.value.in_doubt
        assert await stored(backend) == []

    store.run(check)


def test_a_batch_that_was_committed_is_skipped_when_it_is_written_again(store: Case) -> None:
    """`again` adds what is missing and leaves what is there."""

    async def check(backend: Backend) -> None:
        await backend.write_rows(ITEMS, [row(1, "first")], again=False)
        timed = await backend.write_rows(ITEMS, [row(1, "second"), row(2, "second")], again=True)
        assert timed.result == 2
        assert [(found[0], found[2]) for found in await stored(backend)] == [(1, "first"), (2, "second")]

    store.run(check)


def test_a_key_that_is_there_violates_a_constraint(store: Case) -> None:
    """Without `again` nothing is skipped silently."""

    async def check(backend: Backend) -> None:
        await backend.write_rows(ITEMS, [row(1)], again=False)
        with pytest.raises(OpError) as caught:
            await backend.write_rows(ITEMS, [row(1)], again=False)
        assert caught.value.error_class == "constraint"
        assert len(await stored(backend)) == 1

    store.run(check)


def test_a_transaction_is_committed(store: Case) -> None:
    """All statements of a transaction function take effect, and its result is returned."""

    async def two(tx: Tx, sql: str) -> int:
        await tx.execute(sql, row(1))
        await tx.execute(sql, row(2))
        return 42

    async def check(backend: Backend) -> None:
        timed = await backend.transact(Transaction(two, (insert(backend),), read_only=False))
        assert timed.result == 42
        assert len(await stored(backend)) == 2

    store.run(check)


@pytest.mark.parametrize("exception", [Rejected, ZeroDivisionError])
def test_a_transaction_that_raises_is_rolled_back(store: Case, exception: type[Exception]) -> None:
    """A rejection by the rules, and a bug, pass through as they are and leave nothing behind."""

    async def half(tx: Tx, sql: str) -> None:
        await tx.execute(sql, row(1))
        raise exception

    async def check(backend: Backend) -> None:
        with pytest.raises(exception):
            await backend.transact(Transaction(half, (insert(backend),), read_only=False))
        assert await stored(backend) == []
        await backend.write_rows(ITEMS, [row(1)], again=False)  # and holds no lock

    store.run(check)


def test_rows_can_be_inserted_within_a_transaction(store: Case) -> None:
    """Together with other statements, and undone with them."""

    async def several(tx: Tx, sql: str, rows: Sequence[Values], then: Exception | None) -> None:
        await tx.execute(sql, row(1))
        await tx.insert(ITEMS, rows)
        if then is not None:
            raise then

    async def check(backend: Backend) -> None:
        rows = [row(number) for number in range(2, 3000)]
        with pytest.raises(Rejected):
            await backend.transact(Transaction(several, (insert(backend), rows, Rejected()), read_only=False))
        assert await stored(backend) == []
        await backend.transact(Transaction(several, (insert(backend), rows, None), read_only=False))
        assert [found[0] for found in await stored(backend)] == list(range(1, 3000))
        with pytest.raises(OpError) as caught:
            await backend.transact(Transaction(several, (insert(backend), rows, None), read_only=False))
        assert caught.value.error_class == "constraint"

    store.run(check)


@pytest.mark.parametrize(("isolation", "stable"), [("read committed", False), ("repeatable read", True)])
def test_a_transaction_has_the_isolation_that_it_asks_for(
    store: Case, isolation: Isolation, *, stable: bool
) -> None:
    """What others commit meanwhile is seen, or not; in SQLite never."""

    async def count_twice(tx: Tx, sql: str, other: threading.Event, go: threading.Event) -> list[object]:
        first = (await tx.execute(sql))[0][0]
        go.set()
        if store.kind == "sqlite":  # there this runs in a thread of its own and may not suspend
            other.wait(10)
        else:
            await asyncio.to_thread(other.wait, 10)
        return [first, (await tx.execute(sql))[0][0]]

    async def check(backend: Backend) -> None:
        sql = backend.dialect.sql("SELECT count(*) FROM {items}", items="items")
        other, go = threading.Event(), threading.Event()
        work = Transaction(count_twice, (sql, other, go), isolation=isolation)
        counting = asyncio.ensure_future(backend.transact(work))
        await asyncio.to_thread(go.wait, 10)
        await backend.write_rows(ITEMS, [row(1)], again=False)
        other.set()
        assert (await counting).result == [0, 0 if stable or store.kind == "sqlite" else 1]

    store.run(check)


def test_serial_numbers_go_on_where_loaded_rows_end(store: Case) -> None:
    """And rows carry the number of their transaction, by which they are settled or not."""
    log = Table("log", (("tx", "bigint"), ("id", "serial"), ("name", "text")), ("tx", "id"))

    async def make(tx: Tx, dialect: Dialect) -> None:
        await tx.execute(dialect.create_table(log))
        await tx.insert(log, [(0, number, "loaded") for number in range(1, 8)])

    async def finish(tx: Tx, dialect: Dialect) -> None:
        for sql in dialect.loaded(log):
            await tx.execute(sql)

    async def append(tx: Tx, dialect: Dialect) -> list[Values]:
        await tx.execute(
            dialect.sql(f"INSERT INTO {{log}} (tx, name) VALUES ({dialect.transaction}, ?)", log="log"),
            ("new",),
        )
        return await tx.execute(
            dialect.sql(f"SELECT id, name, {dialect.settled('tx')} FROM {{log}} ORDER BY tx, id", log="log")
        )

    async def check(backend: Backend) -> None:
        for fn in (make, finish):
            await backend.transact(Transaction(fn, (backend.dialect,), read_only=False))
        append_one = Transaction(append, (backend.dialect,), read_only=False)
        found = (await backend.transact(append_one)).result
        assert [values[0] for values in found] == list(range(1, 9))
        # Of one's own transaction nothing is settled: it may still insert, except where nobody else can.
        assert [bool(values[2]) for values in found] == [True] * 7 + [store.kind == "sqlite"]
        found = (await backend.transact(append_one)).result
        assert [bool(values[2]) for values in found[:-1]] == [True] * 8

    store.run(check)


def test_a_failed_statement_rolls_its_transaction_back(store: Case) -> None:
    """The statements before it have no effect either."""

    async def twice(tx: Tx, sql: str) -> None:
        await tx.execute(sql, row(1))
        await tx.execute(sql, row(1))

    async def check(backend: Backend) -> None:
        with pytest.raises(OpError) as caught:
            await backend.transact(Transaction(twice, (insert(backend),), read_only=False))
        assert caught.value.error_class == "constraint"
        assert caught.value.served is not None
        assert await stored(backend) == []

    store.run(check)


def test_a_single_statement_is_its_own_transaction(store: Case) -> None:
    """It is committed without being asked to."""

    async def check(backend: Backend) -> None:
        work = Transaction(statement, (insert(backend), row(1)), read_only=False, single=True)
        assert (await backend.transact(work)).result == []
        assert len(await stored(backend)) == 1

    store.run(check)


@pytest.mark.parametrize("single", [False, True])
def test_a_read_only_transaction_cannot_write(store: Case, single: bool) -> None:  # noqa: FBT001
    """The database itself refuses."""

    async def check(backend: Backend) -> None:
        work = Transaction(statement, (insert(backend), row(1)), read_only=True, single=single)
        with pytest.raises(OpError):
            await backend.transact(work)
        assert await stored(backend) == []

    store.run(check)


def test_nonsense_is_an_error_and_does_no_harm(store: Case) -> None:
    """A statement that the database cannot read is of class `other`; what follows works."""

    async def check(backend: Backend) -> None:
        for read_only in (True, False):
            with pytest.raises(OpError) as caught:
                await backend.transact(
                    Transaction(statement, ("SELEKT 1",), read_only=read_only, single=True)
                )
            assert caught.value.error_class == "other"
            assert not caught.value.in_doubt
        assert await stored(backend) == []

    store.run(check)


def test_a_missing_table_is_an_error_and_does_no_harm(store: Case) -> None:
    """A batch for a table that is not there fails; the next one works."""

    async def check(backend: Backend) -> None:
        for again in (False, True):
            with pytest.raises(OpError) as caught:
                await backend.write_rows(ITEMS._replace(name="nowhere"), [row(1)], again=again)
            assert caught.value.error_class == "other"
        assert (await backend.write_rows(ITEMS, [row(1)], again=False)).result == 1

    store.run(check)


def test_the_times_are_in_order(any_backend: Case) -> None:
    """Before ≤ served ≤ done ≤ after, and COMMIT is a part of the service time."""

    async def check(backend: Backend) -> None:
        now = SystemClock.now
        work = Transaction(statement, ("SELECT 1",), read_only=False)
        calls: tuple[Callable[[], Awaitable[Timed]], ...] = (
            lambda: backend.transact(work),
            lambda: backend.transact(replace(work, read_only=True, single=True)),
            lambda: backend.write_rows(ITEMS, [row(1)], again=False),
        )
        for call in calls:
            before = now()
            timed = await call()
            assert before <= timed.served <= timed.done <= now()
            assert 0 <= timed.commit <= timed.done - timed.served

    any_backend.run(check)


def test_the_commit_of_a_batch_is_timed(store: Case) -> None:
    """A batch has a COMMIT, and that takes time."""

    async def check(backend: Backend) -> None:
        assert (await backend.write_rows(ITEMS, [row(1)], again=False)).commit > 0
        assert (await backend.write_rows(ITEMS, [row(1)], again=True)).commit > 0

    store.run(check)


def test_a_rejection_passes_through(any_backend: Case) -> None:
    """Every backend leaves the workload's own outcome alone, and says when it took it up."""

    async def no(tx: Tx) -> None:
        raise Rejected("not today")

    async def check(backend: Backend) -> None:
        for read_only in (True, False):
            before = SystemClock().now()
            with pytest.raises(Rejected, match="not today") as caught:
                await backend.transact(Transaction(no, read_only=read_only))
            assert caught.value.served is not None
            assert before <= caught.value.served <= SystemClock().now()

    any_backend.run(check)


def test_work_past_its_deadline_is_not_begun(any_backend: Case) -> None:
    """It is a timeout, and the backend goes on."""

    async def check(backend: Backend) -> None:
        work = Transaction(statement, ("SELECT 1",), single=True)
        for read_only in (True, False):
            with pytest.raises(OpError) as caught:
                await backend.transact(replace(work, read_only=read_only), deadline=SystemClock.now() - 1)
            assert caught.value.error_class == "timeout"
            assert not caught.value.in_doubt
            await backend.transact(replace(work, read_only=read_only), deadline=SystemClock.now() + 60)

    any_backend.run(check)


def test_many_callers_share_a_few_connections(store: Case) -> None:
    """Far more callers than connections: each is served, nothing is lost, nothing is mixed up."""

    async def check(backend: Backend) -> None:
        async def write(number: int) -> None:
            await backend.write_rows(ITEMS, [row(number)], again=False)

        async def read(number: int) -> list[Values]:
            work = Transaction(statement, (f"SELECT {number}",), single=True)
            rows: list[Values] = (await backend.transact(work)).result
            return rows

        answers = await asyncio.gather(*map(read, range(200)), *map(write, range(200)))
        assert answers[:200] == [[(number,)] for number in range(200)]
        assert [found[0] for found in await stored(backend)] == list(range(200))

    store.run(check)


def test_connections_are_counted_by_pool_and_state(any_backend: Case) -> None:
    """The labels are a closed set, and nothing is negative."""

    async def check(backend: Backend) -> None:
        counts = backend.connections()
        assert {pool for pool, _ in counts} <= set(POOLS)
        assert {state for _, state in counts} <= {"busy", "idle", "waiting"}
        assert all(count >= 0 for count in counts.values())
        assert all(count == 0 for (_, state), count in counts.items() if state == "waiting")

    any_backend.run(check)


def test_without_an_outage_there_is_no_end_of_one(any_backend: Case) -> None:
    """The time is before every other."""

    async def check(backend: Backend) -> None:
        assert backend.outage_end == -float("inf")

    any_backend.run(check)


def test_closing_twice_is_allowed(any_backend: Case) -> None:
    """The second time does nothing; a backend never opened can be closed as well."""

    async def check(backend: Backend) -> None:
        await backend.close()
        await backend.close()

    any_backend.run(check)
    asyncio.run(any_backend.make().close())
