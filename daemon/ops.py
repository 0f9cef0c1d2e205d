"""The plain data that travels between pools, workloads and backends."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

PoolName = Literal["writer", "reader"]
POOLS: tuple[PoolName, ...] = ("writer", "reader")

Outcome = Literal["ok", "rejected", "error", "timeout", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "rejected", "error", "timeout", "dropped")

Values = tuple[Any, ...]


class OpSpec(NamedTuple):
    """One kind of operation of a workload; the set of them is closed.

    Attributes:
        name: label value in metrics and summaries.
        pool: which pool runs it.
        weight: share among the operations of its pool, ≥ 0; only the proportions count.
    """

    name: str
    pool: PoolName
    weight: float = 1.0


class Table(NamedTuple):
    """A table that rows are batched into.

    Attributes:
        name: bare name; the dialect qualifies it (schema in PostgreSQL, prefix in SQLite).
        columns: (column, type) in the order of a row's values. Types are the portable ones of
            `backends.base.TYPES`.
        key: the columns of the unique key that makes a retry idempotent.
        merge: where its rows are counted instead of being kept. None: they are kept.
        expires: its oldest rows may be deleted; then it has books of them (`workloads.expired`).
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    expires: bool = False
    merge: "Merge | None" = None


class Merge(NamedTuple):
    """What becomes of rows that are counted: a batch of them is merged, each batch once.

    A row has the columns run, shard, worker and seq, then the key of its counter, then values of
    which the last one tells how late it is. All are integers.

    Attributes:
        counters: the key, the number of rows, and the values of the latest row.
        marks: what each flusher of each life of a shard has merged: the number of its last batch,
            and how many rows in all; its columns are `MARK_COLUMNS`.
    """

    counters: Table
    marks: Table


MARK_KEY = ("run", "shard", "epoch", "flusher")
MARK_COLUMNS = (
    ("run", "bigint"),
    ("shard", "int"),
    ("epoch", "int"),
    ("flusher", "int"),
    ("batch", "bigint"),
    ("events", "bigint"),
)


class Tx(Protocol):
    """An open transaction, as a transaction function sees it."""

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:
        """Run one statement and return its rows (empty when it returns none).

        Raises:
            OpError: the database refused it.
        """
        ...

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """Insert rows in the fastest way there is; the table has none of their keys yet.

        Args:
            table: where to.
            rows: each with the values of `table.columns`; there may be none.

        Raises:
            OpError: the database refused them.
        """
        ...

    async def upsert(self, counters: Table, rows: Sequence[Values]) -> None:
        """Add rows to the counters of their keys, and make those that are not there.

        Args:
            counters: as `Merge` has it.
            rows: each with the values of its columns, and a key of its own, in the order of the
                keys: so two that do this at once never wait for each other; at least one.

        Raises:
            OpError: the database refused them.
        """
        ...


class ScriptTx(Tx, Protocol):
    """A transaction that runs what users wrote, which may ask for more than the built-in workloads do."""

    async def perform(self, sql: str, params: Sequence[Any], *, keep: bool = True) -> None:
        """Run a statement and throw its rows away.

        Args:
            sql: the statement, with the dialect's parameter marks.
            params: to PostgreSQL their texts, of no type, so that it infers one from the place.
            keep: prepare the statement, or use what was prepared of it.

        Raises:
            OpError: the database refused it.
        """
        ...

    async def execute_named(self, sql: str, params: Sequence[Any]) -> tuple[Sequence[str], list[Values]]:
        """Run a statement and return the names of its columns, unless there are no rows, and its rows.

        Raises:
            OpError: the database refused it.
        """
        ...

    async def pipeline(self, batch: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Perform statements without waiting for the result of one before the next is sent.

        Raises:
            OpError: the database refused one; none after it was run.
        """
        ...

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the time limit of the transaction."""
        ...


TxFn = Callable[..., Awaitable[Any]]


Isolation = Literal["", "read committed", "repeatable read", "serializable"]


async def query(tx: Tx, sql: str, params: Sequence[Any]) -> list[Values]:
    """Run one statement and return its rows: the function of most reads.

    A backend that is given it as a `single` operation may run the statement without calling it.
    """
    return await tx.execute(sql, params)


@dataclass(slots=True)  # made for each operation, and cheaper to make than a named tuple
class Transaction:
    """An operation that is a transaction function, called as `fn(tx, *args)`.

    Attributes:
        read_only: it writes nothing, so a reading connection will do.
        single: it needs no BEGIN and COMMIT around it: each of its statements, mostly the only
            one, is a transaction of its own, unless they begin and end one themselves.
        idempotent: it has no second effect when it was committed already, so it may be tried again
            also when nobody knows whether it was.
        isolation: level for a transaction that is not `single`; empty: the server's default. SQLite
            has one level only, the strictest.
        partial: a part of it may have been committed when it fails, so it is never tried again.
    """

    fn: TxFn
    args: Values = ()
    read_only: bool = True
    single: bool = False
    idempotent: bool = False
    isolation: Isolation = ""
    partial: bool = False


@dataclass(slots=True)  # as above
class Timed:
    """What a backend call gave, and when (s, the clock's monotonic time).

    Attributes:
        result: what the transaction function returned; the number of rows for a batch.
        served: when the backend began to work on it (a connection or lane was had).
        done: when its COMMIT, or its last statement, had returned.
        commit: how long COMMIT itself took, s; 0 where there was none.
    """

    result: Any
    served: float
    done: float
    commit: float = 0.0
