"""A scenario as a run follows it: rates as shapes, durations scaled, numbers of workers."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from daemon.judge.grammar import Threshold
from daemon.judge.profiles import expand
from daemon.load import shapes
from daemon.load.schedule import Schedule, Shaped, ShapedPoisson
from daemon.load.shapes import Later, Shape
from daemon.load.turns import Pace
from daemon.ops import POOLS, PoolName
from daemon.scenario.model import Event, Phase, Scenario
from daemon.scenario.model import Schedule as Spec

Places = Mapping[tuple[str | int, ...], str]
"""File and line of every value of a scenario, by the keys and numbers that lead to it."""


class Course(NamedTuple):
    """What a pool is asked to do in a step.

    Attributes:
        workers: how many are at work over all shards; None: all there are.
        shape: the rate over all shards; None: a closed loop.
        random: arrivals as of independent users instead of evenly spaced ones.
    """

    workers: int | None
    shape: Shape | None
    random: bool

    def schedule(self, shard: int, shards: int, elapsed: float) -> Schedule | None:
        """Return a shard's schedule, from `elapsed` s after the beginning of the step."""
        if self.shape is None:
            return None
        shape = Later(self.shape, elapsed) if elapsed else self.shape
        return (ShapedPoisson if self.random else Shaped)(shape, shard, shards)


class Step(NamedTuple):
    """A phase that is followed; times in s, scaled.

    Attributes:
        name: of the phase.
        seconds: how long it lasts.
        pools: what each pool is asked to do.
        thresholds: bounds on the step.
        events: statements and commands, by their time.
        where: file and line of the phase; empty where it is from no file.
    """

    name: str
    seconds: float
    pools: Mapping[PoolName, Course]
    thresholds: Sequence[Threshold]
    events: Sequence[tuple[float, Event]]
    where: str = ""

    def paces(
        self, workers: Mapping[PoolName, int], shard: int, shards: int, elapsed: float = 0.0
    ) -> Mapping[PoolName, Pace]:
        """Return how the pools of a shard are to work.

        Args:
            workers: how many workers each pool has over all shards.
            shard: number of the shard, from 0.
            shards: how many there are.
            elapsed: time since the beginning of the step, s.
        """
        found: dict[PoolName, Pace] = {}
        for pool, course in self.pools.items():
            most = workers[pool]
            total = most if course.workers is None else min(most, course.workers)
            mine = total // shards + (shard < total % shards)
            found[pool] = Pace(mine, course.schedule(shard, shards, elapsed))
        return found


class Member(NamedTuple):
    """Where a run stands: the id of its suite, and its place in it, from 0."""

    suite: str
    place: int


class Programme(NamedTuple):
    """A scenario to be followed.

    Attributes:
        name: of the scenario.
        steps: one after the other.
        reset: what is reset before the load.
        thresholds: bounds on the whole run.
        places: file and line of each threshold, those of steps included.
        member: where it stands in a suite; None by itself.
    """

    name: str
    steps: Sequence[Step]
    reset: Sequence[str]
    thresholds: Sequence[Threshold]
    places: Mapping[Threshold, str] = MappingProxyType({})
    member: Member | None = None

    @property
    def seconds(self) -> float:
        """How long all steps last."""
        return sum(step.seconds for step in self.steps)

    def due(self, pool: PoolName, elapsed: float) -> float | None:
        """Return the operations due until `elapsed` s; None where a step is a closed loop."""
        total = 0.0
        for step in self.steps:
            within = min(max(0.0, elapsed), step.seconds)
            shape = step.pools[pool].shape
            if within and shape is None:
                return None
            total += shape.total(within) if shape is not None else 0.0
            elapsed -= within
        return total


def programme(name: str, scenario: Scenario, scale: float, lines: Places = MappingProxyType({})) -> Programme:
    """Return a scenario with all its durations multiplied by `scale` > 0, those of thresholds included.

    Args:
        name: of the scenario.
        scenario: what it says.
        scale: what its durations are multiplied by.
        lines: where everything stands in its file, for messages.
    """
    places = dict(_places(scenario.thresholds, scale, lines, ()))
    steps = []
    for number, phase in enumerate(scenario.phases):
        here = ("phases", number)
        steps.append(_step(phase, scale)._replace(where=lines.get(here, "")))
        places = {**dict(_places(phase.thresholds, scale, lines, here)), **places}
    return Programme(name, steps, scenario.reset, _scaled(scenario.thresholds, scale), places)


def _places(
    texts: Sequence[str], scale: float, lines: Places, above: tuple[str | int, ...]
) -> Iterator[tuple[Threshold, str]]:
    """Yield the thresholds of a list with where they stand."""
    for number, text in enumerate(texts):
        place = lines.get((*above, "thresholds", number)) or lines.get((*above, "thresholds"))
        if place:
            yield from ((threshold, place) for threshold in _scaled([text], scale))


def workers(scenario: Scenario, pool: PoolName, otherwise: int) -> int:
    """Return the most workers that a pool has in any phase; `otherwise` where no phase says."""
    asked = [phase.writers if pool == "writer" else phase.readers for phase in scenario.phases]
    return max(otherwise if number is None else number for number in asked)


def _step(phase: Phase, scale: float) -> Step:
    seconds = phase.duration * scale
    specs = {"writer": (phase.writers, phase.write), "reader": (phase.readers, phase.read)}
    courses: dict[PoolName, Course] = {}
    for pool in POOLS:
        number, spec = specs[pool]
        shape = None if spec is None else _shape(spec, seconds, scale)
        random = spec is not None and (spec.arrivals == "poisson" or spec.poisson is not None)
        courses[pool] = Course(number, shape, random)
    events = sorted(((event.at * scale, event) for event in phase.events), key=lambda pair: pair[0])
    return Step(phase.name, seconds, courses, _scaled(phase.thresholds, scale), events)


def _shape(spec: Spec, seconds: float, scale: float) -> Shape:
    """Return the shape of a schedule that has `seconds`, which are scaled already."""
    if spec.ramp is not None:
        within = seconds if spec.ramp.within is None else spec.ramp.within * scale
        return shapes.Ramp(spec.ramp.start, spec.ramp.end, within)
    if spec.steps is not None:
        rates = spec.steps.rates
        each = seconds / len(rates) if spec.steps.each is None else spec.steps.each * scale
        return shapes.steps(rates, each)
    if spec.sine is not None:
        return shapes.Sine(spec.sine.mean, spec.sine.amplitude, spec.sine.period * scale)
    if spec.burst is not None:
        burst = spec.burst
        return shapes.Burst(burst.base, burst.peak, burst.every * scale, burst.length * scale)
    if spec.stages is not None:
        parts = [(stage, stage.seconds * scale) for stage in spec.stages]
        return shapes.Stages(tuple((_shape(stage, length, scale), length) for stage, length in parts))
    return shapes.Flat(spec.constant or spec.poisson or 0.0)


def _scaled(texts: Sequence[str], scale: float) -> list[Threshold]:
    return [
        threshold._replace(
            after=threshold.after * scale,
            lasting=None if threshold.lasting is None else threshold.lasting * scale,
        )
        for threshold in expand(texts)
    ]
