"""The SQLite backend: one lane that writes and looks after the WAL, and a few that read."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw

from daemon.backends.base import INFINITY, SQLITE, Notify
from daemon.backends.gate import Gate
from daemon.backends.lane import Lanes
from daemon.backends.processors import keep_to_one
from daemon.backends.sqlite_connection import Pragmas
from daemon.backends.sqlite_figures import size
from daemon.backends.sqlite_file import (
    check_file_system,
    check_library,
    check_path,
    claim,
    read_mounts,
    remove,
)
from daemon.backends.sqlite_pinned import PinnedReader
from daemon.backends.sqlite_session import Batch, Session
from daemon.backends.wal import WalPolicy
from daemon.clock import Clock
from daemon.ops import PoolName, Table, Timed, Transaction, Values
from daemon.record.snapshot import Snapshot

LONGEST_HOLD = 10.0
"""Longest time, s, that new reads are held back for those under way to end. Reads that take longer than
this and never leave a gap let the WAL grow."""


class SqliteBackend:
    """A SQLite file in WAL mode; see `base.Backend`.

    Attributes:
        wal: the checkpoint policy, with its counters and the latest checkpoint.
    """

    dialect = SQLITE
    outage_end = -INFINITY

    def __init__(
        self,
        *,
        path: Path,
        synchronous: str,
        busy_timeout: float,
        checkpoint_pages: int,
        wal_limit: int,
        page_size: int,
        cache_size: int,
        mmap_size: int,
        reader_lanes: int,
        processor: int | None = None,
        pinned_reader: float,
        clock: Clock,
        notify: Notify,
    ) -> None:
        """Take the settings; nothing is opened yet.

        Args:
            path: the file, relative to the working directory of `open`; made if it is not there.
            synchronous: `normal` or `full`.
            busy_timeout: how long to wait for another process's lock, s.
            checkpoint_pages: pages in the WAL after which it is moved into the file.
            wal_limit: bytes of WAL after which readers are waited for, so that it begins anew.
            page_size: bytes of a page of a new file.
            cache_size: page cache of each connection, bytes.
            mmap_size: bytes of the file to map into memory; 0: none.
            reader_lanes: threads that read, ≥ 1.
            processor: keep the loop that opens the backend, the writing and the first reading lane to
                one processor, of which this is the number; None: leave them where they are. Further
                reading lanes, which serve slow reads, use all processors.
            pinned_reader: how long a read transaction is held open, again and again, s; 0: none is.
            clock: monotonic time.
            notify: told when that transaction begins and ends.
        """
        self._path = self._file = path
        self._clock = clock
        self._notify = notify
        self._pragmas = Pragmas(synchronous, busy_timeout, cache_size, mmap_size, page_size, wal_limit)
        self.wal = WalPolicy(checkpoint_pages, wal_limit)
        self._reader_lanes = reader_lanes
        self._processor = processor
        self._pinned_seconds = pinned_reader
        self._pinned: PinnedReader | None = None
        self._gate: Gate | None = None
        self._sessions: list[Session] = []
        self._writer: Lanes[Transaction | Batch] = Lanes("sqlite-writer", [], clock)
        self._readers: Lanes[Transaction | Batch] = Lanes("sqlite-reader", [], clock)

    async def open(self) -> None:
        """Open the file, or make it, and start the lanes; see `base.Backend.open`."""
        check_library(apsw.sqlite_lib_version())
        self._file = path = check_path(self._path)
        check_file_system(path, read_mounts())
        self._gate = gate = Gate(
            self._reader_lanes,
            LONGEST_HOLD,
            self._clock,
            call_readers=self._call_readers,
            call_writer=self._call_writer,
        )
        all_processors = frozenset[int]() if self._processor is None else keep_to_one(self._processor)
        self._sessions = [
            Session(
                path,
                self._pragmas,
                self.wal,
                gate,
                self._clock,
                read_only=number > 0,
                processors=all_processors if number > 1 else frozenset(),
            )
            for number in range(1 + self._reader_lanes)
        ]
        self._writer = Lanes("sqlite-writer", self._sessions[:1], self._clock)
        self._readers = Lanes("sqlite-reader", self._sessions[1:], self._clock)
        new = claim(path)
        try:
            await self._writer.open()
            await self._readers.open()
            if self._pinned_seconds:
                pinned = PinnedReader(path, self._pragmas, self._pinned_seconds, self._clock, self._notify)
                await pinned.open()
                self._pinned = pinned
        except BaseException:
            await self.close()
            if new:
                remove(path)
            raise

    async def close(self) -> None:
        """Let the transactions under way end and close all connections; never raises."""
        if self._gate:
            self._gate.retire()
        if self._pinned:
            await self._pinned.close()
            self._pinned = None
        await self._readers.close()
        await self._writer.close()

    def transact(self, work: Transaction, *, deadline: float = INFINITY) -> asyncio.Future[Timed]:
        """Run one transaction function; see `base.Backend.transact`.

        A `single` operation is its statement: what it wrote is not undone if the function
        raises after it.
        """
        return (self._readers if work.read_only else self._writer).submit(work, deadline)

    async def write_rows(self, table: Table, rows: Sequence[Values], *, again: bool) -> Timed:
        """Insert rows in one transaction; see `base.Backend.write_rows`."""
        return await self._writer.submit(Batch(SQLITE.insert(table, again=again), rows), INFINITY)

    def connections(self) -> dict[tuple[PoolName, str], int]:
        """Return the number of lanes by pool and state, and of operations `waiting` for one."""
        pools: tuple[tuple[PoolName, Lanes[Transaction | Batch]], ...] = (
            ("writer", self._writer),
            ("reader", self._readers),
        )
        return {(pool, state): n for pool, lanes in pools for state, n in lanes.states().items()}

    def figures(self) -> Snapshot:
        """Return what is known of the file, its WAL and the connections; see `base.Backend.figures`.

        What only the connections know was left behind by their threads a quarter of a second ago
        or so, when they were asked last; they are asked anew here.
        """
        figures = Snapshot()
        for session in self._sessions:
            figures.merge(session.figures.latest)
        since = self._pinned.since if self._pinned else INFINITY
        shared = figures.shared
        shared["soakd_sqlite_wal_bytes",] = size(self._file, "-wal")
        shared["soakd_sqlite_database_bytes",] = size(self._file)
        oldest = min(self._readers.oldest(), since)
        shared["soakd_sqlite_oldest_reader_seconds",] = max(0.0, self._clock.now() - oldest)
        shared["soakd_sqlite_pinned_reader",] = float(since < INFINITY)
        self._call_readers()
        self._call_writer()
        return figures

    def _call_readers(self) -> None:
        self._readers.tend()

    def _call_writer(self) -> None:
        self._writer.tend()
