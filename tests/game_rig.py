"""A target with the data of the workload `game`, and its parts at work on it, for several test modules."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import pytest

from daemon.backends.base import NULL, Backend
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.loading_screen import Lines
from daemon.control.recount import tables_of
from daemon.control.seeding import Seeding
from daemon.errors import OpError, Rejected
from daemon.ops import Transaction
from daemon.workloads import registry
from daemon.workloads.base import Identity, Invariant, Scope
from daemon.workloads.game.tables import statement
from daemon.workloads.game.workload import Game
from tests.test_ledger import execute

T = TypeVar("T")
PLAYERS, EVENTS = 40, 12
SHAPE = {"events_per_game": EVENTS, "clan_size": 20, "payload_size": 5, "batch_rows": 7, "page": 3}


def settings(**game: Any) -> Settings:
    """Return settings of the workload."""
    return Settings.model_validate({"workload": "game", "game": {**SHAPE, **game}})


def made(
    chosen: Settings, *, dialect: Any = NULL, shard: int = 0, workers: int = 50, scale: int = PLAYERS
) -> Game:
    """Return the workload of one shard."""
    workload = registry.create(
        "game",
        {**plan.workload_options(chosen), "scale": scale},
        identity=Identity(7, shard, 0),
        dialect=dialect,
        workers=workers,
        existing=(),
        wall=SystemClock().wall,
        rng=Random(1),
    )
    assert isinstance(workload, Game)
    return workload


class Rig(NamedTuple):
    """An open backend with the data."""

    settings: Settings
    backend: Backend

    def workload(self, *, shard: int = 0, workers: int = 50) -> Game:
        """Return the workload of one shard."""
        return made(self.settings, dialect=self.backend.dialect, shard=shard, workers=workers)

    def op(self, name: str) -> int:
        """Return the number of an operation."""
        return [spec.name for spec in self.workload().ops].index(name)

    async def do(self, name: str, rng: Random, workload: Game | None = None) -> Any:
        """Run one operation and return its result."""
        work = (workload or self.workload()).transaction(self.op(name), 0, rng)
        return (await self.backend.transact(work)).result

    async def many(self, ops: int, *, workers: int, shard: int = 0) -> Counter[str]:
        """Have a shard's workers run writes of the mix at the same time; return how they ended."""
        workload, outcomes = self.workload(shard=shard, workers=workers), Counter[str]()
        writes = [n for n, spec in enumerate(workload.ops) if spec.pool == "writer"]
        weights = [workload.ops[n].weight for n in writes]

        async def worker(number: int) -> None:
            rng = Random(f"{shard}/{number}")
            for op in rng.choices(writes, weights, k=ops):
                try:
                    await self.backend.transact(workload.transaction(op, number, rng))
                except Rejected as no:
                    outcomes[str(no)] += 1
                except OpError as error:
                    outcomes[error.error_class] += 1
                else:
                    outcomes[workload.ops[op].name] += 1

        await asyncio.gather(*(worker(n) for n in range(workers)))
        return outcomes

    def invariants(self) -> Mapping[str, Invariant]:
        """Return all invariants by name."""
        options = {**plan.workload_options(self.settings), "scale": PLAYERS}
        return {one.name: one for one in registry.invariants("game", options, dialect=self.backend.dialect)}

    async def check(self, invariant: Invariant, *, complete: bool, sample: int = PLAYERS) -> Sequence[str]:
        """Return the violations that a check finds."""
        scope = Scope(complete, sample, Random(1))
        work = Transaction(invariant.check, (scope,), isolation="repeatable read")
        found: Sequence[str] = (await self.backend.transact(work)).result
        return found

    async def violated(self) -> dict[str, Sequence[str]]:
        """Return what is violated, by invariant."""
        found = {name: await self.check(one, complete=True) for name, one in self.invariants().items()}
        return {name: problems for name, problems in found.items() if problems}

    async def sql(self, template: str) -> list[Any]:
        """Run a statement with the tables of the workload in it."""
        return await execute(self.backend, statement(self.backend.dialect, template))

    async def state(self) -> list[list[Any]]:
        """Return all rows of all tables."""
        orders = {"players": 1, "games": 1, "sessions": "1, 2", "game_players": "1, 2", "game_events": "1, 2"}
        return [await self.sql(f"SELECT * FROM {{{name}}} ORDER BY {by}") for name, by in orders.items()]


class Place(NamedTuple):
    """A target that holds the data, to be opened for each check."""

    settings: Settings

    def run(self, check: Callable[[Rig], Awaitable[T]], *, writers: int = 3, **game: Any) -> T:
        """Run a check on the open target; further settings of the workload may be given.

        With so many sessions that write; more are for tests of many at once.
        """
        section = self.settings.game.model_copy(update=game)
        chosen = self.settings.model_copy(update={"game": section})

        async def main() -> T:
            backend = plan.make_backend(chosen, SystemClock(), writers=writers)
            await backend.open()
            try:
                return await check(Rig(chosen, backend))
            finally:
                await backend.close()

        return asyncio.run(main())


def loaded(target: str) -> Place:
    """Load the data into a target."""
    chosen = Settings.model_validate(
        {"target": target, "workload": "game", "data": {"scale": PLAYERS}, "game": SHAPE}
    )

    async def load(rig: Rig) -> None:
        tables = tables_of(chosen, SystemClock()).schema(rig.backend.dialect)
        shower = Lines(lambda *_, **__: None, SystemClock(), 60, {})
        await Seeding(chosen, rig.backend, SystemClock(), shower, lambda: False).prepare(tables, clean=True)

    place = Place(chosen)
    place.run(load)
    return place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A target of either kind with the data."""
    if request.param == "sqlite":
        return loaded(f"sqlite:///{tmp_path}/game.db")
    return loaded(request.getfixturevalue("database"))


@pytest.fixture
def on_postgres(database: str) -> Place:
    """A PostgreSQL database with the data."""
    return loaded(database)
