"""When to move SQLite's WAL back into the database file, and what became of it."""

from collections import Counter
from typing import Literal, NamedTuple

from daemon.record.histogram import Histogram

Mode = Literal["passive", "restart"]
Result = Literal["complete", "partial", "busy", "failed"]

FRAME_HEADER = 24  # bytes before each page in the WAL
REST, REST_IN_VAIN = 1.0, 4.0
"""After readers were held back for a RESTART the next one comes no sooner than this many times as long
later: reads are held for half of the time at most, and for a fifth of it in vain."""


class Checkpoint(NamedTuple):
    """One checkpoint.

    Attributes:
        mode: `passive`, which waits for nobody, or `restart`, which waits for readers, so that
            the next commit begins the WAL anew.
        busy: True when a reader, or another process's checkpoint, kept it from finishing.
        log: pages in the WAL, -1 when it did not come to know.
        checkpointed: pages of these that are in the database file now, -1 likewise.
        seconds: how long it took.
    """

    mode: Mode
    busy: bool
    log: int
    checkpointed: int
    seconds: float

    @property
    def result(self) -> Result:
        """What came of it: `busy` without a lock that others had, `partial` because of their readers."""
        if self.log < 0:
            return "busy"
        return "partial" if self.busy or self.checkpointed < self.log else "complete"


class WalPolicy:
    """Decides after each commit whether a checkpoint is due, and counts what they came to.

    Attributes:
        limit: bytes from which on the WAL is to begin anew.
        page_size: bytes of a page of the file; known once it is open.
        commits: transactions committed by this process.
        pages: pages in the WAL after the last commit.
        last: the latest checkpoint, None before the first.
        counts: checkpoints by mode and result; `failed` are those that ended in an error.
        seconds: how long they took, by mode.
        held: for how long readers were held back altogether, s.
        under_way: a checkpoint is being made.
    """

    def __init__(self, checkpoint_pages: int, wal_limit: int) -> None:
        self.limit = wal_limit
        self.page_size = 4096
        self.commits = 0
        self.pages = 0
        self.last: Checkpoint | None = None
        self.counts: Counter[tuple[Mode, Result]] = Counter()
        self.seconds: dict[Mode, Histogram] = {"passive": Histogram(), "restart": Histogram()}
        self.held = 0.0
        self.under_way = False
        self._step = checkpoint_pages
        self._next = checkpoint_pages
        self._rest_until = float("-inf")
        self._stuck_at: int | None = None

    def committed(self, pages: int) -> bool:
        """Note the pages in the WAL after a commit; True when a checkpoint is due."""
        self.commits += 1
        if pages < self.pages:  # it began from the start again
            self._next = self._step
            self._stuck_at = None
        self.pages = pages
        return self.due()

    def due(self) -> bool:
        """Return whether a PASSIVE checkpoint is due."""
        return self.pages >= self._next

    def too_long(self, now: float) -> bool:
        """Return whether the WAL should begin anew, and it makes sense to try at `now` (s, monotonic).

        It makes none while the reader that was in the way still is: then readers would be held
        back, and the writer kept waiting, for nothing.
        """
        over = self.pages * (self.page_size + FRAME_HEADER) > self.limit
        return over and self._stuck_at is None and now >= self._rest_until

    def note(self, checkpoint: Checkpoint) -> Result:
        """Take the outcome of a checkpoint, and return in a word what it was."""
        self.last = checkpoint
        result = checkpoint.result
        self.counts[checkpoint.mode, result] += 1
        self.seconds[checkpoint.mode].add(checkpoint.seconds)
        if checkpoint.mode == "restart" and result == "complete":
            self.pages = 0
            self._next = self._step
            return result
        if checkpoint.mode == "restart" and result == "partial":
            self._stuck_at = checkpoint.checkpointed
        elif result != "busy" and checkpoint.checkpointed != self._stuck_at:  # that reader has gone
            self._stuck_at = None
        # What a reader pins stays: trying again after each commit would sync the file each time.
        self._next = self.pages + self._step
        return result

    def note_failure(self, mode: Mode) -> Result:
        """Take note that a checkpoint ended in an error; the next one comes a step later."""
        self.counts[mode, "failed"] += 1
        self._next = self.pages + self._step
        return "failed"

    def rest(self, now: float, held: float, result: Result) -> None:
        """Take note that readers were held back for so many seconds until `now`, and with what result."""
        self.held += held
        self._rest_until = now + held * (REST if result == "complete" else REST_IN_VAIN)
