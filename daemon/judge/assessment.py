"""Thresholds of one run, or of one part of it, look by look."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from daemon.judge.grammar import Threshold
from daemon.judge.meter import Meter, Wanted
from daemon.judge.verdict import Judged, judge
from daemon.record.snapshot import Snapshot


class Change(NamedTuple):
    """A threshold that is failed since the last look, or met again."""

    judged: Judged
    failed: bool


class Assessment:
    """Holds thresholds against what is measured from the first look on."""

    def __init__(self, thresholds: Iterable[Threshold]) -> None:
        self.judged: Sequence[Judged] = [Judged(threshold) for threshold in thresholds]
        self._meter = Meter(
            Wanted(judged.threshold.measure, judged.threshold.after) for judged in self.judged
        )

    def look(self, elapsed: float, at: float, snapshot: Snapshot) -> list[Change]:
        """Take one more look; return what has changed.

        Args:
            elapsed: time since the first look, s.
            at: monotonic time, s.
            snapshot: all figures, with zeros for what has not happened yet.
        """
        if not self.judged:
            return []
        sample = self._meter.look(elapsed, at, snapshot)
        before = self.judged
        self.judged = [judge(judged, sample) for judged in before]
        return [
            Change(now, now.failing)
            for was, now in zip(before, self.judged, strict=True)
            if was.failing != now.failing
        ]

    @property
    def aborting(self) -> bool:
        """Whether a threshold is failed that is to end the run."""
        return any(judged.failing and judged.threshold.abort for judged in self.judged)

    @property
    def failed(self) -> list[Judged]:
        """Those that would fail the run if it ended now: failed, or without anything to judge."""
        return [judged for judged in self.judged if not judged.ok]
