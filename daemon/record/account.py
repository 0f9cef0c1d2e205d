"""Counting rows so that the counts outlive the process that makes them."""

import mmap
from typing import NamedTuple, Protocol

ACCEPTED, COMMITTED, FAILED, ABANDONED, IN_DOUBT = range(5)
CELLS = 5
SIZE = CELLS * 8


class Cells(Protocol):
    """Five 64-bit counters, indexed by the constants above; a list will do in tests."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


def cells_in(shared: mmap.mmap) -> memoryview:
    """Return the counters that live in a shared mapping of at least `SIZE` bytes.

    The engine writes them, the supervisor reads them, also after the engine was killed: a row
    is counted as accepted before it is queued, and as committed before it is acknowledged.
    """
    return memoryview(shared)[:SIZE].cast("q")


class Account(NamedTuple):
    """What became of the rows of one life of one shard.

    Attributes:
        in_doubt: rows, among failed and abandoned, whose COMMIT got no answer: the table may
            hold them.
    """

    accepted: int = 0
    committed: int = 0
    failed: int = 0
    abandoned: int = 0
    in_doubt: int = 0

    @classmethod
    def of(cls, cells: Cells) -> "Account":
        """Return the present state of the counters."""
        return cls(*(cells[i] for i in range(CELLS)))

    @property
    def balanced(self) -> bool:
        """True when every accepted row has found its end."""
        return self.accepted == self.committed + self.failed + self.abandoned

    @property
    def lost(self) -> int:
        """Rows that were accepted and given up."""
        return self.failed + self.abandoned

    def closed(self) -> "Account":
        """Return the account of a process that died: what it left open is abandoned, in doubt."""
        rest = self.accepted - self.committed - self.failed - self.abandoned
        return self._replace(abandoned=self.abandoned + rest, in_doubt=self.in_doubt + rest)

    def settled(self, stored: int) -> "Account":
        """Return the account after counting `stored` rows in the table: nothing is in doubt.

        Rows in doubt that were found move to committed: from abandoned first, then from failed.
        A count outside committed … committed + in doubt is left for `verify` to report.
        """
        found = min(max(stored - self.committed, 0), self.in_doubt)
        from_abandoned = min(found, self.abandoned)
        return self._replace(
            committed=self.committed + found,
            abandoned=self.abandoned - from_abandoned,
            failed=self.failed - (found - from_abandoned),
            in_doubt=0,
        )

    def plus(self, other: "Account") -> "Account":
        """Return the sum."""
        return Account(*(a + b for a, b in zip(self, other, strict=True)))
