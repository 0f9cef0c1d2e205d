"""Reading runs out of the history: lists of them, one by its name, and everything about one."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlite_utils import Database

from daemon.errors import UsageError
from daemon.history import lab, owner

Row = Mapping[str, Any]

_RUNS = """
SELECT r.*, (SELECT group_concat(t.tag, ' ') FROM tags t WHERE t.run = r.id) AS tags FROM runs r
WHERE (:tag IS NULL OR EXISTS (SELECT 1 FROM tags t WHERE t.run = r.id AND t.tag = :tag))
      AND (:workload IS NULL OR r.workload = :workload) AND (:suite IS NULL OR r.suite_id = :suite)
ORDER BY r.started DESC, r.id DESC LIMIT :limit
"""
ALL = -1
WAYS = "`last`, `last-1` for the one before, a run id, the end of one, or a tag"


class Kept(NamedTuple):
    """A run of the history.

    Attributes:
        number: what its rows are found by in the file.
        run_id: its number, as text.
        state: `running`, `interrupted`, or its verdict: `passed`, `failed`, `unjudged`.
        started: s since the epoch.
        seconds: for how long it was written down.
        summary: as it was shown at its end; None where it was not.
        config: its settings.
        tags: given by people.
        suite_id: of the suite that it belongs to; None without one.
        place: where in that suite, from 0.
    """

    number: int
    run_id: str
    state: str
    soakd_version: str
    backend: str
    target: str
    workload: str
    scenario: str | None
    started: float
    seconds: float
    stop_reason: str | None
    summary: Mapping[str, Any] | None
    config: Mapping[str, Any]
    tags: tuple[str, ...]
    suite_id: str | None
    place: int | None


class Record(NamedTuple):
    """Everything that is known of one run; times in `at` and `length` are ms.

    Attributes:
        run: the run.
        intervals: rows of `intervals`, in order.
        pools: rows of `pool_intervals` by pool, in order.
        samples: rows of `samples` by name of the signal, in order.
        events: rows of `events`, in order, with `details` as data.
        thresholds: rows of `thresholds`.
        operations: rows of `operations`.
        statements: rows of `statements`, the one that took the most time first.
        environment: by section and name.
        query_test: report of the newest `soakd query-test` of the same target and workload; None without one.
    """

    run: Kept
    intervals: Sequence[Row]
    pools: Mapping[str, Sequence[Row]]
    samples: Mapping[str, Sequence[Row]]
    events: Sequence[Row]
    thresholds: Sequence[Row]
    operations: Sequence[Row]
    statements: Sequence[Row]
    environment: Mapping[str, Mapping[str, str]]
    query_test: Mapping[str, Any] | None = None


def runs(
    db: Database,
    *,
    limit: int = ALL,
    tag: str | None = None,
    workload: str | None = None,
    suite: str | None = None,
) -> list[Kept]:
    """Return runs, the newest first; `ALL` sets no limit, `suite` is the id of one."""
    found = db.query(_RUNS, {"tag": tag, "workload": workload, "suite": suite, "limit": limit})
    now = time.time()
    return [_kept(row, now) for row in found]


def find(db: Database, name: str) -> Kept:
    """Return the run that a name stands for.

    Args:
        db: the history.
        name: as `WAYS` says; of several with a tag the newest.

    Raises:
        UsageError: there is none, or several.
    """
    known = runs(db)
    if not known:
        raise UsageError("the history holds no run yet; `soakd run` writes one")
    if name == "last" or (name.startswith("last-") and name[5:].isdecimal()):
        back = int(name[5:] or 0)
        if back >= len(known):
            raise UsageError(f"run {name}: the history holds {len(known)} runs; see `soakd history list`")
        return known[back]
    exact = [run for run in known if run.run_id == name] or [run for run in known if name in run.tags]
    if exact:
        return exact[0]
    ends = [run for run in known if name.isdecimal() and run.run_id.endswith(name)]
    if len(ends) == 1:
        return ends[0]
    what = f"{len(ends)} runs end in it" if ends else "there is no such run"
    raise UsageError(f"run {name}: {what}; name one by {WAYS} (`soakd history list` shows them)")


def mine(db: Database) -> Kept | None:
    """Return the newest run that this process wrote down; None when there is none."""
    found = db.query("SELECT run_id FROM runs WHERE owner = ? ORDER BY id DESC LIMIT 1", [owner.me()])
    return next((find(db, row["run_id"]) for row in found), None)


def load(db: Database, run: Kept) -> Record:
    """Return everything about a run. It takes what it says, some MB for a run of hours."""

    def rows(table: str, order: str) -> list[dict[str, Any]]:
        return list(db.query(f"SELECT * FROM {table} WHERE run = ? ORDER BY {order}", [run.number]))

    samples = db.query(
        "SELECT s.name, x.run, x.at, x.length, x.value, x.peak"
        " FROM samples x JOIN signals s ON s.id = x.signal"
        " WHERE x.run = ? ORDER BY x.signal, x.at",
        [run.number],
    )
    environment: dict[str, dict[str, str]] = {}
    for row in rows("environment", "section, name"):
        environment.setdefault(row["section"], {})[row["name"]] = row["value"]
    return Record(
        run=run,
        intervals=rows("intervals", "at"),
        pools=_by("pool", rows("pool_intervals", "pool DESC, at")),
        samples=_by("name", samples),
        events=[{**row, "details": _data(row["details"])} for row in rows("events", "at, id")],
        thresholds=[{**row, "details": _data(row["details"])} for row in rows("thresholds", "rowid")],
        operations=rows("operations", "pool DESC, op"),
        statements=rows("statements", "seconds DESC"),
        environment=environment,
        query_test=lab.beside(db, target=run.target, workload=run.workload, started=run.started),
    )


def _kept(row: Row, now: float) -> Kept:
    state = row["verdict"]
    if row["interrupted"]:
        state = "interrupted"
    elif row["ended"] is None:
        alive = owner.lives(row["owner"], seen=row["seen"], now=now)
        state = "running" if alive else "interrupted"
    return Kept(
        number=row["id"],
        run_id=row["run_id"],
        state=state,
        soakd_version=row["soakd_version"],
        backend=row["backend"],
        target=row["target"],
        workload=row["workload"],
        scenario=row["scenario"],
        started=row["started"],
        seconds=(row["seen"] if row["ended"] is None else row["ended"]) - row["started"],
        stop_reason=row["stop_reason"],
        summary=orjson.loads(row["summary"]) if row["summary"] else None,
        config=orjson.loads(row["config"]),
        tags=tuple((row["tags"] or "").split()),
        suite_id=row["suite_id"],
        place=row["place"],
    )


def _by(name: str, rows: Any) -> dict[str, list[dict[str, Any]]]:  # noqa: ANN401 - rows of any query
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def _data(details: str | None) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(details) if details else {}
    return found
