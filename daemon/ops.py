"""The plain data that travels between pools, workloads and backends."""

from collections.abc import Awaitable, Callable, Sequence
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
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]


class Tx(Protocol):
    """An open transaction, as a transaction function sees it."""

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:
        """Run one statement and return its rows (empty when it returns none).

        Raises:
            OpError: the database refused it.
        """
        ...


TxFn = Callable[..., Awaitable[Any]]


async def query(tx: Tx, sql: str, params: Sequence[Any]) -> list[Values]:
    """Run one statement and return its rows: the function of most reads.

    A backend that is given it as a `single` operation may run the statement without calling it.
    """
    return await tx.execute(sql, params)


class Transaction(NamedTuple):
    """An operation that is a transaction function, called as `fn(tx, *args)`.

    Attributes:
        read_only: it writes nothing, so a reading connection will do.
        single: it executes exactly one statement, so the statement is the transaction and
            needs no BEGIN and COMMIT around it.
    """

    fn: TxFn
    args: Values = ()
    read_only: bool = True
    single: bool = False


class Timed(NamedTuple):
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
