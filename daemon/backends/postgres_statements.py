"""Statements as transaction functions run them: prepared once per connection, then only their values travel.

A psycopg cursor does the same, with more bookkeeping: a point read costs 20 µs of CPU time with it
and 14 µs here. psycopg still does what is intricate, the conversion of values in both directions.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import adapt, pq
from psycopg.abc import Transformer
from psycopg.adapt import PyFormat

from daemon.backends.base import POSTGRES
from daemon.backends.postgres_copy import encoder_of
from daemon.backends.postgres_errors import op_error
from daemon.backends.postgres_protocol import copy, execute_prepared, prepare
from daemon.errors import OpError
from daemon.ops import Table, Values

MOST_PREPARED = 100  # statements per connection; what comes later goes through the cursor
_RESULT_CHANGED = "0A000"  # a prepared statement whose table got other columns
_MARK = re.compile(r"%s|%%")


class _Prepared:
    """One prepared statement of one connection, and how its values are converted."""

    __slots__ = ("formats", "name", "shaped", "transformer", "types")

    def __init__(self, name: bytes, transformer: Transformer, marks: int) -> None:
        self.name = name
        self.transformer = transformer
        self.types = transformer.types
        self.formats = [PyFormat.AUTO] * marks
        self.shaped = False


class PostgresTx:
    """The open transaction of one connection, as transaction functions see it."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Values], *, prepare: bool, left: Callable[[], float]
    ) -> None:
        """Begin with nothing prepared.

        Args:
            connection: what statements run on.
            prepare: whether to use prepared statements.
            left: time to the limit of what runs, s.
        """
        self._connection = connection
        self._left = left
        self._pgconn = connection.pgconn
        # One for good: a new cursor per statement costs 5 µs.
        self._cursor = connection.cursor()
        self._limit = MOST_PREPARED if prepare else 0
        self._prepared: dict[str, _Prepared] = {}
        self._untyped: dict[str, bytes] = {}  # names of what was prepared for texts, by statement
        self._names = 0

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:
        """Run one statement: see `daemon.ops.Tx`."""
        try:
            prepared = self._prepared.get(sql) or await self._prepare(sql, params)
            if prepared is None:
                return await self._execute_by_cursor(sql, params)
            transformer = prepared.transformer
            values = transformer.dump_sequence(params, prepared.formats)
            if transformer.types != prepared.types:  # prepared for other types: a None, or a larger number
                return await self._execute_by_cursor(sql, params)
            results = await self._connection.wait(execute_prepared(self._pgconn, prepared.name, values))
        except (psycopg.Error, UnicodeError) as error:
            if isinstance(error, psycopg.Error) and error.sqlstate == _RESULT_CHANGED:
                self._prepared.pop(sql, None)
            raise op_error(error) from None
        result = results[-1]
        if result.status != pq.ExecStatus.TUPLES_OK:
            return []
        transformer.set_pgresult(result, set_loaders=not prepared.shaped)
        prepared.shaped = True
        return transformer.load_rows(0, result.ntuples, tuple)

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """Insert rows by COPY: see `daemon.ops.Tx`."""
        encoder = encoder_of(table)
        try:
            await self._connection.wait(copy(self._pgconn, encoder.command, encoder.encode(rows)))
        except psycopg.Error as error:
            raise op_error(error) from None

    async def upsert(self, counters: Table, rows: Sequence[Values]) -> None:
        """Add rows to counters with one statement: see `daemon.ops.Tx`.

        An array of integers is written as text; psycopg would look at each of them by itself.
        """
        arrays = [f"{{{str(list(column))[1:-1]}}}" for column in zip(*rows, strict=True)]
        await self.execute(POSTGRES.upsert(counters), arrays)

    async def execute_many(self, sql: str, rows: Sequence[Values]) -> None:
        """Run one statement for each row, pipelined."""
        try:
            await self._cursor.executemany(sql, rows)
        except (psycopg.Error, UnicodeError) as error:
            raise op_error(error) from None

    async def perform(self, sql: str, params: Sequence[str | None], *, keep: bool = True) -> None:
        """Run a statement and throw its rows away: see `daemon.ops.ScriptTx`.

        Texts need no conversion, and rows none that nobody looks at: 3 µs less than `execute` takes.
        """
        try:
            name = self._untyped.get(sql) or (await self._prepare_untyped(sql, params) if keep else None)
            if name is None:
                await self._cursor.execute(sql, params or None, prepare=None if keep else False)
            else:
                values = [value if value is None else value.encode() for value in params]
                await self._connection.wait(execute_prepared(self._pgconn, name, values))
        except (psycopg.Error, UnicodeError) as error:
            if isinstance(error, psycopg.Error) and error.sqlstate == _RESULT_CHANGED:
                self._untyped.pop(sql, None)
            raise op_error(error) from None

    async def execute_named(self, sql: str, params: Sequence[Any]) -> tuple[Sequence[str], list[Values]]:
        """Run a statement and name its columns, whose values are texts: see `daemon.ops.ScriptTx`."""
        try:
            await self._cursor.execute(sql, params or None)
        except (psycopg.Error, UnicodeError) as error:
            raise op_error(error) from None
        result = self._cursor.pgresult
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            return (), []
        columns = range(result.nfields)
        names = [(result.fname(column) or b"").decode() for column in columns]
        found = ([result.get_value(row, column) for column in columns] for row in range(result.ntuples))
        return names, [tuple(None if value is None else value.decode() for value in row) for row in found]

    async def pipeline(self, batch: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Send statements one behind the other and then read their results: see `daemon.ops.ScriptTx`."""
        try:
            async with self._connection.pipeline():
                for sql, params in batch:
                    # its own cursor, since each keeps the place of its result
                    await self._connection.execute(sql, params or None)
        except (psycopg.Error, UnicodeError) as error:
            raise op_error(error) from None

    async def pause(self, seconds: float) -> None:
        """Wait with the connection, and what the transaction has locked: see `daemon.ops.ScriptTx`."""
        left = self._left()
        await asyncio.sleep(min(seconds, left))
        if seconds > left:
            raise OpError("timeout", "it slept until its time limit")

    async def _execute_by_cursor(self, sql: str, params: Sequence[Any]) -> list[Values]:
        cursor = self._cursor
        await cursor.execute(sql, params or None)
        return [] if cursor.rownumber is None else await cursor.fetchall()

    async def _prepare(self, sql: str, params: Sequence[Any]) -> _Prepared | None:
        """Prepare a statement, or return None where it is not to be.

        Raises:
            OpError: `other`: the parameters are not as many as the marks.
            psycopg.Error: the server refused it.
        """
        if len(self._prepared) + len(self._untyped) >= self._limit:
            return None
        transformer: Transformer = adapt.Transformer.from_context(self._connection)
        transformer.dump_sequence(params, [PyFormat.AUTO] * len(params))
        name = await self._prepare_as(sql, len(params), transformer.types)
        prepared = self._prepared[sql] = _Prepared(name, transformer, len(params))
        return prepared

    async def _prepare_untyped(self, sql: str, params: Sequence[Any]) -> bytes | None:
        if len(self._prepared) + len(self._untyped) >= self._limit:
            return None
        name = self._untyped[sql] = await self._prepare_as(sql, len(params), None)
        return name

    async def _prepare_as(self, sql: str, params: int, types: Sequence[int] | None) -> bytes:
        numbered, marks = _numbered(sql) if params else (sql, 0)
        if marks != params:
            raise OpError("other", f"{marks} placeholders but {params} parameters")
        self._names += 1
        name = b"soakd_%d" % self._names
        await self._connection.wait(prepare(self._pgconn, name, numbered.encode(), types))
        return name


def _numbered(sql: str) -> tuple[str, int]:
    """Return the statement with `$1`, `$2` … in place of `%s`, and how many there are."""
    marks = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal marks
        if match[0] == "%%":
            return "%"
        marks += 1
        return f"${marks}"

    return _MARK.sub(replacement, sql), marks
