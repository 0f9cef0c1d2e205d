"""What was measured, what it has to reach, and the verdict: pure functions over plain data."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal, NamedTuple

Unit = Literal["×", "%", "ms", "s", "MB"]
Status = Literal["aim", "reached", "missed", "reported", "absent"]
DECIMALS: Mapping[Unit, int] = {"×": 2, "%": 2, "ms": 2, "s": 2, "MB": 1}


class Goal(NamedTuple):
    """What a figure has to reach.

    Attributes:
        must: the figure misses its target on the wrong side of this; None: it is only reported.
        aim: where it would be good to be; None: no more than `must` is wanted.
        unit: of all of these.
        smaller: smaller is better, as with times and costs.
    """

    must: float | None = None
    aim: float | None = None
    unit: Unit = "×"
    smaller: bool = False

    def met(self, value: float, wanted: float) -> bool:
        """Return whether a value is on the good side of what is wanted."""
        return value <= wanted if self.smaller else value >= wanted

    def show(self, value: float | None) -> str:
        """Return a value as text with its unit."""
        if value is None:
            return "–"
        space = "" if self.unit in "×%" else " "
        return f"{value:.{DECIMALS[self.unit]}f}{space}{self.unit}"

    def bound(self, value: float | None) -> str:
        """Return a target as text, with the direction it has to be met from."""
        if value is None:
            return "–"
        number = f"{value:g}"
        space = "" if self.unit in "×%" else " "
        return f"{'≤' if self.smaller else '≥'} {number}{space}{self.unit}"


class Figure(NamedTuple):
    """One row of the table.

    Attributes:
        case: name of the case, as `--only` takes it.
        what: what soakd did.
        against: what it is compared with.
        goal: what has to be reached.
        values: the figure of each round, in the goal's unit.
        sides: the absolute numbers behind it, by name and unit, for information.
        absent: why nothing was measured; empty when something was.
    """

    case: str
    what: str
    against: str
    goal: Goal
    values: Sequence[float] = ()
    sides: Mapping[str, Sequence[float]] = {}
    absent: str = ""

    @property
    def value(self) -> float | None:
        """The median over the rounds; None when there are none."""
        return median(self.values) if self.values else None


class Verdict(NamedTuple):
    """Whether a figure is good enough, and in words."""

    status: Status
    text: str


def verdict(figure: Figure) -> Verdict:
    """Judge a figure by its median."""
    goal, value = figure.goal, figure.value
    if value is None:
        return Verdict("absent", figure.absent or "not measured")
    if goal.must is not None and not goal.met(value, goal.must):
        return Verdict("missed", f"missed by {goal.show(abs(value - goal.must))}")
    if goal.aim is not None and goal.met(value, goal.aim):
        return Verdict("aim", "aim reached")
    if goal.must is None:
        return Verdict("reported", "reported")
    return Verdict("reached", "reached")


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """Return ours / theirs, round by round.

    Raises:
        ValueError: there are not as many of one as of the other.
        ZeroDivisionError: one of theirs is 0.
    """
    return tuple(a / b for a, b in zip(ours, theirs, strict=True))


def losses(with_it: Sequence[float], without: Sequence[float]) -> tuple[float, ...]:
    """Return by how many per cent the first is lower than the second, round by round."""
    return tuple(100 * (1 - ratio) for ratio in ratios(with_it, without))


def growth(samples: Sequence[tuple[float, float]], *, begin: float, end: float, span: float) -> float:
    """Return how much a series grew: the median of its last `span` s less that of its first.

    Args:
        samples: (time, value), times in s.
        begin: where the first span begins.
        end: where the last span ends.
        span: length of each, s; both must hold samples.

    Raises:
        statistics.StatisticsError: there are no samples in one of the spans.
    """
    first = median(value for at, value in samples if begin <= at <= begin + span)
    last = median(value for at, value in samples if end - span <= at <= end)
    return last - first


def quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest of the values that at least a share `q` of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-q * len(ordered) // 1) - 1))]


def as_json(figure: Figure) -> dict[str, Any]:
    """Return a figure with its verdict as JSON data."""
    judged = verdict(figure)
    return {
        "case": figure.case,
        "what": figure.what,
        "against": figure.against,
        "unit": figure.goal.unit,
        "smaller_is_better": figure.goal.smaller,
        "must": figure.goal.must,
        "aim": figure.goal.aim,
        "value": figure.value,
        "values": list(figure.values),
        "sides": {name: list(values) for name, values in figure.sides.items()},
        "status": judged.status,
        "verdict": judged.text,
    }
