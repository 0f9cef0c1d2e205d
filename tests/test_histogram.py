"""The histogram: right to 1 % against numpy and hdrhistogram, exact where it says so, of fixed size."""

import importlib.util
import math
import pickle
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.record.catalog import LATENCY_BOUNDS, row_bounds
from daemon.record.histogram import ROWS, SECONDS, Floats, Histogram, Layout

MICROSECOND, HOUR = 1e-6, 3600.0
QUANTILES = (0.0, 0.001, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
REPORTED = (0.5, 0.95, 0.99, 0.999)

in_range = st.floats(MICROSECOND, HOUR)
samples = st.lists(in_range, min_size=1, max_size=300)
quantiles = st.floats(0, 1) | st.sampled_from(QUANTILES)
layouts = st.sampled_from([SECONDS, ROWS])


def exact(values: Floats | list[float], q: float) -> float:
    """Return the quantile that the histogram estimates."""
    return float(np.percentile(values, 100 * q, method="inverted_cdf"))


def same(left: Histogram, right: Histogram) -> bool:
    """Tell whether two histograms hold the same; sums may differ by the order of addition."""
    return (
        left.layout == right.layout
        and np.array_equal(left.counts, right.counts)
        and (left.count, left.min, left.max) == (right.count, right.min, right.max)
        and left.sum == pytest.approx(right.sum, rel=1e-12, abs=1e-12)
    )


@given(samples, st.sampled_from(QUANTILES))
def test_a_quantile_is_within_one_percent_of_the_exact_one(values: list[float], q: float) -> None:
    """From 1 µs to 1 h, whatever the values."""
    assert Histogram.of(values).quantile(q) == pytest.approx(exact(values, q), rel=0.01)


@given(samples, quantiles)
def test_a_quantile_lies_between_the_extremes_and_never_falls_with_its_rank(
    values: list[float], q: float
) -> None:
    histogram = Histogram.of(values)
    low, here, high = histogram.quantiles((q / 2, q, 1.0))
    assert min(values) <= low <= here <= high <= max(values)


@given(samples)
def test_count_sum_minimum_maximum_and_mean_are_exact(values: list[float]) -> None:
    histogram = Histogram.of(values)
    assert (histogram.count, histogram.min, histogram.max) == (len(values), min(values), max(values))
    assert histogram.sum == pytest.approx(sum(values), rel=1e-12)
    assert histogram.mean == pytest.approx(sum(values) / len(values), rel=1e-12)
    assert histogram.counts.sum() == histogram.count


@given(st.lists(st.floats(0, 1e6), max_size=100), layouts)
def test_adding_one_by_one_equals_adding_an_array(values: list[float], layout: Layout) -> None:
    """Values out of range too: the two ways into the histogram never disagree."""
    single = Histogram(layout)
    for value in values:
        single.add(value)
    assert same(single, Histogram.of(values, layout))


@given(st.lists(samples, min_size=1, max_size=4))
def test_merging_equals_counting_the_union(parts: list[list[float]]) -> None:
    merged = Histogram()
    for part in parts:
        merged.merge(Histogram.of(part))
    assert same(merged, Histogram.of([value for part in parts for value in part]))


@given(samples, samples)
def test_merging_leaves_the_other_histogram_as_it_was(left: list[float], right: list[float]) -> None:
    other = Histogram.of(right)
    Histogram.of(left).merge(other)
    assert same(other, Histogram.of(right))


@given(samples, samples)
def test_since_is_what_was_added_later(before: list[float], after: list[float]) -> None:
    """Counts are exact; extremes are known from the buckets, to 1 %."""
    histogram = Histogram.of(before)
    earlier = histogram.copy()
    histogram.add_many(np.array(after))
    rest = histogram.since(earlier)
    assert np.array_equal(rest.counts, Histogram.of(after).counts)
    assert rest.count == len(after)
    assert rest.sum == pytest.approx(sum(after), rel=1e-9, abs=1e-9 * sum(before))
    assert (rest.min, rest.max) == pytest.approx((min(after), max(after)), rel=0.01)
    assert rest.quantile(0.5) == pytest.approx(exact(after, 0.5), rel=0.01)


@given(samples)
def test_since_the_beginning_is_everything_and_since_now_is_nothing(values: list[float]) -> None:
    histogram = Histogram.of(values)
    assert same(histogram.since(Histogram()), histogram)
    nothing = histogram.since(histogram.copy())
    assert (nothing.count, nothing.sum, nothing.quantile(0.99)) == (0, 0.0, 0.0)
    assert not nothing.counts.any()
    assert (nothing.min, nothing.max) == (float("inf"), 0)


@given(st.lists(st.floats(0, 1e5), max_size=100), layouts)
def test_pickling_brings_it_back(values: list[float], layout: Layout) -> None:
    histogram = Histogram.of(values, layout)
    twin = pickle.loads(pickle.dumps(histogram))  # noqa: S301 - our own bytes
    assert same(twin, histogram)
    twin.add(1.0)
    assert twin.count == histogram.count + 1


def test_the_pickle_of_a_narrow_histogram_is_small() -> None:
    """A snapshot crosses a pipe four times a second; empty buckets stay at home."""
    histogram = Histogram.of(np.linspace(0.001, 0.004, 10_000))
    assert len(pickle.dumps(histogram)) < 4096
    assert len(pickle.dumps(Histogram())) < 512


@given(samples, st.lists(in_range | st.sampled_from(LATENCY_BOUNDS), min_size=1, max_size=30))
def test_cumulative_counts_rise_and_hold_every_value_up_to_the_bound(
    values: list[float], bounds: list[float]
) -> None:
    """Each value ≤ bound is in, none that is more than 0.8 % above it, and the last bucket has all."""
    bounds = sorted(bounds)
    *counts, everything = Histogram.of(values).cumulative([*bounds, float("inf")])
    assert counts == sorted(counts)
    assert everything == len(values)
    for bound, count in zip(bounds, counts, strict=True):
        assert sum(v <= bound for v in values) <= count <= sum(v <= bound * (1 + 1 / 128) for v in values)


@pytest.mark.parametrize("bound", [*LATENCY_BOUNDS, 0.123, 0.2000001, 1 / 3])
def test_a_value_on_a_bound_is_counted_by_it(bound: float) -> None:
    """`le` means less or equal: a threshold that is met exactly is met."""
    assert Histogram.of([bound]).cumulative([bound]) == [1]
    assert Histogram.of([bound * 1.008]).cumulative([bound]) == [0]
    assert Histogram.of([bound]).cumulative([bound * 0.992]) == [0]


@given(st.lists(st.integers(1, 256), min_size=1, max_size=200), st.integers(1, 256))
def test_row_counts_up_to_256_are_exact(rows: list[int], bound: int) -> None:
    """Batch sizes are whole numbers, and small ones are told apart one by one."""
    histogram = Histogram.of(map(float, rows), ROWS)
    assert histogram.cumulative([float(bound)]) == [sum(n <= bound for n in rows)]


@given(st.integers(1, 100_000))
def test_the_bounds_of_flush_rows_contain_the_batch_size(size: int) -> None:
    """A full batch has a bucket edge of its own, and the edges are few."""
    bounds = row_bounds(size)
    assert float(size) in bounds
    assert list(bounds) == sorted(set(bounds))
    assert len(bounds) <= 19
    assert Histogram.of([float(size)] * 3, ROWS).cumulative([float(size)]) == [3]


def test_the_latency_bounds_are_sorted_and_far_enough_apart_to_be_told_apart() -> None:
    bounds = np.array(LATENCY_BOUNDS)
    assert (bounds[1:] / bounds[:-1] > 1.02).all()
    assert (bounds[0], bounds[-1]) == (50e-6, 60.0)
    assert len(set(SECONDS.indices(bounds))) == len(bounds)


@pytest.mark.parametrize("layout", [SECONDS, ROWS])
def test_every_edge_begins_its_own_bucket_and_buckets_are_under_one_percent_wide(layout: Layout) -> None:
    edges = layout.edges()
    assert len(edges) == layout.size + 1
    assert np.array_equal(layout.indices(edges[:-1]), np.arange(layout.size))
    assert np.array_equal(layout.indices(np.nextafter(edges[1:], 0)), np.arange(layout.size))
    assert (np.diff(edges) / edges[:-1] <= 1 / 128).all()


def test_the_range_of_seconds_is_wider_than_a_microsecond_to_an_hour() -> None:
    edges = SECONDS.edges()
    assert edges[0] <= MICROSECOND
    assert edges[-1] > HOUR


def test_values_out_of_range_are_counted_at_the_ends_and_keep_their_extremes() -> None:
    """Nothing is lost, and no array index is out of bounds."""
    histogram = Histogram.of([0.0, 5e-324, 1e-9, 1e7])
    assert histogram.counts[0] == 3
    assert histogram.counts[-1] == 1
    assert (histogram.count, histogram.min, histogram.max) == (4, 0.0, 1e7)
    assert histogram.quantile(0.5) < MICROSECOND


def test_an_empty_histogram_says_nought() -> None:
    empty = Histogram()
    empty.add_many(np.array([]))
    assert (empty.count, empty.mean, empty.quantiles(REPORTED)) == (0, 0.0, [0.0] * 4)
    assert empty.cumulative((0.1, float("inf"))) == [0, 0]


def test_histograms_of_different_layouts_do_not_merge() -> None:
    """Seconds and rows are never added up by mistake."""
    with pytest.raises(ValueError, match="layout"):
        Histogram(SECONDS).merge(Histogram(ROWS))


def test_its_size_is_the_same_after_a_million_values() -> None:
    histogram = Histogram()
    before = sys.getsizeof(histogram) + histogram.counts.nbytes
    histogram.add_many(np.random.default_rng(1).exponential(0.01, 1_000_000))
    assert sys.getsizeof(histogram) + histogram.counts.nbytes == before == 64 + SECONDS.size * 8 + 8 * 2


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], Floats]] = {
    "lognormal": lambda rng: rng.lognormal(np.log(0.002), 1.2, 1_000_000),
    "pareto": lambda rng: 0.0005 * (1 + rng.pareto(1.6, 1_000_000)),
    "normal": lambda rng: np.abs(rng.normal(0.010, 0.0015, 1_000_000)),
    "two modes": lambda rng: np.where(
        rng.random(1_000_000) < 0.985, rng.normal(0.001, 0.00001, 1_000_000), rng.normal(1.0, 0.01, 1_000_000)
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_million_values_of_a_known_distribution_are_reported_within_one_percent(name: str) -> None:
    """Added in uneven pieces, as flushes come, at p50, p95, p99 and p99.9."""
    values = DISTRIBUTIONS[name](np.random.default_rng(20_26))
    histogram = Histogram()
    for part in np.array_split(values, 777):
        histogram.add_many(part)
    assert histogram.quantiles(REPORTED) == pytest.approx([exact(values, q) for q in REPORTED], rel=0.01)
    assert histogram.sum == pytest.approx(values.sum(), rel=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("hdrh") is None, reason="hdrhistogram has no wheel here")
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1e-4, HOUR), min_size=1, max_size=200))
def test_hdrhistogram_agrees(values: list[float]) -> None:
    """An independent implementation, fed the same values, comes to the same percentiles.

    It rounds the rank where we take the next whole one, so both are asked for a whole rank.
    """
    from hdrh.histogram import HdrHistogram

    oracle = HdrHistogram(1, int(HOUR * 1e6), 3)
    for value in values:
        oracle.record_value(round(value * 1e6))
    ours = Histogram.of(values).quantiles(REPORTED)
    ranks = [math.ceil(q * len(values) - 1e-9) for q in REPORTED]
    theirs = [oracle.get_value_at_percentile(100 * rank / len(values)) / 1e6 for rank in ranks]
    assert ours == pytest.approx(theirs, rel=0.02)
