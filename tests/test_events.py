"""The workload `events`: rows with keys of their own, reads of rows that are there, by an index."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.backends.base import NULL, POSTGRES, SQLITE, Backend
from daemon.ops import Transaction, Tx, Values
from daemon.workloads.base import EPOCH_KEYS, Identity, Stretch
from daemon.workloads.events import (
    APPEND,
    BY_KEY,
    BY_SERVICE,
    EVENTS,
    LEVEL_COUNTS,
    LEVELS,
    NEWEST,
    Events,
)
from daemon.workloads.keys import DISTRIBUTIONS, Distribution, latest, uniform, zipf
from tests.test_backend_contract import postgres_backend, sqlite_backend

NOW = 1_800_000_000.0  # s since the epoch
READS = (BY_KEY, NEWEST, BY_SERVICE, LEVEL_COUNTS)
FIRST_LIFE = Identity(7, 1, 0)
WEIGHTS = {"by_key": 70.0, "newest": 20.0, "by_service": 9.0, "level_counts": 1.0, "search": 0.0}
COLUMN = {name: number for number, (name, _) in enumerate(EVENTS.columns)}


def events(
    *,
    identity: Identity = FIRST_LIFE,
    workers: int = 3,
    keys: Distribution = "uniform",
    message_size: int = 120,
    existing: Sequence[Stretch] = (),
    weights: Mapping[str, float] | None = None,
    wall: Callable[[], float] = lambda: NOW,
    seed: str = "s",
    dialect: Any = NULL,
    retain: int = 0,
    shards: int = 1,
) -> Events:
    """Return the workload of one shard."""
    return Events(
        identity=identity,
        dialect=dialect,
        workers=workers,
        message_size=message_size,
        services=20,
        keys=keys,
        limit=50,
        window=60.0,
        weights={**WEIGHTS, **(weights or {})},
        existing=existing,
        wall=wall,
        rng=Random(seed),
        retain=retain,
        shards=shards,
    )


def append(workload: Events, worker: int, rng: Random) -> dict[str, Any]:
    """Return the next row of a worker, by column."""
    return dict(zip(COLUMN, workload.row(APPEND, worker, rng), strict=True))


def read(workload: Events, op: int, rng: Random) -> Transaction:
    """Return the next read of a kind."""
    return workload.transaction(op, 0, rng)


def key_of(workload: Events, rng: Random) -> tuple[int, int, int, int]:
    """Return the run, shard, worker and sequence number that the next read by key asks for."""
    found: tuple[int, int, int, int] = read(workload, BY_KEY, rng).args[1]
    return found


def test_each_workers_rows_are_numbered_without_gaps_from_the_first_number_of_its_life() -> None:
    workload, rng = events(identity=Identity(7, 1, 2)), Random(1)
    rows = [append(workload, n % 3, rng) for n in range(30)]
    for worker in range(3):
        mine = [row for row in rows if row["worker"] == worker]
        assert [row["seq"] for row in mine] == [2 * EPOCH_KEYS + n for n in range(10)]
    assert {(row["run"], row["shard"]) for row in rows} == {(7, 1)}


def test_lives_of_a_shard_share_no_key() -> None:
    """However many rows the first life wrote, below a bound that takes years to reach."""
    first, second = events(identity=Identity(7, 1, 0)), events(identity=Identity(7, 1, 1))
    first._seqs[0] = EPOCH_KEYS - 1
    rng = Random(1)
    assert append(first, 0, rng)["seq"] < append(second, 0, rng)["seq"]


@pytest.mark.parametrize("size", [1, 120, 100_000])
def test_a_message_is_as_long_as_it_should_be_wherever_it_is_cut_from(size: int) -> None:
    workload, rng = events(message_size=size), Random(1)
    messages = [append(workload, 0, rng)["message"] for _ in range(200)]
    assert {len(message.encode()) for message in messages} == {size}
    assert len(set(messages)) > (10 if size == 1 else 190)


def test_payloads_are_drawn_anew_for_each_row() -> None:
    workload, rng = events(), Random(1)
    rows = [append(workload, 0, rng) for _ in range(4000)]
    assert {row["level"] for row in rows} == set(LEVELS)
    assert Counter(row["level"] for row in rows).most_common(1)[0][0] == "info"
    assert len({row["service"] for row in rows}) == 20
    assert len({row["message"] for row in rows}) > 3500
    documents = {row["attributes"] for row in rows}
    assert len(documents) > 2000
    assert all(json.loads(document).keys() == {"user", "status", "bytes"} for document in documents)
    assert {row["ts"] for row in rows} == {int(NOW * 1e6)}


def test_a_seed_repeats_everything_and_another_one_nothing() -> None:
    def draws(seed: str) -> list[Any]:
        workload, rng = events(seed=seed, keys="zipf"), Random(seed)
        rows = [append(workload, n % 3, rng) for n in range(300)]
        return [rows, [read(workload, op, rng).args[1] for _ in range(20) for op in READS]]

    assert draws("a") == draws("a")
    assert draws("a")[0] != draws("b")[0]
    assert draws("a")[1] != draws("b")[1]


@pytest.mark.parametrize("keys", DISTRIBUTIONS)
def test_a_read_by_key_asks_for_a_row_that_is_settled(keys: Distribution) -> None:
    """The last row of a worker may be under way still, so it is not asked for."""
    workload, rng = events(keys=keys), Random(1)
    for n in range(90):
        append(workload, n % 3, rng)
    drawn = [key_of(workload, rng) for _ in range(2000)]
    assert {key[:2] for key in drawn} == {(7, 1)}
    assert {key[2] for key in drawn} == {0, 1, 2}
    assert {key[3] for key in drawn} <= set(range(29))
    assert len({key[3] for key in drawn}) > 20


def test_keys_follow_the_rows_that_come_during_the_run() -> None:
    workload, rng = events(keys="latest", workers=1), Random(1)
    seen = []
    for _ in range(5):
        for _ in range(100):
            append(workload, 0, rng)
        seen.append(max(key_of(workload, rng)[3] for _ in range(200)))
    assert seen == [98, 198, 298, 398, 498]


def test_before_there_are_rows_the_first_one_is_asked_for() -> None:
    workload, rng = events(identity=Identity(7, 1, 3)), Random(1)
    assert {key_of(workload, rng)[3] for _ in range(50)} == {3 * EPOCH_KEYS}


def test_a_run_without_writers_asks_for_rows_of_an_earlier_run() -> None:
    stretches = [Stretch(3, 0, 0, 100, 10), Stretch(3, 1, 4, 0, 1)]
    workload, rng = events(workers=0, existing=stretches), Random(1)
    drawn = {key_of(workload, rng) for _ in range(500)}
    assert drawn == {(3, 0, 0, n) for n in range(100, 110)} | {(3, 1, 4, 0)}


def test_spans_of_time_end_in_the_last_window_and_vary() -> None:
    workload, rng = events(), Random(1)
    now, window = int(NOW * 1e6), 60_000_000
    drawn = [read(workload, BY_SERVICE, rng).args[1] for _ in range(200)]
    for _, start, end, limit in drawn:
        assert end - start == window
        assert now - window < end <= now
        assert limit == 50
    assert len({end for _, _, end, _ in drawn}) > 190
    assert len({service for service, *_ in drawn}) == 20
    assert read(workload, LEVEL_COUNTS, rng).args[1] == (now - window,)


def test_every_read_is_one_statement_that_only_reads() -> None:
    workload, rng = events(), Random(1)
    for op in READS:
        work = read(workload, op, rng)
        assert work.read_only
        assert work.single


def test_operations_carry_the_weights_that_were_asked_for() -> None:
    workload = events(weights={"by_key": 1, "newest": 0, "by_service": 2.5, "level_counts": 0})
    assert [(op.name, op.pool, op.weight) for op in workload.ops] == [
        ("append", "writer", 1.0),
        ("by_key", "reader", 1),
        ("newest", "reader", 0),
        ("by_service", "reader", 2.5),
        ("level_counts", "reader", 0),
        ("search", "reader", 0),
    ]


@given(n=st.integers(1, 10**12), seed=st.integers(0, 10**6), name=st.sampled_from(sorted(DISTRIBUTIONS)))
def test_keys_lie_in_range(n: int, seed: int, name: Distribution) -> None:
    rng = Random(seed)
    assert all(0 <= DISTRIBUTIONS[name](n, rng) < n for _ in range(50))


def shares(draw: Callable[[int, Random], int], n: int, times: int = 40_000) -> list[float]:
    """Return how often each of n keys was drawn, as a share."""
    rng = Random(5)
    counts = Counter(draw(n, rng) for _ in range(times))
    return [counts[key] / times for key in range(n)]


def test_uniform_keys_are_all_alike() -> None:
    assert shares(uniform, 10) == pytest.approx([0.1] * 10, abs=0.01)


def test_zipf_keys_follow_their_law() -> None:
    """P(k) = log of (k + 2) / (k + 1) to the base n + 1."""
    n = 10
    law = [math.log((k + 2) / (k + 1), n + 1) for k in range(n)]
    assert sum(law) == pytest.approx(1)
    assert shares(zipf, n) == pytest.approx(law, abs=0.01)


def test_latest_keys_are_those_of_zipf_from_the_other_end() -> None:
    assert shares(latest, 50)[::-1] == pytest.approx(shares(zipf, 50), abs=0.005)
    assert shares(latest, 50)[-1] > 5 * shares(latest, 50)[0]


async def filled(backend: Backend, rows: int) -> Events:
    """Create the table and write rows of the last hour into it."""
    workload = events(dialect=backend.dialect, identity=Identity(7, 0, 0), workers=4)

    async def create(tx: Tx) -> None:
        if backend.dialect is POSTGRES:
            await tx.execute("CREATE SCHEMA soakd")
        for statement in workload.schema(backend.dialect).tables["events"]:
            await tx.execute(statement)

    await backend.transact(Transaction(create, read_only=False))
    rng = Random(2)
    ts = COLUMN["ts"]
    batch: list[Values] = []
    for n in range(rows):
        row = workload.row(APPEND, n % 4, rng)
        when = int((NOW - 3600 + 3600 * n / rows) * 1e6)
        batch.append((*row[:ts], when, *row[ts + 1 :]))
    await backend.write_rows(EVENTS, batch, again=False)
    return workload


def on(backend: Backend, check: Callable[[Backend], Awaitable[None]]) -> None:
    """Run a check on an open backend."""

    async def main() -> None:
        await backend.open()
        try:
            await check(backend)
        finally:
            await backend.close()

    asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A backend of an empty database."""
    if request.param == "sqlite":
        return sqlite_backend(tmp_path / "events.db")
    return postgres_backend(request.getfixturevalue("database"))


