"""Seeing to it that the target holds the data that a workload begins with."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from daemon import schema, seeds
from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import OpError, TargetError, UsageError
from daemon.load.loading import Loading
from daemon.seeds import Seeded
from daemon.workloads import registry
from daemon.workloads.base import Schema
from daemon.workloads.data import Data, Dataset, Fill


class Shower(Protocol):
    """Shows how the loading goes on."""

    def begin(self, tables: Mapping[str, int], there: Mapping[str, int]) -> None:
        """Begin: the rows of each table, and how many of them are there already."""
        ...

    def rows(self, table: str, rows: int) -> None:
        """Note that rows have been stored."""
        ...

    def say(self, what: str) -> None:
        """Note that something else has begun, `indexes` for one."""
        ...

    def end(self) -> None:
        """End, well or not."""
        ...


class Seeding(NamedTuple):
    """Prepares the target of a run: tables, and data if its workload has some.

    Attributes:
        settings: of the run.
        backend: the target, open; as many connections for writing as there are loaders.
        clock: monotonic time and time of day.
        shower: shows the loading, if there is something to load.
        stopping: asked now and then whether to leave off.
    """

    settings: Settings
    backend: Backend
    clock: Clock
    shower: Shower
    stopping: Callable[[], bool]

    async def prepare(self, tables: Schema, *, clean: bool) -> Seeded | None:
        """Create the tables that are missing, and load the data that is missing.

        Returns:
            The data that is there; not done if it was told to leave off. None where the workload
            has none, or takes what is there.

        Raises:
            UsageError: what is there is of another version, or other data than asked for.
            TargetError: the target cannot be used.
        """
        data = registry.WORKLOADS[self.settings.workload].data
        if data is None or data.schema:
            await schema.prepare(self.backend, tables, clean=clean)
            return None
        if self.backend.dialect.name == "null":
            return Seeded(self._wanted(data), 0, done=True)
        return await self.load(data, tables, clean=clean)

    async def load(self, data: Data, tables: Schema, *, clean: bool) -> Seeded:
        """Create the tables of data that are missing, and load what of it is missing.

        Args:
            data: which it is.
            tables: where it goes.
            clean: begin anew.

        Raises:
            UsageError: what is there is of another version, or other data than asked for.
            TargetError: the target cannot be used.
        """
        name = self.settings.workload
        try:
            found = None if clean else await self._found(data, tables)
            await schema.prepare(self.backend, tables, clean=clean, bare=True)
            if found is None:
                await seeds.begin(self.backend, name, self._wanted(data), self.clock.wall())
                found = await seeds.load(self.backend, name)
                if found is None:
                    raise seeds.overtaken(name)
                self._compare(found, data)  # somebody else may have begun
            return found if found.done else await self._load(found, data, tables)
        except OpError as error:
            raise TargetError(f"cannot load the data of {name}: {error}") from error

    async def _found(self, data: Data, tables: Schema) -> Seeded | None:
        """Return the data that is there, before anything is changed; refuse what cannot be used."""
        name, missing = self.settings.workload, await schema.missing(self.backend, tables)
        if missing & {seeds.SEEDS.name, seeds.CHUNKS.name}:
            return None
        found = await seeds.load(self.backend, name)
        if found is not None:
            self._compare(found, data)
            chunks = await seeds.loaded_chunks(self.backend, name)
            for table in sorted(missing):
                if found.done or any(table == filled for filled, _ in chunks):
                    raise UsageError(
                        f"the target's data of {name} lacks the table {table}, which somebody dropped: "
                        "load it anew with --clean, or use another target"
                    )
        return found

    def _wanted(self, data: Data, otherwise: int | None = None) -> Dataset:
        scale = plan.wanted_scale(self.settings, data) or otherwise or data.default
        return plan.dataset(self.settings, data, scale)

    def _compare(self, found: Seeded, data: Data) -> None:
        """Refuse data that is not what was asked for."""
        differences = found.dataset.differences(self._wanted(data, found.dataset.scale))
        if differences:
            raise UsageError(
                f"the target holds other data of {self.settings.workload} than asked for: "
                f"{', '.join(differences)}; load it anew with --clean, ask for what is there, "
                "or use another target"
            )

    async def _load(self, found: Seeded, data: Data, tables: Schema) -> Seeded:
        name, dataset = self.settings.workload, found.dataset
        there = await seeds.loaded_chunks(self.backend, name)
        fills = data.fills(dataset.scale, dataset.seed, dataset.shape)
        self.shower.begin(
            {fill.table.name: fill.rows for fill in fills},
            {
                fill.table.name: sum(n for (t, _), n in there.items() if t == fill.table.name)
                for fill in fills
            },
        )
        try:
            loading = Loading(
                name,
                found,
                self.backend,
                self.settings.data.loaders,
                self.shower.rows,
                self.stopping,
            )
            await loading.run(fills, there)
            if self.stopping():
                return found
            await self._complete(found, tables, fills)
        finally:
            self.shower.end()
        return found._replace(done=True)

    async def _complete(self, found: Seeded, tables: Schema, fills: Sequence[Fill]) -> None:
        self.shower.say("indexes")
        await schema.index(self.backend, tables)
        self.shower.say("statistics")
        last = [statement for fill in fills for statement in self.backend.dialect.loaded(fill.table)]
        await seeds.finish(self.backend, self.settings.workload, found.begun, last)
