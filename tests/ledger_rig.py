"""A target with the data of the workload `ledger`, and its parts at work on it, for several test modules."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import pytest

from daemon.backends.base import Backend
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.loading_screen import Lines
from daemon.control.recount import tables_of
from daemon.control.seeding import Seeding
from daemon.ops import Transaction
from daemon.workloads import registry
from daemon.workloads.base import Consumer, Identity, Invariant, Progress, Scope
from daemon.workloads.ledger.tables import statement
from daemon.workloads.ledger.workload import Ledger
from tests.test_backend_contract import postgres_backend
from tests.test_ledger import execute

T = TypeVar("T")
WALLETS, HISTORY = 20, 5


class Rig(NamedTuple):
    """An open backend with the data."""

    settings: Settings
    backend: Backend

    @property
    def options(self) -> Mapping[str, Any]:
        """The workload's own settings."""
        return plan.workload_options(self.settings)

    def workload(self, *, shard: int = 0, workers: int = 50, run: int = 7) -> Ledger:
        """Return the workload of one shard."""
        made = registry.create(
            "ledger",
            self.options,
            identity=Identity(run, shard, 0),
            dialect=self.backend.dialect,
            workers=workers,
            existing=(),
            wall=SystemClock().wall,
            rng=Random(1),
        )
        assert isinstance(made, Ledger)
        return made

    def op(self, name: str) -> int:
        """Return the number of an operation."""
        return [spec.name for spec in self.workload().ops].index(name)

    def consumers(self) -> Mapping[str, Consumer]:
        """Return all consumers by name."""
        made = registry.consumers(
            "ledger", self.options, dialect=self.backend.dialect, wall=SystemClock().wall, shard=0, shards=1
        )
        return {one.name: one for one in made}

    async def catch_up(self, *names: str) -> None:
        """Run consumers, all of them if none is named, until nothing is left."""
        for name, consumer in self.consumers().items():
            while not names or name in names:
                progress: Progress = (await self.backend.transact(consumer.step)).result
                if not progress.rows and not progress.behind:
                    break

    def invariants(self) -> Mapping[str, Invariant]:
        """Return all invariants by name."""
        made = registry.invariants("ledger", self.options, dialect=self.backend.dialect)
        return {one.name: one for one in made}

    async def check(self, invariant: Invariant, *, complete: bool, sample: int = WALLETS) -> Sequence[str]:
        """Return the violations that a check finds."""
        scope = Scope(complete, sample, Random(1))
        work = Transaction(invariant.check, (scope,), isolation="repeatable read")
        found: Sequence[str] = (await self.backend.transact(work)).result
        return found

    async def violated(self, *, complete: bool = True) -> dict[str, Sequence[str]]:
        """Return what is violated, by invariant."""
        found = {name: await self.check(one, complete=complete) for name, one in self.invariants().items()}
        return {name: problems for name, problems in found.items() if problems}

    async def sql(self, template: str) -> list[Any]:
        """Run a statement with the tables of the workload in it."""
        return await execute(self.backend, statement(self.backend.dialect, template))


class Place(NamedTuple):
    """A target that holds the data, to be opened for each check."""

    settings: Settings

    def run(self, check: Callable[[Rig], Awaitable[T]], *, writers: int = 3, **ledger: Any) -> T:
        """Run a check on the open target; further settings of the workload may be given.

        With so many sessions that write; more are for tests of many at once.
        """
        section = self.settings.ledger.model_copy(update=ledger)
        settings = self.settings.model_copy(update={"ledger": section})

        async def main() -> T:
            backend = plan.make_backend(settings, SystemClock(), writers=writers)
            await backend.open()
            try:
                return await check(Rig(settings, backend))
            finally:
                await backend.close()

        return asyncio.run(main())


def loaded(target: str) -> Place:
    """Load the data into a target."""
    settings = Settings.model_validate(
        {
            "target": target,
            "workload": "ledger",
            "data": {"scale": WALLETS},
            "ledger": {"history": HISTORY, "replays": 0.2},
        }
    )

    async def load(rig: Rig) -> None:
        tables = tables_of(settings, SystemClock()).schema(rig.backend.dialect)
        shower = Lines(lambda *_, **__: None, SystemClock(), 60, {})
        await Seeding(settings, rig.backend, SystemClock(), shower, lambda: False).prepare(tables, clean=True)

    place = Place(settings)
    place.run(load)
    return place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A target of either kind with the data."""
    if request.param == "sqlite":
        return loaded(f"sqlite:///{tmp_path}/ledger.db")
    return loaded(request.getfixturevalue("database"))


@pytest.fixture
def on_postgres(database: str) -> Place:
    """A PostgreSQL database with the data."""
    assert postgres_backend(database).dialect.name == "postgres"
    return loaded(database)
