"""The tables in the target: created when they are missing, dropped when asked, never those of others."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from daemon.backends.base import Backend, Dialect
from daemon.errors import OpError, TargetError, UsageError
from daemon.ledger import (
    ACCOUNTS,
    OBJECTS,
    RUNNING,
    RUNS,
    SCHEMA_VERSION,
    ask,
    do,
    exists,
    going_on,
)
from daemon.ops import Tx
from daemon.seeds import CHUNKS, SEEDS
from daemon.workloads.base import Schema

OWN = (OBJECTS, RUNS, ACCOUNTS, SEEDS, CHUNKS)


async def prepare(backend: Backend, schema: Schema, *, clean: bool, bare: bool = False) -> set[str]:
    """Create what is missing; with `clean`, first drop what soakd created before.

    Args:
        backend: the target.
        schema: the tables of the workload; soakd's own are always made.
        clean: begin anew.
        bare: leave the indexes of new tables to `index`, for after they have been filled.

    Returns:
        The bare names of the tables that were created.

    Raises:
        UsageError: the workload's tables are of another version.
        TargetError: the tables' names are taken by somebody else's, they are of a newer
            soakd, or the privileges do not suffice.
    """
    if backend.dialect.name == "null":
        return set()
    try:
        created: set[str] = await do(backend, _prepare, backend.dialect, schema, clean, bare)
    except OpError as error:
        raise TargetError(f"cannot set the target up: {error}; `soakd check` says what it lacks") from error
    return created


async def missing(backend: Backend, schema: Schema) -> set[str]:
    """Return the bare names of the tables that `prepare` would create; changes nothing.

    Raises:
        UsageError: the workload's tables are of another version.
        TargetError: the tables are of a newer soakd.
        OpError: the target refused.
    """
    found: set[str] = await ask(backend, _missing, backend.dialect, schema)
    return found


def names(dialect: Dialect, schema: Schema) -> list[str]:
    """Return the qualified names of the tables that a run needs."""
    return [dialect.table(name) for name in (*(table.name for table in OWN), *schema.tables)]


async def unused(backend: Backend, workload: str, schema: Schema) -> list[str]:
    """Return the tables and indexes of a workload that are there and that a run does not ask for.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name == "null":
        return []
    mine = await ask(backend, _mine, backend.dialect)
    return [name for name in mine if name.startswith(f"{workload}_") and name not in schema.tables]


def taken(name: str) -> TargetError:
    """Return what is to be said when a table of that name is somebody else's."""
    return TargetError(
        f"{name} is there already and soakd did not create it: rename it, or use another target"
    )


async def index(backend: Backend, schema: Schema) -> None:
    """Create the indexes that `prepare` has left out.

    Raises:
        OpError: the target refused.
    """
    for statements in schema.tables.values():
        for statement in statements[1:]:  # each in a transaction of its own: they may take long
            await do(backend, _index, backend.dialect, statement)


async def drop(backend: Backend, schema: Schema) -> None:
    """Drop a workload's tables, as far as soakd created them.

    Raises:
        OpError: the target refused.
    """
    await do(backend, _drop_mine, backend.dialect, schema)


async def refuse_running(backend: Backend) -> None:
    """Refuse to take away what a run uses; in SQLite `check.sqlite` does.

    Raises:
        TargetError: a run is going on.
        OpError: the target refused.
    """
    await do(backend, _refuse_running, backend.dialect)


async def _drop_mine(tx: Tx, dialect: Dialect, schema: Schema) -> None:
    mine = await _mine(tx, dialect)
    await _drop(tx, dialect, [name for name in schema.tables if name in mine])


async def _prepare(
    tx: Tx,
    dialect: Dialect,
    schema: Schema,
    clean: bool,  # noqa: FBT001 - a transaction function's arguments are positional
    bare: bool,  # noqa: FBT001
) -> set[str]:
    await _take_turns(tx, dialect)
    made = "SELECT to_regnamespace('soakd') IS NOT NULL"
    if dialect.name == "postgres" and not (await tx.execute(made))[0][0]:
        await tx.execute("CREATE SCHEMA soakd")
    mine = await _mine(tx, dialect)
    if clean:
        await _refuse_running(tx, dialect)
        await _drop(tx, dialect, mine)
        mine = {}
    _check_version(mine, schema)
    wanted: list[tuple[str, int, Sequence[str]]] = [
        (table.name, SCHEMA_VERSION, [dialect.create_table(table)]) for table in OWN
    ]
    wanted += [
        (name, schema.version, statements[:1] if bare else statements)
        for name, statements in schema.tables.items()
    ]
    created = set()
    for name, version, statements in wanted:
        if await _lacks(tx, dialect, mine, name):
            await _create(tx, dialect, name, statements)
            await tx.execute(dialect.insert(OBJECTS, again=True), (name, version))
            created.add(name)
    return created


