"""Taking runs out of the history: as a table of their figures, or whole into a history of their own."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlite_utils import Database

from daemon.errors import UsageError
from daemon.history.file import complaints, open_to_write
from daemon.history.read import Kept
from daemon.history.schema import PER_RUN
from daemon.history.trend import headline


def table(runs: Iterable[Kept]) -> list[dict[str, Any]]:
    """Return a row for each run: what it was, and its figures by name."""
    return [
        {
            "run_id": run.run_id,
            "started": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="milliseconds"),
            "seconds": round(run.seconds, 3),
            "state": run.state,
            "stop_reason": run.stop_reason,
            "workload": run.workload,
            "scenario": run.scenario,
            "suite_id": run.suite_id,
            "backend": run.backend,
            "target": run.target,
            "tags": " ".join(run.tags),
            "soakd_version": run.soakd_version,
            **headline(run.summary),
        }
        for run in runs
    ]


def as_json(runs: Iterable[Kept]) -> str:
    """Return the table as JSON: a list of objects."""
    return orjson.dumps(table(runs), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_csv(runs: Iterable[Kept]) -> str:
    """Return the table as CSV with a header; a figure that a run has not is empty."""
    rows = table(runs)
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def copy(db: Database, runs: Sequence[Kept], into: Path) -> None:
    """Write runs with all that belongs to them into a history of their own.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    if into.exists():
        raise UsageError(f"{into} is there already; name another file")
    signals = {row["id"]: row for row in db.query("SELECT * FROM signals")}
    with complaints(into), open_to_write(into) as target, target.atomic():
        target.table("signals").insert_all(signals.values())
        for suite in dict.fromkeys(run.suite_id for run in runs if run.suite_id is not None):
            for name in ("suites", "suite_parts"):
                target.table(name).insert_all(db.query(f"SELECT * FROM {name} WHERE suite_id = ?", [suite]))
        for run in runs:
            for name in ("runs", *PER_RUN):
                key = "id" if name == "runs" else "run"
                rows = db.query(f"SELECT * FROM {name} WHERE {key} = ?", [run.number])
                drop = ("id",) if name == "events" else ()
                target.table(name).insert_all(
                    {column: value for column, value in row.items() if column not in drop} for row in rows
                )
