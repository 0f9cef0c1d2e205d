"""Writing one run into the history: from looks to rows, a transaction each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from sqlite_utils import Database

from daemon.history import figures, owner, retention, thinning
from daemon.history.happenings import happenings
from daemon.history.look import Beginning, Ending, Event, Judgement, Look
from daemon.history.signals import SIGNALS, Source, values
from daemon.history.span import Span
from daemon.record.snapshot import Snapshot

TOTALS = 60.0  # s between two writes of what is known of the whole run: operations, statements
THIN = 60.0  # s between two looks at what has become old
MOST_EVENTS = 5000  # per run
STAMP = "soakd_sampler_last_success_timestamp_seconds"

Row = dict[str, Any]


class Scribe:
    """Writes one run. Every method is one transaction: all of it is there afterwards, or nothing.

    When one fails, the next `look` covers the time of both, because figures are cumulative.
    Memory: four snapshots.
    """

    def __init__(self, db: Database, run: Beginning, *, sample_interval: float) -> None:
        """Write down that the run has begun.

        Args:
            db: an open history; the scribe does not close it.
            run: what is known of it.
            sample_interval: time between two samples of the engines' own figures, s.
        """
        self._db = db
        self._run = run
        self._sample_interval = sample_interval
        self._last: Look | None = None
        self._baseline: Snapshot | None = None  # where the measured part begins
        self._first_samples: Snapshot | None = None
        self._sampled: dict[Source, tuple[float, Snapshot]] = {}  # by source: its own time, and figures
        self._totals_at = self._thin_at = 0.0
        self._thinned = [0] * len(thinning.TIERS)  # ms up to which a tier has been gathered
        self._events = 0
        with db.atomic():
            self._signals = _signal_ids(db)
            self.number = self._insert_run()

    def _insert_run(self) -> int:
        run = self._run
        cursor = self._db.execute(
            "INSERT INTO runs (run_id, soakd_version, backend, target, workload, scenario, config, started,"
            " seen, owner, suite_id, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *run[:6],
                orjson.dumps(run.config).decode(),
                run.started,
                run.started,
                owner.me(),
                run.suite_id,
                run.place,
            ],
        )
        number = int(cursor.lastrowid or 0)
        self._note_environment(number, run.environment)
        return number

    def look(self, look: Look, events: Sequence[Event] = ()) -> None:
        """Write down what happened since the look before; the first one is what others are compared with.

        Raises:
            sqlite3.Error: it could not be written; the next call makes up for it.
        """
        last = self._last
        if last is None:
            self._last, self._first_samples = look, look.samples
            self._sampled["engine"] = (look.at, look.engine)
            self._write_events(events)
            return
        if round(look.at * 1000) <= round(last.at * 1000):
            self._write_events(events)
            return
        happened = look.engine.since(last.engine)
        sampled = dict(self._sampled)
        with self._db.atomic():
            self._put("intervals", [figures.interval(last, look, happened)])
            self._put("pool_intervals", figures.pools(last, look, happened))
            self._put("samples", self._samples(look, sampled))
            found = happenings(last, look, happened, started=self._run.started)
            self._write_events([*events, *found])
            self._judge(look.judgements)
            self._db.execute(
                "UPDATE runs SET seen = ? WHERE id = ?", [self._run.started + look.at, self.number]
            )
            if look.at - self._totals_at >= TOTALS:
                self._write_totals(look, look.engine.since(self._measured_from()))
            if look.at - self._thin_at >= THIN:
                self._thin(round(look.at * 1000))
        if look.phase == "warming up":
            self._baseline = look.engine
        self._last, self._sampled = look, sampled
        self._totals_at = look.at if look.at - self._totals_at >= TOTALS else self._totals_at
        self._thin_at = look.at if look.at - self._thin_at >= THIN else self._thin_at

    def finish(self, end: Ending) -> None:
        """Write down how it ended. Figures of the whole run are then those of the summary."""
        with self._db.atomic():
            self._judge(end.judgements)
            self._note_environment(self.number, end.environment)
            if self._last is not None:
                self._write_totals(self._last, end.measured)
            self._db.execute(
                "UPDATE runs SET ended = ?, seen = ?, stop_reason = ?, verdict = ?, summary = ? WHERE id = ?",
                [
                    self._run.started + end.at,
                    self._run.started + end.at,
                    end.stop_reason,
                    end.verdict,
                    orjson.dumps(end.summary).decode(),
                    self.number,
                ],
            )

    def retain(self, *, keep_runs: int, keep_days: int) -> None:
        """Delete runs that are too many or too old."""
        retention.retain(self._db, keep_runs=keep_runs, keep_days=keep_days, now=self._run.started)

    def _measured_from(self) -> Snapshot:
        return self._baseline if self._baseline is not None else Snapshot()

    def _put(self, table: str, rows: Iterable[Row]) -> None:
        whole = [{"run": self.number, **row} for row in rows]
        if whole:
            self._db.table(table).insert_all(whole)

    def _samples(self, look: Look, sampled: dict[Source, tuple[float, Snapshot]]) -> list[Row]:
        """Return the rows of the sources that have something new; note in `sampled` that they were seen."""
        rows: list[Row] = []
        present: dict[Source, tuple[float, Snapshot]] = {}
        if look.at - sampled["engine"][0] >= self._sample_interval:
            present["engine"] = (look.at, look.engine)
        sources: tuple[Source, ...] = ("host", "postgres")
        for source in sources:
            stamp = look.samples.gauges.get((STAMP, source))
            if stamp is not None:
                present[source] = (stamp - self._run.started, look.samples)
        for name, (at, now) in present.items():
            before_at, before = sampled.get(name, (at, now))
            if at > before_at:
                span = Span(before, now, at - before_at)
                begin = max(0, round(before_at * 1000))
                rows += [
                    {
                        "signal": self._signals[signal],
                        "at": begin,
                        "length": round(at * 1000) - begin,
                        "value": value,
                        "peak": None,
                    }
                    for signal, value in values(name, span).items()
                ]
            if at >= before_at:
                sampled[name] = (at, now)
        return rows

    def _write_events(self, events: Sequence[Event]) -> None:
        room = max(0, MOST_EVENTS - self._events)
        rows = [
            {
                "at": _ms(event.at),
                "length": _ms(event.seconds),
                "kind": event.kind,
                "name": event.name,
                "details": _json(event.details),
            }
            for event in events[:room]
        ]
        self._put("events", rows)
        self._events += len(rows)

    def _write_totals(self, look: Look, measured: Snapshot) -> None:
        own: list[tuple[str, Iterable[Row]]] = [
            ("operations", figures.operations(measured)),
            ("statements", figures.statements(self._first_samples or Snapshot(), look.samples, look.texts)),
        ]
        for table, rows in own:
            whole = [{"run": self.number, **row} for row in rows]
            self._db.table(table).insert_all(whole, replace=True)

    def _judge(self, judgements: Iterable[Judgement]) -> None:
        """Write down what became of the thresholds; later words replace earlier ones."""
        rows = [
            {**one._asdict(), "at": _ms(one.at), "details": _json(one.details), "run": self.number}
            for one in judgements
        ]
        self._db.table("thresholds").insert_all(rows, replace=True)

    def _note_environment(self, run: int, sections: Mapping[str, Mapping[str, str]]) -> None:
        rows = [
            {"run": run, "section": section, "name": name, "value": str(value)}
            for section, facts in sections.items()
            for name, value in facts.items()
        ]
        self._db.table("environment").insert_all(rows, replace=True)

    def _thin(self, now: int) -> None:
        """Gather what has become old, whole steps only; `now` is ms since the run began."""
        for number, tier in enumerate(thinning.TIERS):
            begin, end = self._thinned[number], (now - tier.age) // tier.step * tier.step
            if end <= begin:
                continue
            self._gather("intervals", (), thinning.merge_intervals, begin, end, tier.step)
            merge = partial(thinning.merge_pools, fold=tier.fold)
            self._gather("pool_intervals", ("pool",), merge, begin, end, tier.step)
            self._gather("samples", ("signal",), thinning.merge_samples, begin, end, tier.step)
            self._thinned[number] = end

    def _gather(
        self,
        table: str,
        by: tuple[str, ...],
        merge: Callable[[Sequence[Row]], Row],
        begin: int,
        end: int,
        step: int,
    ) -> None:
        where = "run = ? AND at >= ? AND at < ?"
        order = ", ".join((*by, "at"))
        series: dict[tuple[Any, ...], list[Row]] = {}
        found = self._db.query(
            f"SELECT * FROM {table} WHERE {where} ORDER BY {order}", [self.number, begin, end]
        )
        for row in found:
            series.setdefault(tuple(row[name] for name in by), []).append(row)
        merged = [merge(rows) for one in series.values() for rows in thinning.gathered(one, step)]
        self._db.execute(f"DELETE FROM {table} WHERE {where}", [self.number, begin, end])
        self._db.table(table).insert_all(merged)


def _signal_ids(db: Database) -> dict[str, int]:
    """Return the numbers of the signals in this file, which gets those that it lacks."""
    db.conn.executemany(
        "INSERT INTO signals (name, unit, about) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET unit = excluded.unit, about = excluded.about",
        [(name, signal.unit, signal.about) for name, signal in SIGNALS.items()],
    )
    return {row["name"]: row["id"] for row in db.query("SELECT id, name FROM signals")}


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _json(details: Mapping[str, Any]) -> str | None:
    return orjson.dumps(details, default=str).decode() if details else None
