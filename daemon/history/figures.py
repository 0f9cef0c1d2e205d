"""Rows of the history from two looks: what happened between them, run-wide, by pool and by operation."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from daemon.history.blob import pack
from daemon.history.look import Look
from daemon.ops import OUTCOMES, POOLS
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Snapshot

Row = dict[str, Any]

TIMES = {
    "response": "soakd_op_response_seconds",
    "service": "soakd_op_service_seconds",
    "wait": "soakd_op_queue_wait_seconds",
}
QUANTILES = (0.5, 0.95, 0.99)


def interval(earlier: Look, later: Look, happened: Snapshot) -> Row:
    """Return the row of `intervals`; `happened` is what the engines counted between the looks."""
    gauges = later.engine.gauges
    errors = errors_by_class(happened)
    return {
        **_span(earlier, later),
        "phase": later.phase,
        **{
            outcome: round(happened.counters.get(("soakd_rows_total", outcome), 0))
            for outcome in ("committed", "failed", "abandoned")
        },
        "flushes": round(
            sum(
                n
                for key, n in happened.counters.items()
                if key[0] == "soakd_flushes_total" and key[2] == "ok"
            )
        ),
        "flush_seconds": _seconds(happened, "soakd_flush_seconds"),
        "commit_seconds": _seconds(happened, "soakd_commit_seconds"),
        "queue_rows": round(gauges.get(("soakd_batch_queue_rows",), 0)),
        "queue_capacity": round(gauges.get(("soakd_batch_queue_capacity_rows",), 0)),
        "up": gauges.get(("soakd_target_up",), 0.0),
        "limited_seconds": happened.total("soakd_generator_limited_seconds_total"),
        "errors": orjson.dumps(errors).decode() if errors else None,
    }


def pools(earlier: Look, later: Look, happened: Snapshot) -> Iterator[Row]:
    """Yield the rows of `pool_intervals`, of the pools that have workers or did something."""
    gauges = later.engine.gauges
    for pool in POOLS:
        outcomes = _outcomes(happened, pool)
        workers = round(gauges.get(("soakd_workers", pool), 0))
        if not workers and not any(outcomes.values()):
            continue
        times = {
            short: happened.pooled(lambda key, name=name, pool=pool: key[:2] == (name, pool))  # type: ignore[misc]
            for short, name in TIMES.items()
        }
        lag = happened.histograms.get(("soakd_schedule_lag_seconds", pool))
        span = _span(earlier, later)
        yield {
            "pool": pool,
            **span,
            "phase": later.phase,
            **outcomes,
            "target_rate": gauges.get(("soakd_target_ops_per_second", pool)) or None,
            "workers": workers,
            "in_flight": round(gauges.get(("soakd_ops_in_flight", pool), 0)),
            "lag_p99": lag.quantile(0.99) if lag and lag.count else None,
            **percentiles(times["response"], times["service"], times["wait"]),
            "worst_p99": times["response"].quantile(0.99) if times["response"].count else None,
            "worst_at": span["at"],
            **{short: pack(histogram) for short, histogram in times.items()},
        }


def percentiles(response: Histogram | None, service: Histogram | None, wait: Histogram | None) -> Row:
    """Return the columns of a row of `pool_intervals` that say how long operations took, in seconds."""
    row: Row = {}
    for prefix, histogram in (("", response), ("service_", service)):
        found = histogram if histogram and histogram.count else None
        values = found.quantiles(QUANTILES) if found else (None, None, None)
        row |= {f"{prefix}p{round(q * 100)}": value for q, value in zip(QUANTILES, values, strict=True)}
        row[f"{prefix}max"] = found.max if found else None
    row["wait_p99"] = wait.quantile(0.99) if wait and wait.count else None
    return row


def operations(measured: Snapshot) -> Iterator[Row]:
    """Yield the rows of `operations`: what became of each kind of operation since the measured part began."""
    kinds = {(key[1], key[2]) for key in measured.counters if key[0] == "soakd_ops_total"}
    for pool, op in sorted(kinds):
        outcomes = _outcomes(measured, pool, op)
        if any(outcomes.values()):
            yield {
                "pool": pool,
                "op": op,
                **{name: outcomes[name] for name in ("ok", "rejected", "error", "timeout")},
                **{short: pack(measured.histograms.get((name, pool, op))) for short, name in TIMES.items()},
            }


def statements(first: Snapshot, now: Snapshot, texts: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows of `statements`: what the server counted of each since it was first seen."""
    for key, calls in now.counters.items():
        if key[0] != "soakd_pg_statement_calls_total":
            continue
        labels = key[1:]

        def grown(metric: str, labels: tuple[str, ...] = labels) -> float:
            name = (metric, *labels)
            value = now.counters.get(name, 0.0)
            before = first.counters.get(name, 0.0)
            return value - before if value >= before else value  # less: the server's counts were reset

        if calls:
            yield {
                "queryid": labels[1],
                "name": labels[0],
                "calls": grown("soakd_pg_statement_calls_total"),
                "seconds": grown("soakd_pg_statement_seconds_total"),
                "rows": grown("soakd_pg_statement_rows_total"),
                "text": texts.get(labels[1]),
            }


def errors_by_class(happened: Snapshot) -> dict[str, int]:
    """Return the number of errors by class, without those that did not occur."""
    found: dict[str, int] = {}
    for key, value in happened.counters.items():
        if key[0] == "soakd_op_errors_total" and value:
            found[key[3]] = found.get(key[3], 0) + round(value)
    return found


def _span(earlier: Look, later: Look) -> Row:
    begin, end = round(earlier.at * 1000), round(later.at * 1000)
    return {"at": begin, "length": end - begin}


def _seconds(happened: Snapshot, name: str) -> float:
    histogram = happened.histograms.get((name,))
    return histogram.sum if histogram else 0.0


def _outcomes(happened: Snapshot, *labels: str) -> dict[str, int]:
    counts = {str(outcome): 0 for outcome in OUTCOMES}
    for key, value in happened.counters.items():
        if key[0] == "soakd_ops_total" and key[1 : 1 + len(labels)] == labels:
            counts[key[3]] += round(value)
    return counts
