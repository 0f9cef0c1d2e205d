"""Rates, shares and extremes of the metrics between two snapshots."""

from typing import NamedTuple

from daemon.record.histogram import Histogram
from daemon.record.snapshot import Key, Snapshot


class Span(NamedTuple):
    """Two snapshots and the time between them; a figure that was not offered is None.

    Attributes:
        earlier: cumulative figures at its beginning.
        later: those at its end.
        seconds: its length, above 0.
    """

    earlier: Snapshot
    later: Snapshot
    seconds: float

    def grown(self, *prefix: str) -> float | None:
        """Return by how much the counters grew whose key begins so; one that was set back counts from 0."""
        found = [key for key in self.later.counters if _begins(key, prefix) and key in self.earlier.counters]
        if not found:
            return None
        before, now = self.earlier.counters, self.later.counters
        return sum(now[key] - before[key] if now[key] >= before[key] else now[key] for key in found)

    def rate(self, *prefix: str) -> float | None:
        """Return the growth per second."""
        grown = self.grown(*prefix)
        return None if grown is None else grown / self.seconds

    def share(self, part: tuple[str, ...], whole: tuple[str, ...]) -> float | None:
        """Return by which share of `whole` `part` grew; None when the whole did not grow."""
        some, every = self.grown(*part), self.grown(*whole)
        return some / every if some is not None and every else None

    def gauge(self, *prefix: str) -> float | None:
        """Return the sum of the present values whose key begins so."""
        found = self._present(prefix)
        return sum(found) if found else None

    def top(self, *prefix: str) -> float | None:
        """Return the greatest of the present values whose key begins so."""
        return max(self._present(prefix), default=None)

    def ratio(self, part: tuple[str, ...], whole: tuple[str, ...]) -> float | None:
        """Return one present value by another; None when the other is 0."""
        some, every = self.gauge(*part), self.gauge(*whole)
        return some / every if some is not None and every else None

    def longest(self, *prefix: str) -> float | None:
        """Return the greatest value that the histograms have counted; None when they counted none."""
        found = [self._since(key) for key in self.later.histograms if _begins(key, prefix)]
        return max((rest.max for rest in found if rest.count), default=None)

    def spent(self, *prefix: str) -> float | None:
        """Return the sum of what the histograms have counted, per second."""
        found = [self._since(key) for key in self.later.histograms if _begins(key, prefix)]
        return sum(rest.sum for rest in found) / self.seconds if found else None

    def _since(self, key: Key) -> Histogram:
        histogram = self.later.histograms[key]
        before = self.earlier.histograms.get(key)
        return histogram.since(before) if before is not None else histogram

    def _present(self, prefix: tuple[str, ...]) -> list[float]:
        values = [value for key, value in self.later.gauges.items() if _begins(key, prefix)]
        return values + [value for key, value in self.later.shared.items() if _begins(key, prefix)]


def _begins(key: Key, prefix: tuple[str, ...]) -> bool:
    return key[: len(prefix)] == prefix
