"""PostgreSQL: rows by binary COPY, transactions with prepared statements, and a way back after an outage."""

import asyncio
from collections.abc import Sequence
from random import Random

import psycopg

from daemon.backends.base import INFINITY, POSTGRES
from daemon.backends.postgres_connection import Connection
from daemon.backends.postgres_copy import encoder_of
from daemon.backends.postgres_pool import Pool
from daemon.backends.postgres_session import Sessions
from daemon.backends.postgres_watch import Watch
from daemon.clock import Clock
from daemon.errors import OpError, Rejected
from daemon.ops import PoolName, Table, Timed, Transaction, Values
from daemon.record.snapshot import Snapshot

FIRST_PAUSE = 0.05  # s, after the first failed attempt to reconnect; doubled each time,
LONGEST_PAUSE = 1.0  # s, up to this
SETTLE_WITHIN = 5.0  # s, for the server to answer a cancellation before the connection is thrown away
CANCEL_WITHIN = 1.0  # s, the same when everything is closed
CONNECTS_AT_ONCE = 8


class PostgresBackend:
    """A PostgreSQL target.

    There are two pools, for writing and for reading, of a fixed number of connections. One keeper
    task replaces what is lost; while a pool has no connection at all, its calls fail at once with
    `connection`, so that the load's schedule goes on.
    """

    dialect = POSTGRES

    def __init__(
        self,
        *,
        conninfo: str,
        password: str | None,
        writer_connections: int,
        reader_connections: int,
        synchronous_commit: str,
        connect_timeout: float,
        statement_timeout: float,
        lock_timeout: float,
        application_name: str,
        prepare: bool,
        clock: Clock,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            conninfo: URL or key=value pairs, as libpq takes them.
            password: in place of one in `conninfo`, or None.
            writer_connections: for rows and for transactions that write.
            reader_connections: for transactions that only read.
            synchronous_commit: `on`, `off` or `local`.
            connect_timeout: longest wait for a connection, s > 0.
            statement_timeout: after which the server ends a statement, s; 0: never.
            lock_timeout: after which the server ends the wait for a lock, s; 0: never.
            application_name: how the sessions call themselves.
            prepare: False behind PgBouncer in transaction mode.
            clock: monotonic time.

        Raises:
            UsageError: `conninfo` cannot be read.
        """
        self._sessions = Sessions(
            conninfo=conninfo,
            password=password,
            synchronous_commit=synchronous_commit,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            lock_timeout=lock_timeout,
            application_name=application_name,
            prepare=prepare,
        )
        self._clock = clock
        self._now = clock.now
        self._short = asyncio.Event()
        self._pools: dict[PoolName, Pool] = {
            "writer": Pool(writer_connections, clock, self._short),
            "reader": Pool(reader_connections, clock, self._short),
        }
        self._tasks: set[asyncio.Task[None]] = set()  # the keeper,
        self._settling: set[asyncio.Task[None]] = set()  # and one per connection that is being settled
        self._watch = Watch()
        self._outage_end = -INFINITY
        self._outages = 0  # that are over,
        self._outage_seconds = 0.0  # and how long they were, s
        self._jitter = Random()

    async def open(self) -> None:
        """Open every connection: see `Backend`.

        Raises:
            TargetError: it cannot be done; within `connect_timeout` where the target does not answer.
        """
        self._watch.open()
        try:
            first: PoolName = "writer" if self._pools["writer"].size else "reader"
            # One alone: what is wrong with the target is best told from it.
            alone = await self._sessions.connect(first, self._watch)
            self._pools[first].add(alone)
            self._sessions.check(alone)
            await self._fill()
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self.close()
            # Without its cause, since that one's text is not ours and might hold a secret.
            raise self._sessions.failure(error) from None
        except BaseException:
            await self.close()
            raise
        self._start(self._keep(), self._tasks)

    async def close(self) -> None:
        """Close everything; safe to call again."""
        if self._settling:
            # A server does not notice that nobody waits any more: it would go on, and hold its locks.
            await asyncio.wait(self._settling, timeout=CANCEL_WITHIN)
        tasks = [*self._tasks, *self._settling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pool in self._pools.values():
            pool.size = 0
            for connection in list(pool.members):
                pool.lose(connection)
                await connection.close()
            pool.refuse("closed")
        self._watch.close()

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Run a transaction function: see `Backend`."""
        name: PoolName = "reader" if work.read_only else "writer"
        pool = self._pools[name]
        connection = pool.idle.pop() if pool.idle else await pool.wait(deadline)
        served = self._now()
        commits = False
        commit = 0.0
        try:
            if deadline != INFINITY:
                connection.limit(_left(deadline, served))
            if work.single and self._sessions.bare[name]:
                commits = not work.read_only
                result = await work.fn(connection.tx, *work.args)
                done = self._now()
            else:
                await connection.run(self._sessions.begin[name, work.isolation])
                result = await work.fn(connection.tx, *work.args)
                commits = not work.read_only
                commit = self._now()
                await connection.run(b"COMMIT")
                done = self._now()
                commit = done - commit
        except BaseException as error:
            await self._give_up(pool, connection, error, served, commits=commits)
            raise
        if deadline != INFINITY:
            connection.limit(INFINITY)
        pool.give(connection)
        return Timed(result, served, done, commit)

    async def write_rows(self, table: Table, rows: Sequence[Values], *, again: bool) -> Timed:
        """Insert rows in one transaction: see `Backend`."""
        encoder = encoder_of(table)
        stream = b"" if again else encoder.encode(rows)
        pool = self._pools["writer"]
        connection = pool.idle.pop() if pool.idle else await pool.wait()
        served = self._now()
        commits = False
        begin = self._sessions.begin["writer", ""]
        try:
            if again:
                await connection.run(begin)
                await connection.tx.execute_many(POSTGRES.insert(table, again=True), rows)
            else:
                # BEGIN travels with the COPY, so that it costs no round trip of its own.
                await connection.copy(begin + encoder.command, stream)
            commits = True
            sent = self._now()
            await connection.run(b"COMMIT")
        except BaseException as error:
            await self._give_up(pool, connection, error, served, commits=commits)
            raise
        done = self._now()
        pool.give(connection)
        return Timed(len(rows), served, done, done - sent)

    def figures(self) -> Snapshot:
        """Return the outages, the present one included: see `Backend`.

        All else is asked of the server over a connection of the supervisor's own.
        """
        began = self._outage_began
        out = began < INFINITY
        present = self._now() - began if out else 0.0
        return Snapshot(
            {
                ("soakd_target_outages_total",): float(self._outages + out),
                ("soakd_target_outage_seconds_total",): self._outage_seconds + present,
            }
        )

    def connections(self) -> dict[tuple[PoolName, str], int]:
        """Return the connections in use and idle, and the callers that wait for one, by pool."""
        counts: dict[tuple[PoolName, str], int] = {}
        for name, pool in self._pools.items():
            counts[name, "busy"] = len(pool.members) - len(pool.idle)
            counts[name, "idle"] = len(pool.idle)
            counts[name, "waiting"] = len(pool.waiting)
        return counts

    @property
    def outage_end(self) -> float:
        """See `Backend`; an outage lasts as long as one of the pools has no connection."""
        return INFINITY if self._out else self._outage_end

    @property
    def _outage_began(self) -> float:
        return min(pool.failed_at for pool in self._pools.values())

    @property
    def _out(self) -> bool:
        return any(pool.out for pool in self._pools.values())

    async def _give_up(
        self, pool: Pool, connection: Connection, error: BaseException, served: float, *, commits: bool
    ) -> None:
        """Complete the error of a failed operation and see to the connection that it was on.

        After an interruption the server may still be at work: the caller is not kept waiting for it.

        Args:
            pool: which pool the connection is of.
            connection: what it ran on.
            error: what it raised.
            served: when it began.
            commits: whether what failed was, or included, the commit.
        """
        if isinstance(error, Rejected):
            error.served = served
        if isinstance(error, OpError):
            error.served = served
            lost = error.error_class == "connection" or connection.unfinished
            error.in_doubt = commits and lost
        settling = self._settle(pool, connection)
        if connection.unfinished:
            self._start(settling, self._settling)
        else:
            await settling

    async def _settle(self, pool: Pool, connection: Connection) -> None:
        usable = False
        try:
            usable = not connection.lost and await connection.settle(SETTLE_WITHIN)
        finally:
            if usable:
                pool.give(connection)
            else:
                pool.lose(connection)
                await connection.close()

    def _start(self, work: "asyncio._CoroutineLike[None]", among: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _keep(self) -> None:
        """Replace lost connections for ever: at once, then with growing pauses."""
        pause = FIRST_PAUSE
        while True:
            await self._short.wait()
            self._short.clear()
            try:
                await self._fill()
            except Exception as error:  # noqa: BLE001 - a task boundary: whatever it is, go on trying
                reason = str(self._sessions.failure(error))
                for pool in self._pools.values():
                    if pool.out:
                        pool.refuse(reason)
                self._short.set()
                await asyncio.sleep(pause * self._jitter.uniform(0.75, 1.25))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE

    async def _fill(self) -> None:
        """Open what is missing, some at a time, and first of all for a pool that has nothing.

        What was opened together is handed out together: a pool that is back before the other would
        catch up with what was due in the outage until the other ends it.

        Raises:
            psycopg.Error, OSError, TimeoutError: one could not be opened; the others are kept.
        """
        while True:
            wanted = sorted(
                (len(pool.members) + n, name)
                for name, pool in self._pools.items()
                for n in range(pool.missing)
            )
            if not wanted:
                return
            opened: list[tuple[PoolName, Connection]] = []
            opening = (self._open_one(name, opened) for _, name in wanted[:CONNECTS_AT_ONCE])
            try:
                results = await asyncio.gather(*opening, return_exceptions=True)
            finally:
                for name, connection in opened:
                    self._pools[name].add(connection)
                self._end_outage()
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def _open_one(self, name: PoolName, opened: list[tuple[PoolName, Connection]]) -> None:
        opened.append((name, await self._sessions.connect(name, self._watch)))

    def _end_outage(self) -> None:
        began = self._outage_began
        if not self._out and began < INFINITY:
            for pool in self._pools.values():
                pool.failed_at = INFINITY
            self._outage_end = self._now()
            self._outages += 1
            self._outage_seconds += self._outage_end - began


def _left(deadline: float, now: float) -> float:
    """Return the time to a deadline, s > 0.

    Raises:
        OpError: `timeout`: there is none.
    """
    if now >= deadline:
        raise OpError("timeout", "past its time limit before it began")
    return deadline - now
