"""What soakd keeps in the target: its own tables and nobody else's, runs, accounts, and what can be read."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import TypeVar, cast

import psycopg
import pytest

from daemon import ledger, schema
from daemon.backends.base import SQLITE, Backend
from daemon.errors import OpError, TargetError, UsageError
from daemon.ledger import ORPHANED, RUNNING, RunRecord
from daemon.ops import Timed, Transaction, Tx, Values
from daemon.record.account import Account
from daemon.stretches import readable
from daemon.workloads.base import EPOCH_KEYS, Identity, Stretch
from daemon.workloads.events import EVENTS, Events
from daemon.workloads.expired import WorkerRows
from tests.test_backend_contract import null_backend, postgres_backend, sqlite_backend
from tests.test_events import events

T = TypeVar("T")
OURS = {"objects", "runs", "accounts", "seeds", "seed_chunks", "events", "events_expired"}


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Makes backends of one empty database."""
    if request.param == "sqlite":
        return lambda: sqlite_backend(tmp_path / "ledger.db")
    url = request.getfixturevalue("database")
    return lambda: postgres_backend(url)


def on(make: Callable[[], Backend], check: Callable[[Backend], Awaitable[T]]) -> T:
    """Run a check on an open backend and return what it returns."""

    async def main() -> T:
        backend = make()
        await backend.open()
        try:
            return await check(backend)
        finally:
            await backend.close()

    return asyncio.run(main())


async def execute(backend: Backend, *statements: str) -> list[Values]:
    """Run statements in one transaction and return the rows of the last."""

    async def run(tx: Tx) -> list[Values]:
        rows: list[Values] = []
        for statement in statements:
            rows = await tx.execute(statement)
        return rows

    found: list[Values] = (await backend.transact(Transaction(run, read_only=False))).result
    return found


