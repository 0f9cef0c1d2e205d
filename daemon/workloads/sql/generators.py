"""Generators of parameters: what a YAML file may ask for, as plain data with the names it has there.

Texts come out as texts, numbers as numbers; the database turns them into the type that it wants.
`daemon.workloads.sql.drawing` draws from them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from daemon.units import parse_duration
from daemon.workloads.sql.functions import HIGHEST, LOWEST, Value

LONGEST = 1_000_000  # characters of a text
MOST_VALUES = 100_000  # of a choice, or sampled from a column

_PART = r'(?:[^\W\d][\w$]*|"[^"]+")'
_NAME = re.compile(rf"{_PART}(?:\.{_PART}){{0,2}}")


class IntRange(NamedTuple):
    """Whole numbers of min … max, all alike."""

    min: int
    max: int

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        return _range(self.min, self.max)


class ZipfRange(NamedTuple):
    """Whole numbers of min … max, the k-th k^exponent times less likely than the first."""

    min: int
    max: int
    exponent: float = 1.0

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        if not 0 < self.exponent <= 1000:
            return "exponent must be above 0 and at most 1000"
        return _range(self.min, self.max)


class GaussianRange(NamedTuple):
    """Whole numbers of min … max, a bell around the mean; unset, the middle and a sixth of the range."""

    min: int
    max: int
    mean: float | None = None
    stddev: float | None = None

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        if self.stddev is not None and not self.stddev > 0:
            return "stddev must be above 0"
        return _range(self.min, self.max)


class RandomUuid(NamedTuple):
    """Random UUIDs (version 4)."""

    def problem(self) -> str | None:
        """Say what is wrong: nothing can be."""
        return None


class Letters(NamedTuple):
    """Texts of min … max characters, cut from 65,536 random ones: so short ones repeat. Unset, max is min."""

    min: int = 20
    max: int | None = None
    alphabet: str = "abcdefghijklmnopqrstuvwxyz"

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        most = self.min if self.max is None else self.max
        if not 0 <= self.min <= most <= LONGEST:
            return f"min and max must be 0 to {LONGEST} characters, and min not above max"
        return None if self.alphabet else "alphabet must not be empty"


class Choice(NamedTuple):
    """One of some values, all alike or by weight."""

    values: tuple[Value, ...]
    weights: tuple[float, ...] | None = None

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        if not 0 < len(self.values) <= MOST_VALUES:
            return f"values must be 1 to {MOST_VALUES} values"
        if self.weights is None:
            return None
        if len(self.weights) != len(self.values):
            return f"there are {len(self.weights)} weights for {len(self.values)} values"
        sound = min(self.weights) >= 0 and 0 < sum(self.weights) < float("inf")
        return None if sound else "weights must be at least 0, and one of them above 0"


class Moments(NamedTuple):
    """Moments from `since` to `until`, all alike: ISO dates or times, `now`, or a distance from now (`-7d`).

    `format` is how they are written: `iso`, in UTC, or whole `s`, `ms` or `us` since the Unix epoch.
    """

    since: str = "-30d"
    until: str = "now"
    format: Literal["iso", "s", "ms", "us"] = "iso"

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        try:
            (from_now, first), (to_now, last) = moment(self.since), moment(self.until)
        except ValueError:
            return "since and until are dates such as 2026-01-31, now, or distances from it such as -7d"
        return "since must not be after until" if from_now == to_now and first > last else None


class Counter(NamedTuple):
    """Whole numbers start, start + step, …, each of them drawn by one worker only in a run."""

    start: int = 1
    step: int = 1

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        return None if self.step else "step must not be 0"


class ColumnSample(NamedTuple):
    """Values that a column held when the run began, `sample` of them at most, all alike or a few often."""

    table: str
    column: str
    sample: int = 10_000
    distribution: Literal["uniform", "zipf"] = "uniform"

    def problem(self) -> str | None:
        """Say what is wrong, or None."""
        if not _NAME.fullmatch(self.table) or not _NAME.fullmatch(self.column):
            return 'table and column must be names, such as orders, shop.orders or "Order"'
        return None if 1 <= self.sample <= MOST_VALUES else f"sample must be 1 to {MOST_VALUES}"


Generator = (
    IntRange | ZipfRange | GaussianRange | RandomUuid | Letters | Choice | Moments | Counter | ColumnSample
)
GENERATORS: Mapping[str, type[Generator]] = {
    "int": IntRange,
    "zipf": ZipfRange,
    "gaussian": GaussianRange,
    "uuid": RandomUuid,
    "text": Letters,
    "choice": Choice,
    "timestamp": Moments,
    "sequence": Counter,
    "column": ColumnSample,
}
"""By the name that a file gives."""


def moment(text: str) -> tuple[bool, float]:
    """Return whether a moment is told by its distance from now, and that or the Unix time, s.

    Raises:
        ValueError: it is none.
    """
    if text == "now":
        return True, 0.0
    if text[:1] in ("+", "-"):
        distance = parse_duration(text[1:])
        return True, -distance if text[0] == "-" else distance
    found = datetime.fromisoformat(text)
    return False, (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _range(low: int, high: int) -> str | None:
    if not LOWEST <= low <= high <= HIGHEST or high - low >= HIGHEST:
        return "min and max must be whole numbers of 64 bits, and min not above max"
    return None
