"""What the backends offer to statements that users wrote, beyond `Tx`: one suite over those that store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.backends.base import POSTGRES, SQLITE, Backend
from daemon.clock import SystemClock
from daemon.errors import OpError
from daemon.ops import ScriptTx, Transaction, TxFn
from tests.test_backend_contract import postgres_backend, sqlite_backend

Check = Callable[[Backend], Awaitable[None]]


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A backend of an empty database."""
    if request.param == "sqlite":
        return sqlite_backend(tmp_path / "script.db")
    return postgres_backend(request.getfixturevalue("database"))


def on(backend: Backend, check: Check) -> None:
    """Run a check on an open backend with the table t (id, n, name)."""

    async def main() -> None:
        await backend.open()
        try:
            await do(backend, perform, "CREATE TABLE t (id int PRIMARY KEY, n int, name text)")
            await check(backend)
        finally:
            await backend.close()

    asyncio.run(main())


async def do(backend: Backend, fn: TxFn, *args: Any, single: bool = False, deadline: float = 60.0) -> Any:
    """Return what a transaction function gives on a connection that writes."""
    work = Transaction(fn, args, read_only=False, single=single)
    return (await backend.transact(work, deadline=SystemClock.now() + deadline)).result


async def perform(tx: ScriptTx, sql: str, params: Sequence[Any] = (), *, keep: bool = True) -> None:
    """Perform one statement."""
    await tx.perform(sql, params, keep=keep)


async def rows(tx: ScriptTx) -> list[tuple[Any, ...]]:
    """Return what is in the table."""
    return await tx.execute("SELECT id, n, name FROM t ORDER BY id")


def sql(backend: Backend, text: str) -> str:
    """Return a statement with the dialect's parameter marks."""
    return backend.dialect.sql(text)


def values(backend: Backend, *found: int | str | None) -> list[Any]:
    """Return parameters as scripts hand them over."""
    texts = [one if one is None else str(one) for one in found]
    return texts if backend.dialect is POSTGRES else list(found)


@pytest.mark.parametrize("keep", [True, False])
def test_a_statement_is_performed_with_parameters_whose_type_the_place_decides(
    backend: Backend,
    keep: bool,  # noqa: FBT001
) -> None:
    """Also in an expression, and again and again."""

    async def check(backend: Backend) -> None:
        insert = sql(backend, "INSERT INTO t VALUES (?, ?, ?)")
        await do(backend, perform, insert, values(backend, 1, 10, "1 % 's"))
        await do(backend, perform, insert, values(backend, 2, None, None))
        update = sql(backend, "UPDATE t SET n = n + ? WHERE id = ?")
        for _ in range(3):

            async def change(tx: ScriptTx) -> None:
                await tx.perform(update, values(backend, -4, 1), keep=keep)

            await do(backend, change, single=True)
        assert await do(backend, rows) == [(1, -2, "1 % 's"), (2, None, None)]

    on(backend, check)


