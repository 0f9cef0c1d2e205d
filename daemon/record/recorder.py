"""Where the engine notes what happened: appends on the hot path, arithmetic a few times a second."""

from collections.abc import Sequence
from struct import Struct, pack
from typing import Protocol

import numpy as np

from daemon.errors import ErrorClass
from daemon.ops import OpSpec, Outcome, PoolName
from daemon.record.histogram import ROWS, Histogram
from daemon.record.snapshot import Key, Snapshot

FOLD_AT = 4096  # operations noted in one series before they are folded into its histograms
_FOUR = Struct("4d")
_pack, _pack_size = _FOUR.pack, _FOUR.size


class Recorder(Protocol):
    """Takes notes for the hot path: never blocks, awaits or raises."""

    def ok(self, op: int, intended: float, dispatched: float, served: float, done: float) -> None:
        """Note an operation that went well; times in s, monotonic."""
        ...

    def rejected(self, op: int, intended: float, dispatched: float, served: float, done: float) -> None:
        """Note an operation that got an answer, and the answer was no."""
        ...

    def rows(
        self, op: int, intended: Sequence[float], dispatched: Sequence[float], served: float, done: float
    ) -> None:
        """Note the operations of one committed batch."""
        ...

    def failure(
        self,
        op: int,
        error_class: ErrorClass,
        intended: float,
        dispatched: float,
        served: float,
        done: float,
    ) -> None:
        """Note an operation that failed, and why; one that was never taken up has `served` = `done`."""
        ...

    def drop(self, op: int, reason: str) -> None:
        """Note an operation that was due and never ran."""
        ...

    def flush(self, reason: str, outcome: str, rows: int, seconds: float, commit: float) -> None:
        """Note one attempt to write a batch."""
        ...

    def count(self, *key: str) -> None:
        """Add one to a counter; for rare events only."""
        ...


class Series:
    """The times of one operation's successful executions, gathered until they are worth folding.

    Memory: `FOLD_AT` + one batch times four doubles, and the histograms.

    Attributes:
        times: intended, dispatched, served, done of each execution, as doubles one after the other:
            what a hot path can append to at the least price, and numpy can read as it is.
        folded: executions that are in the histograms already.
    """

    __slots__ = ("folded", "lag", "queue_wait", "response", "service", "times")

    def __init__(self, lag: Histogram) -> None:
        self.times = bytearray()
        self.folded = 0
        self.response = Histogram()
        self.service = Histogram()
        self.queue_wait = Histogram()
        self.lag = lag

    def fold(self) -> None:
        """Turn the gathered times into histogram counts, and start afresh."""
        if not self.times:
            return
        intended, dispatched, served, done = np.frombuffer(bytes(self.times)).reshape(-1, 4).T
        self.times.clear()
        self.folded += len(done)
        # A clock read on another core may be a hair behind: a duration is never negative.
        for histogram, start, end in (
            (self.lag, intended, dispatched),
            (self.queue_wait, dispatched, served),
            (self.service, served, done),
            (self.response, intended, done),
        ):
            histogram.add_many(np.maximum(end - start, 0.0))

    def add(self, intended: float, dispatched: float, served: float, done: float) -> None:
        """Put an execution that is not counted as successful into the histograms."""
        self.lag.add(max(dispatched - intended, 0.0))
        self.response.add(max(done - intended, 0.0))
        self.queue_wait.add(max(served - dispatched, 0.0))
        self.service.add(max(done - served, 0.0))


