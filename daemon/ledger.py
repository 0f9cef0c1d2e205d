"""What soakd keeps in the target besides the load: which tables are its own, runs, accounts of rows."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from daemon.backends.base import Backend, Dialect
from daemon.errors import OpError, TargetError, UsageError
from daemon.ops import Merge, Table, Transaction, Tx, TxFn, Values, query
from daemon.record.account import Account
from daemon.workloads import expired, merging
from daemon.workloads.base import EPOCH_KEYS, Identity
from daemon.workloads.expired import WorkerRows, books_of
from daemon.workloads.merging import MergedRows

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
PRAGMAS = (
    "application_id", "auto_vacuum", "busy_timeout", "cache_size", "encoding", "foreign_keys", "journal_mode",
    "journal_size_limit", "locking_mode", "mmap_size", "page_size", "secure_delete", "synchronous",
    "temp_store", "wal_autocheckpoint",
)  # fmt: skip
"""What says how a SQLite file is used: https://www.sqlite.org/pragma.html."""
RUNNING = "running"
ORPHANED = "supervisor died"
RUNS_NAMED = 5  # newest ones, where the one that was asked for is not there


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


def run_number(wall: float) -> int:
    """Return the run's number: its start in UTC as YYYYMMDDhhmmssmmm, which fits 64 bits and sorts."""
    whole, fraction = divmod(wall, 1)
    return int(time.strftime("%Y%m%d%H%M%S", time.gmtime(whole))) * 1000 + int(fraction * 1000)


def going_on(run: int) -> TargetError:
    """Return what is to be said when the tables are to be dropped while a run uses them."""
    return TargetError(f"run {run} is going on in this target: stop it before --clean, or use another target")


async def versions(backend: Backend) -> dict[str, str]:
    """Return what the database says that it is: `server_version` or `sqlite_version`."""
    statements = {
        "postgres": ("server_version", "SELECT current_setting('server_version')"),
        "sqlite": ("sqlite_version", "SELECT sqlite_version()"),
    }
    if backend.dialect.name not in statements:
        return {}
    name, sql = statements[backend.dialect.name]
    return {name: str((await ask(backend, query, sql, ()))[0][0])}


async def pragmas(backend: Backend) -> dict[str, str]:
    """Return how SQLite is set up on a connection for reading, by pragma; nothing for other databases."""
    if backend.dialect.name != "sqlite":
        return {}
    return {name: str((await ask(backend, query, f"PRAGMA {name}", ()))[0][0]) for name in PRAGMAS}


async def register(backend: Backend, record: RunRecord) -> int:
    """Note that a run begins; return its number, the next free one from `record.run` on."""
    if backend.dialect.name == "null":
        return record.run
    values = (*record[1:5], RUNNING)
    run = record.run
    while True:
        try:
            await do(backend, insert, backend.dialect.insert(RUNS, again=False), ((run, *values),))
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
        await do(backend, insert, backend.dialect.insert(ACCOUNTS, again=True), rows)


async def finish(backend: Backend, run: int, stop_reason: str) -> bool:
    """Note that a run has ended; return False when it is not known there any more.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name == "null":
        return True
    sql = backend.dialect.sql("UPDATE {r} SET stop_reason = ? WHERE run = ? RETURNING run", r="runs")
    return bool(await do(backend, query, sql, (stop_reason, run)))


async def withdraw(backend: Backend, run: int) -> None:
    """Forget a run that was registered and never began.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name != "null":
        sql = backend.dialect.sql("DELETE FROM {runs} WHERE run = ?", runs="runs")
        await do(backend, insert, sql, ((run,),))


