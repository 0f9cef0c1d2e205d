"""The report of a query lab as JSON."""

from typing import Any

from daemon.lab.measure import Measured, figures
from daemon.lab.plans import Plan
from daemon.results.queries import JUDGED, TIMEOUT

KIND, VERSION = "query-test", 1


def query_report(measured: Measured, slow: float) -> dict[str, Any]:
    """Return the figures of one query, and in which of them it is slow.

    Args:
        measured: what was measured.
        slow: mean and 95th percentile above it are slow, s.
    """
    times = figures(measured.times)
    over = [name for name in JUDGED if times.get(name, 0.0) > slow]
    over += [TIMEOUT] if TIMEOUT in measured.errors else []
    rows = measured.rows
    return {
        **times,
        "rows": {"total": sum(rows), "mean": sum(rows) / len(rows), "min": min(rows), "max": max(rows)}
        if rows
        else None,
        "errors": measured.errors,
        "failure": measured.failure,
        "slow": over,
        "plans": [],
    }


def plan_report(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON data."""
    return {
        "statement": plan.statement,
        "parameters": list(plan.parameters),
        "plan": list(plan.lines),
        "missing_indexes": [one._asdict() for one in plan.missing],
    }
