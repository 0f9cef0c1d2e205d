"""Loading data: complete, each chunk once, resumable, and refused where other data is."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon import ledger, schema, seeds
from daemon.backends.base import INFINITY, Backend
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.recount import tables_of
from daemon.control.seeding import Seeding
from daemon.errors import OpError, TargetError, UsageError
from daemon.ops import Timed, Transaction
from daemon.seeds import Seeded
from daemon.workloads import data as data_module
from daemon.workloads.base import Schema
from daemon.workloads.data import Dataset
from daemon.workloads.ledger.data import fills
from daemon.workloads.ledger.tables import TABLES, WALLETS
from tests.test_ledger import execute, tables

SCALE, HISTORY = 60, 5
ROWS = {fill.table.name: fill.rows for fill in fills(SCALE, 0, {"history": HISTORY})}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few rows many chunks."""
    monkeypatch.setattr(data_module, "CHUNK", 50)


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data.db"
    url: str = request.getfixturevalue("database")
    return url


class Watcher:
    """Notes what a loading shows."""

    def __init__(self) -> None:
        self.announced: Mapping[str, int] = {}
        self.loaded: dict[str, int] = {}
        self.there: Mapping[str, int] = {}
        self.begun = self.ended = 0

    def begin(self, tables: Mapping[str, int], there: Mapping[str, int]) -> None:
        self.announced = tables
        self.begun += 1
        self.there = there

    def rows(self, table: str, rows: int) -> None:
        self.loaded[table] = self.loaded.get(table, 0) + rows

    def say(self, what: str) -> None:
        assert what in ("indexes", "statistics")

    def end(self) -> None:
        self.ended += 1


def wanted(target: str, **data: Any) -> Settings:
    """Return settings."""
    history = data.pop("history", HISTORY)
    chosen: dict[str, Any] = {"scale": SCALE, "loaders": 3, **data}
    return Settings.model_validate(
        {"target": target, "workload": "ledger", "data": chosen, "ledger": {"history": history}}
    )


def on(settings: Settings, check: Callable[[Backend], Any]) -> Any:
    """Run a check on an open backend and return what it returns."""

    async def main() -> Any:
        backend = plan.make_backend(settings, SystemClock(), writers=settings.data.loaders)
        await backend.open()
        try:
            return await check(backend)
        finally:
            await backend.close()

    return asyncio.run(main())


def load(
    settings: Settings,
    watcher: Watcher | None = None,
    *,
    clean: bool = False,
    stop_after: int = 1 << 60,
    wrap: Callable[[Backend], Backend] = lambda backend: backend,
) -> Seeded | None:
    """Prepare the target as a run does; stop when so many chunks were asked for."""
    asked = iter(range(1 << 60))

    async def prepare(backend: Backend) -> Seeded | None:
        made = tables_of(settings, SystemClock()).schema(backend.dialect)
        seeding = Seeding(
            settings, wrap(backend), SystemClock(), watcher or Watcher(), lambda: next(asked) >= stop_after
        )
        return await seeding.prepare(made, clean=clean)

    found: Seeded | None = on(settings, prepare)
    return found


def digest(settings: Settings) -> str:
    """Return a number that any change of any row of any table changes."""

    async def read(backend: Backend) -> str:
        found = []
        for table in TABLES:
            names = ", ".join(name for name, _ in table.columns)
            order = ", ".join(table.key)
            rows = await execute(
                backend, f"SELECT {names} FROM {backend.dialect.table(table.name)} ORDER BY {order}"
            )
            found.append((table.name, rows))
        return hashlib.sha256(repr(found).encode()).hexdigest()

    made: str = on(settings, read)
    return made


def counts(settings: Settings) -> dict[str, int]:
    """Return the rows of every table that data is loaded into."""

    async def read(backend: Backend) -> dict[str, int]:
        return {
            name: (await execute(backend, f"SELECT count(*) FROM {backend.dialect.table(name)}"))[0][0]
            for name in ROWS
        }

    found: dict[str, int] = on(settings, read)
    return found


def test_everything_is_loaded_and_told(target: str) -> None:
    watcher = Watcher()
    settings = wanted(target)
    found = load(settings, watcher)
    assert found is not None
    assert found.dataset == Dataset(SCALE, 0, {"history": HISTORY})
    assert found.done
    assert watcher.announced == watcher.loaded == ROWS == counts(settings)
    assert (watcher.begun, watcher.ended) == (1, 1)


def test_what_is_there_is_used(target: str) -> None:
    """Also by somebody who does not say how much it should be."""
    load(wanted(target))
    watcher = Watcher()
    for settings in (wanted(target), wanted(target, scale=None)):
        found = load(settings, watcher)
        assert found is not None
        assert (found.dataset.scale, found.done) == (SCALE, True)
    assert watcher.begun == 0


