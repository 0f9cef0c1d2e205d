"""PostgreSQL alone: settings, limits, outages, doubtful commits, bad targets, PgBouncer; on real servers."""

import asyncio
import contextlib
import itertools
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest
import uvloop

from daemon.backends.postgres import PostgresBackend
from daemon.backends.postgres_connection import Connection
from daemon.backends.postgres_copy import RowEncoder
from daemon.backends.postgres_errors import error_class
from daemon.backends.postgres_watch import Watch
from daemon.clock import SystemClock
from daemon.errors import ErrorClass, OpError, TargetError, UsageError
from daemon.ops import PoolName, Table, Timed, Transaction, Tx, Values
from tests.faults import Proxy, proxy
from tests.servers import PASSWORD_ROLE, LocalServer, Server, free_port, pgbouncer

T = TypeVar("T")

ITEMS = Table("items", (("id", "bigint"), ("name", "text")), ("id",))
SECRET = "s3cret-0rchid"
now = SystemClock.now


def make(conninfo: str, **changes: Any) -> PostgresBackend:
    """Return a backend of two and two connections."""
    options: dict[str, Any] = {
        "password": None,
        "writer_connections": 2,
        "reader_connections": 2,
        "synchronous_commit": "on",
        "connect_timeout": 5.0,
        "statement_timeout": 0.0,
        "lock_timeout": 0.0,
        "application_name": "soakd-test",
        "prepare": True,
    }
    return PostgresBackend(conninfo=conninfo, clock=SystemClock(), **{**options, **changes})


def use(
    backend: PostgresBackend,
    check: Callable[[PostgresBackend], Awaitable[T]],
    run: Callable[..., T] = asyncio.run,
) -> T:
    """Open the backend, run the check on it, close it."""

    async def main() -> T:
        await backend.open()
        try:
            return await check(backend)
        finally:
            await backend.close()

    return run(main())


@pytest.fixture
def items(database: str) -> str:
    """The URL of a database with the empty table `ITEMS`."""
    create_items(database)
    return database


def create_items(url: str) -> None:
    """Create schema and table as soakd does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA soakd")
        connection.execute(PostgresBackend.dialect.create_table(ITEMS).encode())


def count_items(url: str) -> int:
    """Return the rows there are, over a connection of its own."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM soakd.items").fetchone()
        assert found is not None
        count: int = found[0]
        return count


async def one(tx: Tx, sql: str, *params: Any) -> list[Values]:
    """Run one statement as a whole transaction function."""
    return await tx.execute(sql, params)


def read(sql: str, *params: Any) -> Transaction:
    """Return a read of one statement."""
    return Transaction(one, (sql, *params), read_only=True, single=True)


def write(sql: str, *params: Any) -> Transaction:
    """Return a transaction that may write."""
    return Transaction(one, (sql, *params), read_only=False)


async def failure(operation: Awaitable[Timed]) -> OpError:
    """Return the error that an operation fails with."""
    with pytest.raises(OpError) as caught:
        await operation
    return caught.value


# Event loops and connections


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_both_event_loops_will_do(items: str, run: Callable[..., None]) -> None:
    """Rows, transactions and single reads work on asyncio's own loop and on uvloop."""

    async def check(backend: PostgresBackend) -> None:
        await asyncio.gather(*(backend.write_rows(ITEMS, [(n, "x")], again=False) for n in range(20)))
        answers = await asyncio.gather(
            *(backend.transact(read("SELECT id FROM soakd.items WHERE id = %s", n)) for n in range(20))
        )
        assert [timed.result for timed in answers] == [[(n,)] for n in range(20)]

    use(make(items), check, run)


def test_connections_wait_to_be_used_and_are_used_again(database: str) -> None:
    """No connection is opened for an operation, and the one used last is used next."""

    async def check(backend: PostgresBackend) -> None:
        assert backend.connections() == {
            ("writer", "busy"): 0, ("writer", "idle"): 2, ("writer", "waiting"): 0,
            ("reader", "busy"): 0, ("reader", "idle"): 2, ("reader", "waiting"): 0,
        }  # fmt: skip
        pids = {(await backend.transact(read("SELECT pg_backend_pid()"))).result[0] for _ in range(5)}
        assert len(pids) == 1
        calls = [asyncio.create_task(backend.transact(read("SELECT pg_sleep(0.05)"))) for _ in range(3)]
        await asyncio.sleep(0)
        assert backend.connections()["reader", "busy"] == 2
        assert backend.connections()["reader", "waiting"] == 1
        await asyncio.gather(*calls)
        assert backend.connections()["reader", "idle"] == 2

    use(make(database), check)


