"""A target with the data of the workload `progress`, for several test modules."""

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
from daemon.load.batch import BatchPolicy, BatchWriter
from daemon.ops import Table
from daemon.record.account import Account
from daemon.record.recorder import NullRecorder
from daemon.workloads import registry
from daemon.workloads.base import Identity
from daemon.workloads.progress.tables import EVENTS, statement
from daemon.workloads.progress.workload import Progress
from tests.test_ledger import execute

T = TypeVar("T")
USERS = 30
SHAPE = {"challenges": 3, "goals": 4, "started": 2}
RUN = 7
COUNT = "SELECT coalesce(CAST(sum(events) AS bigint), 0) FROM {counters}"


def writer_of(backend: Backend, cells: list[int], policy: BatchPolicy, table: Table = EVENTS) -> BatchWriter:
    """Return a batch writer of events."""
    return BatchWriter(
        op=0,
        table=table,
        policy=policy,
        backend=backend,
        recorder=NullRecorder(),
        cells=cells,
        clock=SystemClock(),
        rng=Random(1),
        on_failed=lambda *_: None,
    )


class Rig(NamedTuple):
    """An open backend with the data."""

    settings: Settings
    backend: Backend

    @property
    def options(self) -> Mapping[str, Any]:
        """The workload's own settings."""
        return plan.workload_options(self.settings)

    def workload(self, *, shard: int = 0, epoch: int = 0, workers: int = 50) -> Progress:
        """Return the workload of one life of a shard."""
        made = registry.create(
            "progress",
            self.options,
            identity=Identity(RUN, shard, epoch),
            dialect=self.backend.dialect,
            workers=workers,
            existing=(),
            wall=SystemClock().wall,
            rng=Random(1),
        )
        assert isinstance(made, Progress)
        return made

    async def load(
        self, rows: int, *, shard: int = 0, epoch: int = 0, flushers: int = 3, size: int = 20
    ) -> Account:
        """Send events of several workers through a batch writer; return what became of them."""
        cells = [0] * 5
        policy = BatchPolicy(size=size, timeout=0.0, capacity=rows, flushers=flushers)
        writer = writer_of(self.backend, cells, policy)
        workload, rng = self.workload(shard=shard, epoch=epoch), Random(f"{shard}/{epoch}")
        running = asyncio.create_task(writer.run())
        for n in range(rows):
            assert writer.has_room()
            writer.accept(workload.row(0, n % 50, rng), 0.0, 0.0, 0.0)
            if n % 7 == 0:
                await asyncio.sleep(0)
        writer.close()
        await running
        return Account.of(cells)

    async def sql(self, template: str) -> list[Any]:
        """Run a statement with the tables of the workload in it."""
        return await execute(self.backend, statement(self.backend.dialect, template))

    async def counted(self) -> int:
        """Return the sum of all counters."""
        total: int = (await self.sql(COUNT))[0][0]
        return total


class Place(NamedTuple):
    """A target that holds the data, to be opened for each check."""

    settings: Settings

    def run(self, check: Callable[[Rig], Awaitable[T]], target: str = "", *, writers: int = 3) -> T:
        """Run a check on the open target, or through another address of it.

        With so many sessions that write; more are for tests of many at once.
        """
        update = {"target": type(self.settings.target)(target)} if target else {}
        settings = self.settings.model_copy(update=update)

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
        {"target": target, "workload": "progress", "data": {"scale": USERS}, "progress": SHAPE}
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
        return loaded(f"sqlite:///{tmp_path}/progress.db")
    return loaded(request.getfixturevalue("database"))


def rows_of(numbers: Sequence[int], *, worker: int = 0, key: tuple[int, int, int] = (1, 1, 1)) -> list[Any]:
    """Return events of one worker for one counter, each later than the one before."""
    return [(RUN, 0, worker, n, *key, n + 1, n + 1) for n in numbers]
