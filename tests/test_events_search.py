"""Full-text search over the events: made when it is asked for, kept by every write, of varied words."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from daemon import schema
from daemon.backends.base import SQLITE, Backend
from daemon.ops import Transaction, Values
from daemon.workloads.base import Identity
from daemon.workloads.events import EVENTS, SEARCH, TEXT, Events
from daemon.workloads.events_text import COMMON, VOCABULARY, make_text, terms
from tests.test_backend_contract import postgres_backend, sqlite_backend
from tests.test_events import COLUMN, events, plan_of, read
from tests.test_ledger import execute, on, tables

ASKED = {"search": 5.0}


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Makes backends of one empty database."""
    if request.param == "sqlite":
        return lambda: sqlite_backend(tmp_path / "events.db")
    url = request.getfixturevalue("database")
    return lambda: postgres_backend(url)


def workload(backend: Backend, weights: dict[str, float] = ASKED) -> Events:
    """Return the workload of one shard, with search unless it is switched off."""
    return events(dialect=backend.dialect, identity=Identity(7, 0, 0), weights=weights)


async def prepare(backend: Backend, weights: dict[str, float] = ASKED, *, clean: bool = False) -> set[str]:
    """Create what is missing, and return it."""
    made = workload(backend, weights).schema(backend.dialect)
    return await schema.prepare(backend, made, clean=clean)


async def write(backend: Backend, *messages: str, first: int = 0) -> None:
    """Write events of one worker, a microsecond after one another."""
    row = workload(backend).row(0, 0, Random(1))
    made = [
        (7, 0, 0, first + n, 1000 + first + n, *row[5:7], message, row[8])
        for n, message in enumerate(messages)
    ]
    await backend.write_rows(EVENTS, made, again=False)


async def search(backend: Backend, words: str, limit: int = 50) -> list[int]:
    """Return the sequence numbers of what is found."""
    work = read(workload(backend), SEARCH, Random(1))
    rows = (await backend.transact(replace(work, args=(work.args[0], (words, limit))))).result
    return [row[COLUMN["seq"]] for row in rows]


def test_what_was_written_is_found_newest_first_until_it_is_deleted(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, "cache miss", "order paid", "cache hit", "hit by order", "cache order")
        assert await search(backend, "cache") == [4, 2, 0]
        assert await search(backend, "cache", 2) == [4, 2]
        assert await search(backend, "cache order") == [4]
        assert await search(backend, "cach") == []
        await execute(backend, f"DELETE FROM {backend.dialect.table('events')} WHERE seq IN (2, 4)")
        assert await search(backend, "cache") == [0]
        assert await search(backend, "order") == [3, 1]

    on(make, check)


def test_rows_of_one_moment_have_an_order(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        row = workload(backend).row(0, 0, Random(1))
        rows = [(7, 0, 0, seq, 5, *row[5:7], "cache", row[8]) for seq in range(30)]
        await backend.write_rows(EVENTS, rows, again=False)
        assert await search(backend, "cache", 10) == list(range(29, 19, -1))

    on(make, check)


def test_an_index_is_made_of_what_is_there_when_a_later_run_asks_for_it(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        assert "events_search" not in await prepare(backend, {})
        await write(backend, "cache", "order")
        assert await prepare(backend) == {"events_search"}
        await write(backend, "cache", first=2)
        assert await search(backend, "cache") == [2, 0]
        assert await prepare(backend) == set()
        assert await search(backend, "cache") == [2, 0]

    on(make, check)


def test_an_index_that_is_not_asked_for_any_more_is_named_and_goes_with_clean(
    make: Callable[[], Backend],
) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        await write(backend, "cache")
        without = workload(backend, {}).schema(backend.dialect)
        assert await schema.unused(backend, "events", workload(backend).schema(backend.dialect)) == []
        assert await schema.unused(backend, "events", without) == ["events_search"]
        assert "events_search" not in await prepare(backend, {}, clean=True)
        assert await schema.unused(backend, "events", without) == []
        assert not [name for name in await tables(backend) if name.startswith("events_search")]
        assert "events_search" in await prepare(backend, clean=True), "and can be made once more"

    on(make, check)


def test_every_word_is_in_some_messages_and_none_in_all() -> None:
    text = make_text(TEXT, Random(3))
    found = Counter(text.split())
    assert found.keys() == set(VOCABULARY)
    assert len(text) == pytest.approx(TEXT, rel=0.01)
    starts = range(0, TEXT - 120, 97)
    messages = [set(text[start : start + 120].split()) for start in starts]
    shares = [sum(word in message for message in messages) / len(messages) for word in VOCABULARY]
    assert 0.2 < shares[0] < 0.6
    assert 0 < sum(shares[-100:]) / 100 < 0.01


def test_terms_are_of_all_frequencies() -> None:
    rng = Random(4)
    drawn = [terms(rng).split() for _ in range(4000)]
    ranks = Counter(len(str(VOCABULARY.index(words[0]) + 1)) for words in drawn)
    assert min(ranks[digits] for digits in (1, 2, 3)) > 1000
    assert {len(words) for words in drawn} == {1, 2}
    assert {words[1] for words in drawn if len(words) == 2} == set(COMMON)


@pytest.mark.parametrize("words", [VOCABULARY[-1], f"{VOCABULARY[-1]} {COMMON[0]}"])
def test_a_rare_word_is_found_by_the_index(make: Callable[[], Backend], words: str) -> None:
    async def check(backend: Backend) -> None:
        made = workload(backend)
        await prepare(backend)
        rng = Random(2)
        rows: Sequence[Values] = [made.row(0, n % 3, rng) for n in range(5000)]
        await backend.write_rows(EVENTS, rows, again=False)
        if backend.dialect is not SQLITE:
            await execute(backend, f"ANALYZE {backend.dialect.table('events')}")
        work = read(made, SEARCH, rng)
        sql, limit = work.args[0], 50
        plan = await plan_of(backend, sql, (words, limit))
        assert "events_search" in plan or "VIRTUAL TABLE INDEX" in plan
        assert "Seq Scan" not in plan
        assert "TEMP B-TREE" not in plan
        found = (await backend.transact(Transaction(work.fn, (sql, (words, limit)), True, True))).result
        wanted = {row[3] for row in rows if set(words.split()) <= set(row[7].split())}
        assert {row[3] for row in found} <= wanted
        assert len(found) == min(limit, len(wanted))

    on(make, check)
