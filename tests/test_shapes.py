"""Rates that change with time: exact arrivals, their integral and its inverse, without a clock."""

import math
import pickle
from itertools import islice, pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.load.schedule import Constant, Schedule, Shaped, ShapedPoisson
from daemon.load.shapes import NEVER, Burst, Flat, Later, Ramp, Shape, Sine, Stages, steps

RATES = st.floats(0.1, 5000)
RATES_OR_NONE = st.just(0.0) | RATES
SECONDS = st.floats(0.1, 500)
SIMPLE: st.SearchStrategy[Shape] = st.one_of(
    st.builds(Flat, RATES_OR_NONE),
    st.builds(Ramp, RATES_OR_NONE, RATES_OR_NONE, SECONDS),
    st.builds(lambda mean, share, period: Sine(mean, mean * share, period), RATES, st.floats(0, 1), SECONDS),
    st.builds(
        lambda base, peak, every, share: Burst(base, peak, every, every * share),
        RATES_OR_NONE, RATES, SECONDS, st.floats(0.01, 0.99) | st.just(1.0),
    ),
)  # fmt: skip
SHAPES: st.SearchStrategy[Shape] = st.one_of(
    SIMPLE,
    st.lists(st.tuples(SIMPLE, SECONDS), min_size=1, max_size=4).map(lambda parts: Stages(tuple(parts))),
    st.builds(Later, SIMPLE, SECONDS),
)


def first(schedule: Schedule, arrivals: int) -> list[float]:
    return list(islice(schedule.arrivals(Random(5)), arrivals))


def test_a_flat_shape_is_a_constant_rate() -> None:
    assert first(Shaped(Flat(3.0), 1, 2), 100) == pytest.approx(first(Constant(3.0, 1, 2), 100), rel=1e-15)


def test_a_ramp_from_nothing_arrives_at_square_roots() -> None:
    """Rate 2t: the n-th is due at √n; and after the ramp evenly."""
    arrivals = first(Shaped(Ramp(0.0, 20.0, 10.0)), 160)
    assert arrivals[:101] == pytest.approx([math.sqrt(n) for n in range(101)], abs=1e-12)
    assert arrivals[100:] == pytest.approx([10 + n / 20 for n in range(60)], abs=1e-12)


def test_a_ramp_down_is_the_ramp_up_backwards_and_ends_in_silence() -> None:
    down = Ramp(20.0, 0.0, 10.0)
    assert [down.time(100 - n) for n in range(1, 101)] == pytest.approx(
        [10 - math.sqrt(n) for n in range(1, 101)], abs=1e-12
    )
    assert down.time(100) == NEVER
    assert first(Shaped(down), 102)[-2:] == [NEVER, NEVER]


def test_steps_change_at_their_times_and_the_last_one_goes_on() -> None:
    arrivals = first(Shaped(steps((1.0, 2.0, 4.0), 2.0)), 10)
    assert arrivals == [0, 1, 2, 2.5, 3, 3.5, 4, 4.25, 4.5, 4.75]
    assert Shaped(steps((1.0, 2.0, 4.0), 2.0)).rate(1e6) == 4.0


def test_a_sine_has_its_mean_over_every_period_and_swings_upwards_first() -> None:
    """A period of 10 s at 100/s on average: 1000 arrivals, of which the first half has 1 + 2/π · a/m more."""
    shape = Sine(100.0, 50.0, 10.0)
    assert [shape.time(1000 * k) for k in range(5)] == pytest.approx([10.0 * k for k in range(5)])
    assert shape.total(5.0) == pytest.approx(500 + 50 * 10 / math.pi)
    assert (shape.rate(2.5), shape.rate(7.5)) == pytest.approx((150.0, 50.0))
    far = shape.time(1e9 + 250)
    assert shape.total(far) == pytest.approx(1e9 + 250, rel=1e-15)


def test_bursts_come_at_the_end_of_each_cycle_and_between_them_is_the_base() -> None:
    arrivals = first(Shaped(Burst(1.0, 4.0, 4.0, 1.0)), 14)
    assert arrivals == [0, 1, 2, 3, 3.25, 3.5, 3.75, 4, 5, 6, 7, 7.25, 7.5, 7.75]


def test_bursts_of_silence_are_silent() -> None:
    assert first(Shaped(Burst(0.0, 2.0, 10.0, 1.0)), 4) == [9.0, 9.5, 19.0, 19.5]


