"""Finding the name that a mistaken one was meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a mistaken one is most like, or None when none is near.

    A name is compared with the whole of a known one and with its last part, so that `writers`
    finds `pools.writers`.
    """

    def likeness(candidate: str) -> float:
        last = candidate.replace("__", ".").rpartition(".")[2]
        mine = name.replace("__", ".").rpartition(".")[2]
        whole = difflib.SequenceMatcher(None, name, candidate).ratio()
        return max(whole, 0.95 * difflib.SequenceMatcher(None, mine, last).ratio())

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.7 else None
