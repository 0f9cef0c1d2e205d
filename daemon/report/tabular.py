"""The report as CSV: the intervals of each pool, or the histograms of each operation."""

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np

from daemon.history.read import Record
from daemon.report.figures import histograms

INTERVAL = (
    "second", "seconds", "phase", "pool", "ok", "rejected", "error", "timeout", "dropped", "target_rate",
    "workers", "in_flight", "p50", "p95", "p99", "max", "service_p50", "service_p95", "service_p99",
    "service_max", "wait_p99", "lag_p99", "rows_committed", "rows_failed", "flushes", "queue_rows",
    "queue_capacity", "target_up",
)  # fmt: skip
BUCKET = ("pool", "op", "time", "from_seconds", "to_seconds", "count")


def intervals(record: Record) -> str:
    """Return a line for each interval and pool, times in s; rows stand at the first pool alone."""
    whole = {row["at"]: row for row in record.intervals}
    lines = []
    for number, rows in enumerate(record.pools.values()):
        for row in rows:
            run = whole.get(row["at"], {}) if number == 0 else {}
            shared = [
                run.get(name)
                for name in ("committed", "failed", "flushes", "queue_rows", "queue_capacity", "up")
            ]
            own = [row[name] for name in INTERVAL[2:-6]]
            lines.append([row["at"] / 1000, row["length"] / 1000, *own, *shared])
    return _text(INTERVAL, sorted(lines, key=lambda line: (line[0], line[3])))


def buckets(record: Record) -> str:
    """Return a line for each bucket that holds something: how many operations took from … to … s."""
    lines = [
        [pool, op, kind, *edges[n : n + 2].tolist(), int(histogram.counts[n])]
        for pool, op, kind, histogram in histograms(record)
        for edges in (histogram.layout.edges(),)
        for n in np.flatnonzero(histogram.counts)
    ]
    return _text(BUCKET, lines)


def _text(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return out.getvalue()