def test_stages_follow_one_another_and_a_pause_is_one() -> None:
    """Ramp, hold, pause, burst: nothing is due in the pause, and what was half due goes on after it."""
    shape = Stages(((Ramp(0.0, 2.0, 3.0), 3.0), (Flat(0.0), 10.0), (Flat(1.0), 1.0)))
    assert first(Shaped(shape), 5) == pytest.approx([0, math.sqrt(3), math.sqrt(6), 13, 14])
    assert (shape.rate(2.9999), shape.rate(3.0), shape.rate(13.0)) == pytest.approx((2.0, 0.0, 1.0), rel=1e-3)


def test_an_engine_that_comes_later_goes_on_where_the_shape_is() -> None:
    whole = Ramp(0.0, 100.0, 100.0)
    later = Shaped(Later(whole, 50.0))
    assert later.rate(0) == 50.0
    assert first(later, 200) == pytest.approx([whole.time(1250 + n) - 50 for n in range(200)])


@settings(max_examples=60)
@given(SHAPES, st.integers(0, 5000))
def test_time_is_the_inverse_of_the_total(shape: Shape, n: int) -> None:
    """The n-th arrival is due when the integral is n."""
    due = shape.time(n)
    if due < NEVER:
        assert shape.total(due) == pytest.approx(n, rel=1e-9, abs=1e-6 * (1 + shape.rate(due)))


@settings(max_examples=60)
@given(SHAPES, st.integers(1, 60))
def test_the_arrivals_up_to_a_time_are_the_integral_within_one(shape: Shape, arrivals: int) -> None:
    due = first(Shaped(shape), arrivals)
    assert all(earlier <= later for earlier, later in pairwise(due))
    end = due[-1] if due[-1] < NEVER else 1e6
    for moment in (end / 3, end / 2, end):
        arrived = sum(1 for time in due if time < moment)
        assert abs(arrived - shape.total(moment)) <= 1 + 1e-6


@settings(max_examples=60)
@given(SHAPES, st.integers(1, 5), st.integers(1, 60))
def test_the_shards_together_are_the_whole(shape: Shape, shards: int, each: int) -> None:
    parts = [first(Shaped(shape, n, shards), each) for n in range(shards)]
    assert sorted(time for part in parts for time in part) == first(Shaped(shape), shards * each)
    assert sum(Shaped(shape, n, shards).rate(1.0) for n in range(shards)) == pytest.approx(shape.rate(1.0))


@settings(max_examples=60)
@given(SHAPES, st.floats(0, 1000))
def test_the_rate_is_the_slope_of_the_total(shape: Shape, at: float) -> None:
    """Over a stretch shorter than any burst the integral grows at a rate between those of its ends."""
    stretch = 1e-4
    ends = shape.rate(at), shape.rate(at + stretch)
    slope = (shape.total(at + stretch) - shape.total(at)) / stretch
    slack = 0.01 * max(ends) + 1e-9 * shape.total(at) + 1e-6
    assert min(ends) - slack <= slope <= max(ends) + slack
    assert min(ends) >= 0


@settings(max_examples=60)
@given(SHAPES)
def test_a_schedule_can_be_sent_to_another_process(shape: Shape) -> None:
    for schedule in (Shaped(shape, 1, 3), ShapedPoisson(shape, 1, 3)):
        again = pickle.loads(pickle.dumps(schedule))  # noqa: S301 - our own
        assert again == schedule
        assert first(again, 20) == first(schedule, 20)


@pytest.mark.parametrize(
    "shape",
    [Ramp(0.0, 1000.0, 100.0), Sine(500.0, 450.0, 20.0), Burst(250.0, 1500.0, 10.0, 2.0)],
    ids=lambda shape: type(shape).__name__,
)
def test_random_arrivals_follow_the_shape(shape: Shape) -> None:
    """In each second a Poisson number around the integral: with χ², over 100 seconds and two shards."""
    due = np.concatenate(
        [
            np.fromiter(islice(ShapedPoisson(shape, n, 2).arrivals(Random(n)), 30_000), np.float64)
            for n in range(2)
        ]
    )
    assert due.max() > 100
    counts, _ = np.histogram(due, bins=np.arange(101))
    expected = np.diff([shape.total(float(t)) for t in range(101)])
    chi = float((((counts - expected) ** 2) / expected).sum())
    assert 50 < chi < 160


def test_random_arrivals_without_a_rate_never_come() -> None:
    assert first(ShapedPoisson(Flat(0.0)), 3) == [NEVER] * 3
