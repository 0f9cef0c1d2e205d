"""Rows that are counted: what a batch adds, and that it adds it once, whatever happens to its COMMIT."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import ledger
from daemon.backends.base import Backend
from daemon.errors import OpError
from daemon.load.batch import BatchPolicy
from daemon.load.merge import Merger, merge_rows
from daemon.ops import Timed, Transaction, Tx, Values
from daemon.record.account import Account
from daemon.stretches import readable
from daemon.workloads.base import EPOCH_KEYS, Identity
from daemon.workloads.merging import MergedRows
from daemon.workloads.progress.tables import EVENTS, MERGE
from tests.faults import Cut
from tests.progress_rig import RUN, Place, Rig, loaded, place, rows_of, writer_of
from tests.servers import Server
from tests.test_backend_contract import null_backend
from tests.test_backend_postgres import before as before_server
from tests.test_backend_postgres import through

__all__ = ["place"]  # a fixture

KEY = len(MERGE.counters.key)
LIFE = Identity(RUN, 0, 0)


IN_ONE = "SELECT events, value, ts FROM {counters} WHERE user_id = 1 AND challenge = 1 AND goal = 1"


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 9), st.integers(0, 4)), min_size=1
    )
)
def test_a_batch_is_counted_by_key_and_the_latest_value_stays(drawn: list[tuple[int, int, int, int]]) -> None:
    rows = [(RUN, 0, 0, n, user, 1, goal, value, ts) for n, (user, goal, value, ts) in enumerate(drawn)]
    merged = merge_rows(rows, KEY)
    keys = [row[:KEY] for row in merged]
    assert keys == sorted(set(keys)), "in one order everywhere, or flushers would wait for each other"
    assert {row[:KEY]: row[KEY] for row in merged} == Counter((user, 1, goal) for user, goal, _, _ in drawn)
    for user, _, goal, _, value, ts in merged:
        mine = [(one[3], n, one[2]) for n, one in enumerate(drawn) if one[:2] == (user, goal)]
        assert (ts, value) == (max(mine)[0], max(mine)[2])


def test_batches_add_up_and_a_late_one_does_not_bring_old_values_back(place: Place) -> None:
    async def check(rig: Rig) -> None:
        await rig.sql("DELETE FROM {counters}")
        early, late = (Merger(MERGE, number, rig.backend) for number in range(2))
        await late.write(rows_of([5, 6]), again=False)
        await early.write(rows_of([3, 4]), again=False)
        assert await rig.sql(IN_ONE) == [(4, 7, 7)]
        await early.write(rows_of([9]), again=False)
        assert await rig.sql(IN_ONE) == [(5, 10, 10)]

    place.run(check)


def test_a_batch_that_was_committed_adds_nothing_the_second_time(place: Place) -> None:
    """The first batch of a flusher and later ones, tried again as often as you like."""

    async def check(rig: Rig) -> None:
        before = await rig.counted()
        merger = Merger(MERGE, 0, rig.backend)
        for number in range(3):
            rows = rows_of(range(10 * number, 10 * number + 10))
            await merger.write(rows, again=False)
            for _ in range(3):
                await merger.write(rows, again=True)
            assert await rig.counted() == before + 10 * (number + 1)
        assert await ledger.merged(rig.backend, MERGE, RUN) == [MergedRows(0, 0, 30)]
        assert await ledger.miscounted(rig.backend, MERGE) is None

    place.run(check)


def test_a_batch_that_was_not_committed_is_added_the_second_time(place: Place) -> None:
    async def check(rig: Rig) -> None:
        before = await rig.counted()
        merger = Merger(MERGE, 0, _Breaking(rig.backend))  # type: ignore[arg-type]
        for number in range(3):
            rows = rows_of(range(10 * number, 10 * number + 10))
            with pytest.raises(OpError):
                await merger.write(rows, again=False)
            assert await rig.counted() == before + 10 * number
            await merger.write(rows, again=True)
            assert await rig.counted() == before + 10 * (number + 1)

    place.run(check)


class _Breaking:
    """Runs a transaction to its end and then rolls it back, every first time of two."""

    def __init__(self, backend: Backend) -> None:
        self.dialect = backend.dialect
        self._backend = backend
        self._calls = 0

    async def transact(self, work: Transaction) -> Timed:
        self._calls += 1
        if self._calls % 2 == 0:
            return await self._backend.transact(work)

        async def broken(tx: Tx) -> None:
            await work.fn(tx, *work.args)
            raise OpError("connection", "cut off", in_doubt=True)

        return await self._backend.transact(Transaction(broken, read_only=False))


def test_flushers_and_lives_are_told_apart(place: Place) -> None:
    async def check(rig: Rig) -> None:
        before = await rig.counted()
        for flusher in range(2):
            await Merger(MERGE, flusher, rig.backend).write(rows_of([flusher]), again=True)
        second_life = [(RUN, 0, 0, EPOCH_KEYS + n, 1, 1, 1, 1, 1) for n in range(3)]
        await Merger(MERGE, 0, rig.backend).write(second_life, again=True)
        other_shard = [(RUN, 1, *row[2:]) for row in second_life]
        await Merger(MERGE, 0, rig.backend).write(other_shard, again=True)
        assert await rig.counted() == before + 8
        assert await ledger.merged(rig.backend, MERGE, RUN) == [
            MergedRows(0, 0, 2), MergedRows(0, 1, 3), MergedRows(1, 1, 3),
        ]  # fmt: skip
        lives = (LIFE, Identity(RUN, 0, 1), Identity(RUN, 1, 1), Identity(RUN, 2, 0))
        assert [await ledger.stored(rig.backend, EVENTS, one) for one in lives] == [2, 3, 3, 0]
        assert await readable(rig.backend, EVENTS) == []

    place.run(check)


@pytest.mark.parametrize("lost", ["reply", "request"])
def test_batches_whose_commit_got_no_answer_are_counted_once(
    postgres: Server, database: str, lost: Cut
) -> None:
    """Over a network that cuts some COMMITs off, before or after the server got them."""
    there = loaded(database)
    rows = 2000

    async def check(rig: Rig) -> int:
        before = await rig.counted()
        loading = asyncio.create_task(rig.load(rows, flushers=4))
        cuts = 0
        while not loading.done() and cuts < 10:  # more often, and there would be no connection left
            wire.cut_at(b"COMMIT", lost)
            cuts += 1
            await asyncio.sleep(0.02)
        wire.cut_at(b"something that nobody sends", lost)
        account = await loading
        assert account == Account(rows, rows)
        assert await rig.counted() == before + rows
        assert await ledger.merged(rig.backend, MERGE, RUN) == [MergedRows(0, 0, rows)]
        assert await ledger.miscounted(rig.backend, MERGE) is None
        return cuts

    with before_server(postgres) as wire:
        assert there.run(check, through(database, wire.port), writers=10) > 3


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("batches_before", [0, 1])
def test_a_retry_waits_for_the_first_try_and_sees_what_became_of_it(
    database: str, batches_before: int, *, commits: bool
) -> None:
    """The server may be at the COMMIT of a connection that is gone for a while yet."""

    async def check(rig: Rig) -> None:
        before = await rig.counted()
        backend = _Lingering(rig.backend)
        merger = Merger(MERGE, 0, backend)  # type: ignore[arg-type]
        for number in range(batches_before):
            backend.lingers = False
            await merger.write(rows_of([100 + number]), again=False)
        backend.lingers = True
        rows = rows_of(range(10))
        with pytest.raises(OpError):
            await merger.write(rows, again=False)
        retry = asyncio.create_task(merger.write(rows, again=True))
        await blocked(rig)
        assert await rig.counted() == before + batches_before
        await backend.end(commits=commits)
        await retry
        assert await rig.counted() == before + batches_before + 10
        assert await ledger.miscounted(rig.backend, MERGE) is None

    loaded(database).run(check)


class _Lingering:
    """Leaves a transaction before its COMMIT and says that it does not know what became of it."""

    def __init__(self, backend: Backend) -> None:
        self.dialect = backend.dialect
        self.lingers = True
        self._backend = backend
        self._done, self._go_on = asyncio.Event(), asyncio.Event()
        self._commits = False
        self._left: asyncio.Future[Timed] | None = None

    async def transact(self, work: Transaction) -> Timed:
        if not self.lingers:
            return await self._backend.transact(work)

        async def linger(tx: Tx) -> None:
            await work.fn(tx, *work.args)
            self._done.set()
            await self._go_on.wait()
            if not self._commits:
                raise OpError("other", "rolled back")

        self.lingers = False
        self._left = asyncio.ensure_future(self._backend.transact(Transaction(linger, read_only=False)))
        await self._done.wait()
        raise OpError("connection", "cut off", in_doubt=True)

    async def end(self, *, commits: bool) -> None:
        """End what was left, one way or the other."""
        assert self._left is not None
        self._commits = commits
        self._go_on.set()
        await asyncio.wait({self._left})
        assert (self._left.exception() is None) == commits


async def blocked(rig: Rig) -> None:
    """Wait until a session of the server waits for another one."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
    give_up = asyncio.get_running_loop().time() + 10
    while not (await rig.sql(sql))[0][0]:
        assert asyncio.get_running_loop().time() < give_up
        await asyncio.sleep(0.005)


