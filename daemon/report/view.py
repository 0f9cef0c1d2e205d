"""A run looked at through a window: what its figures were there, and what they usually are."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from statistics import median
from typing import Any

from daemon.history.read import Record

Row = Mapping[str, Any]

BEFORE = frozenset({"preparing", "warming up"})
AFTER = frozenset({"draining", "finished"})
TOLD = 250  # ms by which engines may be late with what they tell


class View:
    """A stretch of a run. Times in ms since the run began; what was not measured is None."""

    def __init__(self, record: Record, begin: int, end: int) -> None:
        """Look at a run from `begin` to `end`."""
        self.record = record
        self.begin = begin
        self.end = end

    @classmethod
    def measured(cls, record: Record) -> "View":
        """Return the view of the measured part: without warm-up and drain."""
        rows = [row for row in record.intervals if row["phase"] not in BEFORE | AFTER]
        return cls(record, rows[0]["at"], rows[-1]["at"] + rows[-1]["length"]) if rows else cls(record, 0, 0)

    def around(self, begin: int, end: int) -> "View":
        """Return the view of another stretch of the same run."""
        return View(self.record, begin, end)

    def rows(self, found: Sequence[Row]) -> list[Row]:
        """Return those rows that overlap the stretch."""
        return [row for row in found if row["at"] < self.end and row["at"] + row["length"] > self.begin]

    @cached_property
    def intervals(self) -> list[Row]:
        """The rows of `intervals`."""
        return self.rows(self.record.intervals)

    def peak(self, signal: str) -> float | None:
        """Return the greatest value of a signal."""
        values = [row["value"] if row["peak"] is None else row["peak"] for row in self._samples(signal)]
        return max(values, default=None)

    def least(self, signal: str) -> float | None:
        """Return the smallest value of a signal."""
        return min((row["value"] for row in self._samples(signal)), default=None)

    def mean(self, signal: str) -> float | None:
        """Return the mean of a signal over the time."""
        rows = self._samples(signal)
        span = sum(row["length"] for row in rows)
        return float(sum(row["value"] * row["length"] for row in rows)) / span if span else None

    def usual(self, signal: str) -> float:
        """Return the median of a signal over the whole run; 0 without any."""
        rows = self.record.samples.get(signal, ())
        return float(median(row["value"] for row in rows)) if rows else 0.0

    def risen(self, signal: str, least: float, times: float) -> float | None:
        """Return the greatest value, if it is at least so much and so many times the usual one."""
        value = self.peak(signal)
        return value if value is not None and value >= least and value >= times * self.usual(signal) else None

    def total(self, signal: str) -> float:
        """Return the sum of a signal's values, for those that count."""
        return float(sum(row["value"] for row in self._samples(signal)))

    def events(self, kind: str, begins: str = "") -> list[Row]:
        """Return the events of a kind from the second before the stretch to its end.

        What is known from samples of the server may have been a sample sooner than it is written down.
        """
        return [
            row
            for row in self.record.events
            if row["kind"] == kind
            and row["name"].startswith(begins)
            and row["at"] - self._late(row) < self.end
            and row["at"] + row["length"] + 1000 > self.begin
        ]

    def _late(self, row: Row) -> int:
        sampled = row["kind"] == "vacuum" or row["name"].startswith("postgres")
        return self._slack if sampled else TOLD

    def sum(self, column: str) -> float:
        """Return the sum of a column of `intervals`."""
        return float(sum(row[column] for row in self.intervals))

    @property
    def seconds(self) -> float:
        """Length of the stretch, s."""
        return (self.end - self.begin) / 1000

    def _samples(self, signal: str) -> list[Row]:
        return self.rows(self.record.samples.get(signal, ()))

    @cached_property
    def _slack(self) -> int:
        """Length of a sample, ms."""
        rows = self.record.samples.get("host.cpu", ())
        return int(median(row["length"] for row in rows)) if rows else 5000