async def finish_alone(backend: Backend, run: int) -> None:
    """Note that a run has ended without its supervisor, if every shard has left an account.

    Called after `save_accounts`, in a transaction of its own: so of two shards that end at once
    at least the later one sees the other's account.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name == "null":
        return
    alone = (
        "UPDATE {runs} SET stop_reason = ? WHERE run = ? AND stop_reason = ? "
        "AND shards = (SELECT count(DISTINCT shard) FROM {accounts} WHERE run = ?)"
    )
    sql = backend.dialect.sql(alone, runs="runs", accounts="accounts")
    await do(backend, insert, sql, ((ORPHANED, run, RUNNING, run),))


async def forget_rows(backend: Backend, table: Table, before: int) -> None:
    """Delete the rows of runs whose number is lower; what was merged into counters stays.

    Raises:
        OpError: the target refused.
    """
    if table.merge is not None:
        return
    names = [table.name, books_of(table).name] if table.expires else [table.name]
    statements = [backend.dialect.sql("DELETE FROM {rows} WHERE run < ?", rows=name) for name in names]
    await do(backend, _run_all, statements, (before,))


async def _run_all(tx: Tx, statements: Iterable[str], params: Values) -> None:
    for sql in statements:
        await tx.execute(sql, params)


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
    return not (await ask(backend, query, sql, (f"% {run}/%",)))[0][0]


async def stored(backend: Backend, table: Table, identity: Identity) -> int:
    """Return how many rows of a life of a shard the table holds, has merged, or has held until they expired.

    Raises:
        OpError: the target refused.
    """
    if table.merge is not None:
        found = await merged(backend, table.merge, identity.run)
        return sum(one.rows for one in found if one[:2] == identity[1:])
    if table.expires:
        workers = await by_worker(backend, table, identity.run, distinct=False)
        return sum(w.rows + w.expired for w in workers if (w.shard, w.epoch) == identity[1:])
    sql = backend.dialect.sql(
        "SELECT count(*) FROM {rows} WHERE run = ? AND shard = ? AND seq >= ? AND seq < ?", rows=table.name
    )
    first = identity.first_seq
    rows = await ask(backend, query, sql, (identity.run, identity.shard, first, first + EPOCH_KEYS))
    return int(rows[0][0])


async def by_worker(backend: Backend, table: Table, run: int, *, distinct: bool = True) -> list[WorkerRows]:
    """Return what the table holds of a run, and has held, by worker; `distinct` counts keys as well.

    Raises:
        OpError: the target refused.
    """
    args = (backend.dialect, table, run, distinct)
    work = Transaction(_by_worker, args, read_only=True, isolation="repeatable read")
    found: list[WorkerRows] = (await backend.transact(work)).result
    return found


async def _by_worker(
    tx: Tx,
    dialect: Dialect,
    table: Table,
    run: int,
    distinct: bool,  # noqa: FBT001 - a transaction function's arguments are positional
) -> list[WorkerRows]:
    # A run of an earlier soakd has left no books, and nothing has expired.
    books = table.expires and await exists(tx, dialect, books_of(table).name)
    return await expired.by_worker(tx, dialect, table, run, distinct=distinct, books=books)


async def merged(backend: Backend, merge: Merge, run: int) -> list[MergedRows]:
    """Return how many rows of a run were merged into counters, by life of a shard.

    Raises:
        OpError: the target refused.
    """
    found: list[MergedRows] = await ask(backend, merging.merged, backend.dialect, merge, run)
    return found


async def miscounted(backend: Backend, merge: Merge) -> str | None:
    """Return in words how counters differ from all that was ever merged into them; None: not at all.

    Raises:
        OpError: the target refused.
    """
    found: str | None = await ask(backend, merging.difference, backend.dialect, merge)
    return found


async def load_run(backend: Backend, wanted: int | None = None) -> RunRecord:
    """Return a run's record; the newest if `wanted` is None.

    Raises:
        UsageError: there is no such run.
        OpError: the target refused.
    """
    dialect = backend.dialect
    if not await ask(backend, exists, dialect, RUNS.name):
        raise UsageError("soakd has never run against this target: there is nothing to look at")
    columns = ", ".join(name for name, _ in RUNS.columns)
    runs = dialect.sql(f"SELECT {columns} FROM {{r}}", r="runs")
    newest = f"{runs} ORDER BY run DESC LIMIT {RUNS_NAMED}"
    if wanted is None:
        found = await ask(backend, query, newest, ())
    else:
        found = await ask(backend, query, runs + dialect.sql(" WHERE run = ?"), (wanted,))
    if not found:
        known = ", ".join(str(row[0]) for row in await ask(backend, query, newest, ())) or "none"
        which = "no run" if wanted is None else f"no run {wanted}"
        raise UsageError(f"{which} in this target; the newest there: {known}")
    columns = ", ".join(name for name, _ in ACCOUNTS.columns[1:])
    sql = dialect.sql(f"SELECT {columns} FROM {{a}} WHERE run = ?", a="accounts")
    accounts = await ask(backend, query, sql, (found[0][0],))
    run, version, workload, writers, shards, reason = found[0]
    by_life = {(a[0], a[1]): Account(*a[2:]) for a in accounts}
    return RunRecord(run, version, workload, writers, shards, reason, by_life)


async def ask(backend: Backend, fn: TxFn, *args: object) -> Any:  # noqa: ANN401 - whatever fn returns
    """Read, and return what `fn` does; in SQLite without the write lock, which a run may want meanwhile."""
    return (await backend.transact(Transaction(fn, args, read_only=True))).result


async def do(backend: Backend, fn: TxFn, *args: object) -> Any:  # noqa: ANN401 - whatever fn returns
    """Run one transaction that may write, and return what `fn` does."""
    timed = await backend.transact(Transaction(fn, args, read_only=False))
    return timed.result


async def insert(tx: Tx, sql: str, rows: Iterable[Values]) -> None:
    """Run one statement for each row: a transaction function for `do`."""
    for row in rows:
        await tx.execute(sql, row)


async def exists(tx: Tx, dialect: Dialect, name: str) -> bool:
    """Return whether there is a table of this bare name."""
    if dialect.name == "postgres":
        rows = await tx.execute("SELECT to_regclass(%s) IS NOT NULL", (dialect.table(name),))
    else:
        rows = await tx.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (dialect.table(name),))
    return bool(rows[0][0])
