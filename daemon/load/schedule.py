"""When operations are due: pure iterators of intended times, without clock or sleep."""

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import NamedTuple, Protocol

from daemon.load.shapes import Shape


class Schedule(Protocol):
    """The arrivals of one pool of one shard in an open loop."""

    def arrivals(self, rng: Random) -> Iterator[float]:
        """Return the intended offsets from the start, s, non-decreasing, without end."""
        ...

    def rate(self, elapsed: float) -> float:
        """Return the intended operations per second `elapsed` s after the start."""
        ...

    def total(self, elapsed: float) -> float:
        """Return the operations intended before `elapsed` s: the rate integrated from 0."""
        ...


class Constant(NamedTuple):
    """Evenly spaced arrivals; the shards of a run interleave.

    Attributes:
        per_second: rate over all shards, > 0.
        shard: number of this shard, from 0.
        shards: how many there are.
    """

    per_second: float
    shard: int = 0
    shards: int = 1

    def arrivals(self, rng: Random) -> Iterator[float]:  # noqa: ARG002 - part of the protocol
        """Return (n · shards + shard) / rate: computed, never added up, so it cannot drift."""
        return (n / self.per_second for n in count(self.shard, self.shards))

    def rate(self, elapsed: float) -> float:  # noqa: ARG002 - part of the protocol
        """Return this shard's rate."""
        return self.per_second / self.shards

    def total(self, elapsed: float) -> float:
        """Return this shard's operations, of random ones those that are expected."""
        return self.rate(0) * elapsed


class Poisson(NamedTuple):
    """Arrivals of many independent users: exponential gaps; see `Constant` for the fields."""

    per_second: float
    shard: int = 0
    shards: int = 1

    def arrivals(self, rng: Random) -> Iterator[float]:
        """Return a Poisson process; the shards' processes add up to one of the full rate."""
        mine = self.rate(0)
        offset = 0.0
        while True:
            offset += rng.expovariate(mine)
            yield offset

    def rate(self, elapsed: float) -> float:  # noqa: ARG002 - part of the protocol
        """Return this shard's rate."""
        return self.per_second / self.shards

    def total(self, elapsed: float) -> float:
        """Return this shard's operations, of random ones those that are expected."""
        return self.rate(0) * elapsed


class Shaped(NamedTuple):
    """Evenly spaced arrivals of a rate that changes; the shards of a run interleave.

    Attributes:
        shape: the rate over all shards.
        shard: number of this shard, from 0.
        shards: how many there are.
    """

    shape: Shape
    shard: int = 0
    shards: int = 1

    def arrivals(self, rng: Random) -> Iterator[float]:  # noqa: ARG002 - part of the protocol
        """Return when the integrated rate reaches shard, shard + shards, …; inf once it never does."""
        return map(self.shape.time, count(self.shard, self.shards))

    def rate(self, elapsed: float) -> float:
        """Return this shard's rate."""
        return self.shape.rate(elapsed) / self.shards

    def total(self, elapsed: float) -> float:
        """Return this shard's operations, of random ones those that are expected."""
        return self.shape.total(elapsed) / self.shards


class ShapedPoisson(NamedTuple):
    """Arrivals of many independent users whose number changes; see `Shaped` for the fields."""

    shape: Shape
    shard: int = 0
    shards: int = 1

    def arrivals(self, rng: Random) -> Iterator[float]:
        """Return a Poisson process of rate 1, its time bent so that it follows the shape."""
        offset = 0.0
        while True:
            offset += self.shards * rng.expovariate(1.0)
            yield self.shape.time(offset)

    def rate(self, elapsed: float) -> float:
        """Return this shard's rate."""
        return self.shape.rate(elapsed) / self.shards

    def total(self, elapsed: float) -> float:
        """Return this shard's operations, of random ones those that are expected."""
        return self.shape.total(elapsed) / self.shards
