"""What a SQLite lane does with its connection: transactions, batches of rows, checkpoints."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from daemon.backends.base import SQLITE
from daemon.backends.gate import Gate
from daemon.backends.lane import INFINITY
from daemon.backends.processors import roam
from daemon.backends.sqlite_busy import BusyHandler
from daemon.backends.sqlite_checkpoint import Checkpointer
from daemon.backends.sqlite_connection import Pragmas, connect
from daemon.backends.sqlite_errors import op_error
from daemon.backends.sqlite_figures import Figures
from daemon.backends.wal import WalPolicy
from daemon.clock import Clock
from daemon.errors import OpError
from daemon.ops import Table, Timed, Transaction, Values, query

LOCK = "SELECT 1 FROM sqlite_master"
"""Holds a read lock from its first row until its cursor is closed, at half the price of a transaction."""
PROGRESS_STEPS = 10_000
"""Steps of SQLite's virtual machine, well below a millisecond, between two looks at the deadline."""


class Batch(NamedTuple):
    """Rows to insert in one transaction."""

    sql: str
    rows: Sequence[Values]


class SqliteTx:
    """The transaction that a lane is in, as a transaction function sees it; see `ops.Tx`.

    Attributes:
        explicit: there was a BEGIN, so statements after a rollback would be on their own.
        read_only: it is on a connection that cannot write.
        broken: the error that rolled the transaction back, after which nothing more is run.
    """

    __slots__ = ("_connection", "_cursor", "_execute", "_left", "broken", "explicit", "read_only")

    def __init__(self, connection: apsw.Connection, *, read_only: bool, left: Callable[[], float]) -> None:
        """Begin without a transaction.

        Args:
            connection: what statements run on.
            read_only: it cannot write.
            left: time to the deadline, s.
        """
        self._connection = connection
        self._cursor = connection.cursor()
        self._execute = self._cursor.execute
        self._left = left
        self.read_only = read_only
        self.explicit = False
        self.broken: OpError | None = None

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Values]:
        """Run one statement and return its rows; see `run`."""
        return self.run(sql, params)

    def run(self, sql: str, params: Sequence[Any]) -> list[Values]:
        """Run one statement and return its rows.

        Raises:
            OpError: the database refused it, or an earlier refusal has ended the transaction.
        """
        if self.broken is not None:
            raise self.broken
        try:
            return self._execute(sql, params).fetchall()
        except apsw.Error as error:
            raise self._refused(error) from error

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """Insert rows: see `daemon.ops.Tx`."""
        self._execute_many(SQLITE.insert(table, again=False), rows)

    async def upsert(self, counters: Table, rows: Sequence[Values]) -> None:
        """Add rows to counters: see `daemon.ops.Tx`."""
        self._execute_many(SQLITE.upsert(counters), rows)

    async def perform(self, sql: str, params: Sequence[Any], *, keep: bool = True) -> None:
        """Run a statement and throw its rows away: see `ops.ScriptTx`."""
        if self.broken is not None:
            raise self.broken
        try:
            self._cursor.execute(sql, params, can_cache=keep).fetchall()
        except apsw.Error as error:
            raise self._refused(error) from error

    async def execute_named(self, sql: str, params: Sequence[Any]) -> tuple[Sequence[str], list[Values]]:
        """Run a statement and name its columns: see `ops.ScriptTx`."""
        if self.broken is not None:
            raise self.broken
        try:
            self._cursor.execute(sql, params)
            try:
                names = [column[0] for column in self._cursor.get_description()]
            except apsw.ExecutionCompleteError:
                names = []  # there are no rows
            return names, self._cursor.fetchall()
        except apsw.Error as error:
            raise self._refused(error) from error

    async def pipeline(self, batch: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Run statements one after the other: see `ops.ScriptTx`."""
        for sql, params in batch:
            await self.perform(sql, params)

    async def pause(self, seconds: float) -> None:
        """Keep the lane, and what the transaction has locked, for a while: see `ops.ScriptTx`."""
        left = self._left()
        time.sleep(max(0.0, min(seconds, left)))  # noqa: ASYNC251 - in the lane's own thread
        if seconds > left:
            raise OpError("timeout", "it slept until the deadline")

    def _execute_many(self, sql: str, rows: Sequence[Values]) -> None:
        if self.broken is not None:
            raise self.broken
        try:
            self._cursor.executemany(sql, rows)
        except apsw.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: apsw.Error) -> OpError:
        commits = not self.explicit and not self.read_only
        refused = op_error(error, self._connection.system_errno, committing=commits)
        # Some errors (a full disk, an interrupt) roll the whole transaction back.
        if self.explicit and not self._connection.in_transaction:
            self.broken = refused
        return refused


class Session:
    """A connection and the one transaction at a time that is run on it; a `lane.Runner`.

    The deadline is watched while SQLite's virtual machine runs and while it waits for a lock;
    COMMIT, once begun, is not given up.

    A reading session has a second connection that does nothing but hold a read lock while reads
    follow one another quickly and nothing is written. Within a process SQLite counts such locks,
    so each of those transactions, still with a snapshot of its own, is spared the two system
    calls that would take and release it: 40 % of the price of a point read.

    Attributes:
        figures: what the connection has told about itself, a fraction of a second ago.
    """

    def __init__(
        self,
        path: Path,
        pragmas: Pragmas,
        wal: WalPolicy,
        gate: Gate,
        clock: Clock,
        *,
        read_only: bool,
        processors: frozenset[int] = frozenset(),
    ) -> None:
        """Take the settings.

        The session that is not `read_only` looks after the `wal`; the others wait at the `gate`
        when it asks them to. The thread may use the `processors`; none: those that it has.
        """
        self._path = path
        self._pragmas = pragmas
        self._wal = wal
        self._gate = gate
        self._read_only = read_only
        self._processors = processors
        self._now = clock.now
        self._deadline = INFINITY
        self._busy = BusyHandler(pragmas.busy_timeout, lambda: self._deadline, clock)
        self._checkpointer = Checkpointer(wal, gate, self._busy, clock)
        self.figures = Figures("reader" if read_only else "writer", self._busy, None if read_only else wal)
        self._commits = 0  # what `wal` had counted when the last group ended
        self._holder: apsw.Connection | None = None
        self._lock: apsw.Cursor | None = None
        self.upkeep_due = False

    def open(self) -> None:
        """Connect.

        Raises:
            TargetError: the file cannot be used.
        """
        roam(self._processors)
        self._connection = connection = connect(self._path, self._pragmas, read_only=self._read_only)
        self._cursor = connection.cursor()
        self._tx = SqliteTx(connection, read_only=self._read_only, left=lambda: self._deadline - self._now())
        connection.set_progress_handler(self._overdue, PROGRESS_STEPS)
        connection.set_busy_handler(self._busy)
        if self._read_only:
            self._holder = connect(self._path, self._pragmas, read_only=True)
        else:
            self._wal.page_size = connection.pragma("page_size")
            connection.set_wal_hook(self._committed)

    def close(self) -> None:
        """Disconnect; the last connection of all empties the WAL and removes it."""
        self._deadline = INFINITY
        self._connection.set_progress_handler(None)
        self._connection.set_wal_hook(None)
        for connection in (self._holder, self._connection):
            if connection is not None:
                with suppress(apsw.Error):
                    connection.close()

    def group_began(self, waiting: int) -> None:
        """Hold a read lock until the group ends, unless there are writers whose WAL it would pin.

        Nor during a checkpoint: SQLite has four places for readers, and when all are taken a new one
        has to share an old snapshot, which keeps the checkpoint waiting on and on.
        """
        wal = self._wal
        if waiting and self._holder and self._commits == wal.commits and not wal.under_way:
            with suppress(apsw.Error):
                self._lock = self._holder.execute(LOCK)

    def at_once(self, job: Transaction | Batch, deadline: float, served: float) -> Timed | None:
        """Run a job that is one statement, as most short reads are; None when it is something else.

        Raises:
            OpError: the database refused it, or the deadline passed.
        """
        if isinstance(job, Batch) or job.fn is not query or not job.single:
            return None
        self._deadline = deadline
        try:
            return Timed(self._tx.run(*job.args), served, self._now())
        except OpError as error:
            self._look_at_deadline(error, deadline)
            raise

    async def run(self, job: Transaction | Batch, deadline: float, served: float) -> Timed:
        """Run one transaction; rolled back if anything is raised.

        Raises:
            OpError: the database refused it, or the deadline passed.
            Exception: whatever else the transaction function raised.
        """
        self._deadline = deadline
        try:
            if isinstance(job, Batch):
                return self._insert(job, served)
            if job.single:
                return Timed(await job.fn(self._tx, *job.args), served, self._now())
            self._begin("BEGIN" if job.read_only else "BEGIN IMMEDIATE")
            result = await job.fn(self._tx, *job.args)
            return self._commit(result, served)
        except OpError as error:
            self._roll_back()
            self._look_at_deadline(error, deadline)
            raise
        except BaseException:
            self._roll_back()
            raise

    def group_ended(self) -> None:
        """Release the lock that was held for a group of reads."""
        if self._lock is not None:
            with suppress(apsw.Error):
                self._lock.close()
            self._lock = None
        self._commits = self._wal.commits

    def upkeep(self) -> None:
        """Make the checkpoint that is due, or wait for one; take the figures anew."""
        self.upkeep_due = False
        self._deadline = INFINITY
        if not self._read_only:
            self._checkpointer.tend(self._connection)
        self.figures.take(self._connection)
        if self._read_only:
            self._gate.wait()

    def _look_at_deadline(self, error: OpError, deadline: float) -> None:
        """Call it a timeout when the deadline passed while a job waited for a lock."""
        if error.error_class == "busy" and self._now() >= deadline:
            raise OpError("timeout", f"{error} until the deadline") from error

    def _insert(self, batch: Batch, served: float) -> Timed:
        self._begin("BEGIN IMMEDIATE")
        try:
            # One INSERT per row, not one of many rows: that is faster in SQLite.
            self._cursor.executemany(batch.sql, batch.rows)
        except apsw.Error as error:
            raise op_error(error, self._connection.system_errno) from error
        return self._commit(len(batch.rows), served)

    def _begin(self, statement: str) -> None:
        try:
            self._cursor.execute(statement)
        except apsw.Error as error:
            raise op_error(error, self._connection.system_errno) from error
        self._tx.explicit = True

    def _commit(self, result: object, served: float) -> Timed:
        began = self._now()
        if self._tx.broken is not None:  # the function made light of it, but what it did is undone
            raise self._tx.broken
        if began > self._deadline:
            raise OpError("timeout", "the deadline passed before COMMIT")
        self._deadline = INFINITY  # a COMMIT is not interrupted: its outcome would not be known
        try:
            self._cursor.execute("COMMIT")
        except apsw.Error as error:
            committing = not self._read_only
            raise op_error(error, self._connection.system_errno, committing=committing) from error
        done = self._now()
        self._tx.explicit = False
        return Timed(result, served, done, 0.0 if self._read_only else done - began)

    def _roll_back(self) -> None:
        self._deadline = INFINITY  # a ROLLBACK must not be interrupted
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._cursor.execute("ROLLBACK")
        self._tx.explicit = False
        self._tx.broken = None

    def _overdue(self) -> bool:
        """Tell SQLite, each `PROGRESS_STEPS` steps, whether to interrupt the statement.

        SQLite also asks when a statement has just ended. If that was its own transaction, it may
        have been committed by then, and must not be reported as given up.
        """
        if self._now() <= self._deadline:
            return False
        commits_itself = not self._read_only and not self._tx.explicit
        return not commits_itself or self._connection.txn_state() != apsw.SQLITE_TXN_NONE

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if self._wal.committed(pages):
            self.upkeep_due = True
        return apsw.SQLITE_OK
