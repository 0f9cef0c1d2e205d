"""Percentiles from the buckets of a Prometheus histogram, as Prometheus itself forms them."""

from collections.abc import Iterable
from typing import NamedTuple

QUANTILES = (0.5, 0.95, 0.99)


class Buckets(NamedTuple):
    """A cumulative histogram.

    Attributes:
        bounds: upper bounds, ascending; the last one is infinite.
        counts: how many values are at most as large as each bound.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """Number of values."""
        return self.counts[-1] if self.counts else 0.0

    def since(self, earlier: "Buckets") -> "Buckets":
        """Return what was counted after `earlier`; all of it if that was another life of the counters."""
        if earlier.bounds != self.bounds or earlier.total > self.total:
            return self
        return Buckets(self.bounds, tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True)))

    def quantile(self, q: float) -> float | None:
        """Return the value below which the share `q` (0 to 1) lies; None when there are no values.

        Inside a bucket values are taken to be spread evenly, and what lies above the last
        finite bound to be at it: what `histogram_quantile` does.
        https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
        """
        if not self.total or len(self.bounds) < 2:
            return None
        rank = q * self.total
        at = next(n for n, count in enumerate(self.counts) if count >= rank)
        if at == len(self.bounds) - 1:
            return self.bounds[-2]
        low, below = (self.bounds[at - 1], self.counts[at - 1]) if at else (0.0, 0.0)
        inside = self.counts[at] - below
        return low + (self.bounds[at] - low) * (rank - below) / inside if inside else self.bounds[at]

    def quantiles(self) -> tuple[float | None, ...]:
        """Return the usual percentiles: 50, 95, 99."""
        return tuple(self.quantile(q) for q in QUANTILES)


def merged(parts: Iterable[Buckets]) -> Buckets:
    """Return all values of several histograms with the same bounds; others than the first's are left out."""
    whole = Buckets()
    for part in parts:
        if not whole.bounds:
            whole = part
        elif part.bounds == whole.bounds:
            whole = Buckets(
                whole.bounds, tuple(a + b for a, b in zip(whole.counts, part.counts, strict=True))
            )
    return whole