def test_a_connection_handed_to_a_caller_that_was_cancelled_meanwhile_is_not_lost(database: str) -> None:
    """It goes to the next caller, or back to the idle ones."""

    async def check(backend: PostgresBackend) -> None:
        pool = backend._pools["reader"]
        connection = pool.idle.pop()
        first, second = (asyncio.create_task(pool.wait()) for _ in range(2))
        await asyncio.sleep(0)
        pool.give(connection)
        first.cancel()
        assert await second is connection
        third = asyncio.create_task(pool.wait())
        await asyncio.sleep(0)
        pool.give(connection)
        third.cancel()
        await asyncio.wait([first, third])
        assert pool.idle == [connection]
        assert not pool.waiting

    use(make(database, reader_connections=1), check)


@pytest.mark.parametrize("value", ["on", "off", "local"])
@pytest.mark.parametrize("prepare", [True, False])
def test_the_settings_hold_in_every_session(database: str, value: str, prepare: bool) -> None:  # noqa: FBT001
    """Durability and limits are asked of each connection inside a transaction, not of the first one only."""

    async def settings(tx: Tx) -> list[Values]:
        await tx.execute(
            "SELECT pg_sleep(0.05)"
        )  # long enough for each caller to get a connection of its own
        return await tx.execute(
            "SELECT pg_backend_pid(), current_setting('synchronous_commit'),"
            " current_setting('statement_timeout'), current_setting('lock_timeout'),"
            " current_setting('application_name')"
        )

    async def check(backend: PostgresBackend) -> None:
        calls = [backend.transact(Transaction(settings, read_only=False)) for _ in range(4)]
        found = [timed.result[0] for timed in await asyncio.gather(*calls)]
        assert len({pid for pid, *_ in found}) == 4
        assert {tuple(rest) for _, *rest in found} == {(value, "1500ms", "250ms", "soakd-test")}

    changes = {"statement_timeout": 1.5, "lock_timeout": 0.25, "writer_connections": 4}
    use(make(database, synchronous_commit=value, prepare=prepare, **changes), check)


def test_the_options_of_the_address_are_kept(database: str) -> None:
    """What the user sets through libpq's `options` stays set beside soakd's own settings."""

    async def check(backend: PostgresBackend) -> None:
        assert (await backend.transact(read("SHOW work_mem"))).result == [("7MB",)]

    use(make(f"{database}?options=-c%20work_mem%3D7MB"), check)


def test_integers_of_any_size_share_one_prepared_statement(items: str) -> None:
    """A statement is not prepared anew because a parameter became larger."""

    async def check(backend: PostgresBackend) -> None:
        for key in (1, 70_000, 2**40):
            await backend.transact(read("SELECT name FROM soakd.items WHERE id = %s", key))
        held = await backend.transact(
            read("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT name%'")
        )
        assert held.result == [(1,)]

    use(make(items, reader_connections=1), check)


def test_a_statement_may_be_run_with_values_of_other_types(database: str) -> None:
    """What it was prepared for is not forced upon later values."""

    async def check(backend: PostgresBackend) -> None:
        for value, expected in ((1, "1"), ("x", "x"), (None, None), (2.5, "2.5"), (2, "2")):
            assert (await backend.transact(read("SELECT %s::text", value))).result == [(expected,)]

    use(make(database, reader_connections=1), check)


def test_a_prepared_statement_survives_a_change_of_its_table(items: str) -> None:
    """The one execution that meets the change fails, the next one prepares anew."""

    async def check(backend: PostgresBackend) -> None:
        assert (await backend.transact(read("SELECT * FROM soakd.items"))).result == []
        await backend.transact(write("ALTER TABLE soakd.items ADD more int DEFAULT 5"))
        await failure(backend.transact(read("SELECT * FROM soakd.items")))
        await backend.write_rows(ITEMS, [(1, "x")], again=False)
        assert (await backend.transact(read("SELECT * FROM soakd.items"))).result == [(1, "x", 5)]

    use(make(items, reader_connections=1), check)


@pytest.mark.parametrize("prepare", [True, False])
def test_parameters_must_be_as_many_as_their_marks(database: str, prepare: bool) -> None:  # noqa: FBT001
    """A mistake of the workload is an error of its own, not one of the connection; `%%` is a percent sign."""

    async def check(backend: PostgresBackend) -> None:
        error = await failure(backend.transact(read("SELECT %s::int, %s::int", 1)))
        assert (error.error_class, error.in_doubt) == ("other", False)
        assert (await backend.transact(read("SELECT %s::int %% 4", 7))).result == [(3,)]
        assert (await backend.transact(read("SELECT 7 % 4"))).result == [(3,)]

    use(make(database, prepare=prepare, reader_connections=1), check)


