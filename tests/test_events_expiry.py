"""Expiry of the oldest events: the table stays within its limit, the books balance, reads find their keys."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from daemon import ledger
from daemon.backends.base import Backend
from daemon.ledger import RunRecord
from daemon.ops import Transaction, Tx, Values
from daemon.record.account import Account
from daemon.results.verify import verify
from daemon.stretches import readable
from daemon.workloads.base import EPOCH_KEYS, Crowd, Identity, Progress, Scope, Stretch
from daemon.workloads.events import APPEND, EVENTS, consumers, look
from daemon.workloads.events_expiry import SWEEP, Expiry, block_size
from daemon.workloads.events_invariants import invariants
from daemon.workloads.expired import WorkerRows
from tests.test_backend_contract import postgres_backend, sqlite_backend
from tests.test_events import events, key_of
from tests.test_ledger import execute, on, prepare

RETAIN = 200
MOMENT = 1_000  # µs between two events
WORKERS = 3


class Wall:
    """A clock on the wall that stands still."""

    seconds = 2_000_000_000.0

    def __call__(self) -> float:
        """Return the time, s since the Unix epoch."""
        return self.seconds


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Makes backends of one empty database."""
    if request.param == "sqlite":
        return lambda: sqlite_backend(tmp_path / "events.db")
    url = request.getfixturevalue("database")
    return lambda: postgres_backend(url)


def expiry(backend: Backend, retain: int = RETAIN, wall: Callable[[], float] | None = None) -> Expiry:
    """Return what deletes the oldest events."""
    return Expiry(backend.dialect, EVENTS, retain, wall or Wall())


def rows(numbers: Sequence[int], *, run: int = 5, epoch: int = 0) -> list[Values]:
    """Return events by their place in time, the workers taking turns."""
    row = events().row(APPEND, 0, Random(1))
    first = epoch * EPOCH_KEYS
    return [
        (run, 0, n % WORKERS, first + n // WORKERS, (run * 10_000 + n) * MOMENT, *row[5:]) for n in numbers
    ]


async def write(backend: Backend, made: Sequence[Values], *, again: bool = False) -> None:
    """Store events."""
    await backend.write_rows(EVENTS, made, again=again)


async def step(backend: Backend, one: Expiry) -> Progress:
    """Do one step."""
    work = Transaction(one.step, read_only=False, isolation="repeatable read")
    result: Progress = (await backend.transact(work)).result
    return result


async def expire(backend: Backend, one: Expiry) -> int:
    """Delete until there is nothing to delete; return how many rows that were."""
    deleted = 0
    while (progress := await step(backend, one)).more:
        deleted += progress.rows
    return deleted


async def count(backend: Backend, run: int = 5) -> int:
    """Return how many rows of a run there are."""
    table = backend.dialect.table("events")
    number: int = (await execute(backend, f"SELECT count(*) FROM {table} WHERE run = {run}"))[0][0]
    return number


async def problems(backend: Backend, committed: int, *, lost: int = 0) -> list[str]:
    """Return what `verify` and the check of the sequences have to say about run 5."""
    account = Account(committed + lost, committed, 0, lost)
    record = RunRecord(5, "0.1", "events", 3, 1, "duration", {(0, 0): account})
    found = verify(record, await ledger.by_worker(backend, EVENTS, 5)).problems
    (invariant,) = invariants(dialect=backend.dialect, under_way=1)
    for complete in (False, True):
        scope = Scope(complete, 1000, Random(1), 5, account)
        work = Transaction(invariant.check, (scope,), isolation="repeatable read")
        found += (await backend.transact(work)).result
    return found


@pytest.mark.parametrize("written", [RETAIN - 1, RETAIN + 1, 5 * RETAIN])
def test_the_newest_rows_stay_and_the_books_know_of_the_others(
    make: Callable[[], Backend], written: int
) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, rows(range(written)))
        deleted = await expire(backend, expiry(backend))
        left = await count(backend)
        assert left + deleted == written
        assert min(written, RETAIN - block_size(RETAIN)) <= left <= RETAIN
        table = backend.dialect.table("events")
        oldest = await execute(backend, f"SELECT min(ts) FROM {table}")
        assert oldest[0][0] == (50_000 + deleted) * MOMENT
        held = await ledger.by_worker(backend, EVENTS, 5)
        assert sum(one.expired for one in held) == deleted
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 0)) == written
        assert await problems(backend, written) == []

    on(make, check)


