"""The report of a query lab as people read it: rows and lines, for a terminal and for the report of a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.results import readable

Json = Mapping[str, Any]
JUDGED = ("mean", "p95")
TIMEOUT = "timeout"  # class of error of a query that was too slow to have a time
COLUMNS = ("query", "runs", "rows", "mean", "p50", "p95", "p99", "max", "verdict", "")


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
    for complaint, lines in explanations(report):
        yield ""
        yield complaint
        yield from lines
    yield ""
    if report["write_load"]:
        rate = report["write_load"]["outcomes"].get("ok", 0) / report["write_load"]["seconds"]
        yield f"writes behind: {readable.rate(rate)}/s ({readable.listing(report['write_load']['outcomes'])})"
    slow, queries = len(slow_queries(report)), len(report["queries"])
    yield f"{slow} of {queries} queries are slow"


def explanations(report: Json) -> Iterator[tuple[str, list[str]]]:
    """Yield of each slow or failed query what is wrong with it, and the lines of its plans."""
    for name, one in report["queries"].items():
        if one["slow"] or one["errors"]:
            lines = [line for plan in one["plans"] for line in _plan_lines(plan)]
            yield f"{name}: {_complaint(one, report['slow_seconds'])}", lines


def missing_indexes(report: Json) -> list[str]:
    """Return the statements that make the indexes that slow queries lack, each once."""
    plans = [plan for one in report["queries"].values() for plan in one["plans"]]
    return list(dict.fromkeys(index["statement"] for plan in plans for index in plan["missing_indexes"]))


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