# Limits and errors


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("40001", "serialization"),
        ("40P01", "deadlock"),
        ("55P03", "lock_timeout"),
        ("57014", "timeout"),
        ("08006", "connection"),
        ("57P01", "connection"),
        ("57P02", "connection"),
        ("57P03", "connection"),
        ("53300", "connection"),
        ("53100", "disk_full"),
        ("23505", "constraint"),
        ("23514", "constraint"),
        ("22021", "constraint"),
        ("42P01", "other"),
        ("53200", "other"),
    ],
)
def test_every_sqlstate_has_a_class(state: str, expected: ErrorClass) -> None:
    """The table of the server's error codes."""
    assert error_class(psycopg.errors.lookup(state)("text")) == expected


def test_errors_without_a_code_are_classified_by_type() -> None:
    """What psycopg itself finds wrong has no SQLSTATE."""
    assert error_class(psycopg.OperationalError("server closed the connection")) == "connection"
    assert error_class(psycopg.InterfaceError("the connection is closed")) == "connection"
    assert error_class(psycopg.DataError("NUL")) == "constraint"
    assert error_class(psycopg.ProgrammingError("1 placeholder, 0 parameters")) == "other"


def test_a_forced_deadlock_is_counted_as_one(items: str) -> None:
    """Two transactions lock two rows in opposite order: one of them is the victim, the other commits."""

    async def check(backend: PostgresBackend) -> None:
        await backend.write_rows(ITEMS, [(1, ""), (2, "")], again=False)
        both = asyncio.Barrier(2)

        async def update(tx: Tx, first: int, second: int) -> None:
            sql = "UPDATE soakd.items SET name = 'x' WHERE id = %s"
            await tx.execute(sql, (first,))
            await both.wait()
            await tx.execute(sql, (second,))

        outcomes = await asyncio.gather(
            backend.transact(Transaction(update, (1, 2), read_only=False)),
            backend.transact(Transaction(update, (2, 1), read_only=False)),
            return_exceptions=True,
        )
        errors = [outcome for outcome in outcomes if isinstance(outcome, OpError)]
        assert [(error.error_class, error.transient) for error in errors] == [("deadlock", True)]
        assert sum(isinstance(outcome, Timed) for outcome in outcomes) == 1

    use(make(items), check)


def test_a_wait_for_a_lock_ends_at_its_limit(items: str) -> None:
    """The server's lock_timeout is its own class."""

    async def check(backend: PostgresBackend) -> None:
        with psycopg.connect(items) as holder:
            holder.execute("LOCK TABLE soakd.items")
            assert (
                await failure(backend.write_rows(ITEMS, [(1, "")], again=False))
            ).error_class == "lock_timeout"
        await backend.write_rows(ITEMS, [(1, "")], again=False)

    use(make(items, lock_timeout=0.05), check)


@pytest.mark.parametrize("prepare", [True, False])
def test_a_statement_ends_at_its_limit(database: str, prepare: bool) -> None:  # noqa: FBT001
    """The server's statement_timeout holds for single statements too, and is not in doubt."""

    async def check(backend: PostgresBackend) -> None:
        for work in (read("SELECT pg_sleep(30)"), replace(write("SELECT pg_sleep(30)"), single=True)):
            error = await failure(backend.transact(work))
            assert (error.error_class, error.in_doubt) == ("timeout", False)

    use(make(database, statement_timeout=0.05, prepare=prepare), check)


def test_at_its_deadline_an_operation_is_given_up_and_ended_on_the_server(database: str) -> None:
    """The caller has its answer at once; the connection is cleaned and goes on with the same session."""

    async def check(backend: PostgresBackend) -> None:
        pid = (await backend.transact(read("SELECT pg_backend_pid()"))).result
        for work in (read("SELECT pg_sleep(60)"), replace(read("SELECT pg_sleep(60)"), single=False)):
            started = now()
            error = await failure(backend.transact(work, deadline=started + 0.1))
            assert (error.error_class, error.in_doubt) == ("timeout", False)
            assert error.served is not None
            assert 0.1 <= now() - started < 2
            # The only connection: this waits until it is clean.
            assert (await backend.transact(read("SELECT pg_backend_pid()"))).result == pid
        running = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)'"
        )
        assert (await backend.transact(read(running))).result == [(0,)]

    use(make(database, reader_connections=1), check)


