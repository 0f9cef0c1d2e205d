"""The sequences of the writers of `events`: gaps and lost rows are seen, counted losses are allowed for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from daemon.backends.base import Backend
from daemon.ops import Transaction
from daemon.record.account import Account
from daemon.workloads.base import EPOCH_KEYS, Identity, Scope
from daemon.workloads.events_invariants import invariants
from tests.test_backend_contract import postgres_backend, sqlite_backend
from tests.test_ledger import execute, on, prepare, write

ROWS = 40


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Makes backends of one empty database."""
    if request.param == "sqlite":
        return lambda: sqlite_backend(tmp_path / "events.db")
    url = request.getfixturevalue("database")
    return lambda: postgres_backend(url)


async def found(
    backend: Backend,
    *,
    complete: bool,
    account: Account | None = None,
    sample: int = ROWS,
    seed: int = 1,
    under_way: int = 1,
) -> Sequence[str]:
    """Return what a check finds in run 5."""
    stored = await execute(backend, f"SELECT count(*) FROM {backend.dialect.table('events')} WHERE run = 5")
    (invariant,) = invariants(dialect=backend.dialect, under_way=under_way)
    assert invariant.name == "sequences"
    scope = Scope(complete, sample, Random(seed), 5, account or Account(stored[0][0], stored[0][0]))
    work = Transaction(invariant.check, (scope,), isolation="repeatable read")
    problems: Sequence[str] = (await backend.transact(work)).result
    return problems


async def fill(backend: Backend) -> None:
    """Write rows of three workers, another life and another run."""
    await prepare(backend)
    for worker in range(3):
        await write(backend, Identity(5, 0, 0), worker, range(ROWS + worker))
    await write(backend, Identity(6, 0, 0), 0, [0, 7])


async def delete(backend: Backend, worker: int, *seqs: int) -> None:
    """Lose rows."""
    table = backend.dialect.table("events")
    chosen = ", ".join(map(str, seqs))
    await execute(backend, f"DELETE FROM {table} WHERE run = 5 AND worker = {worker} AND seq IN ({chosen})")


@pytest.mark.parametrize("complete", [True, False])
def test_whole_sequences_are_in_order(make: Callable[[], Backend], *, complete: bool) -> None:
    async def check(backend: Backend) -> None:
        await prepare(backend)
        assert await found(backend, complete=complete) == [], "nothing is there yet"
        await fill(backend)
        assert await found(backend, complete=complete) == []
        await write(backend, Identity(5, 0, 2), 1, range(2 * EPOCH_KEYS, 2 * EPOCH_KEYS + 9))
        for seed in range(9):
            assert await found(backend, complete=complete, seed=seed) == []

    on(make, check)


@pytest.mark.parametrize("complete", [True, False])
def test_a_gap_is_seen_unless_it_was_counted(make: Callable[[], Backend], *, complete: bool) -> None:
    async def check(backend: Backend) -> None:
        await fill(backend)
        await delete(backend, 1, 17, 18)
        problems = await found(backend, complete=complete)
        assert any(problem.startswith("shard 0 worker 1 lacks 2 rows between") for problem in problems)
        rows = 3 * ROWS + 1
        assert await found(backend, complete=complete, account=Account(rows + 2, rows, 1, 1)) == []
        assert await found(backend, complete=complete, account=Account(rows + 1, rows, 1, 0)) != []

    on(make, check)


def test_a_gap_is_found_by_some_sample_wherever_it_is(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await fill(backend)
        await delete(backend, 2, 30)
        hits = [bool(await found(backend, complete=False, sample=10, seed=n)) for n in range(40)]
        assert 3 < sum(hits) < 37

    on(make, check)


def test_acknowledged_rows_that_are_gone_are_missed_at_the_end(make: Callable[[], Backend]) -> None:
    """Those at the end of a sequence leave no gap."""

    async def check(backend: Backend) -> None:
        await fill(backend)
        rows = 3 * ROWS + 3
        await delete(backend, 0, ROWS - 1, ROWS - 2)
        assert await found(backend, complete=False) == []
        assert await found(backend, complete=True, account=Account(rows, rows)) == [
            f"{rows - 2} rows are there, {rows} were acknowledged"
        ]
        assert await found(backend, complete=True, account=Account(rows, rows - 3, 0, 3, 3)) == []
        assert await found(backend, complete=True, account=Account(rows, rows - 3, 0, 3, 0)) != []

    on(make, check)


def test_rows_under_way_may_be_overtaken(make: Callable[[], Backend]) -> None:
    """By later ones of the same writer, if it sends several before it waits; at the end none is under way."""

    async def check(backend: Backend) -> None:
        await fill(backend)
        await delete(backend, 1, ROWS - 2)
        assert await found(backend, complete=False, under_way=2) == []
        assert await found(backend, complete=False, under_way=1) != []
        assert await found(backend, complete=True, under_way=2) != []

    on(make, check)
