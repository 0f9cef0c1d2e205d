"""What `soakd query-test` has found, kept beside the runs for their reports."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlite_utils import Database

from daemon.history.file import complaints, open_to_write

KEEP = 100  # query tests in a file, the newest ones
_NEWEST = """
SELECT report FROM query_tests WHERE target = :target AND workload = :workload AND created < coalesce(
    (SELECT min(started) FROM runs WHERE target = :target AND workload = :workload AND started > :started),
    9e99)
ORDER BY created DESC, id DESC LIMIT 1
"""


def keep(file: Path, report: Mapping[str, Any]) -> None:
    """Write the report of a query test into a history, of which the oldest beyond `KEEP` are deleted.

    Raises:
        UsageError: the history cannot be written.
    """
    row = {
        "created": datetime.fromisoformat(report["created"]).timestamp(),
        "target": report["target"],
        "workload": report["workload"],
        "report": orjson.dumps({**report, "comparison": None}).decode(),
    }
    with complaints(file):
        db = open_to_write(file)
        try:
            with db.atomic():
                db.table("query_tests").insert(row)
                db.execute(
                    "DELETE FROM query_tests WHERE id NOT IN"
                    " (SELECT id FROM query_tests ORDER BY created DESC, id DESC LIMIT ?)",
                    [KEEP],
                )
        finally:
            db.close()


def beside(db: Database, *, target: str, workload: str, started: float) -> Mapping[str, Any] | None:
    """Return the newest query test of what a run had as its target, or None.

    It may be older or younger than the run; what was found after a later run of the same belongs to that one.

    Args:
        db: the history; an old one that cannot be upgraded has none.
        target: of the run, as the history has it.
        workload: of the run.
        started: when the run began, s since the epoch.
    """
    if "query_tests" not in db.table_names():
        return None
    for row in db.query(_NEWEST, {"target": target, "workload": workload, "started": started}):
        found: Mapping[str, Any] = orjson.loads(row["report"])
        return found
    return None
