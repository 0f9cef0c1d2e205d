"""Drawing whole numbers from a range by a law, and mixing them: each a function of the generator alone.

The laws are the ones that PostgreSQL's documentation of pgbench defines
(https://www.postgresql.org/docs/15/pgbench.html, "Built-in functions"). The draws are ours: one
uniform number each, put through the inverse of the distribution, so a seed repeats them.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random
from statistics import NormalDist

Law = Callable[[Random], int]

MASK = 2**64 - 1
PRECISE = 2**32  # values up to which a float of 53 random bits is as good as even
KEPT = 256  # laws whose constants are kept for the next draw

_NORMAL = NormalDist()
_LEAST, _MOST = 5e-324, 1 - 2**-53  # parts of a bell that have a place: those between 0 and 1


def uniform(low: int, high: int) -> Law:
    """Return the law of low … high, all alike."""
    span = high - low + 1
    if span <= PRECISE:
        return lambda rng: low + int(rng.random() * span)
    return lambda rng: low + rng.randrange(span)


def exponential(low: int, high: int, parameter: float) -> Law:
    """Return a law that falls from `low` to `high` as exp(−parameter · x), x from 0 to 1; parameter > 0."""
    span = high - low + 1
    cut = -math.expm1(-parameter)

    def draw(rng: Random) -> int:
        place = -math.log1p(-cut * rng.random()) / parameter
        return low + min(int(place * span), span - 1)

    return draw


def gaussian(low: int, high: int, parameter: float) -> Law:
    """Return a bell over low … high, cut off at ±`parameter` standard deviations; parameter > 0."""
    middle = (high - low + 1) / 2
    return normal(low, high, low + middle - 0.5, middle / parameter)


def normal(low: int, high: int, mean: float, deviation: float) -> Law:
    """Return a bell around `mean`, cut off at low − ½ and high + ½; deviation > 0.

    A range so far from the mean that nothing of the bell is left in it gives its nearest end.
    """
    first = _NORMAL.cdf((low - 0.5 - mean) / deviation)
    share = _NORMAL.cdf((high + 0.5 - mean) / deviation) - first
    if not share:
        return lambda rng: low if mean < low else high  # noqa: ARG005 - a law takes the generator

    def draw(rng: Random) -> int:
        part = min(max(first + share * rng.random(), _LEAST), _MOST)
        value = math.floor(mean + deviation * _NORMAL.inv_cdf(part) + 0.5)
        return min(max(value, low), high)

    return draw


class Zipf:
    """Ranks of 1 … n with P(k) ∝ 1 / k^exponent, in a few steps however large n is.

    Rejection-inversion: the sum is replaced by an integral whose inverse is known, and the few draws that
    fall between the two are drawn again (W. Hörmann, G. Derflinger, "Rejection-inversion to generate
    variates from monotone discrete distributions", ACM TOMACS 6 (3), 1996).
    """

    __slots__ = ("_exponent", "_first", "_last", "_n", "_safe")

    def __init__(self, n: int, exponent: float) -> None:
        """Prepare; n ≥ 1, exponent > 0 (1 included)."""
        self._n = n
        self._exponent = exponent
        self._first = self._area(1.5) - 1.0
        self._last = self._area(n + 0.5)
        self._safe = 2.0 - self._inverse(self._area(2.5) - 2.0**-exponent)

    def draw(self, rng: Random) -> int:
        """Return the next rank."""
        while True:
            # 1 − random is above 0, and so the area below the last one
            area = self._last + (1.0 - rng.random()) * (self._first - self._last)
            place = self._inverse(area)
            rank = min(max(int(place + 0.5), 1), self._n)
            if rank - place <= self._safe or area >= self._area(rank + 0.5) - rank**-self._exponent:
                return rank

    def _area(self, x: float) -> float:
        """Return the integral of t^−exponent from 1 to x."""
        rest = 1.0 - self._exponent
        return math.expm1(rest * math.log(x)) / rest if rest else math.log(x)

    def _inverse(self, area: float) -> float:
        """Return the x at which the integral is `area`, at most n + ½."""
        rest = 1.0 - self._exponent
        if not rest:
            return math.exp(area)
        left = area * rest
        return math.exp(math.log1p(left) / rest) if left > -1.0 else self._n + 0.5


@lru_cache(KEPT)
def zipf(low: int, high: int, exponent: float) -> Law:
    """Return a law in which `low` is the likeliest and the k-th value is k^exponent times less likely."""
    if low == high:
        return lambda rng: low  # noqa: ARG005 - a law takes the generator
    draw = Zipf(high - low + 1, exponent).draw
    return lambda rng: low - 1 + draw(rng)


def permuted(index: int, size: int, seed: int) -> int:
    """Return the new place of `index` (modulo size) in a permutation of 0 … size − 1, size ≥ 1.

    Steps that can each be undone mix the bits of the next power of two; a result that is too large
    goes in again until it is not. It is not the permutation that pgbench makes.
    """
    index %= size
    bits = max((size - 1).bit_length(), 2)
    mask, half = (1 << bits) - 1, (bits + 1) // 2
    keys = _keys(seed)
    while True:
        for key in keys:
            index = (index * (key | 1) + (key >> 17)) & mask
            index ^= index >> half
        if index < size:
            return index


@lru_cache(KEPT)
def _keys(seed: int) -> tuple[int, ...]:
    rng = Random(seed)
    return tuple(rng.getrandbits(64) for _ in range(6))


def signed(number: int) -> int:
    """Return the 64 lowest bits as a signed number."""
    return ((number & MASK) ^ 1 << 63) - (1 << 63)


def fnv1a(value: int, seed: int) -> int:
    """Return the 64-bit FNV-1a hash of the eight bytes of a number, lowest first."""
    hashed = 0xCBF29CE484222325 ^ (seed & MASK)
    for byte in (value & MASK).to_bytes(8, "little"):
        hashed = (hashed ^ byte) * 0x100000001B3 & MASK
    return signed(hashed)


def murmur2(value: int, seed: int) -> int:
    """Return the 64-bit MurmurHash2 of the eight bytes of a number."""
    factor = 0xC6A4A7935BD1E995
    block = (value & MASK) * factor & MASK
    block = (block ^ block >> 47) * factor & MASK
    hashed = ((seed & MASK) ^ 8 * factor & MASK ^ block) * factor & MASK
    hashed = (hashed ^ hashed >> 47) * factor & MASK
    return signed(hashed ^ hashed >> 47)
