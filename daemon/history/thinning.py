"""Making old intervals coarser: a second each at first, from ten minutes on ten seconds, then a minute."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import orjson

from daemon.history.blob import merged, pack
from daemon.history.figures import percentiles

Row = dict[str, Any]


class Tier(NamedTuple):
    """From an age on, intervals are gathered into steps of this length; both in ms.

    Attributes:
        age: time since the interval began.
        step: length of the gathered ones.
        fold: as for `pack`; percentiles beside the histograms are computed before.
    """

    age: int
    step: int
    fold: int = 1


TIERS: Sequence[Tier] = (Tier(600_000, 10_000), Tier(7_200_000, 60_000, fold=8))


def gathered(rows: Iterable[Row], step: int) -> list[list[Row]]:
    """Return the rows that belong into one each, in order; a phase is never mixed with another.

    Args:
        rows: with `at` and perhaps `phase`, ascending.
        step: length of a coarse interval, ms.
    """
    return [list(group) for _, group in groupby(rows, key=lambda row: (row["at"] // step, row.get("phase")))]


def merge_intervals(rows: Sequence[Row]) -> Row:
    """Return one row of `intervals` for several that follow each other; gauges keep their worst value."""
    errors: dict[str, int] = {}
    for row in rows:
        for name, number in orjson.loads(row["errors"] or "{}").items():
            errors[name] = errors.get(name, 0) + number
    sums = (
        "committed",
        "failed",
        "abandoned",
        "flushes",
        "flush_seconds",
        "commit_seconds",
        "limited_seconds",
    )
    return {
        **rows[0],
        "length": _length(rows),
        **{name: sum(row[name] for row in rows) for name in sums},
        "queue_rows": max(row["queue_rows"] for row in rows),
        "queue_capacity": max(row["queue_capacity"] for row in rows),
        "up": min(row["up"] for row in rows),
        "errors": orjson.dumps(errors).decode() if errors else None,
    }


def merge_pools(rows: Sequence[Row], fold: int = 1) -> Row:
    """Return one row of `pool_intervals` for several of one pool; percentiles are those of all values.

    `worst_p99` stays that of the worst of the seconds, and `worst_at` says when it was.
    """
    times = {name: merged([row[name] for row in rows]) for name in ("response", "service", "wait")}
    worst = max(rows, key=lambda row: row["worst_p99"] or 0.0)
    targets = [(row["target_rate"], row["length"]) for row in rows if row["target_rate"] is not None]
    span = sum(length for _, length in targets)
    lags = [row["lag_p99"] for row in rows if row["lag_p99"] is not None]
    sums = ("ok", "rejected", "error", "timeout", "dropped")
    return {
        **rows[0],
        "length": _length(rows),
        **{name: sum(row[name] for row in rows) for name in sums},
        "target_rate": sum(rate * length for rate, length in targets) / span if span else None,
        "workers": max(row["workers"] for row in rows),
        "in_flight": max(row["in_flight"] for row in rows),
        "lag_p99": max(lags, default=None),
        **percentiles(times["response"], times["service"], times["wait"]),
        "worst_p99": worst["worst_p99"],
        "worst_at": worst["worst_at"],
        **{name: pack(histogram, fold) for name, histogram in times.items()},
    }


def merge_samples(rows: Sequence[Row]) -> Row:
    """Return one row of `samples` for several of one signal: the mean by time, and the greatest."""
    span = sum(row["length"] for row in rows)
    mean = sum(row["value"] * row["length"] for row in rows) / span if span else rows[-1]["value"]
    peak = max(row["value"] if row["peak"] is None else row["peak"] for row in rows)
    return {**rows[0], "length": _length(rows), "value": mean, "peak": None if peak == mean else peak}


def _length(rows: Sequence[Row]) -> int:
    """Return the time from the first row's beginning to the last row's end, ms."""
    return int(rows[-1]["at"] + rows[-1]["length"] - rows[0]["at"])