def test_columns_are_named(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        async def named(tx: ScriptTx, text: str, params: Sequence[Any] = ()) -> Any:
            return await tx.execute_named(text, params)

        names, found = await do(backend, named, "SELECT 7 AS seven, 'x' AS \"Letter\", NULL AS nil")
        assert list(names) == ["seven", "Letter", "nil"]
        assert found == [("7" if backend.dialect is POSTGRES else 7, "x", None)]
        returning = sql(backend, "INSERT INTO t VALUES (?, 5, NULL) RETURNING id + 1 AS next")
        names, found = await do(backend, named, returning, values(backend, 3))
        assert (list(names), str(found[0][0])) == (["next"], "4")
        _, found = await do(backend, named, "SELECT id FROM t WHERE id = 99")
        assert found == []
        assert await do(backend, named, "DELETE FROM t") == ([], []) or backend.dialect is POSTGRES

    on(backend, check)


def test_a_pipeline_performs_all_its_statements(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        insert = sql(backend, "INSERT INTO t VALUES (?, ?, 'a')")
        update = "UPDATE t SET n = n + 1"

        async def pipeline(tx: ScriptTx) -> None:
            await tx.pipeline([(insert, values(backend, n, n)) for n in range(50)])
            await tx.pipeline([(update, ()), ("SELECT * FROM t", ()), (update, ())])
            await tx.pipeline([])

        for single in (False, True):
            await do(backend, pipeline, single=single)
            assert [n for _, n, _ in await do(backend, rows)] == list(range(2, 52))
            await do(backend, perform, "DELETE FROM t")

    on(backend, check)


@pytest.mark.parametrize("single", [False, True])
def test_after_a_failed_pipeline_the_connection_goes_on(backend: Backend, single: bool) -> None:  # noqa: FBT001
    """In a transaction nothing of it stays; the statements after the one that failed are never run."""

    async def check(backend: Backend) -> None:
        insert = sql(backend, "INSERT INTO t VALUES (?, ?, 'a')")

        async def pipeline(tx: ScriptTx) -> None:
            await tx.pipeline([(insert, values(backend, n, n)) for n in (1, 2, 2, 3)])

        for _ in range(5):  # more than there are connections
            with pytest.raises(OpError) as caught:
                await do(backend, pipeline, single=single)
            assert caught.value.error_class == "constraint"
            left = [one for one, _, _ in await do(backend, rows)]
            assert left == ([1, 2] if single and backend.dialect is SQLITE else [])
            await do(backend, perform, "DELETE FROM t")

    on(backend, check)


async def pause(tx: ScriptTx, seconds: float) -> None:
    """Wait in a transaction."""
    await tx.pause(seconds)


def test_a_pause_takes_its_time_and_ends_at_the_time_limit(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        now = SystemClock.now
        began = now()
        await do(backend, pause, 0.05)
        assert now() - began >= 0.05
        began = now()
        with pytest.raises(OpError) as caught:
            await do(backend, pause, 3600.0, deadline=0.05)
        assert caught.value.error_class == "timeout"
        assert now() - began < 30
        await do(backend, perform, "SELECT 1")

    on(backend, check)


def test_a_refused_statement_is_an_error_of_its_class(backend: Backend) -> None:
    async def check(backend: Backend) -> None:
        async def named(tx: ScriptTx) -> None:
            await tx.execute_named("SELECT nothing FROM t", ())

        async def broken(tx: ScriptTx) -> None:
            await tx.pipeline([("SELEKT", ())])

        for fn in (
            named,
            broken,
            lambda tx: tx.perform("SELEKT", ()),
            lambda tx: tx.perform("SELEKT", (), keep=False),
        ):
            with pytest.raises(OpError) as caught:
                await do(backend, fn)
            assert caught.value.error_class == "other"
            assert "\n" not in str(caught.value)
        await do(backend, perform, sql(backend, "INSERT INTO t VALUES (?, 1, 'a')"), values(backend, 1))
        with pytest.raises(OpError) as caught:
            await do(backend, perform, sql(backend, "INSERT INTO t VALUES (?, 1, 'a')"), values(backend, 1))
        assert caught.value.error_class == "constraint"

    on(backend, check)


def test_a_prepared_statement_is_prepared_anew_when_its_table_has_changed(backend: Backend) -> None:
    """It fails once on a connection at most."""

    async def check(backend: Backend) -> None:
        failures = []
        for change in ("ADD COLUMN one int", "ADD COLUMN two int"):
            for _ in range(6):
                try:
                    await do(backend, perform, "SELECT * FROM t", single=True)
                except OpError as error:
                    failures.append(str(error))
            await do(backend, perform, f"ALTER TABLE t {change}")
        for _ in range(6):
            try:
                await do(backend, perform, "SELECT * FROM t", single=True)
            except OpError as error:
                failures.append(str(error))
        await do(backend, perform, "SELECT * FROM t", single=True)
        assert len(failures) <= 6
        assert all("cached plan" in failure for failure in failures)

    on(backend, check)
