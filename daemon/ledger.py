"""What soakd keeps in the target besides the load: which tables are its own, runs, accounts of rows."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from daemon.backends.base import Backend, Dialect
from daemon.errors import OpError, TargetError, UsageError
from daemon.ops import Table, Transaction, Tx, TxFn, Values
from daemon.record.account import Account
from daemon.workloads.base import EPOCH_KEYS, Identity, Workload

SCHEMA_VERSION = 1

OBJECTS = Table("objects", (("name", "text"), ("version", "int")), ("name",))
RUNS = Table(
    "runs",
    (
        ("run", "bigint"),
        ("soakd_version", "text"),
        ("workload", "text"),
        ("writers", "int"),
        ("shards", "int"),
        ("stop_reason", "text"),  # 'running' until the run has ended
    ),
    ("run",),
)
ACCOUNTS = Table(
    "accounts",
    (
        ("run", "bigint"),
        ("shard", "int"),
        ("epoch", "int"),
        ("accepted", "bigint"),
        ("committed", "bigint"),
        ("failed", "bigint"),
        ("abandoned", "bigint"),
        ("in_doubt", "bigint"),
    ),
    ("run", "shard", "epoch"),
)
OWN = (OBJECTS, RUNS, ACCOUNTS)
PRAGMAS = (
    "application_id", "auto_vacuum", "busy_timeout", "cache_size", "encoding", "foreign_keys", "journal_mode",
    "journal_size_limit", "locking_mode", "mmap_size", "page_size", "secure_delete", "synchronous",
    "temp_store", "wal_autocheckpoint",
)  # fmt: skip
"""What says how a SQLite file is used: https://www.sqlite.org/pragma.html."""
RUNNING = "running"
ORPHANED = "supervisor died"


class RunRecord(NamedTuple):
    """A run as the target remembers it.

    Attributes:
        stop_reason: why it ended; `RUNNING` while it has not.
        accounts: by (shard, epoch).
    """

    run: int
    soakd_version: str
    workload: str
    writers: int
    shards: int
    stop_reason: str
    accounts: dict[tuple[int, int], Account]


class WorkerRows(NamedTuple):
    """What the table holds of one worker of one life of a shard: numbers of rows, and keys."""

    shard: int
    worker: int
    epoch: int
    rows: int
    distinct: int
    first: int
    last: int


def run_number(wall: float) -> int:
    """Return the run's number: its start in UTC as YYYYMMDDhhmmssmmm, which fits 64 bits and sorts."""
    whole, fraction = divmod(wall, 1)
    return int(time.strftime("%Y%m%d%H%M%S", time.gmtime(whole))) * 1000 + int(fraction * 1000)


async def prepare(backend: Backend, workload: Workload, *, clean: bool) -> None:
    """Create what is missing; with `clean`, first drop what soakd created before.

    Raises:
        TargetError: the tables' names are taken by somebody else's, they are of a newer
            soakd, or the privileges do not suffice.
    """
    if backend.dialect.name == "null":
        return
    try:
        await _do(backend, _prepare, backend.dialect, workload, clean)
    except OpError as error:
        raise TargetError(f"cannot set the target up: {error}; `soakd check` says what it lacks") from error


def names(dialect: Dialect, workload: Workload) -> list[str]:
    """Return the qualified names of the tables that a run needs."""
    return [dialect.table(table.name) for table in (*OWN, *workload.tables)]


def taken(name: str) -> TargetError:
    """Return what is to be said when a table of that name is somebody else's."""
    return TargetError(
        f"{name} is there already and soakd did not create it: rename it, or use another target"
    )


async def versions(backend: Backend) -> dict[str, str]:
    """Return what the database says that it is: `server_version` or `sqlite_version`."""
    statements = {
        "postgres": ("server_version", "SELECT current_setting('server_version')"),
        "sqlite": ("sqlite_version", "SELECT sqlite_version()"),
    }
    if backend.dialect.name not in statements:
        return {}
    name, sql = statements[backend.dialect.name]
    return {name: str((await _ask(backend, _rows, sql, ()))[0][0])}


