"""The report of a query lab: as JSON, and as rows and lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.lab.measure import Measured, figures
from daemon.lab.plans import Plan
from daemon.results import readable

Json = Mapping[str, Any]
KIND, VERSION = "query-test", 1
JUDGED = ("mean", "p95")
TIMEOUT = "timeout"  # class of error of a query that was too slow to have a time
COLUMNS = ("query", "runs", "rows", "mean", "p50", "p95", "p99", "max", "verdict", "")


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


def slow_queries(report: Json) -> list[str]:
    """Return the names of the queries that are slow, or ran into their time limit."""
    return [name for name, one in report["queries"].items() if one["slow"]]


def failed_queries(report: Json) -> list[str]:
    """Return the names of the queries that the database refused, an iteration of them at least."""
    return [name for name, one in report["queries"].items() if one["errors"].keys() - {TIMEOUT}]


def query_rows(report: Json) -> list[list[str]]:
    """Return a row of `COLUMNS` for each query."""
    return [_row(name, one) for name, one in report["queries"].items()]


def _row(name: str, one: Json) -> list[str]:
    verdict, why = "ok", ""
    if one["slow"]:
        verdict, why = "slow", ", ".join(one["slow"])
    if one["errors"].keys() - {TIMEOUT}:
        verdict, why = "fail", readable.listing(one["errors"])
    elif one["rows"] and not one["rows"]["total"]:
        why = "never returned a row"
    rows = readable.NOTHING if one["rows"] is None else f"{one['rows']['mean']:,.4g}"
    times = (readable.seconds(one.get(column)) for column in COLUMNS[3:8])
    return [name, readable.count(one["count"]), rows, *times, verdict, why]


def head_lines(report: Json) -> Iterator[str]:
    """Yield what the figures are of."""
    yield f"{report['workload']} · {report['target']} · {report['server']}"
    dataset = report["dataset"]
    data = f"scale {dataset['scale']}, seed {dataset['seed']} · " if dataset else ""
    load = f" · {report['writers']} writers behind" if report["writers"] else ""
    yield (
        f"{data}{report['iterations']} iterations after {report['warmup']}{load} · "
        f"slow: mean or p95 over {readable.seconds(report['slow_seconds'])}"
    )
    if report["records"]:
        yield "records: " + " · ".join(f"{name} {n:,}" for name, n in report["records"].items())


def tail_lines(report: Json) -> Iterator[str]:
    """Yield what is known of each slow or failed query, and the sum of it."""
    for name, one in report["queries"].items():
        if one["slow"] or one["errors"]:
            yield ""
            yield f"{name}: {_complaint(one, report['slow_seconds'])}"
            for plan in one["plans"]:
                yield from _plan_lines(plan)
    yield ""
    if report["write_load"]:
        rate = report["write_load"]["outcomes"].get("ok", 0) / report["write_load"]["seconds"]
        yield f"writes behind: {readable.rate(rate)}/s ({readable.listing(report['write_load']['outcomes'])})"
    slow, queries = len(slow_queries(report)), len(report["queries"])
    yield f"{slow} of {queries} queries are slow"


def _complaint(one: Json, slow: float) -> str:
    over = ", ".join(f"{name} {readable.seconds(one[name])}" for name in one["slow"] if name in JUDGED)
    told = [f"{over}, over {readable.seconds(slow)}"] if over else []
    errors = [f"{readable.listing(one['errors'])} ({one['failure']})"] if one["errors"] else []
    return "; ".join([*told, *errors])


def _plan_lines(plan: Json) -> Iterator[str]:
    yield f"  {plan['statement']}"
    if plan["parameters"]:
        yield f"  with {', '.join(plan['parameters'])}"
    for line in plan["plan"]:
        yield f"    {line}"
    for missing in plan["missing_indexes"]:
        columns: Sequence[str] = missing["columns"]
        yield f"  missing index of {missing['table']} ({', '.join(columns)}): {missing['statement']}"
