"""Tables in the target: several for a workload, of one version, indexes at once or after the data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import schema
from daemon.backends.base import SQLITE, Backend, Dialect
from daemon.errors import UsageError
from daemon.ops import Table
from daemon.workloads.base import Schema
from tests.test_backend_contract import null_backend, postgres_backend, sqlite_backend
from tests.test_ledger import execute, on, tables

OWNERS = Table("owners", (("id", "bigint"),), ("id",))
PETS = Table("pets", (("id", "bigint"), ("owner", "bigint")), ("id",))
OWN = {"objects", "runs", "accounts", "seeds", "seed_chunks"}


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Makes backends of one empty database."""
    if request.param == "sqlite":
        return lambda: sqlite_backend(tmp_path / "schema.db")
    url = request.getfixturevalue("database")
    return lambda: postgres_backend(url)


def zoo(dialect: Dialect, version: int = 1) -> Schema:
    """Return two tables, of which one refers to the other."""
    pets = dialect.create_table(PETS).removesuffix(")")
    return Schema(
        version,
        {
            "owners": (dialect.create_table(OWNERS),),
            "pets": (
                f"{pets}, FOREIGN KEY (owner) REFERENCES {dialect.table('owners')} (id))",
                dialect.create_index(PETS, "owner"),
            ),
        },
    )


async def indexes(backend: Backend) -> set[str]:
    """Return the bare names of the indexes that were asked for."""
    if backend.dialect is SQLITE:
        rows = await execute(backend, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql <> ''")
    else:
        rows = await execute(
            backend,
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'soakd' AND indexname !~ '_pkey$'",
        )
    return {str(row[0]).removeprefix(SQLITE.prefix) for row in rows}


def test_all_tables_of_a_workload_are_made_once(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        made = await schema.prepare(backend, zoo(backend.dialect), clean=False)
        assert made == OWN | {"owners", "pets"} == await tables(backend)
        assert await indexes(backend) == {"pets_owner"}
        assert await schema.prepare(backend, zoo(backend.dialect), clean=False) == set()

    on(make, check)


def test_clean_drops_tables_that_refer_to_each_other(make: Callable[[], Backend]) -> None:
    async def check(backend: Backend) -> None:
        await schema.prepare(backend, zoo(backend.dialect), clean=False)
        owners, pets = backend.dialect.table("owners"), backend.dialect.table("pets")
        await execute(backend, f"INSERT INTO {owners} VALUES (1)", f"INSERT INTO {pets} VALUES (2, 1)")
        await schema.prepare(backend, Schema(1, {}), clean=True)
        assert await tables(backend) == OWN

    on(make, check)


def test_indexes_can_wait_for_the_data(make: Callable[[], Backend]) -> None:
    """And be made by a second try after the first was cut off."""

    async def check(backend: Backend) -> None:
        await schema.prepare(backend, zoo(backend.dialect), clean=False, bare=True)
        assert await indexes(backend) == set()
        await schema.index(backend, zoo(backend.dialect))
        await schema.index(backend, zoo(backend.dialect))
        assert await indexes(backend) == {"pets_owner"}

    on(make, check)


@pytest.mark.parametrize("version", [1, 3])
def test_tables_of_another_version_are_told_in_one_line_and_left(
    make: Callable[[], Backend], version: int
) -> None:
    async def check(backend: Backend) -> None:
        await schema.prepare(backend, zoo(backend.dialect, 2), clean=False)
        with pytest.raises(UsageError) as refused:
            await schema.prepare(backend, zoo(backend.dialect, version), clean=False)
        assert "\n" not in str(refused.value)
        for word in ("owners", "version 2", f"version {version}", "--clean"):
            assert word in str(refused.value)
        made = await schema.prepare(backend, zoo(backend.dialect, version), clean=True)
        assert made == OWN | {"owners", "pets"}

    on(make, check)


def test_on_the_null_target_there_is_nothing_to_make() -> None:
    async def check(backend: Backend) -> None:
        assert await schema.prepare(backend, zoo(backend.dialect), clean=True) == set()

    on(null_backend, check)
