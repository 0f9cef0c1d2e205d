"""The state of all figures at one moment, and what happened between two of them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from daemon.record.histogram import Histogram
from daemon.record.snapshot import Key, Snapshot

SAMPLED = ("soakd_pg_", "soakd_host_")
"""Counters that somebody else keeps: they do not begin at 0, and begin again when that one does."""
DUE = "soakd_ops_due_total"
"""What answers are compared with, by pool."""

Pattern = tuple[str, ...]
"""A metric's name and the first of its label values; an empty value stands for any."""


def matches(key: Key, pattern: Pattern) -> bool:
    """Return whether a pattern stands for a key."""
    return key[0] == pattern[0] and all(
        part in ("", given) for part, given in zip(pattern, key, strict=False)
    )


class Reading(NamedTuple):
    """What spans are made from. Memory: the counters, and 32 KiB per histogram that is kept.

    Attributes:
        at: monotonic time, s.
        counters: by name, totals since the first reading, or since the engines began.
        gauges: present values.
        histograms: by pattern, those that were asked for; several of one pattern are merged.
    """

    at: float
    counters: Mapping[str, Mapping[Key, float]]
    gauges: Mapping[Key, float]
    histograms: Mapping[Pattern, Histogram]


class Reader:
    """Turns snapshots into readings whose counters only grow.

    A counter of the database server or of the host counts from when it is first seen, and goes on
    when the server began anew.
    """

    def __init__(self, histograms: Iterable[Pattern]) -> None:
        """Prepare to keep the histograms of these patterns."""
        self._wanted = frozenset(histograms)
        self._raw: dict[Key, float] = {}
        self._grown: dict[Key, float] = {}

    def read(self, at: float, snapshot: Snapshot) -> Reading:
        """Return the reading of a snapshot; nothing is shared with it."""
        counters = defaultdict[str, dict[Key, float]](dict)
        for key, value in snapshot.counters.items():
            name = key[0]
            counters[name][key] = self._grow(key, value) if name.startswith(SAMPLED) else value
        gauges = {**snapshot.gauges, **snapshot.shared}
        histograms = {wanted: snapshot.pooled(partial(matches, pattern=wanted)) for wanted in self._wanted}
        return Reading(at, dict(counters), gauges, histograms)

    def _grow(self, key: Key, value: float) -> float:
        before = self._raw.get(key, value)
        self._raw[key] = value
        self._grown[key] = self._grown.get(key, 0.0) + (value - before if value >= before else value)
        return self._grown[key]


class Span:
    """What happened between two readings of one `Reader`."""

    def __init__(self, earlier: Reading, later: Reading) -> None:
        self._earlier = earlier
        self._later = later
        self.seconds = later.at - earlier.at

    @property
    def engines(self) -> int:
        """How many engines there are."""
        return len(self._later.counters.get("soakd_engine_restarts_total", {}))

    def count(self, *pattern: str, among: Collection[str] = ()) -> float | None:
        """Return how much the counters of a pattern grew; None where there is none.

        Args:
            pattern: name, and the first label values; an empty value stands for any.
            among: only those with one of these as the last label value.
        """
        begun, ended = (of.counters.get(pattern[0], {}) for of in (self._earlier, self._later))
        grown = [
            value - begun.get(key, 0.0)
            for key, value in ended.items()
            if matches(key, pattern) and (not among or key[-1] in among)
        ]
        return sum(grown) if grown else None

    def rate(self, *pattern: str, among: Collection[str] = ()) -> float | None:
        """Return the same per second; None also where no time has passed."""
        count = self.count(*pattern, among=among)
        return None if count is None or self.seconds <= 0 else count / self.seconds

    def histogram(self, pattern: Pattern) -> Histogram:
        """Return the values that were recorded."""
        return self._later.histograms[pattern].since(self._earlier.histograms[pattern])


def share(part: float | None, whole: float | None) -> float | None:
    """Return a part by its whole; None where either is not there, or the whole is nothing."""
    return None if part is None or not whole else part / whole