def test_the_rows_do_not_depend_on_the_number_of_loaders(target: str) -> None:
    digests = set()
    for loaders in (1, 8):
        settings = wanted(target, loaders=loaders)
        load(settings, clean=True)
        digests.add(digest(settings))
    assert len(digests) == 1
    other = wanted(target, seed=9)
    load(other, clean=True)
    assert digest(other) not in digests


def test_loading_that_was_stopped_goes_on_where_it_was(target: str) -> None:
    """A few times, until nothing is left; the rows are those of one that was never stopped."""
    settings = wanted(target)
    load(settings)
    whole = digest(settings)
    load(settings, clean=True, stop_after=2)
    tries = 1
    while True:
        watcher = Watcher()
        before = {name: rows for name, rows in counts(settings).items() if rows}
        found = load(settings, watcher, stop_after=5)
        assert {name: rows for name, rows in watcher.there.items() if rows} == before
        assert found is not None
        tries += 1
        if found.done:
            break
    assert tries > 3
    assert counts(settings) == ROWS
    assert digest(settings) == whole


class Cut:
    """A backend whose every third transaction that writes loses its answer, before or after COMMIT."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._calls = 0
        self.dialect = backend.dialect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        self._calls += 0 if work.read_only else 1
        if not work.read_only and self._calls > 3 and self._calls % 3 == 0:
            if self._calls % 2:
                await self._backend.transact(work, deadline=deadline)
            raise OpError("connection", "cut", in_doubt=True)
        return await self._backend.transact(work, deadline=deadline)


def test_a_lost_answer_loads_no_chunk_twice_and_leaves_none_out(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.load.loading.FIRST_PAUSE", 0.001)
    settings = wanted(target)
    load(settings)
    whole = digest(settings)
    try:
        load(settings, clean=True, wrap=Cut)
    except TargetError:
        load(settings)  # the cut hit a transaction that is not tried again
    assert digest(settings) == whole


class Away:
    """A backend whose server is away for a while after the first chunks."""

    def __init__(self, backend: Backend, calls: int) -> None:
        self._backend = backend
        self._away = range(5, 5 + calls)
        self.calls = 0
        self.dialect = backend.dialect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        self.calls += 0 if work.read_only else 1
        if not work.read_only and self.calls in self._away:
            raise OpError("connection", "away")
        return await self._backend.transact(work, deadline=deadline)


def test_a_server_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a restart takes; and whoever stops meanwhile does not wait for it."""
    monkeypatch.setattr("daemon.load.loading.LONGEST_PAUSE", 0.001)
    settings = wanted(f"sqlite:///{tmp_path}/data.db", loaders=1)
    found = load(settings, wrap=lambda backend: Away(backend, 15))
    assert found is not None
    assert found.done
    assert counts(settings) == ROWS
    gone: list[Away] = []

    def stopped(backend: Backend) -> Backend:
        gone.append(Away(backend, 1 << 30))
        return gone[0]

    found = load(settings, clean=True, wrap=stopped, stop_after=6)
    assert found is not None
    assert not found.done
    assert gone[0].calls < 12


def test_two_who_load_the_same_at_once_share_it(target: str) -> None:
    """From nothing: both begin, each chunk is stored once, and both say that all is there."""
    settings = wanted(target)
    load(settings)
    whole = digest(settings)
    load(settings, clean=True, stop_after=0)
    on(settings, lambda backend: seeds.forget(backend, "ledger"))

    async def both(backend: Backend) -> list[Seeded | None]:
        made = tables_of(settings, SystemClock()).schema(backend.dialect)
        other = plan.make_backend(settings, SystemClock(), writers=settings.data.loaders)
        await other.open()
        try:
            return await asyncio.gather(
                *(
                    Seeding(settings, one, SystemClock(), Watcher(), lambda: False).prepare(made, clean=False)
                    for one in (backend, other)
                )
            )
        finally:
            await other.close()

    assert [found and found.done for found in on(settings, both)] == [True, True]
    assert counts(settings) == ROWS
    assert digest(settings) == whole


def test_what_ends_a_loading_is_done_once(prepared: Settings) -> None:
    """Numbers would be set back behind those that a run has drawn since."""

    async def check(backend: Backend) -> None:
        found = await seeds.load(backend, "ledger")
        assert found is not None
        await seeds.finish(backend, "ledger", found.begun, ["no statement at all"])
        with pytest.raises(TargetError, match="begun anew"):
            await seeds.finish(backend, "ledger", found.begun + 1, ["no statement at all"])

    on(prepared, check)


