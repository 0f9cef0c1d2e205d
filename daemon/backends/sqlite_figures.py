"""What a SQLite connection can tell about itself and its file, as figures for a snapshot."""

from contextlib import suppress
from pathlib import Path

import apsw

from daemon.backends.sqlite_busy import BusyHandler
from daemon.backends.wal import WalPolicy
from daemon.ops import PoolName
from daemon.record.snapshot import Snapshot

CACHE = {
    "hit": apsw.SQLITE_DBSTATUS_CACHE_HIT,
    "miss": apsw.SQLITE_DBSTATUS_CACHE_MISS,
    "write": apsw.SQLITE_DBSTATUS_CACHE_WRITE,
    "spill": apsw.SQLITE_DBSTATUS_CACHE_SPILL,
}


class Figures:
    """The figures of one connection.

    Attributes:
        latest: those that were taken last. Nobody changes them any more, so every thread may read them.
    """

    def __init__(self, pool: PoolName, busy: BusyHandler, wal: WalPolicy | None) -> None:
        """Begin at zero.

        Args:
            pool: whose lane has the connection.
            busy: knows how long it has waited for locks.
            wal: the policy, on the connection that makes the checkpoints; None on the others.
        """
        self.latest = Snapshot()
        self._pool = pool
        self._busy = busy
        self._wal = wal
        self._cache = dict.fromkeys(CACHE, 0)

    def take(self, connection: apsw.Connection) -> None:
        """Take them anew, between two statements in the connection's own thread; never raises.

        It costs some 10 µs, and twice as much on the connection that makes the checkpoints.
        """
        taken = Snapshot()
        for event, code in CACHE.items():
            # Reset each time, so that SQLite's counter, of 32 bits, cannot run over.
            self._cache[event] += connection.status(code, reset=True)[0]
            taken.counters["soakd_sqlite_cache_total", self._pool, event] = self._cache[event]
        used, _ = connection.status(apsw.SQLITE_DBSTATUS_CACHE_USED)
        taken.gauges["soakd_sqlite_cache_bytes", self._pool] = used
        self._busy.settle()
        taken.histograms["soakd_sqlite_busy_wait_seconds",] = self._busy.waits.copy()
        if self._wal is not None:
            _add_checkpoints(taken, self._wal)
            _add_file(taken, connection)
        self.latest = taken


def _add_checkpoints(taken: Snapshot, wal: WalPolicy) -> None:
    for (mode, result), number in wal.counts.items():
        taken.counters["soakd_sqlite_checkpoints_total", mode, result] = number
    for mode, seconds in wal.seconds.items():
        taken.histograms["soakd_sqlite_checkpoint_seconds", mode] = seconds.copy()
    taken.counters["soakd_sqlite_reads_held_seconds_total",] = wal.held
    taken.shared["soakd_sqlite_wal_limit_bytes",] = wal.limit
    taken.shared["soakd_sqlite_page_size_bytes",] = wal.page_size


def _add_file(taken: Snapshot, connection: apsw.Connection) -> None:
    with suppress(apsw.Error):  # another process has it all to itself: then they are missing this once
        _, frames, moved = connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchall()[0]
        taken.shared["soakd_sqlite_wal_frames",] = float(str(frames))
        taken.shared["soakd_sqlite_wal_checkpointed_frames",] = float(str(moved))
        pages, free = (int(connection.pragma(name)) for name in ("page_count", "freelist_count"))
        taken.shared["soakd_sqlite_pages", "used"] = pages - free
        taken.shared["soakd_sqlite_pages", "free"] = free


def size(path: Path, suffix: str = "") -> int:
    """Return the bytes of a database's file, or of the one beside it with this suffix; 0 without one."""
    with suppress(OSError):
        return path.with_name(path.name + suffix).stat().st_size
    return 0
