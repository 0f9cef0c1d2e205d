"""The figures of a run that are compared over many runs, by name."""

from collections.abc import Iterator, Mapping
from typing import Any

STATISTICS = ("p50", "p90", "p95", "p99", "p999", "max", "mean")


def headline(summary: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the figures of a summary by name, as `rate.writer`, `response.reader.p99`, `errors.rate`.

    Seconds, numbers per second, and shares from 0 to 1. Empty for a run without a summary.
    """
    return {name: value for name, value in _figures(summary or {}) if value is not None}


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    ran = bad = 0
    for name, pool in summary.get("pools", {}).items():
        yield f"rate.{name}", pool["achieved_rate"]
        for kind in ("response", "service", "queue_wait"):
            for statistic in STATISTICS:
                yield f"{kind}.{name}.{statistic}", pool[kind][statistic]
        ran += sum(pool[outcome] for outcome in ("ok", "rejected", "error", "timeout"))
        bad += pool["error"] + pool["timeout"]
        yield f"dropped.{name}", float(pool["dropped"])
    if ran:
        yield "errors.rate", bad / ran
    for name, op in summary.get("ops", {}).items():
        yield f"op.{name}.rate", op["rate"]
        for statistic in STATISTICS:
            yield f"op.{name}.response.{statistic}", op["response"][statistic]
    if "rows" in summary:
        yield "rows.committed", float(summary["rows"]["committed"])
        yield "rows.lost", float(summary["rows"]["lost"])
    if "flushes" in summary:
        for statistic in STATISTICS:
            yield f"commit.{statistic}", summary["flushes"]["commit"][statistic]