def test_what_is_written_meanwhile_is_followed(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        one = expiry(backend)
        for n in range(0, 2000, 50):
            await write(backend, rows(range(n, n + 50)))
            await expire(backend, one)
            assert await count(backend) <= RETAIN
        assert await count(backend) > RETAIN - block_size(RETAIN) - 1
        assert await problems(backend, 2000) == []

    on(make, check)


def test_a_limit_that_is_reached_within_a_second_holds_too(make: Callable[[], Backend]) -> None:
    """Events are counted for good when they are a second old; there are none such here."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, rows(range(1000)))
        one = expiry(backend, wall=lambda: 50_000 * MOMENT / 1e6)
        assert await expire(backend, one) >= 1000 - RETAIN
        assert RETAIN - block_size(RETAIN) <= await count(backend) <= RETAIN
        assert await problems(backend, 1000) == []

    on(make, check)


def test_rows_of_earlier_runs_go_first_and_into_the_books_of_those(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, rows(range(150), run=4))
        await write(backend, rows(range(150)))
        await expire(backend, expiry(backend))
        assert (await count(backend, 4), await count(backend)) == (50, 150)
        held = await ledger.by_worker(backend, EVENTS, 4)
        assert [one.expired for one in held] == [34, 33, 33]
        assert [one.first for one in held] == [34, 33, 33]
        await ledger.forget_rows(backend, EVENTS, 5)
        assert await ledger.by_worker(backend, EVENTS, 4) == []
        assert await problems(backend, 150) == []

    on(make, check)


def test_lives_of_a_worker_have_books_of_their_own(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, rows(range(300)))
        await write(backend, rows(range(300, 600), epoch=2))
        await expire(backend, expiry(backend))
        held = await ledger.by_worker(backend, EVENTS, 5)
        assert [(one.epoch, one.expired) for one in held if one.worker == 1] == [(0, 100), (2, 33)]
        assert held[0] == WorkerRows(0, 0, 0, 0, 0, 100, 99, 100)
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 0)) == 300
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 2)) == 300

    on(make, check)


class BreakError(Exception):
    """The transaction is to be rolled back."""


def test_a_step_that_is_undone_is_undone_in_the_books_too(make: Callable[[], Backend]) -> None:
    """As one is that a killed engine had not committed; what is left goes with the next sweep."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, rows(range(1000)))
        wall = Wall()
        one = expiry(backend, wall=wall)

        async def broken(tx: Tx) -> None:
            await one.step(tx)
            raise BreakError

        with pytest.raises(BreakError):
            await backend.transact(Transaction(broken, read_only=False, isolation="repeatable read"))
        assert await count(backend) == 1000
        assert await problems(backend, 1000) == []
        await expire(backend, one)
        wall.seconds += SWEEP + 1
        await write(backend, rows(range(1000, 1021)))
        await expire(backend, one)
        assert await count(backend) <= RETAIN
        assert await problems(backend, 1021) == []

    on(make, check)


def test_a_row_that_comes_late_goes_with_a_sweep(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        everything = rows(range(1000))
        await write(backend, everything[:100] + everything[101:])
        wall = Wall()
        one = expiry(backend, wall=wall)
        await expire(backend, one)
        assert await problems(backend, 999, lost=1) == []
        await write(backend, [everything[100]])
        assert await problems(backend, 1000) == [], "there, and older than what has expired"
        wall.seconds += SWEEP + 1
        await write(backend, rows(range(1000, 1100)))
        await expire(backend, one)
        table = backend.dialect.table("events")
        assert await execute(backend, f"SELECT 1 FROM {table} WHERE ts < 50500000") == []
        assert await problems(backend, 1100) == []

    on(make, check)


def test_a_row_that_is_sent_again_after_it_has_expired_is_counted_once(make: Callable[[], Backend]) -> None:
    """Its first COMMIT had got no answer."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        everything = rows(range(1000))
        await write(backend, everything)
        wall = Wall()
        one = expiry(backend, wall=wall)
        await expire(backend, one)
        await write(backend, everything[10:20], again=True)
        assert await problems(backend, 1000) == []
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 0)) == 1000
        wall.seconds += SWEEP + 1
        await write(backend, rows(range(1000, 1100)))
        await expire(backend, one)
        assert await count(backend) <= RETAIN
        assert await problems(backend, 1100) == []
        assert await ledger.stored(backend, EVENTS, Identity(5, 0, 0)) == 1100

    on(make, check)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE {books} SET deleted = deleted - 1 WHERE worker = 1", "1 gaps in the workers' sequences"),
        ("UPDATE {books} SET deleted = deleted - 1 WHERE worker = 1", "1000 were acknowledged"),
        ("DELETE FROM {events} WHERE seq = 320 AND worker = 2", "1 of 1000 committed rows are missing"),
        ("DELETE FROM {events} WHERE seq = 320 AND worker = 2", "worker 2 lacks 1 rows"),
        ("DELETE FROM {books}", "800 of 1000 committed rows are missing"),
    ],
)
def test_what_is_gone_without_having_expired_is_missed(
    make: Callable[[], Backend], change: str, words: str
) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, rows(range(1000)))
        await expire(backend, expiry(backend))
        assert await problems(backend, 1000) == []
        sql = backend.dialect.sql(change, books="events_expired", events="events")
        await execute(backend, sql)
        assert any(words in problem for problem in await problems(backend, 1000))

    on(make, check)


def test_a_run_that_only_reads_finds_what_has_not_expired(make: Callable[[], Backend]) -> None:
    """Of workers of which one was much slower than the others, too."""

    async def check(backend: Backend) -> None:
        await prepare(backend)
        slow = [row for n, row in enumerate(rows(range(900))) if n % WORKERS != 2 or n % 9 == 2]
        made = [(*row[:3], row[3] // 3 if row[2] == 2 else row[3], *row[4:]) for row in slow]
        await write(backend, made)
        await expire(backend, expiry(backend, 100))
        left = {(one.worker, one.first, one.rows) for one in await ledger.by_worker(backend, EVENTS, 5)}
        assert min(rows for _, _, rows in left) > 5
        assert max(first for _, first, _ in left) - min(first for _, first, _ in left) > 100
        assert await readable(backend, EVENTS) == [
            Stretch(5, 0, worker, first, rows) for worker, first, rows in sorted(left)
        ]

    on(make, check)


@pytest.mark.parametrize("shards", [1, 2])
def test_reads_ask_for_keys_that_have_not_expired(shards: int) -> None:
    """Whatever the speeds of the workers; shards are of one speed to some tenths."""
    retain, rng = 500, Random(6)
    made = [
        events(identity=Identity(7, shard, 0), workers=4, retain=retain, shards=shards)
        for shard in range(shards)
    ]
    newest: list[tuple[int, ...]] = []
    asked = set()
    for n in range(4000):
        shard = n % shards if rng.random() < 0.9 else rng.randrange(shards)
        worker = min(rng.randrange(4), rng.randrange(4))
        row = made[shard].row(APPEND, worker, rng)
        newest = [*newest[1 - (retain - block_size(retain)) :], row[:4]]
        if n > 100 and n % 5 == 0:
            key = key_of(made[rng.randrange(shards)], rng)
            asked.add(newest.index(key))
    assert max(asked) - min(asked) > 0.7 * (retain - block_size(retain))


def test_without_a_limit_all_keys_are_asked_for_and_nothing_is_deleted() -> None:
    workload, rng = events(workers=1), Random(1)
    for _ in range(3000):
        workload.row(APPEND, 0, rng)
    assert min(key_of(workload, rng)[3] for _ in range(3000)) < 50


@pytest.mark.parametrize(("writers", "retain"), [(0, 0), (4, 50)])
def test_a_run_that_writes_nothing_deletes_nothing(writers: int, retain: int) -> None:
    assert asyncio.run(look(crowd=Crowd(2, writers, 5), retain=50)) == {"shards": 2, "retain": retain}


def test_a_consumer_does_it() -> None:
    backend = postgres_backend("postgresql://nowhere")
    assert consumers(dialect=backend.dialect, wall=Wall(), retain=0) == ()
    (one,) = consumers(dialect=backend.dialect, wall=Wall(), retain=5)
    assert one.name == "expiry"
    assert one.step.isolation == "repeatable read"