async def tables(backend: Backend) -> set[str]:
    """Return the bare names of the tables in soakd's place."""
    if backend.dialect is SQLITE:
        rows = await execute(backend, "SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        rows = await execute(backend, "SELECT tablename FROM pg_tables WHERE schemaname = 'soakd'")
    return {str(row[0]).removeprefix(SQLITE.prefix) for row in rows}


def workload(backend: Backend) -> Events:
    """Return the workload, for its tables."""
    return events(dialect=backend.dialect, workers=0)


async def prepare(backend: Backend, *, clean: bool = False) -> None:
    """Prepare the target."""
    await schema.prepare(backend, workload(backend).schema(backend.dialect), clean=clean)


def record(run: int = 1, *, writers: int = 4, shards: int = 2) -> RunRecord:
    """Return the record of a run that begins."""
    return RunRecord(run, "0.1", "events", writers, shards, "", {})


async def write(backend: Backend, identity: Identity, worker: int, seqs: Sequence[int]) -> None:
    """Write rows with chosen keys."""
    key = (identity.run, identity.shard, worker)
    await backend.write_rows(EVENTS, [(*key, seq, *content()) for seq in seqs], again=False)


@cache
def content() -> Values:
    """Return what a row holds beside its key."""
    return events().row(0, 0, Random(1))[4:]


def test_a_runs_number_is_its_start_in_utc() -> None:
    assert ledger.run_number(1_763_640_007.25) == 20251120120007250


def test_preparing_creates_the_tables_once(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        assert await tables(backend) == OURS
        await write(backend, Identity(1, 0, 0), 0, [0, 1])
        await prepare(backend)
        assert await ledger.stored(backend, EVENTS, Identity(1, 0, 0)) == 2
        listed = await execute(backend, f"SELECT name, version FROM {backend.dialect.table('objects')}")
        assert set(listed) == {(name, ledger.SCHEMA_VERSION) for name in OURS}

    on(make, check)


def test_several_that_prepare_at_once_do_not_get_in_each_others_way(database: str) -> None:
    async def main() -> None:
        backends = [postgres_backend(database) for _ in range(4)]
        await asyncio.gather(*(backend.open() for backend in backends))
        try:
            await asyncio.gather(*(prepare(backend) for backend in backends))
            assert await tables(backends[0]) == OURS
        finally:
            await asyncio.gather(*(backend.close() for backend in backends))

    asyncio.run(main())


def test_clean_begins_anew_and_keeps_what_is_not_soakds(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, Identity(1, 0, 0), 0, [0])
        foreign = backend.dialect.table("foreign_one")
        await execute(backend, f"CREATE TABLE {foreign} (n integer)", f"INSERT INTO {foreign} VALUES (7)")
        await prepare(backend, clean=True)
        assert await tables(backend) == OURS | {"foreign_one"}
        assert await ledger.stored(backend, EVENTS, Identity(1, 0, 0)) == 0
        assert await execute(backend, f"SELECT n FROM {foreign}") == [(7,)]

    on(make, check)


@pytest.mark.parametrize("name", sorted(OURS))
@pytest.mark.parametrize("clean", [False, True])
def test_somebody_elses_table_of_the_same_name_is_left_alone(
    make: Callable[[], Backend], name: str, *, clean: bool
) -> None:
    """Nothing is half created either. A foreign table of objects is no list of soakd's."""

    async def check(backend: Backend) -> None:
        if backend.dialect is not SQLITE:
            await execute(backend, "CREATE SCHEMA soakd")
        table = backend.dialect.table(name)
        await execute(backend, f"CREATE TABLE {table} (n integer)", f"INSERT INTO {table} VALUES (42)")
        with pytest.raises(TargetError) as refused:
            await prepare(backend, clean=clean)
        assert "\n" not in str(refused.value)
        assert await tables(backend) == {name}
        assert await execute(backend, f"SELECT n FROM {table}") == [(42,)]

    on(make, check)


@pytest.mark.parametrize("clean", [False, True])
def test_tables_of_a_newer_soakd_are_left_alone(make: Callable[[], Backend], *, clean: bool) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await execute(backend, f"UPDATE {backend.dialect.table('objects')} SET version = 99")
        with pytest.raises(TargetError, match="newer soakd"):
            await prepare(backend, clean=clean)
        assert await tables(backend) == OURS

    on(make, check)


def test_a_table_that_somebody_dropped_is_made_again(make: Callable[[], Backend]) -> None:
    """It stands in the list of soakd's tables, and is not there."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        await execute(backend, f"DROP TABLE {backend.dialect.table('events')}")
        await prepare(backend)
        assert await tables(backend) == OURS

    on(make, check)


def test_runs_that_begin_in_the_same_millisecond_get_different_numbers(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        numbers = [await ledger.register(backend, record(5)) for _ in range(3)]
        assert numbers == [5, 6, 7]

    on(make, check)


def test_a_run_is_remembered_with_its_accounts_and_how_it_ended(make: Callable[[], Backend]) -> None:
    first, second = Account(10, 8, 1, 1, 1), Account(4, 4, 0, 0, 0)

    async def check(backend: Backend) -> None:
        await prepare(backend)
        run = await ledger.register(backend, record(5))
        await ledger.register(backend, record(9))
        assert (await ledger.load_run(backend)).run == 9
        assert (await ledger.load_run(backend, run)).stop_reason == RUNNING
        await ledger.save_accounts(backend, {Identity(run, 0, 0): first})
        await ledger.save_accounts(backend, {Identity(run, 0, 0): Account(), Identity(run, 0, 1): second})
        await ledger.finish(backend, run, "SIGTERM")
        found = await ledger.load_run(backend, run)
        assert found == RunRecord(5, "0.1", "events", 4, 2, "SIGTERM", {(0, 0): first, (0, 1): second})

    on(make, check)


def test_a_run_without_its_supervisor_ends_with_the_last_shards_account(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        run = await ledger.register(backend, record(5))
        await ledger.save_accounts(backend, {Identity(run, 0, n): Account() for n in range(2)})
        await ledger.finish_alone(backend, run)
        assert (await ledger.load_run(backend, run)).stop_reason == RUNNING
        await ledger.save_accounts(backend, {Identity(run, 1, 0): Account()})
        await ledger.finish_alone(backend, run)
        assert (await ledger.load_run(backend, run)).stop_reason == ORPHANED
        await ledger.finish(backend, run, "duration")
        await ledger.finish_alone(backend, run)
        assert (await ledger.load_run(backend, run)).stop_reason == "duration"

    on(make, check)


def test_asking_for_a_run_that_is_not_there_names_those_that_are(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        with pytest.raises(UsageError, match="never run"):
            await ledger.load_run(backend)
        await prepare(backend)
        with pytest.raises(UsageError, match="none"):
            await ledger.load_run(backend)
        await ledger.register(backend, record(5))
        with pytest.raises(UsageError, match=re.escape("no run 4 in this target; the newest there: 5")):
            await ledger.load_run(backend, 4)

    on(make, check)


def test_rows_are_counted_by_life_of_a_shard_and_by_worker(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, Identity(5, 0, 0), 0, [0, 1, 3])
        await write(backend, Identity(5, 0, 1), 0, [EPOCH_KEYS, EPOCH_KEYS + 1])
        await write(backend, Identity(5, 1, 0), 2, [0])
        await write(backend, Identity(6, 0, 0), 0, [0])
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 0)) == 3
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 1)) == 2
        assert await ledger.stored(backend, EVENTS, Identity(5, 1, 0)) == 1
        assert await ledger.stored(backend, EVENTS, Identity(5, 1, 1)) == 0
        assert await ledger.by_worker(backend, EVENTS, 5) == [
            WorkerRows(0, 0, 0, 3, 3, 0, 3),
            WorkerRows(0, 0, 1, 2, 2, EPOCH_KEYS, EPOCH_KEYS + 1),
            WorkerRows(1, 2, 0, 1, 1, 0, 0),
        ]

    on(make, check)


def test_what_there_is_to_read_is_the_newest_run_that_wrote(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        assert await readable(backend, EVENTS) == []
        for run in (5, 6, 7):
            await ledger.register(backend, record(run, writers=0 if run == 7 else 3))
        await write(backend, Identity(5, 0, 0), 0, range(10))
        assert await readable(backend, EVENTS) == [Stretch(5, 0, 0, 0, 10)]
        await write(backend, Identity(6, 0, 0), 1, range(3))
        await write(backend, Identity(6, 1, 0), 0, range(2, 7))
        assert await readable(backend, EVENTS) == [Stretch(6, 0, 1, 0, 3), Stretch(6, 1, 0, 2, 5)]

    on(make, check)


def test_of_a_restarted_shard_each_workers_longest_life_is_read(make: Callable[[], Backend]) -> None:
    """All of it: one and the same row again and again would be no load at all."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        await ledger.register(backend, record(5, shards=1))
        await write(backend, Identity(5, 0, 0), 0, range(4))
        await write(backend, Identity(5, 0, 0), 2, range(10))
        await write(backend, Identity(5, 0, 1), 0, range(EPOCH_KEYS + 3, EPOCH_KEYS + 1000))
        await write(backend, Identity(5, 0, 1), 2, range(EPOCH_KEYS, EPOCH_KEYS + 9))
        await write(backend, Identity(5, 0, 2), 1, range(2 * EPOCH_KEYS, 2 * EPOCH_KEYS + 5))
        assert await readable(backend, EVENTS) == [
            Stretch(5, 0, 0, EPOCH_KEYS + 3, 997),
            Stretch(5, 0, 1, 2 * EPOCH_KEYS, 5),
            Stretch(5, 0, 2, 0, 10),
        ]

    on(make, check)


class Counted:
    """A backend that counts what it is asked."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.dialect = backend.dialect
        self.asked = 0

    async def transact(self, work: Transaction) -> Timed:
        """Pass it on."""
        self.asked += 1
        return await self.backend.transact(work)


def test_what_there_is_to_read_is_found_in_a_few_statements_whatever_the_number_of_workers(
    make: Callable[[], Backend],
) -> None:
    """Ten thousand workers are allowed, and the target may be a continent away."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        asked = []
        for run, writers in ((5, 1), (6, 40)):
            await ledger.register(backend, record(run, writers=writers, shards=1))
            for worker in range(writers):
                await write(backend, Identity(run, 0, worker % 2), worker, [worker % 2 * EPOCH_KEYS])
            counted = Counted(backend)
            assert len(await readable(cast("Backend", counted), EVENTS)) == writers
            asked.append(counted.asked)
        assert asked == [4, 6]  # the second run has two lives

    on(make, check)


def test_a_missing_row_does_not_end_what_there_is_to_read(make: Callable[[], Backend]) -> None:
    """Nor does one at the beginning; rows that were given up leave such gaps."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        await ledger.register(backend, record(5, shards=1))
        await write(backend, Identity(5, 0, 0), 0, [*range(1, 100), *range(102, 301)])
        assert await readable(backend, EVENTS) == [Stretch(5, 0, 0, 1, 300)]

    on(make, check)


def test_versions_name_the_database(make: Callable[[], Backend]) -> None:
    found = on(make, ledger.versions)
    assert found.keys() < {"sqlite_version", "server_version"}
    assert all(re.match(r"\d+\.\d+", version) for version in found.values())


def test_sessions_of_a_run_are_seen_and_can_be_ended(database: str) -> None:
    async def check(backend: Backend) -> None:
        with psycopg.connect(database, application_name="soakd 5/0.0"):
            assert not await ledger.quiet(backend, 5, insist=False)
            assert await ledger.quiet(backend, 55, insist=True)
            assert not await ledger.quiet(backend, 5, insist=True)
            for _ in range(200):
                if await ledger.quiet(backend, 5, insist=False):
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("the session does not end")

    on(lambda: postgres_backend(database), check)


def test_without_the_privilege_preparing_says_where_to_look(database: str) -> None:
    async def check(backend: Backend) -> None:
        await execute(backend, "CREATE ROLE soakd_nobody", "SET ROLE soakd_nobody")

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS soakd_nobody")
        connection.execute("CREATE ROLE soakd_nobody LOGIN")
    with pytest.raises(TargetError, match="soakd check"):
        on(lambda: postgres_backend(database.replace("postgres@", "soakd_nobody@")), prepare)


def test_the_null_target_remembers_nothing() -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        assert await ledger.register(backend, record(5)) == 5
        await ledger.save_accounts(backend, {Identity(5, 0, 0): Account()})
        await ledger.finish(backend, 5, "duration")
        await ledger.finish_alone(backend, 5)
        assert await ledger.versions(backend) == {}
        assert await readable(backend, EVENTS) == []
        assert await ledger.quiet(backend, 5, insist=True)

    on(null_backend, check)


def test_registering_on_a_target_that_refuses_is_told(make: Callable[[], Backend]) -> None:
    """There is no table to register in."""
    with pytest.raises(TargetError, match="cannot register"):
        on(make, lambda backend: ledger.register(backend, record()))
    with pytest.raises(OpError):
        on(make, lambda backend: ledger.finish(backend, 1, "duration"))
