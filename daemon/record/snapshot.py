"""What an engine tells the supervisor: cumulative figures, keyed as they are exported."""

from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.record.histogram import Histogram

Key = tuple[str, ...]  # metric name, then its label values in the catalogue's order
Histograms = dict[Key, Histogram]


@dataclass(slots=True)
class Snapshot:
    """The state of one shard, or of several merged ones, at one moment.

    Everything in `counters` and `histograms` is cumulative since the engine began, so a lost
    snapshot loses nothing. The size is bounded by the closed label sets, never by time.

    Attributes:
        counters: totals.
        gauges: present values; those of several shards add up.
        histograms: distributions.
        shared: present values of what all shards look at, as the size of one file: the greatest counts.
    """

    counters: dict[Key, float] = field(default_factory=dict)
    gauges: dict[Key, float] = field(default_factory=dict)
    histograms: Histograms = field(default_factory=dict)
    shared: dict[Key, float] = field(default_factory=dict)

    def merge(self, other: "Snapshot") -> None:
        """Add the figures of another shard, or of an earlier life of the same one."""
        _add(self.counters, other.counters)
        _add(self.gauges, other.gauges)
        for key, value in other.shared.items():
            self.shared[key] = max(value, self.shared.get(key, value))
        for key, histogram in other.histograms.items():
            mine = self.histograms.get(key)
            if mine is None:
                self.histograms[key] = histogram.copy()
            else:
                mine.merge(histogram)

    def since(self, earlier: "Snapshot") -> "Snapshot":
        """Return what happened after `earlier`, a past state of the same shards."""
        empty = Histogram
        return Snapshot(
            {key: value - earlier.counters.get(key, 0) for key, value in self.counters.items()},
            dict(self.gauges),
            {
                key: histogram.since(earlier.histograms.get(key) or empty(histogram.layout))
                for key, histogram in self.histograms.items()
            },
            dict(self.shared),
        )

    def total(self, *prefix: str) -> float:
        """Return the sum of the counters whose key begins with `prefix`."""
        return sum(value for key, value in self.counters.items() if key[: len(prefix)] == prefix)

    def pooled(self, wanted: Callable[[Key], bool]) -> Histogram:
        """Return one histogram of all those whose key is wanted."""
        merged = Histogram()
        for key, histogram in self.histograms.items():
            if wanted(key):
                merged.merge(histogram)
        return merged


def _add(into: dict[Key, float], values: dict[Key, float]) -> None:
    for key, value in values.items():
        into[key] = into.get(key, 0) + value
