"""A run in about twenty stretches: what stands in a text for the charts of the page."""

from itertools import groupby

from daemon.history.thinning import merge_pools
from daemon.report.content import Report
from daemon.report.words import Table
from daemon.results import readable

MOST = 20
SHORT = 300  # ms: the end of a phase, too short for a rate
ROUND = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)  # s


def over_time(report: Report) -> Table:
    """Return rates and times of each pool over time; percentiles are those of a whole stretch."""
    ends = [row["at"] + row["length"] for row in report.record.intervals]
    span = max(ends, default=0) / 1000
    step = 1000 * next((length for length in ROUND if span / length <= MOST), ROUND[-1])
    rows = []
    for pool, intervals in report.record.pools.items():
        for _, group in groupby(intervals, key=lambda row: (row["at"] // step, row["phase"])):
            one = merge_pools([dict(row) for row in group])
            if one["length"] < SHORT:
                continue
            rows.append(
                (
                    readable.clock_time(one["at"] / 1000),
                    one["phase"],
                    pool,
                    readable.rate((one["ok"] + one["rejected"]) * 1000 / max(1, one["length"])),
                    readable.rate(one["target_rate"]) if one["target_rate"] else readable.NOTHING,
                    readable.count(one["error"] + one["timeout"] + one["dropped"]),
                    readable.seconds(one["p50"]),
                    readable.seconds(one["p99"]),
                    readable.seconds(one["max"]),
                    readable.seconds(one["service_p99"]),
                )
            )
    heads = ("from", "phase", "pool", " per second", " target", " failed, dropped",
             " p50", " p99", " max", " service p99")  # fmt: skip
    return Table(heads, rows)
