"""A log-linear histogram of fixed size whose percentiles are right to 1 %.

Every octave (factor of two) is cut into 128 buckets of equal width, so a bucket is at most
1/128 of its lower edge wide, and its middle is at most 0.4 % away from any value in it:

    lowest                2·lowest                       4·lowest
      |·|·|·| … 128 … |·|·|   ·   |   ·   | … 128 … |   ·   |     ·     |

That cut is exactly how an IEEE 754 double stores its value (11 bits of exponent, then the
mantissa), so the number of a value's bucket is the top of its bit pattern: one shift, for a
single value or for a whole numpy array.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

SUBDIVISION_BITS = 7
_SHIFT = 52 - SUBDIVISION_BITS
_PER_OCTAVE = 1 << SUBDIVISION_BITS
_DOUBLE = struct.Struct("<d")
_INT64 = struct.Struct("<q")

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layout:
    """The range of a histogram: `octaves` doublings from 2**`exponent` upwards.

    Values below the range are counted in the first bucket, values above it in the last;
    `min`, `max`, `sum` and `count` stay exact.
    """

    exponent: int
    octaves: int

    @property
    def size(self) -> int:
        """Number of buckets."""
        return self.octaves * _PER_OCTAVE

    @property
    def first(self) -> int:
        """Top bits of the smallest value of the range."""
        return int(_INT64.unpack(_DOUBLE.pack(2.0**self.exponent))[0]) >> _SHIFT

    def index(self, value: float) -> int:
        """Return the number of the bucket that `value` belongs in."""
        top = int(_INT64.unpack(_DOUBLE.pack(value))[0]) >> _SHIFT
        return min(max(top - self.first, 0), self.size - 1)

    def indices(self, values: Floats) -> Counts:
        """Return the bucket numbers of an array of any length."""
        tops: Counts = values.view(np.int64) >> _SHIFT
        return np.clip(tops - self.first, 0, self.size - 1)

    def edges(self) -> Floats:
        """Return the lower edge of every bucket and, last, the end of the range: `size + 1` values."""
        octave, step = np.divmod(np.arange(self.size + 1), _PER_OCTAVE)
        edges: Floats = np.ldexp(1.0 + step / _PER_OCTAVE, octave + self.exponent)
        return edges


SECONDS = Layout(exponent=-20, octaves=32)  # 0.95 µs to 4096 s
ROWS = Layout(exponent=0, octaves=24)  # 1 to 16.7 million; exact up to 256


class Histogram:
    """Counts of values by bucket, with exact count, sum, min and max.

    Memory: 8 bytes × `layout.size` (32 KiB for `SECONDS`), whatever the number of values.
    """

    __slots__ = ("count", "counts", "layout", "max", "min", "sum")

    def __init__(self, layout: Layout = SECONDS) -> None:
        self.layout = layout
        self.counts: Counts = np.zeros(layout.size, np.int64)
        self.count = 0
        self.sum = 0.0
        self.min = float("inf")
        self.max = 0.0

    def add(self, value: float) -> None:
        """Count one value ≥ 0."""
        self.counts[self.layout.index(value)] += 1
        self.count += 1
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)

    def add_many(self, values: Floats) -> None:
        """Count an array of values ≥ 0, which costs little more than counting one."""
        if not len(values):
            return
        self.counts += np.bincount(self.layout.indices(values), minlength=self.layout.size)
        self.count += len(values)
        self.sum += float(values.sum())
        self.min = min(self.min, float(values.min()))
        self.max = max(self.max, float(values.max()))

    def merge(self, other: "Histogram") -> None:
        """Add the values of another histogram.

        Raises:
            ValueError: it has another layout.
        """
        if other.layout != self.layout:
            raise ValueError(f"cannot merge layout {other.layout} into {self.layout}")
        self.counts += other.counts
        self.count += other.count
        self.sum += other.sum
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)

    def copy(self) -> "Histogram":
        """Return an independent histogram with the same values."""
        twin = Histogram(self.layout)
        twin.merge(self)
        return twin

    def since(self, earlier: "Histogram") -> "Histogram":
        """Return what was counted after `earlier`, a past state of this histogram.

        Extremes cannot be subtracted: unless `earlier` is empty, min and max are the edges
        of the outermost buckets, which is right to 1 %.
        """
        if not earlier.count:
            return self.copy()
        rest = Histogram(self.layout)
        rest.counts = self.counts - earlier.counts
        rest.count = self.count - earlier.count
        rest.sum = self.sum - earlier.sum
        filled = np.flatnonzero(rest.counts)
        if len(filled):
            edges = _edges(self.layout)
            rest.min = max(self.min, float(edges[filled[0]]))
            rest.max = min(self.max, float(edges[filled[-1] + 1]))
        return rest

    def quantile(self, q: float) -> float:
        """Return the value below which the share `q` (0 to 1) lies, right to 1 %; 0 when empty.

        The rank is ceil(q · count), as in `numpy.percentile(method="inverted_cdf")`.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Sequence[float]) -> list[float]:
        """Return several quantiles for the price of one."""
        if not self.count:
            return [0.0] * len(qs)
        ranks = np.maximum(np.ceil(np.asarray(qs) * self.count - 1e-9), 1)
        at = np.searchsorted(np.cumsum(self.counts), ranks)
        edges = _edges(self.layout)
        middles = (edges[at] + edges[at + 1]) / 2
        return [float(v) for v in np.clip(middles, self.min, self.max)]

    @property
    def mean(self) -> float:
        """Arithmetic mean, exact; 0 when empty."""
        return self.sum / self.count if self.count else 0.0

    def cumulative(self, bounds: Iterable[float]) -> list[int]:
        """Return for each bound how many values are ≤ it (a bound's own bucket counts in full).

        A value may exceed its bound by 0.8 % at most; whole numbers up to 256 are exact.
        """
        totals = np.concatenate(([0], np.cumsum(self.counts)))
        return [int(totals[self.layout.index(bound) + 1]) for bound in bounds]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the stretch of buckets that holds something."""
        filled = np.flatnonzero(self.counts)
        low, high = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        part = self.counts[low:high].astype(np.uint64).tobytes()
        return _restore, (self.layout, low, part, self.count, self.sum, self.min, self.max)

    @classmethod
    def of(cls, values: Iterable[float], layout: Layout = SECONDS) -> Self:
        """Return a histogram of the given values."""
        made = cls(layout)
        made.add_many(np.fromiter(values, np.float64))
        return made


@cache
def _edges(layout: Layout) -> Floats:
    """Return `layout.edges()`, computed once per layout."""
    return layout.edges()


def _restore(
    layout: Layout, low: int, part: bytes, count: int, total: float, least: float, most: float
) -> Histogram:
    made = Histogram(layout)
    counts = np.frombuffer(part, np.int64)
    made.counts[low : low + len(counts)] = counts
    made.count, made.sum, made.min, made.max = count, total, least, most
    return made