class OpRecorder:
    """The recorder of one engine.

    Response, service and queue wait cover what ran to an answer or to its timeout (ok,
    rejected, timeout). Errors are counted, not timed: a refused connection fails in
    microseconds and would make the percentiles look better during an outage.
    """

    def __init__(self, ops: Sequence[OpSpec]) -> None:
        self._ops = ops
        self._lags: dict[PoolName, Histogram] = {spec.pool: Histogram() for spec in ops}
        self._series = [Series(self._lags[spec.pool]) for spec in ops]
        self._times = [series.times for series in self._series]
        self._counters: dict[Key, float] = {}
        self._flush_rows = Histogram(ROWS)
        self._flush_seconds = Histogram()
        self._commit_seconds = Histogram()

    def ok(self, op: int, intended: float, dispatched: float, served: float, done: float) -> None:
        """Note an operation that went well; see `Recorder`."""
        times = self._times[op]
        times += _pack(intended, dispatched, served, done)
        if len(times) >= FOLD_AT * _pack_size:
            self._series[op].fold()

    def rejected(self, op: int, intended: float, dispatched: float, served: float, done: float) -> None:
        """Note an operation that got an answer, and the answer was no; see `Recorder`."""
        self._count(op, "rejected")
        self._series[op].add(intended, dispatched, served, done)

    def rows(
        self, op: int, intended: Sequence[float], dispatched: Sequence[float], served: float, done: float
    ) -> None:
        """Note the operations of one committed batch; see `Recorder`."""
        n = len(intended)
        # Doubles packed at once are far cheaper than numbers that an array takes one by one.
        doubles = [served] * (4 * n)
        doubles[0::4] = intended
        doubles[1::4] = dispatched
        doubles[3::4] = [done] * n
        times = self._times[op]
        times += pack(f"{4 * n}d", *doubles)
        if len(times) >= FOLD_AT * _pack_size:
            self._series[op].fold()

    def failure(
        self,
        op: int,
        error_class: ErrorClass,
        intended: float,
        dispatched: float,
        served: float,
        done: float,
    ) -> None:
        """Note an operation that failed, and why; see `Recorder`."""
        spec = self._ops[op]
        self.count("soakd_op_errors_total", spec.pool, spec.name, error_class)
        if error_class != "timeout":
            self._count(op, "error")
            return
        self._count(op, "timeout")
        series = self._series[op]
        if served < done:
            series.add(intended, dispatched, served, done)
        else:  # never taken up: there was no service to time
            series.response.add(max(done - intended, 0.0))
            series.lag.add(max(dispatched - intended, 0.0))

    def drop(self, op: int, reason: str) -> None:
        """Note an operation that never ran; see `Recorder`."""
        self._count(op, "dropped")
        self.count("soakd_ops_dropped_total", self._ops[op].pool, reason)

    def flush(self, reason: str, outcome: str, rows: int, seconds: float, commit: float) -> None:
        """Note one attempt to write a batch; see `Recorder`."""
        self.count("soakd_flushes_total", reason, outcome)
        if outcome == "ok":
            self._flush_rows.add(rows)
            self._flush_seconds.add(seconds)
            self._commit_seconds.add(commit)

    def count(self, *key: str) -> None:
        """Add one to a counter; see `Recorder`."""
        self._counters[key] = self._counters.get(key, 0) + 1

    def _count(self, op: int, outcome: Outcome) -> None:
        spec = self._ops[op]
        self.count("soakd_ops_total", spec.pool, spec.name, outcome)

    def snapshot(self) -> Snapshot:
        """Return everything noted so far; the histograms are the live ones, for pickling at once."""
        counters = dict(self._counters)
        histograms: dict[Key, Histogram] = {
            ("soakd_flush_rows",): self._flush_rows,
            ("soakd_flush_seconds",): self._flush_seconds,
            ("soakd_commit_seconds",): self._commit_seconds,
        }
        for spec, series in zip(self._ops, self._series, strict=True):
            series.fold()
            if series.folded:
                counters["soakd_ops_total", spec.pool, spec.name, "ok"] = series.folded
            histograms["soakd_op_response_seconds", spec.pool, spec.name] = series.response
            histograms["soakd_op_service_seconds", spec.pool, spec.name] = series.service
            histograms["soakd_op_queue_wait_seconds", spec.pool, spec.name] = series.queue_wait
        for pool, lag in self._lags.items():
            histograms["soakd_schedule_lag_seconds", pool] = lag
        return Snapshot(counters, {}, histograms)


class NullRecorder:
    """Notes nothing: what the instrumentation costs is measured against it."""

    def ok(self, *_: object) -> None:
        """Ignore it."""

    def rejected(self, *_: object) -> None:
        """Ignore it."""

    def rows(self, *_: object) -> None:
        """Ignore it."""

    def failure(self, *_: object) -> None:
        """Ignore it."""

    def drop(self, *_: object) -> None:
        """Ignore it."""

    def flush(self, *_: object) -> None:
        """Ignore it."""

    def count(self, *_: str) -> None:
        """Ignore it."""

    def snapshot(self) -> Snapshot:
        """Return nothing."""
        return Snapshot()
