"""The generators of parameters: what they draw, and that a seed repeats it."""

from collections import Counter as Count
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import pytest

from daemon.workloads.base import EPOCH_KEYS
from daemon.workloads.sql.drawing import Surroundings, drawing
from daemon.workloads.sql.evaluate import Variables
from daemon.workloads.sql.functions import Value
from daemon.workloads.sql.generators import (
    GENERATORS,
    Choice,
    ColumnSample,
    Counter,
    GaussianRange,
    Generator,
    IntRange,
    Letters,
    Moments,
    RandomUuid,
    ZipfRange,
)

NOW = 1_800_000_000.0
NAMES = ColumnSample("people", "name")
FEW_OFTEN = NAMES._replace(distribution="zipf")
SAMPLES: dict[ColumnSample, Sequence[Value]] = {NAMES: ["a", "b", "c"], FEW_OFTEN: ["a", "b", "c"]}
AROUND = Surroundings(clients=3, epoch=0, wall=lambda: NOW, samples=SAMPLES, seed="1")

EXAMPLES: dict[str, Generator] = {
    "int": IntRange(-5, 5),
    "zipf": ZipfRange(1, 100, 1.2),
    "gaussian": GaussianRange(0, 100),
    "uuid": RandomUuid(),
    "text": Letters(3, 5),
    "choice": Choice((1, None, "x")),
    "timestamp": Moments(),
    "sequence": Counter(10, 5),
    "column": NAMES,
}


def drawn(
    generator: Generator, count: int = 2000, seed: int = 1, around: Surroundings = AROUND
) -> list[Value]:
    """Return what one client draws."""
    draw, rng = drawing(generator, around), Random(seed)
    return [draw({"client_id": 0}, rng) for _ in range(count)]


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_has_an_example_without_a_problem_and_repeats_itself_for_a_seed(name: str) -> None:
    example = EXAMPLES[name]
    assert type(example) is GENERATORS[name]
    assert example.problem() is None
    assert drawn(example) == drawn(example)
    if name != "sequence":  # which counts, whatever the seed
        assert drawn(example) != drawn(example, seed=2)


def test_numbers_stay_in_their_range() -> None:
    assert set(drawn(IntRange(-5, 5))) == set(range(-5, 6))
    assert Count(drawn(ZipfRange(1, 100, 1.2))).most_common(1)[0][0] == 1
    bell = [int(str(one)) for one in drawn(GaussianRange(0, 100, 20.0, 5.0))]
    assert min(bell) >= 0
    assert sum(bell) / len(bell) == pytest.approx(20, abs=1)


def test_a_uuid_is_a_random_one() -> None:
    found = [UUID(str(one)) for one in drawn(RandomUuid())]
    assert len(set(found)) == len(found)
    assert {one.version for one in found} == {4}


def test_a_text_has_the_length_and_the_letters_that_were_asked_for() -> None:
    found = [str(one) for one in drawn(Letters(3, 5, "xyz"))]
    assert {len(one) for one in found} == {3, 4, 5}
    assert set("".join(found)) == set("xyz")
    assert {len(str(one)) for one in drawn(Letters(7))} == {7}
    assert drawn(Letters(5), around=AROUND._replace(seed="2")) != drawn(Letters(5))


def test_a_choice_follows_its_weights() -> None:
    counts = Count(drawn(Choice(("often", "never", "seldom"), (9.0, 0.0, 1.0)), 10_000))
    assert set(counts) == {"often", "seldom"}
    assert counts["often"] == pytest.approx(9000, abs=200)
    assert set(drawn(Choice((True, None, 2.5)))) == {True, None, 2.5}


def test_moments_lie_between_two_others() -> None:
    """Told by the clock, by a date, or by a distance from now."""
    days = [float(str(one)) for one in drawn(Moments("-2d", "now", "s"))]
    assert NOW - 2 * 86400 <= min(days) < NOW - 86400 < max(days) <= NOW
    micro = [int(str(one)) for one in drawn(Moments("2026-01-01", "2026-01-02T00:00:00+01:00", "us"))]
    assert all(1767225600_000000 <= one <= 1767308400_000000 for one in micro)
    iso = [datetime.fromisoformat(str(one)) for one in drawn(Moments("+1h", "+2h"))]
    assert all(3600 <= one.timestamp() - NOW <= 7200 for one in iso)
    assert {one.tzinfo for one in iso} == {UTC}
    assert 0 < int(str(drawn(Moments(format="ms"))[0])) / 1000 <= NOW


def test_no_two_clients_draw_the_same_number_of_a_sequence() -> None:
    """Nor does a client after its shard was restarted."""

    def numbers(client: int, around: Surroundings) -> list[Value]:
        draw, variables = drawing(Counter(100, 2), around), Variables({"client_id": client})
        return [draw(variables, Random(1)) for _ in range(4)]

    first = [numbers(client, AROUND) for client in range(3)]
    assert first[0] == [100, 106, 112, 118]
    assert first[1] == [102, 108, 114, 120]
    again = [numbers(client, AROUND._replace(epoch=1)) for client in range(3)]
    assert again[0][0] == 100 + 2 * 3 * EPOCH_KEYS
    everything = [number for one in (*first, *again) for number in one]
    assert len(set(everything)) == len(everything)


def test_a_column_gives_the_values_that_it_held() -> None:
    counts = Count(drawn(NAMES, 9000))
    assert {name: pytest.approx(3000, abs=300) for name in "abc"} == counts
    often = Count(drawn(FEW_OFTEN, 9000))
    assert often["a"] > 1.7 * often["b"] > 1.7 * often["c"]


@pytest.mark.parametrize(
    ("generator", "problem"),
    [
        (IntRange(5, 1), "min not above max"),
        (IntRange(0, 2**63), "64 bits"),
        (IntRange(-(2**62), 2**62), "64 bits"),
        (ZipfRange(1, 5, 0), "exponent must be above 0"),
        (ZipfRange(5, 1), "min not above max"),
        (GaussianRange(1, 5, stddev=0), "stddev must be above 0"),
        (GaussianRange(5, 1), "min not above max"),
        (Letters(5, 4), "min not above max"),
        (Letters(-1), "characters"),
        (Letters(0, 2_000_000), "1000000 characters"),
        (Letters(alphabet=""), "alphabet must not be empty"),
        (Choice(()), "values must be 1 to"),
        (Choice((1, 2), (1.0,)), "1 weights for 2 values"),
        (Choice((1, 2), (0.0, 0.0)), "one of them above 0"),
        (Choice((1, 2), (2.0, -1.0)), "at least 0"),
        (Moments("yesterday"), "dates such as 2026-01-31"),
        (Moments("-7"), "dates such as 2026-01-31"),
        (Moments("now", "-1d"), "since must not be after until"),
        (Moments("2026-02-01", "2026-01-01"), "since must not be after until"),
        (Counter(1, 0), "step must not be 0"),
        (ColumnSample("a b", "c"), "must be names"),
        (ColumnSample("t; DROP TABLE t", "c"), "must be names"),
        (ColumnSample("t", "c", 0), "sample must be 1 to"),
    ],
)
def test_what_a_generator_cannot_do_is_said(generator: Generator, problem: str) -> None:
    assert problem in str(generator.problem())
