"""Deleting runs: by name, or because they are too many or too old."""

from collections.abc import Iterable

from sqlite_utils import Database

from daemon.history.schema import PER_RUN

DAY = 86400.0  # s


def delete(db: Database, numbers: Iterable[int]) -> None:
    """Delete runs with all that belongs to them, and give the space back to the file system.

    Args:
        db: the history.
        numbers: `runs.id` of those to delete.
    """
    doomed = list(numbers)
    if not doomed:
        return
    with db.atomic():
        for number in doomed:
            for table in PER_RUN:
                db.execute(f"DELETE FROM {table} WHERE run = ?", [number])
            db.execute("DELETE FROM runs WHERE id = ?", [number])
        # A suite that is over goes with the last of its runs.
        left = "ended IS NOT NULL AND suite_id NOT IN (SELECT suite_id FROM runs WHERE suite_id IS NOT NULL)"
        db.execute(f"DELETE FROM suite_parts WHERE suite_id IN (SELECT suite_id FROM suites WHERE {left})")
        db.execute(f"DELETE FROM suites WHERE {left}")
    db.execute("PRAGMA incremental_vacuum").fetchall()


def retain(db: Database, *, keep_runs: int, keep_days: int, now: float) -> list[str]:
    """Delete the runs that are beyond the newest `keep_runs`, or ended more than `keep_days` ago.

    Runs that have not ended, and runs with a tag, stay and do not count.

    Args:
        db: the history.
        keep_runs: how many to keep; 0: all.
        keep_days: for how many days; 0: for ever.
        now: s since the epoch.

    Returns:
        The run ids of those that were deleted.
    """
    free = list(
        db.query(
            "SELECT id, run_id, ended FROM runs WHERE ended IS NOT NULL AND id NOT IN (SELECT run FROM tags)"
            " ORDER BY started DESC"
        )
    )
    doomed = free[keep_runs:] if keep_runs else []
    if keep_days:
        doomed += [row for row in free if row["ended"] < now - keep_days * DAY and row not in doomed]
    delete(db, [row["id"] for row in doomed])
    return [row["run_id"] for row in doomed]