async def _missing(tx: Tx, dialect: Dialect, schema: Schema) -> set[str]:
    mine = await _mine(tx, dialect)
    _check_version(mine, schema)
    wanted = (*(table.name for table in OWN), *schema.tables)
    return {name for name in wanted if await _lacks(tx, dialect, mine, name)}


async def _lacks(tx: Tx, dialect: Dialect, mine: Collection[str], name: str) -> bool:
    """Return whether a table is not there; somebody may have dropped one of ours, to have the space back."""
    return name not in mine or not await exists(tx, dialect, name)


async def _refuse_running(tx: Tx, dialect: Dialect) -> None:
    """Refuse to drop what a run uses, as far as its record and sessions say; SQLite: see `check.sqlite`."""
    if dialect.name != "postgres":
        return
    if RUNS.name in await _mine(tx, dialect) and await exists(tx, dialect, RUNS.name):
        going = await tx.execute(
            f"SELECT run FROM {dialect.table(RUNS.name)} WHERE stop_reason = %s AND EXISTS (SELECT "
            "FROM pg_stat_activity WHERE application_name LIKE '%% ' || run || '/%%')",
            (RUNNING,),
        )
        if going:
            raise going_on(going[0][0])


async def _drop(tx: Tx, dialect: Dialect, names: Collection[str]) -> None:
    if dialect.name == "sqlite":  # tables may refer to each other, and go one by one
        await tx.execute("PRAGMA defer_foreign_keys = ON")
        for name in names:
            await tx.execute(f"DROP TABLE IF EXISTS {dialect.table(name)}")
        return
    kind = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
    found = {name: await tx.execute(kind, (dialect.table(name),)) for name in names}
    # What is an index there goes with its table.
    if tables := [dialect.table(name) for name, rows in found.items() if rows and rows[0][0] != "i"]:
        await tx.execute(f"DROP TABLE IF EXISTS {', '.join(tables)}")


async def _mine(tx: Tx, dialect: Dialect) -> dict[str, int]:
    """Return the versions of the tables that soakd created here, by bare name."""
    if not await exists(tx, dialect, OBJECTS.name):
        return {}
    mine: dict[str, int] = dict(
        await tx.execute(dialect.sql("SELECT name, version FROM {o}", o=OBJECTS.name))
    )
    check_own(mine.get(OBJECTS.name, 0))
    return mine


def check_own(version: int) -> None:
    """Refuse tables of soakd's own that this soakd does not know.

    Raises:
        TargetError: they were made by a newer one.
    """
    if version > SCHEMA_VERSION:
        raise TargetError(
            f"the target's tables are of version {version}, made by a newer soakd; this one knows "
            f"{SCHEMA_VERSION}: update soakd, or use another target"
        )


def _check_version(mine: Mapping[str, int], schema: Schema) -> None:
    for name in schema.tables:
        found = mine.get(name, schema.version)
        if found != schema.version:
            raise UsageError(
                f"the target's table {name} is of version {found}, this soakd makes version "
                f"{schema.version}: drop soakd's tables with --clean, or use another target"
            )


async def _create(tx: Tx, dialect: Dialect, name: str, statements: Sequence[str]) -> None:
    if await exists(tx, dialect, name):
        raise taken(dialect.table(name))
    await _run(tx, statements)


async def _index(tx: Tx, dialect: Dialect, statement: str) -> None:
    await _take_turns(tx, dialect)  # IF NOT EXISTS does not see what somebody else is just making
    await tx.execute(statement)


async def _take_turns(tx: Tx, dialect: Dialect) -> None:
    """Have whoever else changes tables of soakd's wait until this transaction ends, as SQLite does."""
    if dialect.name == "postgres":
        await tx.execute("SELECT pg_advisory_xact_lock(7305800412)")  # an arbitrary number, and soakd's own


async def _run(tx: Tx, statements: Iterable[str]) -> None:
    for statement in statements:
        await tx.execute(statement)
