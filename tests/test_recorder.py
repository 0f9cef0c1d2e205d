"""The recorder: every operation in its place, errors counted and not timed, memory that does not grow."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.ops import OUTCOMES, OpSpec, Outcome
from daemon.record.catalog import METRICS
from daemon.record.recorder import FOLD_AT, NullRecorder, OpRecorder, Recorder
from daemon.record.snapshot import Snapshot

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"), OpSpec("newest", "reader"))
APPEND, BY_KEY, NEWEST = range(3)
TIMED = ("ok", "rejected", "timeout")

waits = st.floats(0, 5)


def times_of(snapshot: Snapshot, metric: str, *labels: str) -> tuple[int, float, float, float]:
    """Return count, sum, min and max of a histogram."""
    histogram = snapshot.histograms[(metric, *labels)]
    return histogram.count, histogram.sum, histogram.min, histogram.max


def note_everything(recorder: Recorder) -> None:
    """Call each method of a recorder with each outcome."""
    for op in range(len(OPS)):
        for outcome in OUTCOMES:
            recorder.op(op, outcome, 1.0, 1.1, 1.3, 1.7)
        recorder.failure(op, "connection", 1.0, 1.1, 1.3, 1.7)
        recorder.drop(op, "backlog")
    recorder.rows(APPEND, [1.0, 1.1], [1.0, 1.2], 1.3, 1.4)
    recorder.flush("size", "ok", 2, 0.1, 0.05)
    recorder.flush("timeout", "error", 2, 0.0, 0.0)
    recorder.count("soakd_retries_total", "deadlock")


def test_the_four_times_of_an_operation_become_the_four_durations() -> None:
    """Lag is dispatched - intended, wait served - dispatched, service done - served, response all of it."""
    recorder = OpRecorder(OPS)
    recorder.op(BY_KEY, "ok", intended=10.0, dispatched=10.5, served=12.5, done=16.5)
    snapshot = recorder.snapshot()
    assert times_of(snapshot, "soakd_schedule_lag_seconds", "reader") == (1, 0.5, 0.5, 0.5)
    assert times_of(snapshot, "soakd_op_queue_wait_seconds", "reader", "by_key") == (1, 2.0, 2.0, 2.0)
    assert times_of(snapshot, "soakd_op_service_seconds", "reader", "by_key") == (1, 4.0, 4.0, 4.0)
    assert times_of(snapshot, "soakd_op_response_seconds", "reader", "by_key") == (1, 6.5, 6.5, 6.5)
    assert snapshot.counters == {("soakd_ops_total", "reader", "by_key", "ok"): 1}


@given(st.lists(st.tuples(waits, waits, waits, waits), min_size=1, max_size=50))
def test_response_is_lag_plus_wait_plus_service(steps: list[tuple[float, float, float, float]]) -> None:
    recorder = OpRecorder(OPS)
    for begin, lag, wait, service in steps:
        recorder.op(APPEND, "ok", begin, begin + lag, begin + lag + wait, begin + lag + wait + service)
    snapshot = recorder.snapshot()
    lag_sum = snapshot.histograms["soakd_schedule_lag_seconds", "writer"].sum
    wait_sum = snapshot.histograms["soakd_op_queue_wait_seconds", "writer", "append"].sum
    service_sum = snapshot.histograms["soakd_op_service_seconds", "writer", "append"].sum
    response_sum = snapshot.histograms["soakd_op_response_seconds", "writer", "append"].sum
    assert response_sum == pytest.approx(lag_sum + wait_sum + service_sum, abs=1e-9)


@given(st.lists(st.tuples(waits, waits), min_size=1, max_size=100), waits, waits)
def test_a_batch_noted_at_once_equals_its_rows_noted_one_by_one(
    rows: list[tuple[float, float]], wait: float, service: float
) -> None:
    intended = [begin for begin, _ in rows]
    dispatched = [begin + lag for begin, lag in rows]
    served = max(dispatched) + wait
    done = served + service
    at_once, singly = OpRecorder(OPS), OpRecorder(OPS)
    at_once.rows(APPEND, intended, dispatched, served, done)
    for due, begun in zip(intended, dispatched, strict=True):
        singly.op(APPEND, "ok", due, begun, served, done)
    left, right = at_once.snapshot(), singly.snapshot()
    assert left.counters == right.counters
    assert {key: h.counts.tolist() for key, h in left.histograms.items()} == {
        key: h.counts.tolist() for key, h in right.histograms.items()
    }


@pytest.mark.parametrize("outcome", ["ok", "rejected", "timeout", "error"])
def test_what_ran_to_an_answer_or_a_timeout_is_timed_and_an_error_is_not(outcome: Outcome) -> None:
    """A refused connection fails in microseconds: timing it would flatter an outage."""
    recorder = OpRecorder(OPS)
    recorder.op(BY_KEY, outcome, 1.0, 1.0, 1.0, 3.0)
    snapshot = recorder.snapshot()
    assert snapshot.counters == {("soakd_ops_total", "reader", "by_key", outcome): 1}
    expected = 1 if outcome in TIMED else 0
    assert snapshot.histograms["soakd_op_response_seconds", "reader", "by_key"].count == expected
    assert snapshot.histograms["soakd_op_service_seconds", "reader", "by_key"].count == expected


def test_a_timeout_that_the_database_never_took_up_has_a_response_time_and_no_service_time() -> None:
    """The user waited; the database did nothing. Both histograms say what they are about."""
    recorder = OpRecorder(OPS)
    recorder.op(BY_KEY, "timeout", intended=1.0, dispatched=1.5, served=5.0, done=5.0)
    snapshot = recorder.snapshot()
    assert times_of(snapshot, "soakd_op_response_seconds", "reader", "by_key") == (1, 4.0, 4.0, 4.0)
    assert times_of(snapshot, "soakd_schedule_lag_seconds", "reader") == (1, 0.5, 0.5, 0.5)
    assert snapshot.histograms["soakd_op_service_seconds", "reader", "by_key"].count == 0
    assert snapshot.histograms["soakd_op_queue_wait_seconds", "reader", "by_key"].count == 0


def test_a_dropped_operation_is_counted_with_its_reason_and_not_timed() -> None:
    recorder = OpRecorder(OPS)
    recorder.drop(NEWEST, "backlog")
    recorder.drop(BY_KEY, "backlog")
    snapshot = recorder.snapshot()
    assert snapshot.counters == {
        ("soakd_ops_total", "reader", "newest", "dropped"): 1,
        ("soakd_ops_total", "reader", "by_key", "dropped"): 1,
        ("soakd_ops_dropped_total", "reader", "backlog"): 2,
    }
    assert all(histogram.count == 0 for histogram in snapshot.histograms.values())


def test_a_failure_is_counted_by_its_class_beside_the_outcome() -> None:
    """Only a timeout has an outcome of its own, and is timed."""
    recorder = OpRecorder(OPS)
    for _ in range(3):
        recorder.failure(APPEND, "deadlock", 1.0, 1.0, 2.0, 3.0)
    recorder.failure(APPEND, "timeout", 1.0, 1.0, 2.0, 3.0)
    snapshot = recorder.snapshot()
    assert snapshot.counters == {
        ("soakd_op_errors_total", "writer", "append", "deadlock"): 3,
        ("soakd_op_errors_total", "writer", "append", "timeout"): 1,
        ("soakd_ops_total", "writer", "append", "error"): 3,
        ("soakd_ops_total", "writer", "append", "timeout"): 1,
    }
    assert times_of(snapshot, "soakd_op_response_seconds", "writer", "append") == (1, 2.0, 2.0, 2.0)


def test_only_flushes_that_were_written_are_timed() -> None:
    recorder = OpRecorder(OPS)
    recorder.flush("size", "ok", 200, 0.25, 0.125)
    recorder.flush("drain", "ok", 7, 0.5, 0.25)
    recorder.flush("size", "error", 200, 9.0, 9.0)
    snapshot = recorder.snapshot()
    assert times_of(snapshot, "soakd_flush_rows") == (2, 207, 7, 200)
    assert times_of(snapshot, "soakd_flush_seconds") == (2, 0.75, 0.25, 0.5)
    assert times_of(snapshot, "soakd_commit_seconds") == (2, 0.375, 0.125, 0.25)
    assert snapshot.counters == {
        ("soakd_flushes_total", "size", "ok"): 1,
        ("soakd_flushes_total", "drain", "ok"): 1,
        ("soakd_flushes_total", "size", "error"): 1,
    }


def test_a_clock_that_steps_back_a_hair_makes_no_negative_duration() -> None:
    recorder = OpRecorder(OPS)
    recorder.op(BY_KEY, "ok", intended=5.0, dispatched=4.999999, served=4.999998, done=4.999997)
    for histogram in recorder.snapshot().histograms.values():
        assert histogram.min >= 0
        assert histogram.max == 0


def test_snapshots_are_cumulative() -> None:
    """A snapshot that is lost on the way loses nothing: the next one has it all."""
    recorder = OpRecorder(OPS)
    counts = []
    for _ in range(3):
        recorder.rows(APPEND, [1.0] * 10, [1.0] * 10, 1.1, 1.2)
        snapshot = recorder.snapshot()
        counts.append(snapshot.counters["soakd_ops_total", "writer", "append", "ok"])
        assert snapshot.histograms["soakd_op_response_seconds", "writer", "append"].count == counts[-1]
    assert counts == [10, 20, 30]


def test_every_key_of_a_snapshot_is_in_the_catalogue_with_the_right_kind_and_labels() -> None:
    """What the engine counts can be exported as it is."""
    recorder = OpRecorder(OPS)
    note_everything(recorder)
    snapshot = recorder.snapshot()
    for kind, keys in (
        ("counter", snapshot.counters),
        ("gauge", snapshot.gauges),
        ("histogram", snapshot.histograms),
    ):
        for name, *labels in keys:
            assert METRICS[name].kind == kind
            assert len(labels) == len(METRICS[name].labels), name


def test_memory_is_the_same_after_a_million_operations() -> None:
    """Notes are folded as they come: no array outgrows the bound and one batch."""
    recorder = OpRecorder(OPS)
    rng = np.random.default_rng(3)
    batch = 200
    longest = 0
    for _ in range(1_000_000 // batch):
        intended = rng.random(batch).tolist()
        recorder.rows(APPEND, intended, intended, 1.0, 1.5)
        recorder.op(BY_KEY, "ok", 1.0, 1.0, 1.0, 2.0)
        longest = max(longest, *(len(series.done) for series in recorder._series))
    assert longest <= FOLD_AT + batch
    snapshot = recorder.snapshot()
    assert snapshot.histograms["soakd_op_response_seconds", "writer", "append"].count == 1_000_000
    assert all(not len(series.intended) for series in recorder._series)
    assert len(snapshot.counters) == 2


@pytest.mark.parametrize("tail", [1, FOLD_AT - 1, FOLD_AT, FOLD_AT + 1, 3 * FOLD_AT])
def test_nothing_is_lost_around_the_fold(tail: int) -> None:
    recorder = OpRecorder(OPS)
    for _ in range(tail):
        recorder.op(NEWEST, "ok", 0.0, 0.0, 0.0, 1.0)
    assert times_of(recorder.snapshot(), "soakd_op_response_seconds", "reader", "newest") == (
        tail,
        tail,
        1,
        1,
    )


def test_percentiles_of_a_recorded_run_are_within_one_percent() -> None:
    """Through the whole recording layer, batches and single operations mixed."""
    rng = random.Random(11)
    recorder, durations = OpRecorder(OPS), []
    for _ in range(200):
        starts = [rng.random() for _ in range(rng.randint(1, 400))]
        done = 1.0 + rng.lognormvariate(-3, 1)
        recorder.rows(APPEND, starts, starts, 1.0, done)
        durations += [done - start for start in starts]
    histogram = recorder.snapshot().histograms["soakd_op_response_seconds", "writer", "append"]
    for q in (0.5, 0.95, 0.99, 0.999):
        exact = float(np.percentile(durations, 100 * q, method="inverted_cdf"))
        assert histogram.quantile(q) == pytest.approx(exact, rel=0.01)


def test_the_null_recorder_takes_the_same_calls_and_notes_nothing() -> None:
    recorder = NullRecorder()
    note_everything(recorder)
    snapshot = recorder.snapshot()
    assert (snapshot.counters, snapshot.gauges, snapshot.histograms) == ({}, {}, {})
