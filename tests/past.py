"""Runs for the history that need no load: looks with chosen figures, second by second; and a week at once."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from daemon.history import thinning
from daemon.history.file import open_to_write
from daemon.history.look import Beginning, Look
from daemon.history.scribe import Scribe
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Snapshot

STARTED = 1_790_000_000.0  # s since the epoch
WEEK = 7 * 24 * 60  # minutes
SAMPLED = 49  # signals that a run has; on PostgreSQL as many as on SQLite


def beginning(run_id: str = "20260921000000000", **values: Any) -> Beginning:
    """Return a run on SQLite, with whatever is to be different."""
    usual = Beginning(
        run_id=run_id,
        soakd_version="0.1.0",
        backend="sqlite",
        target="sqlite:///soakd.db",
        workload="events",
        scenario=None,
        config={"workload": "events"},
        started=STARTED,
        environment={"hardware": {"cores": "2"}, "sqlite pragmas": {"synchronous": "1"}},
    )
    return usual._replace(**values)


class Past:
    """A load that is described, not made. Everything is cumulative, as engines tell it."""

    def __init__(self, seed: int = 1) -> None:
        self.at = 0.0
        self.phase = "running"
        self.engine = Snapshot()
        self.samples = Snapshot()
        self.texts: dict[str, str] = {}
        self.values: dict[str, list[float]] = {"writer": [], "reader": []}
        self._random = Random(seed)
        self._numbers = np.random.default_rng(seed)
        self.engine.gauges.update(
            {
                ("soakd_target_up",): 1.0,
                ("soakd_workers", "writer"): 10.0,
                ("soakd_workers", "reader"): 5.0,
                ("soakd_batch_queue_capacity_rows",): 10000.0,
                ("soakd_batch_queue_rows",): 7.0,
            }
        )

    def ops(self, pool: str, number: int, seconds: float, *, spread: float = 0.3, op: str = "") -> None:
        """Count operations that took about so long."""
        name = op or {"writer": "append", "reader": "by_key"}[pool]
        values = seconds * self._numbers.lognormal(0.0, spread, number)
        self.values[pool].extend(values.tolist())
        self.count("soakd_ops_total", pool, name, "ok", by=number)
        for metric, share in (("response", 1.0), ("service", 0.7), ("queue_wait", 0.3)):
            key = (f"soakd_op_{metric}_seconds", pool, name)
            self.engine.histograms.setdefault(key, Histogram()).add_many(values * share)
        if pool == "writer":
            self.count("soakd_rows_total", "committed", by=number)
            self.count("soakd_flushes_total", "size", "ok", by=max(1, number // 100))

    def count(self, *key: str, by: float) -> None:
        """Let a counter of the engines grow."""
        self.engine.counters[key] = self.engine.counters.get(key, 0) + by

    def sample(self, collector: str, counters: Mapping[tuple[str, ...], float] | None = None) -> None:
        """Take a sample now, in which counters have grown."""
        for key, by in (counters or {}).items():
            self.samples.counters[key] = self.samples.counters.get(key, 0) + by
        stamp = ("soakd_sampler_last_success_timestamp_seconds", collector)
        self.samples.gauges[stamp] = STARTED + self.at

    def look(self) -> Look:
        """Return the present figures, shared with nobody."""
        return Look(self.at, self.phase, _copy(self.engine), _copy(self.samples), dict(self.texts))


def _copy(snapshot: Snapshot) -> Snapshot:
    twin = Snapshot()
    twin.merge(snapshot)
    return twin


def week(file: Path) -> int:
    """Write a run of a week as it is when it is old; return the size of the file in bytes.

    Two pools at 500 operations a second each, with wide distributions: twenty minutes of them, again and
    again, as the minutes that they become.
    """
    past = Past()
    with open_to_write(file) as db:
        writer = Scribe(db, beginning(), sample_interval=5.0)
        writer.look(past.look())
        for minute in range(1, 21):
            past.at = minute * 60.0
            past.ops("writer", 30_000, 0.01, spread=0.8)
            past.ops("reader", 30_000, 0.0004, spread=0.8)
            writer.look(past.look())
        made = [*db.query("SELECT * FROM pool_intervals ORDER BY pool, at")]
        coarse = [thinning.merge_pools([row], fold=8) for row in made]
        (interval, *_) = db.query("SELECT * FROM intervals")
        later = range(21, WEEK)
        with db.atomic():
            old = [{**coarse[at % 20 + 20 * pool], "at": at * 60_000} for at in later for pool in (0, 1)]
            db.table("pool_intervals").insert_all(old)
            db.table("intervals").insert_all({**interval, "at": at * 60_000} for at in later)
            db.conn.executemany(
                "INSERT INTO samples VALUES (1, ?, ?, 60000, ?, ?)",
                [(1 + n, at * 60_000, at / 7.0 + n, at / 3.0 + n) for n in range(SAMPLED) for at in later],
            )
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return file.stat().st_size
