"""The figures of a log interval as the facts of one event, for programs that read logs."""

from typing import Any

from daemon.results.window import Mark, figures


def progress_event(*, phase: str, elapsed: float, earlier: Mark, later: Mark) -> dict[str, Any]:
    """Return the figures of a log interval as JSON data: seconds, and numbers per second.

    Args:
        phase: what the run is doing.
        elapsed: time in this phase, s.
        earlier: the figures at the beginning of the interval.
        later: those at its end.
    """
    span = figures(earlier, later)
    rows, capacity = later.queue
    return {
        "phase": phase,
        "elapsed_seconds": round(elapsed, 3),
        "interval_seconds": round(span.seconds, 3),
        "pools": {
            name: {
                "rate": round(pool.rate, 3),
                "target_rate": pool.target,
                "failing_rate": round(pool.failing, 3),
                "dropping_rate": round(pool.dropping, 3),
                "response": {"p50": pool.p50, "p95": pool.p95, "p99": pool.p99, "max": pool.max},
                "in_flight": pool.in_flight,
                "workers": pool.workers,
            }
            for name, pool in span.pools.items()
        },
        "rows": later.rows | {"committed_rate": round(span.rows_per_second, 3)},
        "flush_rate": round(span.flushes_per_second, 3),
        "queue": {
            "rows": rows,
            "capacity": capacity,
            "utilization_ratio": rows / capacity if capacity else 0.0,
        },
        "errors": dict(span.errors),
        "target_up": later.target_up,
        "generator_limited": later.generator_limited,
    }
