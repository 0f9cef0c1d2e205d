"""Drawing keys: which of n things is asked for next."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Literal

Distribution = Literal["uniform", "zipf", "latest"]


def uniform(n: int, rng: Random) -> int:
    """Return a number of 0 … n − 1, all alike."""
    return int(rng.random() * n)


def zipf(n: int, rng: Random) -> int:
    """Return a number of 0 … n − 1, the lower the likelier: P(k) ∝ ln((k + 2) / (k + 1)), about 1/(k + 1).

    The inverse of the log-uniform law: exact in O(1) for an n that grows, unlike Zipf's own sum.
    """
    return min(int((n + 1) ** rng.random()) - 1, n - 1)


def latest(n: int, rng: Random) -> int:
    """Return a number of 0 … n − 1, the newest (highest) the likeliest, by the law of `zipf`."""
    return n - 1 - zipf(n, rng)


DISTRIBUTIONS: Mapping[Distribution, Callable[[int, Random], int]] = {
    "uniform": uniform,
    "zipf": zipf,
    "latest": latest,
}
