"""Closing the books: rows in doubt are counted in the table, once nobody can write them any more."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from daemon import ledger
from daemon.backends.base import Backend
from daemon.control import settle
from daemon.control.settle import Books
from daemon.errors import OpError
from daemon.ops import Table
from daemon.record.account import Account
from daemon.workloads.base import Identity
from daemon.workloads.events import EVENTS
from tests.servers import free_port
from tests.test_backend_contract import null_backend, postgres_backend, sqlite_backend
from tests.test_ledger import on, prepare, record, write

RUN = 5
FIRST, SECOND = Identity(RUN, 0, 0), Identity(RUN, 0, 1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses between tries short."""
    monkeypatch.setattr(settle, "PAUSE", 0.05)


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Makes backends of one empty database."""
    if request.param == "sqlite":
        return lambda: sqlite_backend(tmp_path / "books.db")
    url = request.getfixturevalue("database")
    return lambda: postgres_backend(url)


def begin(make: Callable[[], Backend], rows: dict[Identity, int]) -> None:
    """Register a run and write rows of its lives."""

    async def fill(backend: Backend) -> None:
        await prepare(backend)
        await ledger.register(backend, record(RUN, shards=1))
        for identity, number in rows.items():
            first = identity.first_seq
            if number:
                await write(backend, identity, 0, range(first, first + number))

    on(make, fill)


def close(make: Callable[[], Backend], accounts: dict[Identity, Account]) -> Books:
    """Settle the accounts."""
    return asyncio.run(settle.settle(make, [EVENTS], accounts, stop_reason="duration"))


def test_accounts_without_doubt_are_written_down_as_they_are(make: Callable[[], Backend]) -> None:
    begin(make, {FIRST: 3})
    accounts = {FIRST: Account(4, 3, 1), SECOND: Account()}
    assert close(make, accounts) == Books(accounts, 0, None)
    found = on(make, lambda backend: ledger.load_run(backend, RUN))
    assert found.stop_reason == "duration"
    assert found.accounts == {(0, 0): Account(4, 3, 1), (0, 1): Account()}


def test_rows_in_doubt_that_are_there_were_committed(make: Callable[[], Backend]) -> None:
    begin(make, {FIRST: 7, SECOND: 2})
    books = close(make, {FIRST: Account(10, 5, 1, 4, 4), SECOND: Account(6, 2, 0, 4, 4)})
    assert books.accounts == {FIRST: Account(10, 7, 1, 2, 0), SECOND: Account(6, 2, 0, 4, 0)}
    assert (books.lost, books.problem) == (0, None)
    assert books.total == Account(16, 9, 1, 6, 0)
    found = on(make, lambda backend: ledger.load_run(backend, RUN))
    assert found.accounts == {(0, 0): Account(10, 7, 1, 2, 0), (0, 1): Account(6, 2, 0, 4, 0)}


def test_acknowledged_rows_that_are_not_there_are_lost(make: Callable[[], Backend]) -> None:
    begin(make, {FIRST: 3})
    books = close(make, {FIRST: Account(10, 5, 0, 5, 5)})
    assert books.lost == 2
    assert books.accounts == {FIRST: Account(10, 5, 0, 5, 0)}


def test_a_target_that_is_gone_leaves_the_doubts_and_says_so() -> None:
    accounts = {FIRST: Account(10, 5, 0, 5, 5)}
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
    books = close(lambda: postgres_backend(nowhere), accounts)
    assert (books.accounts, books.lost) == (accounts, 0)
    assert books.problem
    assert "refused" in books.problem
    assert books.total == Account(10, 5, 0, 5, 5)


def test_a_target_that_comes_back_is_tried_again(
    make: Callable[[], Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first count fails half-way through."""
    count, tried = ledger.stored, []

    async def refuse_once(backend: Backend, table: Table, identity: Identity) -> int:
        tried.append(identity)
        if len(tried) == 1:
            raise OpError("busy", "locked by somebody")
        return await count(backend, table, identity)

    begin(make, {FIRST: 7})
    monkeypatch.setattr(ledger, "stored", refuse_once)
    books = close(make, {FIRST: Account(10, 5, 0, 5, 5)})
    assert len(tried) == 2
    assert (books.problem, books.total.committed) == (None, 7)


def test_a_session_that_a_killed_engine_left_cannot_commit_after_the_count(database: str) -> None:
    """It holds rows that are not committed; counted now and committed later they would be in no account."""

    def make() -> Backend:
        return postgres_backend(database)

    begin(make, {FIRST: 5})
    with psycopg.connect(database, application_name=f"soakd {RUN}/0.0") as orphan:
        orphan.execute(
            "INSERT INTO soakd.events SELECT run, shard, worker, seq + 100, ts, level, service, message, "
            "attributes FROM soakd.events"
        )
        books = close(make, {FIRST: Account(10, 5, 0, 5, 5)})
        with pytest.raises(psycopg.OperationalError):
            orphan.commit()
    assert (books.problem, books.accounts) == (None, {FIRST: Account(10, 5, 0, 5, 0)})
    assert on(make, lambda backend: ledger.stored(backend, EVENTS, FIRST)) == 5


def test_while_sessions_do_not_end_the_doubts_stay(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be another user's, which we cannot end: then nothing is claimed about their rows."""

    def make() -> Backend:
        return postgres_backend(database)

    async def never(backend: Backend, run: int, *, insist: bool) -> bool:
        return False

    begin(make, {FIRST: 5})
    monkeypatch.setattr(ledger, "quiet", never)
    accounts = {FIRST: Account(10, 5, 0, 5, 5)}
    books = close(make, accounts)
    assert books.accounts == accounts
    assert books.problem
    assert "sessions" in books.problem
    found = on(make, lambda backend: ledger.load_run(backend, RUN))
    assert found.accounts == {(0, 0): accounts[FIRST]}


def test_the_null_target_settles_nothing() -> None:
    accounts = {FIRST: Account(10, 5, 0, 5, 5)}
    assert close(null_backend, accounts) == Books(accounts, 0, None)
