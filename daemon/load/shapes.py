"""How a rate changes with time: pure shapes, each with its integral and the inverse of that.

The n-th arrival of a shape is due when its integrated rate begins to exceed n, so arrivals are
computed one by one, however far away, and nothing is ever added up.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

NEVER = math.inf
_HALVINGS = 60  # steps after which a bracket is narrower than `_EXACT`
_EXACT = 1e-15  # share of a period to which a time is found


class Shape(Protocol):
    """A rate over all shards as a function of the time since the beginning; it has no end."""

    def rate(self, elapsed: float) -> float:
        """Return operations per second, ≥ 0, at `elapsed` s ≥ 0; from the right where it jumps."""
        ...

    def total(self, elapsed: float) -> float:
        """Return the operations due before `elapsed` s: the rate integrated from 0."""
        ...

    def time(self, total: float) -> float:
        """Return when `total` begins to be exceeded, s; `NEVER` when it never is."""
        ...


class Flat(NamedTuple):
    """A constant rate ≥ 0; with 0 there is a pause."""

    per_second: float

    def rate(self, elapsed: float) -> float:  # noqa: ARG002 - part of the protocol
        """See `Shape`."""
        return self.per_second

    def total(self, elapsed: float) -> float:
        """See `Shape`."""
        return self.per_second * elapsed

    def time(self, total: float) -> float:
        """See `Shape`."""
        return total / self.per_second if self.per_second else NEVER


class Ramp(NamedTuple):
    """A rate that changes evenly from `start` to `end` in `seconds` > 0, and then stays."""

    start: float
    end: float
    seconds: float

    def rate(self, elapsed: float) -> float:
        """See `Shape`."""
        return self.start + (self.end - self.start) * min(1.0, elapsed / self.seconds)

    def total(self, elapsed: float) -> float:
        """See `Shape`."""
        within = min(elapsed, self.seconds)
        return within * (self.start + self.rate(within)) / 2 + self.end * (elapsed - within)

    def time(self, total: float) -> float:
        """See `Shape`; the quadratic is solved from the end with the lower rate: that cancels nothing."""
        whole = self.total(self.seconds)
        if total >= whole:
            return self.seconds + Flat(self.end).time(total - whole)
        falls = self.end < self.start
        low = min(self.start, self.end)
        ahead = whole - total if falls else total
        slope = abs(self.end - self.start) / self.seconds
        reached = 2 * ahead / (low + math.sqrt(low**2 + 2 * slope * ahead)) if ahead else 0.0
        return max(0.0, self.seconds - reached) if falls else reached


class Sine(NamedTuple):
    """A rate that swings by `amplitude` ≤ `mean` around it, once in `period` s, upwards first."""

    mean: float
    amplitude: float
    period: float

    def rate(self, elapsed: float) -> float:
        """See `Shape`."""
        return self.mean + self.amplitude * math.sin(math.tau * elapsed / self.period)

    def total(self, elapsed: float) -> float:
        """See `Shape`; 1 - cos x is written as 2 sin² x/2, which is exact for small x."""
        swing = self.amplitude * self.period / math.pi
        return self.mean * elapsed + swing * math.sin(math.pi * elapsed / self.period) ** 2

    def time(self, total: float) -> float:
        """See `Shape`; whole periods are divided off, the rest is found by Newton's steps."""
        periods, rest = divmod(total, self.mean * self.period)
        return periods * self.period + self._within(rest)

    def _within(self, total: float) -> float:
        """Return the time in the first period; where a step leaves the bracket it is halved instead."""
        low, high = 0.0, self.period
        guess = total / self.mean
        for _ in range(_HALVINGS):
            over = self.total(guess) - total
            low, high = (low, guess) if over > 0 else (guess, high)
            slope = self.rate(guess)
            step = guess - over / slope if slope > 0 else -1.0
            guess, before = step if low < step < high else (low + high) / 2, guess
            if abs(guess - before) <= _EXACT * self.period:
                break
        return guess


class Burst(NamedTuple):
    """A rate of `base`, and for the last `length` s of each `every` s of `peak` > 0."""

    base: float
    peak: float
    every: float
    length: float

    def rate(self, elapsed: float) -> float:
        """See `Shape`."""
        return self.peak if elapsed % self.every >= self.every - self.length else self.base

    def total(self, elapsed: float) -> float:
        """See `Shape`."""
        cycles, rest = divmod(elapsed, self.every)
        calm = min(rest, self.every - self.length)
        return cycles * self._cycle + self.base * calm + self.peak * (rest - calm)

    def time(self, total: float) -> float:
        """See `Shape`."""
        cycles, rest = divmod(total, self._cycle)
        calm = self.every - self.length
        in_calm = Flat(self.base).time(rest)
        within = in_calm if in_calm < calm else calm + (rest - self.base * calm) / self.peak
        return cycles * self.every + within

    @property
    def _cycle(self) -> float:
        """Operations in one cycle."""
        return self.base * (self.every - self.length) + self.peak * self.length


@dataclass(frozen=True)
class Stages:
    """Shapes one after the other, each for its seconds > 0; the last one goes on after its time."""

    parts: tuple[tuple[Shape, float], ...]
    _begins: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _counts: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Add up once where each part begins, so that finding one is a search and not a sum."""
        begins, counts = [0.0], [0.0]
        for shape, seconds in self.parts[:-1]:
            begins.append(begins[-1] + seconds)
            counts.append(counts[-1] + shape.total(seconds))
        object.__setattr__(self, "_begins", tuple(begins))
        object.__setattr__(self, "_counts", tuple(counts))

    def rate(self, elapsed: float) -> float:
        """See `Shape`."""
        n = bisect_right(self._begins, elapsed) - 1
        return self.parts[n][0].rate(elapsed - self._begins[n])

    def total(self, elapsed: float) -> float:
        """See `Shape`."""
        n = bisect_right(self._begins, elapsed) - 1
        return self._counts[n] + self.parts[n][0].total(elapsed - self._begins[n])

    def time(self, total: float) -> float:
        """See `Shape`."""
        n = bisect_right(self._counts, total) - 1
        due = self._begins[n] + self.parts[n][0].time(total - self._counts[n])
        # What rounding puts a hair behind the end of a part would be later than the next part's first.
        return min(due, self._begins[n + 1]) if n + 1 < len(self._begins) else due


class Later(NamedTuple):
    """A shape as it goes on from `seconds` after its beginning: for an engine that comes later."""

    shape: Shape
    seconds: float

    def rate(self, elapsed: float) -> float:
        """See `Shape`."""
        return self.shape.rate(self.seconds + elapsed)

    def total(self, elapsed: float) -> float:
        """See `Shape`."""
        return self.shape.total(self.seconds + elapsed) - self.shape.total(self.seconds)

    def time(self, total: float) -> float:
        """See `Shape`."""
        return max(0.0, self.shape.time(total + self.shape.total(self.seconds)) - self.seconds)


def steps(rates: tuple[float, ...], seconds: float) -> Stages:
    """Return constant rates one after the other, each for so many seconds; the last one goes on."""
    return Stages(tuple((Flat(rate), seconds) for rate in rates))
