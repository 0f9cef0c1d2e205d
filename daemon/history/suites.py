"""The suites of the history: what was planned, what became of each scenario, and the runs that they made."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database

from daemon.history import owner
from daemon.history.file import complaints, open_to_write
from daemon.history.read import Kept, runs

WAYS = "`suite`, `suite-1` for the one before, the id of one, or its name for the newest"
STOPPED = "failure"


class Plan(NamedTuple):
    """A scenario before it is run: its name in the suite, the scenario's, the target without password."""

    name: str
    scenario: str
    target: str


class KeptPart(NamedTuple):
    """A scenario of a suite.

    Attributes:
        name: what it is called in the suite.
        scenario: its name.
        target: address of the database, without password.
        exit_code: as `soakd run` would have ended with; None where it was not run to its end.
        problem: what was complained of.
        run: the run that it made; None where there was none, or where that was deleted.
    """

    name: str
    scenario: str
    target: str
    exit_code: int | None
    problem: str | None
    run: Kept | None


class KeptSuite(NamedTuple):
    """A suite of the history.

    Attributes:
        suite_id: its number, as text.
        name: what it is called.
        soakd_version: what made it.
        started: s since the epoch.
        ended: likewise; None where its end was not written down.
        stop_reason: `done`, `failure`, or the signal that ended it; None where its end was not written down.
        alive: its process still runs.
        parts: its scenarios, in order.
    """

    suite_id: str
    name: str
    soakd_version: str
    started: float
    ended: float | None
    stop_reason: str | None
    alive: bool
    parts: Sequence[KeptPart]


class Book:
    """Writes a suite down. What cannot be written is told once and never ends the suite."""

    def __init__(self, path: Path | None, suite_id: str, warn: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            path: the history file, which is opened for each entry; None: nothing is to be written.
            suite_id: of the suite.
            warn: told why something is not written.
        """
        self._path = path
        self._suite_id = suite_id
        self._warn = warn

    def begin(self, name: str, version: str, started: float, parts: Sequence[Plan]) -> None:
        """Write down what is planned; `started` is s since the epoch."""
        self._write(
            ("INSERT INTO suites VALUES (?, ?, ?, ?, NULL, NULL, ?)",
             [self._suite_id, name, version, started, owner.me()]),
            *(
                ("INSERT INTO suite_parts VALUES (?, ?, ?, ?, ?, NULL, NULL)", [self._suite_id, place, *part])
                for place, part in enumerate(parts)
            ),
        )  # fmt: skip

    def part(self, place: int, exit_code: int, problem: str | None) -> None:
        """Write down how a scenario has ended."""
        sql = "UPDATE suite_parts SET exit_code = ?, problem = ? WHERE suite_id = ? AND place = ?"
        self._write((sql, [exit_code, problem, self._suite_id, place]))

    def end(self, ended: float, reason: str) -> None:
        """Write down that the suite is over; `ended` is s since the epoch."""
        sql = "UPDATE suites SET ended = ?, stop_reason = ? WHERE suite_id = ?"
        self._write((sql, [ended, reason, self._suite_id]))

    def _write(self, *statements: tuple[str, Sequence[object]]) -> None:
        if self._path is None:
            return
        try:
            with complaints(self._path):
                db = open_to_write(self._path)
                try:
                    with db.atomic():
                        for sql, values in statements:
                            db.execute(sql, list(values))
                finally:
                    db.close()
        except Exception as error:  # noqa: BLE001 - the boundary: a history must never harm the suite
            self._warn(str(error))


def find_suite(db: Database, name: str) -> KeptSuite | None:
    """Return the suite that a name stands for, as `WAYS` says; None when there is none."""
    ids = [
        (row["suite_id"], row["name"])
        for row in db.query("SELECT suite_id, name FROM suites ORDER BY started DESC, suite_id DESC")
    ]
    prefix, _, back = name.partition("-")
    place = int(back) if back.isdecimal() else 0
    if prefix == "suite" and (not back or back.isdecimal()):
        return _kept(db, ids[place][0]) if place < len(ids) else None
    found = next((suite for suite, called in ids if name in (suite, called)), None)
    return _kept(db, found) if found else None


def _kept(db: Database, suite_id: str) -> KeptSuite:
    row = next(db.query("SELECT * FROM suites WHERE suite_id = ?", [suite_id]))
    made = {run.place: run for run in runs(db, suite=suite_id)}
    seen = max((run.started + run.seconds for run in made.values()), default=row["started"])
    parts = db.query("SELECT * FROM suite_parts WHERE suite_id = ? ORDER BY place", [suite_id])
    return KeptSuite(
        suite_id=suite_id,
        name=row["name"],
        soakd_version=row["soakd_version"],
        started=row["started"],
        ended=row["ended"],
        stop_reason=row["stop_reason"],
        alive=row["ended"] is None and owner.lives(row["owner"], seen=seen, now=time.time()),
        parts=[
            KeptPart(
                part["name"],
                part["scenario"],
                part["target"],
                part["exit_code"],
                part["problem"],
                made.get(part["place"]),
            )
            for part in parts
        ],
    )
