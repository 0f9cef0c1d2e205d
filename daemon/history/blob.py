"""Histograms as bytes: mergeable, small, and readable without this program's classes.

Layout, little-endian: exponent (int8), octaves (uint8), width of a count in bytes (uint8), buckets of the
original that are one here, F (uint8), number of the first bucket (uint16), number of values (uint64), their
sum, least and greatest (float64 each), then the counts of consecutive buckets, compressed with zlib. With
D = 128 / F, bucket n begins at 2**exponent · 2**(n // D) · (1 + n % D / D).
"""

import struct
import zlib

import numpy as np

from daemon.record.histogram import Histogram, Layout

_HEAD = struct.Struct("<bBBBHQddd")
_LEVEL = 6


def pack(histogram: Histogram | None, fold: int = 1) -> bytes | None:
    """Return a histogram as some hundred bytes; None for one that holds nothing.

    Args:
        histogram: what to pack.
        fold: so many buckets become one: percentiles stay right to 1 % with 1, and to 4 % with 8.
    """
    if histogram is None or not histogram.count:
        return None
    counts = histogram.counts.reshape(-1, fold).sum(axis=1)
    filled = np.flatnonzero(counts)
    low, high = int(filled[0]), int(filled[-1]) + 1
    part = counts[low:high]
    width = next(w for w in (1, 2, 4, 8) if int(part.max()) < 1 << (8 * w - (w == 8)))
    head = _HEAD.pack(
        histogram.layout.exponent,
        histogram.layout.octaves,
        width,
        fold,
        low,
        histogram.count,
        histogram.sum,
        histogram.min,
        histogram.max,
    )
    return head + zlib.compress(part.astype(f"<u{width}").tobytes(), _LEVEL)


def unpack(blob: bytes) -> Histogram:
    """Return the histogram that `pack` made the bytes of.

    Raises:
        ValueError: they are not such bytes.
    """
    try:
        exponent, octaves, width, fold, low, count, total, least, most = _HEAD.unpack_from(blob)
        counts = np.frombuffer(zlib.decompress(blob[_HEAD.size :]), f"<u{width}")
        made = Histogram(Layout(exponent, octaves))
        spread = made.counts.reshape(-1, fold)[low : low + len(counts)]
        share, rest = np.divmod(counts.astype(np.int64), fold)
        spread[:] = share[:, None] + (np.arange(fold) < rest[:, None])
    except (struct.error, zlib.error, TypeError, ValueError) as error:
        raise ValueError(f"not a histogram of soakd: {error}") from None
    made.count, made.sum, made.min, made.max = count, total, least, most
    return made


def merged(blobs: list[bytes | None]) -> Histogram | None:
    """Return one histogram of all; None when there is nothing in any."""
    total: Histogram | None = None
    for blob in blobs:
        if blob is None:
            continue
        one = unpack(blob)
        if total is None:
            total = one
        else:
            total.merge(one)
    return total
