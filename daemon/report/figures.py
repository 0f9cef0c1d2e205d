"""The figures of the whole run: by pool and by operation, from its last totals or from its intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daemon.history.blob import merged, unpack
from daemon.history.read import Record
from daemon.record.histogram import Histogram
from daemon.report.view import AFTER, BEFORE

KINDS = ("response", "service", "wait")
OUTCOMES = ("ok", "rejected", "error", "timeout", "dropped")


class Figures(NamedTuple):
    """What became of a pool or an operation; times in s, by kind.

    Attributes:
        name: of the pool, or the operation.
        pool: whose it is.
        outcomes: numbers by outcome.
        rate: answered per second of the measured part.
        target: operations per second that were asked for; None in a closed loop, and for operations.
        times: distributions of the times that were measured.
    """

    name: str
    pool: str
    outcomes: Mapping[str, int]
    rate: float
    target: float | None
    times: Mapping[str, Histogram]

    def quantile(self, kind: str, q: float) -> float | None:
        """Return a percentile of a time; None where nothing was measured."""
        found = self.times.get(kind)
        return found.quantile(q) if found else None

    @property
    def failed(self) -> int:
        """Errors and time-outs."""
        return self.outcomes["error"] + self.outcomes["timeout"]

    @property
    def error_rate(self) -> float:
        """Share of errors and time-outs in what ran, 0 to 1."""
        ran = sum(self.outcomes.values()) - self.outcomes["dropped"]
        return self.failed / ran if ran else 0.0


def pools(record: Record) -> list[Figures]:
    """Return the figures of each pool: of the measured part, and of the drain for all but the rates.

    A run that was cut off has no totals, so they are put together from its intervals.
    """
    found = []
    for name, rows in record.pools.items():
        whole = [row for row in rows if row["phase"] not in BEFORE]
        timely = [row for row in whole if row["phase"] not in AFTER]
        seconds = sum(row["length"] for row in timely) / 1000
        answered = sum(row["ok"] + row["rejected"] for row in timely)
        rate, told = answered / seconds if seconds else 0.0, _told(record, name)
        paced = [row for row in timely if row["target_rate"]]
        due = sum(row["target_rate"] * row["length"] for row in paced)
        outcomes = {outcome: sum(row[outcome] for row in whole) for outcome in OUTCOMES}
        found.append(
            Figures(
                name=name,
                pool=name,
                outcomes={outcome: told.get(outcome, number) for outcome, number in outcomes.items()},
                rate=told.get("achieved_rate", rate),
                target=told.get("target_rate", due / sum(row["length"] for row in paced) if paced else None),
                times=_times([row for row in record.operations if row["pool"] == name] if told else whole),
            )
        )
    return found


def operations(record: Record, seconds: float) -> list[Figures]:
    """Return the figures of each operation, as last written down; those of a run cut off lack some seconds.

    Args:
        record: the run.
        seconds: length of the measured part, for the rates where there is no summary.
    """
    summary = record.run.summary or {}
    return [
        Figures(
            name=row["op"],
            pool=row["pool"],
            outcomes={outcome: row.get(outcome, 0) for outcome in OUTCOMES},
            rate=summary["ops"][row["op"]]["rate"]
            if row["op"] in summary.get("ops", {})
            else (row["ok"] / seconds if seconds else 0.0),
            target=None,
            times=_times([row]),
        )
        for row in record.operations
    ]


def usual_p99(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the lower quartile of p99 in rows of `pool_intervals`; None without any.

    Not the median: where things are bad for half of a run that is bad as well.
    """
    values = sorted(
        row["p99"] for row in rows if row["p99"] is not None and row["phase"] not in BEFORE | AFTER
    )
    return values[len(values) // 4] if values else None


def _told(record: Record, pool: str) -> Mapping[str, Any]:
    """Return what the summary says of a pool."""
    found: Mapping[str, Any] = (record.run.summary or {}).get("pools", {}).get(pool, {})
    return found


def _times(rows: Sequence[Mapping[str, Any]]) -> dict[str, Histogram]:
    found = {kind: merged([row[kind] for row in rows]) for kind in KINDS}
    return {kind: histogram for kind, histogram in found.items() if histogram is not None}


def histograms(record: Record) -> list[tuple[str, str, str, Histogram]]:
    """Return pool, operation, kind and distribution of everything that was measured."""
    return [
        (row["pool"], row["op"], kind, unpack(row[kind]))
        for row in record.operations
        for kind in KINDS
        if row[kind] is not None
    ]