def test_flushers_that_meet_in_the_same_counters_do_not_deadlock(database: str) -> None:
    """Each batch holds nearly all keys that there are, in an order of its own."""
    there = loaded(database)

    async def check(rig: Rig) -> None:
        before = await rig.counted()
        accounts = await asyncio.gather(*(rig.load(3000, shard=n, flushers=3, size=100) for n in range(3)))
        assert accounts == [Account(3000, 3000)] * 3
        assert await rig.counted() == before + 9000
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert await rig.sql(deadlocks) == [(0,)]

    there.run(check, writers=10)


def test_an_event_that_cannot_be_stored_is_found_and_the_others_are_counted(place: Place) -> None:
    async def check(rig: Rig) -> None:
        before = await rig.counted()
        cells = [0] * 5
        writer = writer_of(rig.backend, cells, BatchPolicy(size=16, timeout=0.0, capacity=99))
        failed: list[Values] = []
        writer._on_failed = lambda values, _: failed.append(values)
        rows = [(*row[:6], n % 4 + 1, *row[7:]) for n, row in enumerate(rows_of(range(16)))]
        rows[15] = (*rows[15][:7], None, rows[15][8])  # the latest of its counter
        acks = [writer.accept(row, 0.0, 0.0, 0.0) for row in rows]
        writer.close()
        await writer.run()
        assert Account.of(cells) == Account(16, 15, 1)
        assert [values[3] for values in failed] == [15]
        assert [ack.exception() is None for ack in acks] == [n != 15 for n in range(16)]
        assert await rig.counted() == before + 15

    place.run(check)


