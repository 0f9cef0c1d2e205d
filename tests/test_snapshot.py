"""Snapshots: shards add up, intervals are differences, and they survive the way between processes."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.record.histogram import ROWS, Histogram
from daemon.record.snapshot import Histograms, Key, Snapshot

OK = ("soakd_ops_total", "writer", "append", "ok")
ERROR = ("soakd_ops_total", "writer", "append", "error")
READ = ("soakd_ops_total", "reader", "newest", "ok")
IN_FLIGHT = ("soakd_ops_in_flight", "writer")
RESPONSE = ("soakd_op_response_seconds", "writer", "append")
ROWS_KEY = ("soakd_flush_rows",)

keys: st.SearchStrategy[Key] = st.sampled_from([OK, ERROR, READ])
counters = st.dictionaries(keys, st.integers(0, 10**9).map(float))
values = st.lists(st.floats(1e-6, 10), max_size=20)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Return a snapshot with some counters, a gauge and some of the histograms."""
    in_flight = float(draw(st.integers(0, 100)))
    histograms: Histograms = {ROWS_KEY: Histogram(ROWS)}
    if draw(st.booleans()):
        histograms[RESPONSE] = Histogram.of(draw(values))
    return Snapshot(draw(counters), {IN_FLIGHT: in_flight}, histograms)


def merged(*parts: Snapshot) -> Snapshot:
    """Return the sum of snapshots, leaving them as they are."""
    whole = Snapshot()
    for part in parts:
        whole.merge(part)
    return whole


def figures(snapshot: Snapshot) -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], list[int]]]:
    """Return what can be compared exactly: totals and bucket counts."""
    return snapshot.counters, {key: h.counts.tolist() for key, h in snapshot.histograms.items()}


@given(snapshots(), snapshots())
def test_merging_adds_counters_gauges_and_histograms(left: Snapshot, right: Snapshot) -> None:
    whole = merged(left, right)
    for key in left.counters | right.counters:
        assert whole.counters[key] == left.counters.get(key, 0) + right.counters.get(key, 0)
    assert whole.gauges[IN_FLIGHT] == left.gauges[IN_FLIGHT] + right.gauges[IN_FLIGHT]
    timed = [part.histograms[RESPONSE].count for part in (left, right) if RESPONSE in part.histograms]
    assert sum(timed) == (whole.histograms[RESPONSE].count if timed else 0)


@given(snapshots(), snapshots(), snapshots())
def test_the_order_of_shards_does_not_matter(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    assert figures(merged(a, b, c)) == figures(merged(c, merged(b, a)))


@given(snapshots(), snapshots())
def test_merging_leaves_the_merged_one_alone(left: Snapshot, right: Snapshot) -> None:
    """A shard's snapshot is merged again and again; it must not grow by it."""
    before = figures(pickle.loads(pickle.dumps(right)))  # noqa: S301 - our own bytes
    whole = merged(left, right)
    whole.merge(right)
    assert figures(right) == before


@given(snapshots(), snapshots())
def test_an_interval_is_what_came_after_its_beginning(past: Snapshot, news: Snapshot) -> None:
    interval = merged(past, news).since(past)
    for key, value in news.counters.items():
        assert interval.counters[key] == value
    for key, histogram in news.histograms.items():
        assert interval.histograms[key].counts.tolist() == histogram.counts.tolist()


@given(snapshots())
def test_an_interval_has_the_gauges_of_its_end(past: Snapshot) -> None:
    """A gauge is a present value: it is never subtracted."""
    now = merged(past)
    now.gauges[IN_FLIGHT] = 7.0
    assert now.since(past).gauges == {IN_FLIGHT: 7.0}


def test_of_what_shards_share_the_greatest_value_counts() -> None:
    """They look at the same file: its size is not as many times as large."""
    size, pinned = ("soakd_sqlite_wal_bytes",), ("soakd_sqlite_pinned_reader",)
    whole = merged(
        Snapshot(shared={size: 5.0}), Snapshot(shared={size: 7.0, pinned: 0.0}), Snapshot(shared={size: 6.0})
    )
    assert whole.shared == {size: 7.0, pinned: 0.0}
    later = merged(whole)
    later.shared[size] = 2.0
    assert later.since(whole).shared == {size: 2.0, pinned: 0.0}
    assert whole.shared[size] == 7.0


@given(snapshots())
def test_pickling_brings_it_back(snapshot: Snapshot) -> None:
    twin = pickle.loads(pickle.dumps(snapshot))  # noqa: S301 - our own bytes
    assert figures(twin) == figures(snapshot)
    assert twin.gauges == snapshot.gauges


def test_total_adds_the_counters_below_a_prefix() -> None:
    snapshot = Snapshot({OK: 5.0, ERROR: 2.0, READ: 11.0})
    assert snapshot.total("soakd_ops_total") == 18
    assert snapshot.total("soakd_ops_total", "writer") == 7
    assert snapshot.total(*OK) == 5
    assert snapshot.total("soakd_ops") == 0


def test_pooled_gathers_the_wanted_histograms_into_one() -> None:
    read = ("soakd_op_response_seconds", "reader", "newest")
    snapshot = Snapshot(
        histograms={
            RESPONSE: Histogram.of([0.1, 0.2]),
            read: Histogram.of([0.3]),
            ROWS_KEY: Histogram.of([200.0], ROWS),
        }
    )
    both = snapshot.pooled(lambda key: key[0] == "soakd_op_response_seconds")
    assert (both.count, both.min, both.max) == (3, 0.1, 0.3)
    assert both.sum == pytest.approx(0.6)
    assert snapshot.histograms[RESPONSE].count == 2
    assert snapshot.pooled(lambda key: key[1:] == ("nobody",)).count == 0
