"""Where the engine notes what happened: appends on the hot path, arithmetic a few times a second."""

from array import array
from collections.abc import Sequence
from struct import pack
from typing import Protocol

import numpy as np

from daemon.errors import ErrorClass
from daemon.ops import OpSpec, Outcome, PoolName
from daemon.record.histogram import ROWS, Histogram
from daemon.record.snapshot import Key, Snapshot

FOLD_AT = 4096  # operations noted in one series before they are folded into its histograms


class Recorder(Protocol):
    """Takes notes for the hot path: never blocks, awaits or raises."""

    def op(
        self, op: int, outcome: Outcome, intended: float, dispatched: float, served: float, done: float
    ) -> None:
        """Note one finished operation; times in s, monotonic."""
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
    """The times of one operation's executions, gathered until they are worth folding.

    Memory: four arrays of at most `FOLD_AT` + one batch doubles, and the histograms.
    """

    __slots__ = ("dispatched", "done", "intended", "lag", "queue_wait", "response", "served", "service")

    def __init__(self, lag: Histogram) -> None:
        self.intended = array("d")
        self.dispatched = array("d")
        self.served = array("d")
        self.done = array("d")
        self.response = Histogram()
        self.service = Histogram()
        self.queue_wait = Histogram()
        self.lag = lag

    def fold(self) -> None:
        """Turn the gathered times into histogram counts, and start afresh."""
        if not self.done:
            return
        intended, dispatched = np.array(self.intended), np.array(self.dispatched)
        served, done = np.array(self.served), np.array(self.done)
        # A clock read on another core may be a hair behind: a duration is never negative.
        for histogram, start, end in (
            (self.lag, intended, dispatched),
            (self.queue_wait, dispatched, served),
            (self.service, served, done),
            (self.response, intended, done),
        ):
            histogram.add_many(np.maximum(end - start, 0.0))
        for times in (self.intended, self.dispatched, self.served, self.done):
            del times[:]


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
        self._outcomes: list[dict[str, int]] = [{} for _ in ops]
        self._counters: dict[Key, float] = {}
        self._flush_rows = Histogram(ROWS)
        self._flush_seconds = Histogram()
        self._commit_seconds = Histogram()

    def op(
        self, op: int, outcome: Outcome, intended: float, dispatched: float, served: float, done: float
    ) -> None:
        """Note one finished operation; see `Recorder`."""
        outcomes = self._outcomes[op]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if outcome == "error":
            return
        series = self._series[op]
        if outcome == "timeout" and served >= done:  # never taken up: there was no service to time
            series.response.add(max(done - intended, 0.0))
            series.lag.add(max(dispatched - intended, 0.0))
            return
        series.intended.append(intended)
        series.dispatched.append(dispatched)
        series.served.append(served)
        series.done.append(done)
        if len(series.done) >= FOLD_AT:
            series.fold()

    def rows(
        self, op: int, intended: Sequence[float], dispatched: Sequence[float], served: float, done: float
    ) -> None:
        """Note the operations of one committed batch; see `Recorder`."""
        n = len(intended)
        outcomes = self._outcomes[op]
        outcomes["ok"] = outcomes.get("ok", 0) + n
        series = self._series[op]
        # Packing is a fifth of the price of array.extend, which takes its values one by one.
        doubles = f"{n}d"
        series.intended.frombytes(pack(doubles, *intended))
        series.dispatched.frombytes(pack(doubles, *dispatched))
        series.served.extend(array("d", (served,)) * n)
        series.done.extend(array("d", (done,)) * n)
        if len(series.done) >= FOLD_AT:
            series.fold()

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
        outcome: Outcome = "timeout" if error_class == "timeout" else "error"
        self.op(op, outcome, intended, dispatched, served, done)

    def drop(self, op: int, reason: str) -> None:
        """Note an operation that never ran; see `Recorder`."""
        outcomes = self._outcomes[op]
        outcomes["dropped"] = outcomes.get("dropped", 0) + 1
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

    def snapshot(self) -> Snapshot:
        """Return everything noted so far; the histograms are the live ones, for pickling at once."""
        counters = dict(self._counters)
        histograms: dict[Key, Histogram] = {
            ("soakd_flush_rows",): self._flush_rows,
            ("soakd_flush_seconds",): self._flush_seconds,
            ("soakd_commit_seconds",): self._commit_seconds,
        }
        for spec, series, outcomes in zip(self._ops, self._series, self._outcomes, strict=True):
            series.fold()
            for outcome, n in outcomes.items():
                counters["soakd_ops_total", spec.pool, spec.name, outcome] = n
            histograms["soakd_op_response_seconds", spec.pool, spec.name] = series.response
            histograms["soakd_op_service_seconds", spec.pool, spec.name] = series.service
            histograms["soakd_op_queue_wait_seconds", spec.pool, spec.name] = series.queue_wait
        for pool, lag in self._lags.items():
            histograms["soakd_schedule_lag_seconds", pool] = lag
        return Snapshot(counters, {}, histograms)


class NullRecorder:
    """Notes nothing: what the instrumentation costs is measured against it."""

    def op(self, *_: object) -> None:
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