async def pragmas(backend: Backend) -> dict[str, str]:
    """Return how SQLite is set up on a connection for reading, by pragma; nothing for other databases."""
    if backend.dialect.name != "sqlite":
        return {}
    return {name: str((await _ask(backend, _rows, f"PRAGMA {name}", ()))[0][0]) for name in PRAGMAS}


async def register(backend: Backend, record: RunRecord) -> int:
    """Note that a run begins; return its number, the next free one from `record.run` on."""
    if backend.dialect.name == "null":
        return record.run
    values = (*record[1:5], RUNNING)
    run = record.run
    while True:
        try:
            await _do(backend, _insert, backend.dialect.insert(RUNS, again=False), ((run, *values),))
        except OpError as error:
            if error.error_class != "constraint":
                raise TargetError(f"cannot register the run: {error}") from error
            run += 1
        else:
            return run


async def save_accounts(backend: Backend, accounts: Mapping[Identity, Account]) -> None:
    """Note what became of the rows of lives of shards, of all or of none; what is noted already stays.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name != "null":
        rows = [(*identity, *account) for identity, account in accounts.items()]
        await _do(backend, _insert, backend.dialect.insert(ACCOUNTS, again=True), rows)


async def finish(backend: Backend, run: int, stop_reason: str) -> None:
    """Note that a run has ended.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name == "null":
        return
    sql = backend.dialect.sql("UPDATE {runs} SET stop_reason = ? WHERE run = ?", runs="runs")
    await _do(backend, _insert, sql, ((stop_reason, run),))


async def finish_alone(backend: Backend, run: int) -> None:
    """Note that a run has ended without its supervisor, if every shard has left an account.

    Called after `save_accounts`, in a transaction of its own: so of two shards that end at once
    at least the later one sees the other's account.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name == "null":
        return
    sql = backend.dialect.sql(
        "UPDATE {runs} SET stop_reason = ? WHERE run = ? AND stop_reason = ? "
        "AND shards = (SELECT count(DISTINCT shard) FROM {accounts} WHERE run = ?)",
        runs="runs",
        accounts="accounts",
    )
    await _do(backend, _insert, sql, ((ORPHANED, run, RUNNING, run),))


async def quiet(backend: Backend, run: int, *, insist: bool) -> bool:
    """Return True once no session of the run's engines is left in the server.

    A server notices a dead client only when it next talks to it: until then it may be committing,
    or wait for a lock to do so later.

    Args:
        backend: the target.
        run: number of the run.
        insist: tell the server to end the sessions that there are.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name != "postgres":
        return True  # the sessions of SQLite die with their process
    what = "count(pg_terminate_backend(pid))" if insist else "count(*)"
    sql = f"SELECT {what} FROM pg_stat_activity WHERE application_name LIKE %s"
    return not (await _ask(backend, _rows, sql, (f"% {run}/%",)))[0][0]


async def stored(backend: Backend, table: Table, identity: Identity) -> int:
    """Return how many rows of one life of a shard the table holds.

    Raises:
        OpError: the target refused.
    """
    sql = backend.dialect.sql(
        "SELECT count(*) FROM {rows} WHERE run = ? AND shard = ? AND seq >= ? AND seq < ?", rows=table.name
    )
    first = identity.first_seq
    rows = await _ask(backend, _rows, sql, (identity.run, identity.shard, first, first + EPOCH_KEYS))
    return int(rows[0][0])


async def by_worker(backend: Backend, table: Table, run: int) -> list[WorkerRows]:
    """Return what the table holds of a run, by worker.

    Raises:
        OpError: the target refused.
    """
    sql = backend.dialect.sql(
        f"SELECT shard, worker, seq / {EPOCH_KEYS}, count(*), count(DISTINCT seq), min(seq), max(seq) "
        f"FROM {{rows}} WHERE run = ? GROUP BY shard, worker, seq / {EPOCH_KEYS} ORDER BY 1, 2, 3",
        rows=table.name,
    )
    return [WorkerRows(*row) for row in await _ask(backend, _rows, sql, (run,))]


