"""Drawing the values of generators."""

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from daemon.workloads.base import EPOCH_KEYS
from daemon.workloads.sql import laws
from daemon.workloads.sql.evaluate import Evaluate, Variables
from daemon.workloads.sql.functions import Value, integer
from daemon.workloads.sql.generators import (
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
    moment,
)
from daemon.workloads.sql.laws import Law

Draw = Callable[[Random], Value]

POOL = 1 << 16  # random characters that texts are cut from
DEVIATIONS = 6.0  # of a bell, over its whole range unless it is told


class Surroundings(NamedTuple):
    """What generators need to know beside a random generator.

    Attributes:
        clients: workers over all pools and shards; the variable client_id numbers them from 0.
        epoch: how often this shard was restarted.
        wall: seconds since the Unix epoch.
        samples: what was found in columns; none of them empty.
        seed: what texts derive from.
    """

    clients: int
    epoch: int
    wall: Callable[[], float]
    samples: Mapping[ColumnSample, Sequence[Value]]
    seed: str


def drawing(generator: Generator, around: Surroundings) -> Evaluate:
    """Return the function that draws from a generator."""
    if isinstance(generator, Counter):
        return _counter(generator, around)
    draw = _DRAWS[type(generator)](generator, around)
    return lambda variables, rng: draw(rng)  # noqa: ARG005 - as every expression


def _random_uuid(rng: Random) -> Value:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _gaussian(generator: GaussianRange, _: Surroundings) -> Law:
    low, high, mean, stddev = generator
    spread = (high - low + 1) / DEVIATIONS if stddev is None else stddev
    return laws.normal(low, high, (low + high) / 2 if mean is None else mean, spread)


def _letters(generator: Letters, around: Surroundings) -> Draw:
    longest = generator.min if generator.max is None else generator.max
    text = "".join(
        Random(f"{around.seed}/{generator.alphabet}").choices(generator.alphabet, k=POOL + longest)
    )
    length = laws.uniform(generator.min, longest)

    def draw(rng: Random) -> Value:
        start = int(rng.random() * POOL)
        return text[start : start + length(rng)]

    return draw


def _even(low: int, high: int, _: float) -> Law:
    return laws.uniform(low, high)


def _of(values: Sequence[Value], law: Callable[[int, int, float], Law]) -> Draw:
    place = law(0, len(values) - 1, 1.0)
    return lambda rng: values[place(rng)]


def _choice(generator: Choice, _: Surroundings) -> Draw:
    values, weights = generator
    if weights is None:
        return _of(values, _even)
    upto = list(accumulate(weights))
    return lambda rng: values[bisect(upto, rng.random() * upto[-1])]


def _sampled(generator: ColumnSample, around: Surroundings) -> Draw:
    return _of(around.samples[generator], laws.zipf if generator.distribution == "zipf" else _even)


def _moments(generator: Moments, around: Surroundings) -> Draw:
    (from_now, first), (to_now, last) = moment(generator.since), moment(generator.until)
    write, wall = _FORMATS[generator.format], around.wall

    def draw(rng: Random) -> Value:
        now = wall()
        begin, end = first + from_now * now, last + to_now * now
        return write(begin + rng.random() * (end - begin))

    return draw


_FORMATS: Mapping[str, Callable[[float], Value]] = {
    "iso": lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds"),
    "s": int,
    "ms": lambda seconds: int(seconds * 1e3),
    "us": lambda seconds: int(seconds * 1e6),
}


def _counter(generator: Counter, around: Surroundings) -> Evaluate:
    """Return a counter of each client: its numbers are those of its own remainder.

    A restarted shard goes on far above what it can have reached before.
    """
    start, step = generator
    reached: dict[int, int] = {}  # by client

    def evaluate(variables: Variables, rng: Random) -> Value:  # noqa: ARG001 - as every expression
        client = integer(variables["client_id"])
        count = reached.get(client, around.epoch * EPOCH_KEYS)
        reached[client] = count + 1
        return start + step * (count * around.clients + client)

    return evaluate


_DRAWS: Mapping[type[Generator], Callable[[Any, Surroundings], Draw]] = {
    IntRange: lambda generator, _: laws.uniform(*generator),
    ZipfRange: lambda generator, _: laws.zipf(*generator),
    GaussianRange: _gaussian,
    RandomUuid: lambda _generator, _around: _random_uuid,
    Letters: _letters,
    Choice: _choice,
    Moments: _moments,
    ColumnSample: _sampled,
}
