"""The schedules: exact arrivals, without a clock."""

from itertools import islice
from random import Random

import numpy as np
import pytest

from daemon.load.schedule import Constant, Poisson


def test_constant_arrivals_are_computed_not_added_up() -> None:
    """The millionth arrival is exactly where it belongs."""
    arrivals = Constant(3.0).arrivals(Random(0))
    assert next(islice(arrivals, 1_000_000, None)) == 1_000_000 / 3.0


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_of_a_constant_rate_interleave_to_the_whole(shards: int) -> None:
    """The arrivals of all shards together are those of one."""
    whole = list(islice(Constant(100.0).arrivals(Random(0)), 7 * 6))
    parts = [islice(Constant(100.0, n, shards).arrivals(Random(0)), 7 * 6 // shards) for n in range(shards)]
    assert sorted(t for part in parts for t in part) == whole


def test_poisson_gaps_are_exponential_and_meet_the_rate() -> None:
    """Mean and standard deviation of the gaps are both 1 / rate."""
    gaps = np.diff(list(islice(Poisson(1000.0, 0, 2).arrivals(Random(7)), 200_000)))
    assert gaps.mean() == pytest.approx(1 / 500, rel=0.01)
    assert gaps.std() == pytest.approx(1 / 500, rel=0.01)


def test_poisson_is_repeatable_for_a_seed() -> None:
    """The same seed gives the same arrivals, another seed gives others."""
    first, again, other = (list(islice(Poisson(10.0).arrivals(Random(n)), 50)) for n in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("kind", [Constant, Poisson])
def test_the_shards_rates_add_up(kind: type[Constant] | type[Poisson]) -> None:
    """Each shard offers its share."""
    assert sum(kind(90.0, n, 3).rate(0) for n in range(3)) == pytest.approx(90.0)
