"""Figures over a span of time: what happened between two snapshots, per pool."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from daemon.ops import OUTCOMES, POOLS
from daemon.record.catalog import ROW_OUTCOMES
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Key, Snapshot

QUANTILES = (0.5, 0.95, 0.99)


class Mark(NamedTuple):
    """A snapshot at a time, reduced to what figures over a span need.

    Memory: the counters, and one histogram per pool (32 KiB each).

    Attributes:
        at: monotonic time, s.
        counters: the snapshot's totals.
        gauges: its present values.
        response: response times by pool.
    """

    at: float
    counters: Mapping[Key, float]
    gauges: Mapping[Key, float]
    response: Mapping[str, Histogram]

    @classmethod
    def of(cls, at: float, snapshot: Snapshot) -> "Mark":
        """Return the mark of a snapshot; nothing is shared with it."""
        response: dict[str, Histogram] = {pool: Histogram() for pool in POOLS}
        for key, histogram in snapshot.histograms.items():
            if key[0] == "soakd_op_response_seconds":
                response[key[1]].merge(histogram)
        return cls(at, dict(snapshot.counters), dict(snapshot.gauges), response)

    @property
    def pools(self) -> list[str]:
        """The pools that have workers, or had some that did something."""
        counts = self.counters.items()
        return [
            pool
            for pool in POOLS
            if self.gauges.get(("soakd_workers", pool))
            or any(value and key[:2] == ("soakd_ops_total", pool) for key, value in counts)
        ]

    @property
    def queue(self) -> tuple[int, int]:
        """Rows that wait to be written, and how many may."""
        rows = self.gauges.get(("soakd_batch_queue_rows",), 0)
        return round(rows), round(self.gauges.get(("soakd_batch_queue_capacity_rows",), 0))

    @property
    def rows(self) -> dict[str, int]:
        """Rows by outcome since the beginning."""
        return {name: round(self.counters.get(("soakd_rows_total", name), 0)) for name in ROW_OUTCOMES}

    @property
    def errors(self) -> dict[str, int]:
        """Number of errors by class since the beginning."""
        return errors_by_class(self.counters)

    @property
    def target_up(self) -> bool:
        """True while the database answers."""
        return bool(self.gauges.get(("soakd_target_up",), 0))

    @property
    def generator_limited(self) -> bool:
        """True while an engine is the bottleneck."""
        return any(value for key, value in self.gauges.items() if key[0] == "soakd_generator_limited")

    def answered(self, pool: str) -> float:
        """Return the number of operations of a pool that ran to an answer: ok and rejected."""
        names = ("ok", "rejected")
        return sum(
            value
            for key, value in self.counters.items()
            if key[:2] == ("soakd_ops_total", pool) and key[3] in names
        )

    def total(self, name: str) -> float:
        """Return the sum of a counter over all its labels."""
        return sum(value for key, value in self.counters.items() if key[0] == name)


class PoolFigures(NamedTuple):
    """One pool over a span of time; rates are per second, times in seconds.

    Attributes:
        rate: operations that ran to an answer: ok and rejected.
        target: rate asked for now; None in a closed loop.
        failing: errors and timeouts.
        dropping: operations that were due and never ran.
        p50: median response time; None when nothing was answered.
        p95: 95th percentile.
        p99: 99th percentile.
        max: the longest.
        in_flight: operations under way now.
        workers: workers running now.
    """

    rate: float
    target: float | None
    failing: float
    dropping: float
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    in_flight: int
    workers: int


class Figures(NamedTuple):
    """What happened in a span of time.

    Attributes:
        seconds: its length.
        pools: by name, those that have workers.
        rows_per_second: rows committed.
        flushes_per_second: batches committed.
        errors: number of errors by class, in the span.
    """

    seconds: float
    pools: Mapping[str, PoolFigures]
    rows_per_second: float
    flushes_per_second: float
    errors: Mapping[str, int]


def figures(earlier: Mark, later: Mark) -> Figures:
    """Return what happened between two marks; all rates are 0 when no time passed."""
    seconds = later.at - earlier.at
    counts = {key: value - earlier.counters.get(key, 0) for key, value in later.counters.items()}
    per_second = 1 / seconds if seconds > 0 else 0.0
    return Figures(
        seconds=max(0.0, seconds),
        pools={pool: _pool(pool, earlier, later, counts, per_second) for pool in later.pools},
        rows_per_second=counts.get(("soakd_rows_total", "committed"), 0) * per_second,
        flushes_per_second=per_second
        * sum(n for key, n in counts.items() if key[0] == "soakd_flushes_total" and key[2] == "ok"),
        errors=errors_by_class(counts),
    )


def errors_by_class(counters: Mapping[Key, float]) -> dict[str, int]:
    """Return the number of errors by class, the most frequent first; classes without any are left out."""
    totals: dict[str, int] = {}
    for key, value in counters.items():
        if key[0] == "soakd_op_errors_total" and value:
            totals[key[3]] = totals.get(key[3], 0) + round(value)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


class Window:
    """The last few marks, to form present rates and recent percentiles from.

    Marks are kept at least `span / 10` apart, so there are about a dozen of them, whatever the
    pace of `add` and the length of the run.
    """

    def __init__(self, span: float) -> None:
        """Prepare to look back `span` s."""
        self._span = span
        self._marks: deque[Mark] = deque()

    def add(self, mark: Mark) -> None:
        """Take the newest mark, and forget what is too old to be needed."""
        marks = self._marks
        # The newest one is always kept, whatever its distance: it is replaced by the next one.
        if len(marks) > 1 and marks[-1].at - marks[-2].at < self._span / 10:
            marks.pop()
        marks.append(mark)
        while len(marks) > 2 and mark.at - marks[1].at >= self._span:
            marks.popleft()

    def figures(self, span: float) -> Figures | None:
        """Return what happened in about the last `span` s; None before there are two marks."""
        if len(self._marks) < 2:
            return None
        newest = self._marks[-1]
        candidates = list(self._marks)[:-1]
        earlier = min(candidates, key=lambda mark: abs(newest.at - mark.at - span))
        return figures(earlier, newest)


def _pool(
    pool: str, earlier: Mark, later: Mark, counts: Mapping[Key, float], per_second: float
) -> PoolFigures:
    outcomes: dict[str, float] = dict.fromkeys(OUTCOMES, 0.0)
    for key, value in counts.items():
        if key[:2] == ("soakd_ops_total", pool):
            outcomes[key[3]] = outcomes.get(key[3], 0.0) + value
    response = later.response[pool].since(earlier.response[pool])
    p50, p95, p99 = response.quantiles(QUANTILES) if response.count else (None, None, None)
    gauges = later.gauges
    return PoolFigures(
        rate=(outcomes["ok"] + outcomes["rejected"]) * per_second,
        target=gauges.get(("soakd_target_ops_per_second", pool)) or None,
        failing=(outcomes["error"] + outcomes["timeout"]) * per_second,
        dropping=outcomes["dropped"] * per_second,
        p50=p50,
        p95=p95,
        p99=p99,
        max=response.max if response.count else None,
        in_flight=round(gauges.get(("soakd_ops_in_flight", pool), 0)),
        workers=round(gauges.get(("soakd_workers", pool), 0)),
    )
