"""When to move SQLite's WAL back into the database file, and what became of it."""

from typing import NamedTuple

FRAME_HEADER = 24  # bytes before each page in the WAL
REST = 4.0
"""After an attempt that readers kept waiting, the next one comes no sooner than this many times its
duration later: a pinned reader costs the writer at most a fifth of its time."""
PATIENCE = 1.0
"""Longest time, s, that a RESTART waits for readers. Those that begin meanwhile read past the WAL, so
it has to outlast one read only; with less than the longest one takes, the WAL would grow without end."""


class Checkpoint(NamedTuple):
    """One checkpoint.

    Attributes:
        mode: `PASSIVE`, which waits for nobody, or `RESTART`, which waits for readers, so that
            the next commit begins the WAL anew.
        busy: True when a reader, or another process's checkpoint, kept it from finishing.
        log: pages in the WAL, -1 when it did not come to know.
        checkpointed: pages of these that are in the database file now, -1 likewise.
        seconds: how long it took.
    """

    mode: str
    busy: bool
    log: int
    checkpointed: int
    seconds: float

    @property
    def complete(self) -> bool:
        """True when every page is in the database file."""
        return not self.busy and self.checkpointed == self.log


class WalPolicy:
    """Decides after each commit whether a checkpoint is due, and counts what they came to.

    Attributes:
        page_size: bytes of a page of the file; known once it is open.
        commits: transactions committed by this process.
        pages: pages in the WAL after the last commit.
        last: the latest checkpoint, None before the first.
        complete: checkpoints by mode that moved everything.
        partial: checkpoints by mode that could not: readers still needed older pages.
        failed: checkpoints that ended in an error.
        under_way: a checkpoint is being made.
    """

    def __init__(self, checkpoint_pages: int, wal_limit: int) -> None:
        self._step = checkpoint_pages
        self._limit = wal_limit
        self._next = checkpoint_pages
        self._rest_until = float("-inf")
        self.page_size = 4096
        self.commits = 0
        self.pages = 0
        self.last: Checkpoint | None = None
        self.complete = {"PASSIVE": 0, "RESTART": 0}
        self.partial = {"PASSIVE": 0, "RESTART": 0}
        self.failed = 0
        self.under_way = False

    def committed(self, pages: int) -> bool:
        """Note the pages in the WAL after a commit; True when a checkpoint is due."""
        self.commits += 1
        if pages < self.pages:  # it began from the start again
            self._next = self._step
        self.pages = pages
        return pages >= self._next

    def mode(self, now: float) -> str:
        """Return the kind of checkpoint that is due at `now` (s, monotonic)."""
        too_long = self.pages * (self.page_size + FRAME_HEADER) > self._limit
        return "RESTART" if too_long and now >= self._rest_until else "PASSIVE"

    def note(self, checkpoint: Checkpoint, now: float) -> None:
        """Take the outcome of a checkpoint that ended at `now`."""
        self.last = checkpoint
        counts = self.complete if checkpoint.complete else self.partial
        counts[checkpoint.mode] += 1
        if checkpoint.mode == "RESTART" and not checkpoint.complete:
            self._rest_until = now + REST * checkpoint.seconds
        # What a reader pins stays: trying again after each commit would sync the file each time.
        self._next = self.pages + self._step

    def note_failure(self) -> None:
        """Take note that a checkpoint ended in an error; the next one comes a step later."""
        self.failed += 1
        self._next = self.pages + self._step
