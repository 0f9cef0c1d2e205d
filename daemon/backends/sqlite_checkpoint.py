"""Making the checkpoints that the WAL policy asks for, on SQLite's writing connection."""

import apsw

from daemon.backends.gate import Gate
from daemon.backends.sqlite_busy import BusyHandler
from daemon.backends.wal import Checkpoint, Mode, Result, WalPolicy
from daemon.clock import Clock

PATIENCE = 1.0
"""Longest time, s, that a RESTART keeps the writer waiting. Our own readers have gone by then; others'
may come and go, and one that stays for longer is left alone."""


class Checkpointer:
    """Looks after the WAL; everything is done in the writing lane's thread, and counted."""

    def __init__(self, wal: WalPolicy, gate: Gate, busy: BusyHandler, clock: Clock) -> None:
        """Take the policy, what holds readers back, and the connection's patience."""
        self._wal = wal
        self._gate = gate
        self._busy = busy
        self._clock = clock

    def tend(self, connection: apsw.Connection) -> None:
        """Make the checkpoint that is due; never raises.

        For one that begins the WAL anew the readers are called in first, and it is made once
        they have come: until then both writing and the usual checkpoints go on.
        """
        if self._wal.due():
            self._make("passive", connection)
        if self._wal.too_long(self._clock.now()):
            self._gate.close()
        if self._gate.ripe():
            usual = self._busy.patience
            self._busy.patience = min(usual, PATIENCE)
            result = self._make("restart", connection)
            self._busy.patience = usual
            held = self._gate.open()
            self._wal.rest(self._clock.now(), held, result)

    def _make(self, mode: Mode, connection: apsw.Connection) -> Result:
        began = self._clock.now()
        self._wal.under_way = True
        try:
            figures = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()[0]
        except apsw.Error:
            return self._wal.note_failure(mode)
        finally:
            self._wal.under_way = False
        busy, log, moved = (int(str(figure)) for figure in figures)
        return self._wal.note(Checkpoint(mode, bool(busy), log, moved, self._clock.now() - began))