async def plan_of(backend: Backend, sql: str, params: Values) -> str:
    """Return what the database means to do, as text."""

    async def explain(tx: Tx) -> str:
        if backend.dialect is SQLITE:
            return "\n".join(str(row[3]) for row in await tx.execute(f"EXPLAIN QUERY PLAN {sql}", params))
        return "\n".join(str(row[0]) for row in await tx.execute(f"EXPLAIN {sql}", params))

    result: str = (await backend.transact(Transaction(explain))).result
    return result


INDEXES = {
    BY_KEY: ("events_pkey", "sqlite_autoindex_soakd_events_1"),
    NEWEST: ("events_ts_level",),
    BY_SERVICE: ("events_service_ts",),
    LEVEL_COUNTS: ("events_ts_level",),
}


def test_every_read_uses_its_index(backend: Backend) -> None:
    """On 20 000 rows of an hour, of which a read looks at a minute; nothing is scanned."""

    async def check(backend: Backend) -> None:
        workload = await filled(backend, 20_000)

        async def analyze(tx: Tx) -> None:
            await tx.execute(f"ANALYZE {backend.dialect.table('events')}")

        await backend.transact(Transaction(analyze, read_only=False))
        for op in READS:
            sql, params = read(workload, op, Random(1)).args
            plan = await plan_of(backend, sql, params)
            assert any(index in plan for index in INDEXES[op]), plan
            assert "Seq Scan" not in plan
            assert "TEMP B-TREE FOR ORDER" not in plan

    on(backend, check)


def test_reads_find_what_was_written(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        workload = await filled(backend, 2000)
        rng = Random(3)
        for _ in range(50):
            work = read(workload, BY_KEY, rng)
            rows = (await backend.transact(work)).result
            found = dict(zip(COLUMN, rows[0], strict=True))
            assert len(rows) == 1
            assert (found["run"], found["shard"], found["worker"], found["seq"]) == work.args[1]
        newest = (await backend.transact(read(workload, NEWEST, rng))).result
        stamps = [row[COLUMN["ts"]] for row in newest]
        assert len(stamps) == 50
        assert stamps == sorted(stamps, reverse=True)
        assert stamps[0] == int((NOW - 3600 + 3600 * 1999 / 2000) * 1e6)
        by_service = (await backend.transact(read(workload, BY_SERVICE, rng))).result
        assert len({row[COLUMN["service"]] for row in by_service}) <= 1
        counts = dict((await backend.transact(read(workload, LEVEL_COUNTS, rng))).result)
        in_window = sum(
            int((NOW - 3600 + 3600 * n / 2000) * 1e6) > int((NOW - 60) * 1e6) for n in range(2000)
        )
        assert sum(counts.values()) == in_window > 0

    on(backend, check)
