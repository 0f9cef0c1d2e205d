"""The values of signals: over the last seconds, and over the whole of a run."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from daemon.judge.reading import Pattern, Reader, Reading, Span
from daemon.judge.signals import Signal
from daemon.record.snapshot import Snapshot

RECENT = 10.0  # s that recent values are about
Values = Mapping[str, float | None]


class Wanted(NamedTuple):
    """A signal that is to be computed over the whole run, less its first `after` s."""

    signal: Signal
    after: float


class Sample(NamedTuple):
    """The values of one look.

    Attributes:
        elapsed: time since the beginning, s.
        recent: over about the last `RECENT` s, by `after` and signal; None where there is nothing to tell.
        whole: the same over everything after so many seconds; what has not begun is not in it.
    """

    elapsed: float
    recent: Mapping[float, Values]
    whole: Mapping[float, Values]


class Levels:
    """The greatest, least and mean of levels, look by look."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float, float, int]] = {}

    def add(self, levels: Values) -> None:
        """Take the values of a look; those that are not known change nothing."""
        for name, value in levels.items():
            if value is not None:
                least, most, total, looks = self._seen.get(name, (value, value, 0.0, 0))
                self._seen[name] = (min(least, value), max(most, value), total + value, looks + 1)

    def value(self, signal: Signal) -> float | None:
        """Return what a signal makes of its level."""
        if signal.name not in self._seen:
            return None
        least, most, total, looks = self._seen[signal.name]
        return {"min": least, "max": most}.get(signal.aggregate or "", total / looks)


class _Part(NamedTuple):
    """The run from some time on: its first reading, and its levels."""

    base: Reading
    levels: Levels


class Meter:
    """Computes signals from snapshots, one look after the other.

    Memory: a dozen readings and one for each different `after`, each with the histograms that the
    signals need.
    """

    def __init__(self, wanted: Iterable[Wanted], *, further: Iterable[Pattern] = ()) -> None:
        """Prepare; the first look is the beginning of everything.

        Args:
            wanted: what is to be computed.
            further: histograms that readings are to have for other purposes.
        """
        self._wanted = list(dict.fromkeys(wanted))
        self._afters = list(dict.fromkeys(one.after for one in self._wanted))
        self._signals = {one.signal.name: one.signal for one in self._wanted}
        of_signals = (one.histogram for one in self._signals.values() if one.histogram is not None)
        self._reader = Reader([*of_signals, *further])
        self._ring: deque[tuple[Reading, Values]] = deque()
        self._parts: dict[float, _Part] = {}

    def look(self, elapsed: float, at: float, snapshot: Snapshot) -> Sample:
        """Return the values now.

        Args:
            elapsed: time since the beginning, s.
            at: monotonic time, s.
            snapshot: all figures, with zeros for what has not happened yet.
        """
        reading = self._reader.read(at, snapshot)
        earlier = self._ring[0][0] if self._ring else reading
        span = Span(earlier, reading)
        levels = {name: signal.level(reading, span) for name, signal in self._signals.items() if signal.level}
        self._keep(reading, levels)
        begun = [after for after in self._afters if elapsed >= after]
        for after in begun:
            self._parts.setdefault(after, _Part(reading, Levels())).levels.add(levels)
        return Sample(
            elapsed,
            {after: self._values(after, *self._lately(self._parts[after])) for after in begun},
            {after: self._values(after, *self._since(self._parts[after])) for after in begun},
        )

    @property
    def recent(self) -> Span:
        """What happened in about the last `RECENT` s; there must have been a look."""
        return Span(self._ring[0][0], self._ring[-1][0])

    @property
    def newest(self) -> Reading:
        """The reading of the last look; there must have been one."""
        return self._ring[-1][0]

    def _keep(self, reading: Reading, levels: Values) -> None:
        ring = self._ring
        ring.append((reading, levels))
        while len(ring) > 2 and reading.at - ring[1][0].at >= RECENT:
            ring.popleft()

    def _values(self, after: float, span: Span, levels: Levels) -> Values:
        return {
            one.signal.name: _value(one.signal, span, levels) for one in self._wanted if one.after == after
        }

    def _since(self, part: _Part) -> tuple[Span, Levels]:
        return Span(part.base, self.newest), part.levels

    def _lately(self, part: _Part) -> tuple[Span, Levels]:
        """Return the last seconds, but nothing from before the part began."""
        seen = Levels()
        mine = [(reading, levels) for reading, levels in self._ring if reading.at >= part.base.at]
        for _, levels in mine:
            seen.add(levels)
        return Span(mine[0][0], self.newest), seen


def _value(signal: Signal, span: Span, levels: Levels) -> float | None:
    return signal.over(span) if signal.over else levels.value(signal)
