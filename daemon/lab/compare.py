"""What has changed from one report of a query lab to the next."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.errors import UsageError
from daemon.lab.report import KIND, VERSION
from daemon.results import readable
from daemon.results.queries import Json

COLUMNS = ("query", "mean", "now", "change", "p95", "now", "rows", "now", "verdict", "")
LEAST_CHANGE = 0.1  # of the mean; less is no change whatever the statistics say
ERRORS = 3.0  # standard errors that the means have to be apart
CONDITIONS = ("workload", "server", "dataset", "records", "iterations", "writers", "slow_seconds")


def read_base(path: Path) -> dict[str, Any]:
    """Return the report to compare with.

    Raises:
        UsageError: there is none in the file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--compare {path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise UsageError(f"--compare {path}: is not JSON; name a file that --report has written") from None
    if not isinstance(found, dict) or found.get("report") != KIND:
        raise UsageError(f"--compare {path}: is no report of `soakd query-test`")
    if found.get("version") != VERSION:
        raise UsageError(
            f"--compare {path}: is a report of version {found.get('version')}, this soakd reads {VERSION}"
        )
    return found


def compare(base: Json, now: Json) -> dict[str, Any]:
    """Return what has changed: conditions by name, and for each query both figures and a verdict."""
    before, after = base["queries"], now["queries"]
    return {
        "conditions": {
            name: {"before": base.get(name), "now": now.get(name)}
            for name in CONDITIONS
            if base.get(name) != now.get(name)
        },
        "queries": {name: _changed(before.get(name), after.get(name)) for name in {**before, **after}},
    }


def _changed(before: Json | None, now: Json | None) -> dict[str, Any]:
    if before is None or now is None:
        return {"verdict": "new" if before is None else "gone", "before": _kept(before), "now": _kept(now)}
    both = {"before": _kept(before), "now": _kept(now)}
    if not before["count"] or not now["count"]:
        return {"verdict": "unknown", **both}
    change = now["mean"] / before["mean"] - 1 if before["mean"] else 0.0
    error = math.hypot(*(one["stddev"] / math.sqrt(one["count"]) for one in (before, now)))
    sure = abs(now["mean"] - before["mean"]) > ERRORS * error and abs(change) >= LEAST_CHANGE
    verdict = ("slower" if change > 0 else "faster") if sure else "same"
    return {"verdict": verdict, "change": change, **both}


def _kept(one: Json | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {name: one.get(name) for name in ("count", "mean", "p95", "rows", "slow", "errors")}


def comparison_rows(comparison: Json) -> list[list[str]]:
    """Return a row of `COLUMNS` for each query."""
    return [_row(name, one) for name, one in comparison["queries"].items()]


def _row(name: str, one: Json) -> list[str]:
    before, now = one["before"] or {}, one["now"] or {}
    times = [readable.seconds(value.get(column)) for column in ("mean", "p95") for value in (before, now)]
    change = f"{one['change']:+.0%}" if "change" in one else ""
    turned = ""
    if one["before"] and one["now"] and bool(before["slow"]) != bool(now["slow"]):
        turned = "is slow now" if now["slow"] else "was slow"
    return [name, *times[:2], change, *times[2:], _rows(before), _rows(now), one["verdict"], turned]


def _rows(one: Mapping[str, Any]) -> str:
    rows = one.get("rows")
    return f"{rows['mean']:,.4g}" if rows else readable.NOTHING


def condition_lines(comparison: Json) -> list[str]:
    """Return what else is another than before, so that times may differ for that reason."""
    return [
        f"not the same {name}: {_short(one['before'])} before, {_short(one['now'])} now"
        for name, one in comparison["conditions"].items()
    ]


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {n}" for name, n in value.items())
    return str(value)