def test_a_write_given_up_while_it_commits_itself_is_in_doubt(items: str) -> None:
    """A single statement may have taken effect before it was cancelled."""

    async def check(backend: PostgresBackend) -> None:
        work = replace(write("SELECT pg_sleep(60)"), single=True)
        error = await failure(backend.transact(work, deadline=now() + 0.1))
        assert (error.error_class, error.in_doubt) == ("timeout", True)

    use(make(items), check)


def test_a_deadline_counts_while_waiting_for_a_connection(database: str) -> None:
    """Whoever never got a connection was never served."""

    async def check(backend: PostgresBackend) -> None:
        busy = asyncio.create_task(backend.transact(read("SELECT pg_sleep(0.4)")))
        await asyncio.sleep(0)
        error = await failure(backend.transact(read("SELECT 1"), deadline=now() + 0.1))
        assert (error.error_class, error.served) == ("timeout", None)
        assert backend.connections()["reader", "waiting"] == 0
        await busy
        assert (await backend.transact(read("SELECT 1"), deadline=now() + 10)).result == [(1,)]

    use(make(database, reader_connections=1), check)


def test_operations_in_time_are_not_interrupted_by_the_limits_of_earlier_ones(database: str) -> None:
    """A connection has one timer; the limit of an operation that is done must not end a later one."""

    async def check(backend: PostgresBackend) -> None:
        await backend.transact(read("SELECT 1"), deadline=now() + 0.1)
        await backend.transact(read("SELECT pg_sleep(0.3)"))
        await backend.transact(read("SELECT 1"), deadline=now() + 0.1)
        await backend.transact(read("SELECT pg_sleep(0.3)"), deadline=now() + 60)
        assert (
            await failure(backend.transact(read("SELECT pg_sleep(9)"), deadline=now() + 0.1))
        ).error_class == "timeout"

    use(make(database, reader_connections=1), check)


def test_a_cancelled_call_leaves_a_clean_connection(items: str) -> None:
    """An aborted task, in the middle of a statement or waiting, takes no connection with it."""

    async def insert_and_sleep(tx: Tx) -> None:
        await tx.execute("INSERT INTO soakd.items VALUES (1, 'x')")
        await tx.execute("SELECT pg_sleep(60)")

    async def check(backend: PostgresBackend) -> None:
        first = asyncio.create_task(backend.transact(Transaction(insert_and_sleep, read_only=False)))
        second = asyncio.create_task(backend.transact(write("SELECT 1")))
        await asyncio.sleep(0.1)
        second.cancel()
        first.cancel()
        assert all(
            isinstance(outcome, asyncio.CancelledError)
            for outcome in await asyncio.gather(first, second, return_exceptions=True)
        )
        await backend.write_rows(ITEMS, [(1, "y")], again=False)
        assert backend.connections()["writer", "idle"] == 1

    use(make(items, writer_connections=1), check)


def test_a_failed_statement_that_the_function_hides_is_no_success(items: str) -> None:
    """PostgreSQL answers such a COMMIT with ROLLBACK; to report it as committed would be a lie."""

    async def hides(tx: Tx) -> None:
        await tx.execute("INSERT INTO soakd.items VALUES (1, 'x')")
        with contextlib.suppress(OpError):
            await tx.execute("SELECT 1 / 0")

    async def check(backend: PostgresBackend) -> None:
        assert "rolled back" in str(await failure(backend.transact(Transaction(hides, read_only=False))))
        assert count_items(items) == 0

    use(make(items), check)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("bad", [(2**63, "x"), (2, "nul\0"), (2, "\ud800"), ("two", "x")])
def test_a_value_that_cannot_be_stored_names_its_batch_as_the_culprit(
    items: str,
    bad: Values,
    again: bool,  # noqa: FBT001
) -> None:
    """It is refused for good, and nothing of the batch is there; the next batch is written."""

    async def check(backend: PostgresBackend) -> None:
        error = await failure(backend.write_rows(ITEMS, [(1, "good"), bad], again=again))
        assert (error.error_class, error.transient) == ("constraint", False)
        assert count_items(items) == 0
        await backend.write_rows(ITEMS, [(1, "good")], again=again)

    use(make(items, writer_connections=1), check)