def test_a_batch_in_doubt_is_never_split(place: Place) -> None:
    """Its halves would have other numbers: if it was committed, they would be added once more."""

    async def check(rig: Rig) -> None:
        before = await rig.counted()
        cells = [0] * 5
        backend: Any = _Refusing(rig.backend)
        writer = writer_of(
            backend, cells, BatchPolicy(size=16, timeout=0.0, capacity=99, retry_initial=0.001)
        )
        acks = [writer.accept(row, 0.0, 0.0, 0.0) for row in rows_of(range(16))]
        writer.close()
        await writer.run()
        assert backend.calls == 2
        assert Account.of(cells) == Account(16, 0, 16, 0, 16), "in doubt until it is counted in the target"
        assert all(isinstance(ack.exception(), OpError) for ack in acks)
        assert await rig.counted() == before + 16
        assert await ledger.stored(rig.backend, EVENTS, LIFE) == 16

    place.run(check)


class _Refusing:
    """Commits the first transaction and says that it does not know, then refuses everything."""

    def __init__(self, backend: Backend) -> None:
        self.dialect = backend.dialect
        self.calls = 0
        self._backend = backend

    async def transact(self, work: Transaction) -> Timed:
        self.calls += 1
        if self.calls > 1:
            raise OpError("other", "permission denied")
        await self._backend.transact(work)
        raise OpError("connection", "no answer to COMMIT", in_doubt=True)


def test_a_target_that_stores_nothing_takes_batches_too() -> None:
    async def check() -> int:
        merger = Merger(MERGE, 0, null_backend())
        timed = [await merger.write(rows_of(range(3)), again=again) for again in (False, True)]
        return len(timed)

    assert asyncio.run(check()) == 2