class Overtaken:
    """A backend beside which somebody begins anew, with other data, after a few transactions."""

    def __init__(self, backend: Backend, after: int, other: Callable[[], object]) -> None:
        self._backend = backend
        self._left = after
        self._other = other
        self.dialect = backend.dialect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        self._left -= 1
        if self._left == 0:
            await asyncio.to_thread(self._other)
        return await self._backend.transact(work, deadline=deadline)


@pytest.mark.parametrize("after", [6, 20])
def test_who_is_overtaken_by_a_new_beginning_adds_nothing_to_it(target: str, after: int) -> None:
    other = wanted(target, seed=9)
    load(other)
    whole = digest(other)
    with pytest.raises(TargetError, match="begun anew") as refused:
        load(
            wanted(target, loaders=1),
            clean=True,
            wrap=lambda backend: Overtaken(backend, after, lambda: load(other, clean=True)),
        )
    assert "\n" not in str(refused.value)
    assert digest(other) == whole


def test_rows_of_others_in_the_way_end_it_with_one_line(target: str) -> None:
    settings = wanted(target)

    async def occupy(backend: Backend) -> None:
        made = tables_of(settings, SystemClock()).schema(backend.dialect)
        await schema.prepare(backend, made, clean=False)
        await backend.write_rows(WALLETS, [(7, 1, 1, 1)], again=False)

    on(settings, occupy)
    with pytest.raises(TargetError, match="loading ledger_wallets failed") as refused:
        load(settings)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"scale": 61}, "scale 60 instead of 61"),
        ({"seed": 3}, "seed 0 instead of 3"),
        ({"history": 6}, "history 5 instead of 6"),
    ],
)
def test_other_data_than_asked_for_is_refused_in_one_line(
    target: str, asked: dict[str, int], words: str
) -> None:
    """Whether it is complete or not."""
    for stop_after in (2, 1 << 60):
        load(wanted(target), stop_after=stop_after, clean=True)
        with pytest.raises(UsageError) as refused:
            load(wanted(target, **asked))
        assert words in str(refused.value)
        assert "--clean" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_table_of_the_data_that_is_gone_is_missed(target: str) -> None:
    settings = wanted(target)
    load(settings)
    on(settings, lambda backend: execute(backend, f"DROP TABLE {backend.dialect.table('ledger_entries')}"))
    for _ in range(2):  # being refused has not made it anew, and empty
        with pytest.raises(UsageError, match="ledger_entries"):
            load(settings)
    found = load(settings, clean=True)
    assert found is not None
    assert counts(settings) == ROWS


def test_too_few_units_are_refused(target: str) -> None:
    with pytest.raises(UsageError, match="2 at least"):
        load(wanted(target, scale=1))


def test_a_size_is_turned_into_units(target: str) -> None:
    found = load(wanted(target, scale="100KiB"))
    assert found is not None
    assert found.dataset.scale == 100 * 1024 // 4000


def test_the_null_target_takes_anything() -> None:
    found = load(wanted("null://", scale=10**9))
    assert found is not None
    assert (found.dataset.scale, found.done) == (10**9, True)


@pytest.fixture
def prepared(target: str) -> Settings:
    """A target with data."""
    settings = wanted(target)
    load(settings)
    return settings


def test_dropping_one_workload_leaves_the_others(prepared: Settings) -> None:
    async def check(backend: Backend) -> None:
        made = tables_of(prepared, SystemClock()).schema(backend.dialect)
        await schema.prepare(backend, Schema(1, {"other": ("CREATE TABLE x (n integer)",)}), clean=False)
        await schema.drop(backend, made)
        await seeds.forget(backend, "ledger")
        left = {"objects", "runs", "accounts", "seeds", "seed_chunks"}
        assert left <= await tables(backend)
        assert not set(ROWS) & await tables(backend)
        assert await seeds.load(backend, "ledger") is None
        assert await seeds.loaded_chunks(backend, "ledger") == {}

    on(prepared, check)


def test_rows_of_old_runs_can_be_deleted(target: str) -> None:
    from daemon.workloads.base import Identity
    from daemon.workloads.events import EVENTS
    from tests.test_ledger import prepare, write

    async def check(backend: Backend) -> None:
        await prepare(backend)
        for run in (5, 6, 7):
            await write(backend, Identity(run, 0, 0), 0, range(3))
        await ledger.forget_rows(backend, EVENTS, 7)
        left = await execute(backend, f"SELECT run FROM {backend.dialect.table('events')}")
        assert left == [(7,)] * 3

    on(wanted(target), check)
