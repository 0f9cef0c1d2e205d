"""A target with the data of the workload `marketplace`, for several test modules."""

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
from daemon.control.seeding import Seeding
from daemon.ops import Transaction
from daemon.workloads import registry
from daemon.workloads.base import Identity, Invariant, Scope
from daemon.workloads.marketplace.tables import statement
from daemon.workloads.marketplace.workload import Marketplace
from tests.test_ledger import execute

T = TypeVar("T")
MINTS = 30
SHAPE = {"offers_per_mint": 6, "invoices_per_mint": 3, "balances_per_mint": 4, "addresses": 25}


class Rig(NamedTuple):
    """An open backend with the data."""

    settings: Settings
    backend: Backend

    @property
    def workload(self) -> Marketplace:
        """The workload of one shard."""
        made = registry.create(
            "marketplace",
            plan.workload_options(self.settings),
            identity=Identity(7, 0, 0),
            dialect=self.backend.dialect,
            workers=20,
            existing=(),
            wall=SystemClock().wall,
            rng=Random(1),
        )
        assert isinstance(made, Marketplace)
        return made

    def invariants(self) -> Mapping[str, Invariant]:
        """Return all invariants by name."""
        options = plan.workload_options(self.settings)
        made = registry.invariants("marketplace", options, dialect=self.backend.dialect)
        return {one.name: one for one in made}

    async def check(self, invariant: Invariant, *, complete: bool) -> Sequence[str]:
        """Return the violations that a check finds."""
        work = Transaction(invariant.check, (Scope(complete, MINTS, Random(1)),), isolation="repeatable read")
        found: Sequence[str] = (await self.backend.transact(work)).result
        return found

    async def violated(self) -> dict[str, Sequence[str]]:
        """Return what is violated, by invariant."""
        found = {name: await self.check(one, complete=True) for name, one in self.invariants().items()}
        return {name: problems for name, problems in found.items() if problems}

    async def sql(self, template: str) -> list[Any]:
        """Run a statement with the tables of the workload in it."""
        return await execute(self.backend, statement(self.backend.dialect, template))


class Place(NamedTuple):
    """A target that holds the data, to be opened for each check."""

    settings: Settings

    def run(self, check: Callable[[Rig], Awaitable[T]], *, writers: int = 3) -> T:
        """Run a check on the open target.

        With so many sessions that write; more are for tests of many at once.
        """

        async def main() -> T:
            backend = plan.make_backend(self.settings, SystemClock(), writers=writers)
            await backend.open()
            try:
                return await check(Rig(self.settings, backend))
            finally:
                await backend.close()

        return asyncio.run(main())


def loaded(target: str) -> Place:
    """Load the data into a target."""
    settings = Settings.model_validate(
        {"target": target, "workload": "marketplace", "data": {"scale": MINTS}, "marketplace": SHAPE}
    )

    async def load(rig: Rig) -> None:
        shower = Lines(lambda *_, **__: None, SystemClock(), 60, {})
        seeding = Seeding(settings, rig.backend, SystemClock(), shower, lambda: False)
        await seeding.prepare(rig.workload.schema(rig.backend.dialect), clean=True)

    place = Place(settings)
    place.run(load)
    return place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A target of either kind with the data."""
    if request.param == "sqlite":
        return loaded(f"sqlite:///{tmp_path}/market.db")
    return loaded(request.getfixturevalue("database"))