def test_the_stream_of_a_batch_is_what_binary_copy_wants() -> None:
    """Byte for byte: signature, field count, length and value of each field, trailer."""
    table = Table("t", (("a", "text"), ("b", "int"), ("c", "json"), ("d", "bigint")), ("b",))
    assert RowEncoder(table).encode([("ä", -1, "{}", 7)]) == (
        b"PGCOPY\n\xff\r\n\0" + bytes(8)
        + b"\0\4" + b"\0\0\0\2\xc3\xa4" + b"\0\0\0\4\xff\xff\xff\xff"
        + b"\0\0\0\3\1{}" + b"\0\0\0\x08\0\0\0\0\0\0\0\7"
        + b"\xff\xff"
    )  # fmt: skip


# Outages


def outages(backend: PostgresBackend) -> tuple[float, float]:
    """Return how many there were, and how long they have been, s."""
    counters = backend.figures().counters
    return counters["soakd_target_outages_total",], counters["soakd_target_outage_seconds_total",]


def test_a_server_that_stops_and_starts_is_survived(private_postgres: LocalServer) -> None:
    """Errors of class connection, at once; the end of the outage is known; then everything works again."""
    server = private_postgres
    create_items(server.url)

    async def check(backend: PostgresBackend) -> None:
        await backend.write_rows(ITEMS, [(1, "before")], again=False)
        under_way = [
            asyncio.create_task(backend.transact(read("SELECT pg_sleep(60)"))),
            asyncio.create_task(backend.transact(write("SELECT pg_sleep(60)"))),
        ]
        await asyncio.sleep(0.1)
        began_it = now()
        await asyncio.to_thread(server.stop, "immediate")
        for task in under_way:
            error = await failure(task)
            assert (error.error_class, error.in_doubt) == ("connection", False)
        for _ in range(20):
            began = now()
            assert (await failure(backend.transact(read("SELECT 1")))).error_class == "connection"
            assert (
                await failure(backend.write_rows(ITEMS, [(2, "x")], again=False))
            ).error_class == "connection"
            assert now() - began < 0.1
        assert backend.outage_end == float("inf")
        assert outages(backend)[0] == 1
        noticed = now()
        await asyncio.sleep(0.5)
        assert backend.outage_end == float("inf")
        assert outages(backend)[1] >= now() - noticed
        await asyncio.to_thread(server.start)
        accepting = now()
        while backend.outage_end == float("inf"):
            assert now() - accepting < 2.5  # the longest pause, with its jitter, on a busy machine
            await asyncio.sleep(0.01)
        assert backend.outage_end <= now()
        number, seconds = outages(backend)
        assert number == 1
        assert backend.outage_end - noticed <= seconds <= now() - began_it
        assert outages(backend) == (1, seconds)  # it is over
        await backend.write_rows(ITEMS, [(2, "after")], again=False)
        assert (await backend.transact(read("SELECT count(*) FROM soakd.items"))).result == [(2,)]

    use(make(server.url), check)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_under_load_resets_and_restarts_lose_no_row_and_leave_nobody_waiting(
    private_postgres: LocalServer, run: Callable[..., None]
) -> None:
    """Operations without a deadline all end, and each acknowledged row is there once."""
    create_items(private_postgres.url)
    acknowledged = 0
    stopping = False

    async def write_on(backend: PostgresBackend, writer: int) -> None:
        nonlocal acknowledged
        for first in itertools.count(writer * 10**9, 10):
            rows = [(key, "x" * 50) for key in range(first, first + 10)]
            await written(backend, rows)
            acknowledged += 10
            if stopping:
                return

    async def read_on(backend: PostgresBackend) -> None:
        while not stopping:
            with contextlib.suppress(OpError):
                await backend.transact(read("SELECT name FROM soakd.items WHERE id = %s", 5))
            await asyncio.sleep(0.001)  # so that there are moments of idleness too

    async def check(backend: PostgresBackend) -> None:
        nonlocal stopping
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(write_on(backend, number))
                group.create_task(read_on(backend))
            for _ in range(3):
                await asyncio.sleep(0.1)
                await asyncio.to_thread(wire.reset)
                await asyncio.sleep(0.1)
                await asyncio.to_thread(private_postgres.restart, "immediate")
            stopping = True
        assert count_items(private_postgres.url) == acknowledged > 0

    with proxy(private_postgres.port) as wire:
        use(make(through(private_postgres.url, wire.port)), check, run)