async def load_run(backend: Backend, wanted: int | None = None) -> RunRecord:
    """Return a run's record; the newest if `wanted` is None.

    Raises:
        UsageError: there is no such run.
        OpError: the target refused.
    """
    dialect = backend.dialect
    if not await _ask(backend, _exists, dialect, RUNS.name):
        raise UsageError("soakd has never run against this target: there is nothing to look at")
    names = ", ".join(name for name, _ in RUNS.columns)
    newest = await _ask(
        backend, _rows, dialect.sql(f"SELECT {names} FROM {{r}} ORDER BY run DESC", r="runs"), ()
    )
    found = [row for row in newest if wanted in (None, row[0])]
    if not found:
        known = ", ".join(str(row[0]) for row in newest[:5]) or "none"
        raise UsageError(f"no run {wanted} in this target; the newest there: {known}")
    columns = ", ".join(name for name, _ in ACCOUNTS.columns[1:])
    sql = dialect.sql(f"SELECT {columns} FROM {{a}} WHERE run = ?", a="accounts")
    accounts = await _ask(backend, _rows, sql, (found[0][0],))
    run, version, workload, writers, shards, reason = found[0]
    by_life = {(a[0], a[1]): Account(*a[2:]) for a in accounts}
    return RunRecord(run, version, workload, writers, shards, reason, by_life)


async def _ask(backend: Backend, fn: TxFn, *args: object) -> Any:  # noqa: ANN401 - whatever fn returns
    """Read; in SQLite without the write lock, which a run may want meanwhile."""
    return (await backend.transact(Transaction(fn, args, read_only=True))).result


async def _do(backend: Backend, fn: TxFn, *args: object) -> Any:  # noqa: ANN401 - whatever fn returns
    timed = await backend.transact(Transaction(fn, args, read_only=False))
    return timed.result


async def _rows(tx: Tx, sql: str, params: Sequence[object]) -> list[Values]:
    return await tx.execute(sql, params)


async def _insert(tx: Tx, sql: str, rows: Iterable[Values]) -> None:
    for row in rows:
        await tx.execute(sql, row)


async def _exists(tx: Tx, dialect: Dialect, name: str) -> bool:
    if dialect.name == "postgres":
        rows = await tx.execute("SELECT to_regclass(%s) IS NOT NULL", (dialect.table(name),))
    else:
        rows = await tx.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (dialect.table(name),))
    return bool(rows[0][0])


async def _prepare(tx: Tx, dialect: Dialect, workload: Workload, clean: bool) -> None:  # noqa: FBT001
    if dialect.name == "postgres":
        # Two soakd that start at once take turns; the number is arbitrary and soakd's own.
        await tx.execute("SELECT pg_advisory_xact_lock(7305800412)")
        if not (await tx.execute("SELECT to_regnamespace('soakd') IS NOT NULL"))[0][0]:
            await tx.execute("CREATE SCHEMA soakd")
    mine = await _mine(tx, dialect)
    if clean:
        for name in mine:
            await tx.execute(f"DROP TABLE IF EXISTS {dialect.table(name)}")
        mine = set()
    wanted: list[tuple[Table, Sequence[str]]] = [(table, [dialect.create_table(table)]) for table in OWN]
    wanted += [(table, workload.schema(dialect)) for table in workload.tables[:1]]
    for table, statements in wanted:
        # Somebody may have dropped one of ours, to have the space back.
        if table.name not in mine or not await _exists(tx, dialect, table.name):
            await _create(tx, dialect, table, statements)


async def _mine(tx: Tx, dialect: Dialect) -> set[str]:
    """Return the bare names of the tables that soakd created here."""
    if not await _exists(tx, dialect, OBJECTS.name):
        return set()
    rows = await tx.execute(dialect.sql("SELECT name, version FROM {o}", o=OBJECTS.name))
    newest = max((version for _, version in rows), default=0)
    if newest > SCHEMA_VERSION:
        raise TargetError(
            f"the target's tables are of version {newest}, made by a newer soakd; this one knows "
            f"{SCHEMA_VERSION}: update soakd, or use another target"
        )
    return {name for name, _ in rows}


async def _create(tx: Tx, dialect: Dialect, table: Table, statements: Sequence[str]) -> None:
    if await _exists(tx, dialect, table.name):
        raise taken(dialect.table(table.name))
    for statement in statements:
        await tx.execute(statement)
    await tx.execute(dialect.insert(OBJECTS, again=True), (table.name, SCHEMA_VERSION))
