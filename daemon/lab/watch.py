"""Looking over the shoulder of a transaction: which statements it runs, and how many rows they return."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from daemon.ops import ScriptTx, Table, Transaction, TxFn, Values


class Call(NamedTuple):
    """A statement as it was run."""

    sql: str
    params: Sequence[Any]


@dataclass(slots=True)
class Seen:
    """What was seen of one transaction.

    Attributes:
        calls: its statements, in order, whether they succeeded or not.
        rows: rows that they returned; None when some were thrown away uncounted.
    """

    calls: list[Call] = field(default_factory=list)
    rows: int | None = 0


def watched(work: Transaction, seen: Seen) -> Transaction:
    """Return the same transaction, one that leaves in `seen` what it does."""
    return replace(work, fn=_run, args=(work.fn, work.args, seen))


async def _run(tx: ScriptTx, fn: TxFn, args: Values, seen: Seen) -> object:
    return await fn(_WatchedTx(tx, seen), *args)


class _WatchedTx:
    """A transaction that tells what passes through it: see `daemon.ops.ScriptTx`."""

    def __init__(self, tx: ScriptTx, seen: Seen) -> None:
        self._tx = tx
        self._seen = seen

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:
        self._seen.calls.append(Call(sql, params))
        rows = await self._tx.execute(sql, params)
        self._count(len(rows))
        return rows

    async def execute_named(self, sql: str, params: Sequence[Any]) -> tuple[Sequence[str], list[Values]]:
        self._seen.calls.append(Call(sql, params))
        names, rows = await self._tx.execute_named(sql, params)
        self._count(len(rows))
        return names, rows

    async def perform(self, sql: str, params: Sequence[Any], *, keep: bool = True) -> None:
        self._seen.calls.append(Call(sql, params))
        self._seen.rows = None
        await self._tx.perform(sql, params, keep=keep)

    async def pipeline(self, batch: Sequence[tuple[str, Sequence[Any]]]) -> None:
        self._seen.calls += [Call(sql, params) for sql, params in batch]
        self._seen.rows = None
        await self._tx.pipeline(batch)

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        await self._tx.insert(table, rows)

    async def pause(self, seconds: float) -> None:
        await self._tx.pause(seconds)

    def _count(self, rows: int) -> None:
        if self._seen.rows is not None:
            self._seen.rows += rows