async def written(backend: PostgresBackend, rows: list[Values]) -> None:
    """Write rows as the batch writer does: until it succeeds, skipping what may be there after a doubt."""
    again = False
    while True:
        try:
            await backend.write_rows(ITEMS, rows, again=again)
        except OpError as error:
            if error.error_class != "connection":
                raise
            again = again or error.in_doubt
            await asyncio.sleep(0.005)
        else:
            return


def test_a_quick_restart_while_nobody_looks_goes_unnoticed(private_postgres: LocalServer) -> None:
    """Idle connections are watched, so the first operation after a restart does not pay for it."""

    async def check(backend: PostgresBackend) -> None:
        await asyncio.to_thread(private_postgres.restart)
        give_up = now() + 5
        while backend.connections()["reader", "idle"] + backend.connections()["writer", "idle"] < 4:
            assert now() < give_up
            await asyncio.sleep(0.01)
        assert (await backend.transact(read("SELECT 1"))).result == [(1,)]
        assert -float("inf") < backend.outage_end <= now()
        number, seconds = outages(backend)
        assert number == 1
        assert 0 < seconds < now() - began

    began = now()
    use(make(private_postgres.url), check)


def test_both_pools_are_back_at_the_same_moment(
    postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the one would catch up with what was due in the outage until the other ends it."""

    async def check(backend: PostgresBackend) -> None:
        connect = backend._sessions.connect

        async def slow_for_readers(pool: PoolName, watch: Watch) -> Connection:
            await asyncio.sleep(0.2 if pool == "reader" else 0)
            return await connect(pool, watch)

        monkeypatch.setattr(backend._sessions, "connect", slow_for_readers)
        wire.refusing = True
        wire.reset()
        give_up = now() + 5
        while any(backend.connections().values()):
            assert now() < give_up
            await asyncio.sleep(0.001)
        wire.refusing = False
        while backend.outage_end == float("inf"):
            assert now() < give_up
            assert (await failure(backend.transact(write("SELECT 1")))).error_class == "connection"
            await asyncio.sleep(0.001)
        await backend.transact(write("SELECT 1"))
        await backend.transact(read("SELECT 1"))

    with before(postgres) as wire:
        use(make(through(database, wire.port), writer_connections=10, reader_connections=1), check)


def test_a_connection_that_is_killed_is_replaced(database: str) -> None:
    """One lost connection is no outage: the others go on."""

    async def check(backend: PostgresBackend) -> None:
        victim = asyncio.create_task(backend.transact(read("SELECT pg_sleep(60)")))
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
        give_up = now() + 5
        while (await backend.transact(write(kill))).result != [(True,)]:
            assert now() < give_up
        assert (await failure(victim)).error_class == "connection"
        assert (await backend.transact(read("SELECT 1"))).result == [(1,)]
        while backend.connections()["reader", "idle"] < 2:
            assert now() < give_up
            await asyncio.sleep(0.01)
        assert backend.outage_end == -float("inf")
        assert outages(backend) == (0, 0)

    use(make(database), check)


@pytest.mark.parametrize(("lost", "committed"), [("reply", True), ("request", False)])
def test_a_connection_lost_during_commit_leaves_the_batch_in_doubt(
    postgres: Server,
    items: str,
    lost: Any,
    committed: bool,  # noqa: FBT001
) -> None:
    """Nobody can know what became of it; written again, it is there once."""
    rows = [(1, "a"), (2, "b")]

    async def check(backend: PostgresBackend) -> None:
        wire.cut_at(b"COMMIT", lost)
        error = await failure(backend.write_rows(ITEMS, rows, again=False))
        assert (error.error_class, error.in_doubt) == ("connection", True)
        give_up = now() + 5
        while committed and count_items(items) == 0:
            assert now() < give_up
        assert count_items(items) == (2 if committed else 0)
        await backend.write_rows(ITEMS, rows, again=True)
        assert count_items(items) == 2

    with before(postgres) as wire:
        use(make(through(items, wire.port)), check)


def test_a_connection_lost_before_commit_is_not_in_doubt(postgres: Server, items: str) -> None:
    """What was never asked to commit has not been committed."""

    async def check(backend: PostgresBackend) -> None:
        wire.cut_at(b"COPY", "reply")
        error = await failure(backend.write_rows(ITEMS, [(1, "a")], again=False))
        assert (error.error_class, error.in_doubt) == ("connection", False)

    with before(postgres) as wire:
        use(make(through(items, wire.port)), check)


def test_a_silent_network_does_not_hold_an_operation_beyond_its_deadline(
    postgres: Server, database: str
) -> None:
    """No answer, no error, no end of the connection: the caller is told in time all the same."""

    async def check(backend: PostgresBackend) -> None:
        wire.silent = True
        began = now()
        error = await failure(backend.transact(read("SELECT 1"), deadline=began + 0.2))
        assert error.error_class == "timeout"
        assert now() - began < 2
        wire.silent = False
        assert (await backend.transact(read("SELECT 1"), deadline=now() + 30)).result == [(1,)]

    with before(postgres) as wire:
        use(make(through(database, wire.port), reader_connections=1), check)


def test_closing_ends_what_is_under_way(database: str) -> None:
    """An operation on a connection that is closed fails; it does not hang."""

    async def check(backend: PostgresBackend) -> None:
        busy = asyncio.create_task(backend.transact(read("SELECT pg_sleep(60)")))
        waiting = asyncio.create_task(backend.transact(read("SELECT 1")))
        await asyncio.sleep(0.05)
        await backend.close()
        assert (await failure(busy)).error_class == "connection"
        assert (await failure(waiting)).error_class == "connection"
        assert (await failure(backend.transact(read("SELECT 1")))).error_class == "connection"

    use(make(database, reader_connections=1), check)


def test_closing_ends_on_the_server_what_a_cancelled_call_has_begun(database: str) -> None:
    """Nobody waits for it any more, but it would hold its locks for as long as it lasts."""

    async def check(backend: PostgresBackend) -> None:
        busy = asyncio.create_task(backend.transact(read("SELECT pg_sleep(62)")))
        await asyncio.sleep(0.1)
        busy.cancel()
        await asyncio.wait({busy})

    use(make(database, reader_connections=1), check)
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(62)'"
    with psycopg.connect(database, autocommit=True) as other:
        until = now() + 10
        while other.execute(running).fetchall() != [(0,)]:
            assert now() < until


def before(server: Server) -> contextlib.AbstractContextManager[Proxy]:
    """Return a proxy before a server."""
    parts = urlsplit(server.url)
    return proxy(parts.port or 5432, parts.hostname or "127.0.0.1")


def through(url: str, port: int) -> str:
    """Return the URL with the address of a proxy."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()


# Targets that cannot be used


def refused(conninfo: str, **changes: Any) -> str:
    """Return what opening a bad target says, once it is sure to be one line without a secret."""
    backend = make(conninfo, **changes)
    with pytest.raises(TargetError) as caught:
        asyncio.run(backend.open())
    asyncio.run(backend.close())
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert SECRET not in repr(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_port_where_nobody_listens() -> None:
    """What, where and what to do."""
    port = free_port()
    message = refused(f"postgresql://joe:{SECRET}@127.0.0.1:{port}/shop")
    assert f"postgresql://joe@127.0.0.1:{port}/shop" in message
    assert "connection refused" in message
    assert "is the server running" in message


def test_a_host_that_does_not_exist() -> None:
    """The name is in the line."""
    assert "cannot be resolved" in refused(f"postgresql://joe:{SECRET}@no-such-host.invalid/shop")


def test_a_host_that_never_answers() -> None:
    """Bounded by the time limit for connecting."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = now()
        message = refused(f"postgresql://joe@127.0.0.1:{mute.getsockname()[1]}/shop", connect_timeout=1.0)
        assert "no answer in time" in message
        assert now() - began < 2


def test_a_database_that_does_not_exist(postgres: Server) -> None:
    """It says how to create it."""
    assert "createdb nowhere" in refused(postgres.database_url("nowhere"))


def test_a_role_that_does_not_exist(private_postgres: LocalServer) -> None:
    """It says whom it was looking for."""
    assert "there is no role joe" in refused(
        private_postgres.database_url("postgres", user="joe", password=SECRET)
    )


@pytest.fixture
def password_role(private_postgres: LocalServer) -> LocalServer:
    """A server that asks one role for its password."""
    private_postgres.execute(f"CREATE ROLE {PASSWORD_ROLE} LOGIN PASSWORD 'right-one'")
    return private_postgres


def test_passwords(password_role: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong or missing one is said to be so and never shown; the right one works from either place."""
    bare = password_role.database_url("postgres", user=PASSWORD_ROLE)
    wrong = password_role.database_url("postgres", user=PASSWORD_ROLE, password=SECRET)
    for message in (refused(bare), refused(wrong), refused(bare, password=SECRET)):
        assert "wrong or missing password" in message
        assert PASSWORD_ROLE in message
    assert SECRET not in caplog.text

    async def check(backend: PostgresBackend) -> None:
        assert (await backend.transact(read("SELECT current_user"))).result == [(PASSWORD_ROLE,)]

    use(make(password_role.database_url("postgres", user=PASSWORD_ROLE, password="right-one")), check)
    use(make(wrong, password="right-one"), check)


def test_no_password_in_the_errors_of_an_outage(password_role: LocalServer) -> None:
    """Operations that fail while reconnecting fails say why, without the secret."""

    async def check(backend: PostgresBackend) -> None:
        await asyncio.to_thread(password_role.stop, "immediate")
        texts = set()
        for _ in range(20):
            error = await failure(backend.transact(read("SELECT 1")))
            texts.add(str(error))
            assert "right-one" not in "".join(traceback.format_exception(error))
            await asyncio.sleep(0.01)
        assert any("connection refused" in text for text in texts)

    url = password_role.database_url("postgres", user=PASSWORD_ROLE, password="right-one")
    use(make(url), check)


def test_more_connections_than_the_server_has(private_postgres: LocalServer) -> None:
    """It says which settings to change; nothing stays connected."""
    message = refused(private_postgres.url, writer_connections=40, reader_connections=40)
    assert "no connection left" in message
    give_up = now() + 5
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soakd-test'"
    while private_postgres.execute(count) != [(0,)]:
        assert now() < give_up


def test_a_server_without_tls(private_postgres: LocalServer) -> None:
    """TLS is a matter of libpq's own parameters."""
    assert "does not offer TLS" in refused(f"{private_postgres.url}?sslmode=require")


@pytest.mark.parametrize(
    "conninfo",
    [
        f"postgresql://joe:{SECRET}@host/shop?no=1",
        f"password={SECRET} nonsense",
        f"postgresql://joe:{SECRET}@host:99999/shop",
        f"postgresql://joe:{SECRET}@host:1,other:port/shop",
        f"postgresql://joe:{SECRET}/x@host/shop",
    ],
)
def test_an_address_that_libpq_cannot_read(conninfo: str) -> None:
    """The line says how an address looks."""
    with pytest.raises(UsageError) as caught:
        make(conninfo)
    assert "write postgresql://" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_too_old(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL 13 is the oldest that is supported."""
    monkeypatch.setattr("daemon.backends.postgres_session.OLDEST_SERVER", 990000)
    assert "too old; 99 or newer is needed" in refused(database)


# PgBouncer


@pytest.fixture
def bounced(items: str, pgbouncer_program: str) -> Iterator[str]:
    """The database of `items` through PgBouncer in transaction mode, with few server connections."""
    with pgbouncer(pgbouncer_program, items, pool_size=2) as url:
        yield url


def test_pgbouncer_in_transaction_mode(bounced: str, items: str) -> None:
    """Rows, retries, reads and transactions share two server connections in peace."""

    async def check(backend: PostgresBackend) -> None:
        writes = [backend.write_rows(ITEMS, [(n, "x"), (1000 + n, "y")], again=False) for n in range(30)]
        retries = [backend.write_rows(ITEMS, [(2000 + n, "x")], again=True) for n in range(30)]
        reads = [backend.transact(read("SELECT %s::bigint", n)) for n in range(100)]
        results = await asyncio.gather(*writes, *retries, *reads)
        assert [timed.result for timed in results[60:]] == [[(n,)] for n in range(100)]
        assert count_items(items) == 90
        error = await failure(backend.transact(read("SELECT pg_sleep(60)"), deadline=now() + 0.1))
        assert error.error_class == "timeout"
        assert (await backend.transact(read("SELECT 1"))).result == [(1,)]

    use(make(bounced, prepare=False, writer_connections=8, reader_connections=8), check)


def test_the_settings_hold_behind_pgbouncer(bounced: str) -> None:
    """Though sessions are shared, each transaction has its durability and limits, and leaves none behind."""
    asked = (
        "SELECT current_setting('synchronous_commit'), current_setting('statement_timeout'),"
        " current_setting('lock_timeout')"
    )

    async def check(backend: PostgresBackend) -> None:
        calls = [backend.transact(write(asked)) for _ in range(20)]
        found = {timed.result[0] for timed in await asyncio.gather(*calls)}
        assert found == {("off", "2s", "3s")}

    options = {"synchronous_commit": "off", "statement_timeout": 2.0, "lock_timeout": 3.0}
    use(make(bounced, prepare=False, **options), check)
    with psycopg.connect(bounced) as other:
        assert other.execute(asked.encode()).fetchone() == ("on", "0", "0")
