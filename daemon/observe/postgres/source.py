"""The samplers' own connection to PostgreSQL: one at most, read-only, and never in anybody's way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import wait_async
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from daemon.backends.postgres_errors import first_line
from daemon.backends.postgres_session import Sessions
from daemon.errors import SoakdError, TargetError
from daemon.observe.postgres.topic import Rows

APPLICATION = "soakd-sampler"
RECONNECT = 5.0  # s for which the pool tries to connect before it lets the next sample ask again
CLOSE_WITHIN = 0.5  # s
REPEATED = 2  # runs of a statement after which it is prepared


class _Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that says why it did not come about, and that is dropped when a sample is cut off."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        sessions: Sessions,
        timeout: float,  # noqa: ASYNC109 - the pool passes it
        prepare: bool,
        tried: Callable[[BaseException | None], None],
    ) -> Self:
        try:
            async with asyncio.timeout(timeout):
                connection = await super().connect(
                    conninfo,
                    autocommit=True,
                    prepare_threshold=REPEATED if prepare else None,
                    **sessions.parameters("reader"),
                )
        except (psycopg.Error, OSError, TimeoutError) as error:
            tried(error)
            raise psycopg.OperationalError(first_line(error)) from None
        tried(None)
        return connection

    async def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109
        """Drive one of psycopg's generators; this overrides `psycopg.AsyncConnection.wait`.

        That one asks the server to cancel and waits for it, 10 s where nobody answers. The server
        ends the statement by itself after its time-out.
        """
        try:
            return await wait_async(gen, self.pgconn.socket, interval, timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


class Session:
    """The connection for the time of one sample.

    Attributes:
        version: major version of the server: 13, 14 …
    """

    def __init__(self, connection: _Connection, *, begin: bytes | None) -> None:
        self.version = connection.info.server_version // 10_000
        self._connection = connection
        self._begin = begin

    async def ask(self, sql: str, params: Sequence[Any] = ()) -> Rows:
        """Run one statement and return its rows.

        Raises:
            psycopg.Error: it failed, or the connection did.
        """
        if self._begin is None:
            return await self._rows(sql, params)
        await self._connection.execute(self._begin)
        try:
            return await self._rows(sql, params)
        finally:
            if not self._connection.closed:
                await self._connection.execute(b"ROLLBACK")

    async def _rows(self, sql: str, params: Sequence[Any]) -> Rows:
        cursor = await self._connection.execute(sql.encode(), params or None)
        return await cursor.fetchall()


class Source:
    """Where samples of a PostgreSQL server come from. One connection at most, whatever happens."""

    def __init__(
        self,
        *,
        conninfo: str,
        password: str | None,
        connect_timeout: float,
        statement_timeout: float,
        lock_timeout: float,
        prepare: bool,
    ) -> None:
        """Read the address; nothing is connected before the first sample.

        Args:
            conninfo: address of the database.
            password: if it is not in the address.
            connect_timeout: longest wait for a new connection, s.
            statement_timeout: longest time of a statement, and longest wait for a connection, s.
            lock_timeout: longest wait for a lock, s.
            prepare: the server keeps sessions; False behind PgBouncer in transaction mode.

        Raises:
            TargetError: libpq cannot read the address.
        """
        self._sessions = Sessions(
            conninfo=conninfo,
            password=password,
            synchronous_commit="on",
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            lock_timeout=lock_timeout,
            application_name=APPLICATION,
            prepare=prepare,
        )
        self._begin = None if prepare else self._sessions.begin["reader", ""]
        self._patience = statement_timeout
        self._problem: BaseException | None = None
        self._pool = AsyncConnectionPool(
            kwargs={
                "sessions": self._sessions,
                "timeout": connect_timeout,
                "prepare": prepare,
                "tried": self._tried,
            },
            connection_class=_Connection,
            min_size=0,
            max_size=1,
            open=False,
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=RECONNECT,
            num_workers=1,
            name="sampler",
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend the connection for a sample.

        Raises:
            TargetError: there is none, or the sample failed; without secrets.
        """
        await self._pool.open()
        try:
            async with self._pool.connection(timeout=self._patience) as connection:
                yield Session(connection, begin=self._begin)
        except PoolTimeout:
            raise self._why() from None
        except psycopg.Error as error:
            raise TargetError(self._sessions.clean(first_line(error))) from None

    async def close(self) -> None:
        """Close the connection; never raises."""
        await self._pool.close(CLOSE_WITHIN)

    def _tried(self, problem: BaseException | None) -> None:
        self._problem = problem

    def _why(self) -> SoakdError:
        if self._problem is not None:
            return self._sessions.failure(self._problem)
        return TargetError(f"no connection within {self._patience:g} s")
