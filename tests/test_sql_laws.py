"""The laws that numbers are drawn by: against their formulas, and against published hashes."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.workloads.sql import laws
from daemon.workloads.sql.laws import Law

DRAWS = 20_000
SIGMAS = 6.0  # of a count, beyond which it is no chance

sizes = st.integers(1, 40)
lows = st.integers(-(10**12), 10**12)
seeds = st.integers(0, 2**32)
more = settings(max_examples=15, deadline=None)


def agree(law: Law, low: int, shares: Sequence[float], seed: int) -> None:
    """Check that every number is drawn as often as its share says."""
    rng = Random(seed)
    counts = Counter(law(rng) for _ in range(DRAWS))
    assert set(counts) <= set(range(low, low + len(shares)))
    assert sum(shares) == pytest.approx(1)
    for number, share in enumerate(shares, low):
        wanted = DRAWS * share
        assert abs(counts[number] - wanted) <= SIGMAS * math.sqrt(wanted * max(0.0, 1 - share)) + 3


@more
@given(sizes, lows, seeds)
def test_uniform(n: int, low: int, seed: int) -> None:
    agree(laws.uniform(low, low + n - 1), low, [1 / n] * n, seed)


@more
@given(sizes, lows, st.floats(0.05, 5), seeds)
def test_zipf(n: int, low: int, exponent: float, seed: int) -> None:
    """P(k) = k^−s / Σ i^−s, also for exponents at and below 1, which pgbench does not have."""
    parts = [k**-exponent for k in range(1, n + 1)]
    agree(laws.zipf(low, low + n - 1, exponent), low, [part / sum(parts) for part in parts], seed)


@pytest.mark.parametrize("exponent", [0.5, 0.99, 1.0, 1.001, 1.5, 1000.0])
def test_zipf_of_a_huge_range_has_the_head_that_theory_gives(exponent: float) -> None:
    """Of 10^12 ranks: the ratio of the first two, and none outside of the range."""
    rng, law = Random(3), laws.zipf(1, 10**12, exponent)
    drawn = [law(rng) for _ in range(DRAWS)]
    assert 1 <= min(drawn) <= max(drawn) <= 10**12
    first, second = drawn.count(1), drawn.count(2)
    if first > 500:
        assert second == pytest.approx(first / 2**exponent, abs=SIGMAS * math.sqrt(first) + 3)


@more
@given(sizes, lows, st.floats(0.01, 30), seeds)
def test_exponential(n: int, low: int, parameter: float, seed: int) -> None:
    """Value i with probability f(i) − f(i + 1), as pgbench's documentation has it."""

    def f(i: int) -> float:
        return math.exp(-parameter * i / n) / (1 - math.exp(-parameter))

    shares = [f(i) - f(i + 1) for i in range(n)]
    agree(laws.exponential(low, low + n - 1, parameter), low, shares, seed)


@more
@given(sizes, lows, st.floats(2, 20), seeds)
def test_gaussian(n: int, low: int, parameter: float, seed: int) -> None:
    """Value i with probability f(i + ½) − f(i − ½), as pgbench's documentation has it."""
    phi = NormalDist().cdf

    def f(x: float) -> float:
        return phi(2 * parameter * (x - (n - 1) / 2) / n) / (2 * phi(parameter) - 1)

    shares = [f(i + 0.5) - f(i - 0.5) for i in range(n)]
    agree(laws.gaussian(low, low + n - 1, parameter), low, shares, seed)


def test_a_bell_has_the_mean_and_the_deviation_that_were_asked_for() -> None:
    rng, law = Random(8), laws.normal(0, 1000, 300.0, 50.0)
    drawn = [law(rng) for _ in range(DRAWS)]
    mean = sum(drawn) / DRAWS
    assert mean == pytest.approx(300, abs=2)
    assert math.sqrt(sum((one - mean) ** 2 for one in drawn) / DRAWS) == pytest.approx(50, rel=0.03)


@pytest.mark.parametrize(("mean", "end"), [(-1e9, 5), (1e9, 9)])
def test_a_bell_far_from_its_range_gives_the_nearest_end(mean: float, end: int) -> None:
    law = laws.normal(5, 9, mean, 1.0)
    assert {law(Random(seed)) for seed in range(20)} == {end}


LAWS: dict[str, Callable[[int, int], Law]] = {
    "uniform": laws.uniform,
    "exponential": lambda low, high: laws.exponential(low, high, 3.0),
    "gaussian": lambda low, high: laws.gaussian(low, high, 3.0),
    "zipf": lambda low, high: laws.zipf(low, high, 1.1),
}


@pytest.mark.parametrize("name", LAWS)
@given(low=st.integers(-(2**63), 2**63 - 1), span=st.integers(0, 2**63 - 2), seed=seeds)
def test_every_range_of_64_bits_is_kept_to_and_a_seed_repeats_the_draws(
    name: str, low: int, span: int, seed: int
) -> None:
    high = min(low + span, 2**63 - 1)
    first, second = Random(seed), Random(seed)
    drawn = [LAWS[name](low, high)(first) for _ in range(5)]
    assert all(low <= one <= high for one in drawn)
    assert drawn == [LAWS[name](low, high)(second) for _ in range(5)]


@given(st.integers(1, 300), st.integers(-(2**63), 2**63 - 1))
def test_permuting_loses_no_number_and_makes_none_twice(size: int, seed: int) -> None:
    assert sorted(laws.permuted(i, size, seed) for i in range(size)) == list(range(size))


@given(st.integers(1, 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_permuting_takes_its_number_modulo_the_size(size: int, index: int) -> None:
    assert 0 <= laws.permuted(index, size, 7) == laws.permuted(index % size, size, 7) < size


def test_permutations_scatter_neighbours_and_differ_by_their_seed() -> None:
    size = 100_000
    places = [laws.permuted(i, size, 1) for i in range(1000)]
    assert len({place * 10 // size for place in places[:50]}) == 10  # all over the range
    assert places != [laws.permuted(i, size, 2) for i in range(1000)]


def test_hashes_are_those_of_the_documentation() -> None:
    """And of pgbench 15 for a negative number."""
    assert laws.murmur2(10, 5432) == -5817877081768721676
    assert laws.fnv1a(10, 5432) == -7793829335365542153
    assert laws.murmur2(-1, 7) == -837761221932631145
