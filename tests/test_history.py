"""The history: what is written down of a run, how it grows old, and what happens to a file that fails."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from daemon.clock import SystemClock
from daemon.errors import UsageError
from daemon.history import owner, thinning
from daemon.history.blob import merged, pack, unpack
from daemon.history.chronicle import Chronicle
from daemon.history.file import mark_interrupted, open_to_write, reading
from daemon.history.look import Ending, Event, Judgement, Look
from daemon.history.retention import delete, retain
from daemon.history.schema import PER_RUN
from daemon.history.scribe import Scribe
from daemon.history.signals import SIGNALS, Source, values
from daemon.history.span import Span
from daemon.record.catalog import METRICS
from daemon.record.histogram import ROWS, Histogram
from daemon.record.snapshot import Snapshot
from tests.past import STARTED, Past, beginning, week

SOURCES: tuple[Source, ...] = ("engine", "host", "postgres")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_to_write(tmp_path / "history.db") as opened:
        yield opened


def scribe(db: Database, run_id: str = "20260921000000000") -> Scribe:
    return Scribe(db, beginning(run_id), sample_interval=5.0)


def rows(db: Database, table: str, where: str = "1", order: str = "at") -> list[dict[str, Any]]:
    return list(db.query(f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"))


def ending(at: float, **values: Any) -> Ending:
    usual = Ending(at, "duration", "passed", {"rows": {"lost": 0}}, Snapshot(), {})
    return usual._replace(**values)


# ---- histograms as bytes


@given(st.lists(st.floats(1e-6, 4000), max_size=200), st.sampled_from([1, 300, 70_000]))
def test_a_histogram_survives_being_bytes(numbers: list[float], times: int) -> None:
    histogram = Histogram.of(numbers)
    histogram.counts *= times
    histogram.count *= times
    blob = pack(histogram)
    assert (blob is None) == (not numbers)
    if blob is not None:
        back = unpack(blob)
        assert (back.counts == histogram.counts).all()
        assert (back.count, back.sum, back.min, back.max) == (
            histogram.count, histogram.sum, histogram.min, histogram.max,
        )  # fmt: skip


def test_a_coarse_histogram_keeps_percentiles_to_four_percent_and_does_not_get_coarser() -> None:
    values = np.random.default_rng(5).lognormal(-5, 1, 20_000)
    fine = Histogram.of(values)
    blob = pack(fine, 8)
    assert blob is not None
    coarse = unpack(blob)
    assert pack(coarse, 8) == blob
    assert coarse.quantiles((0.5, 0.95, 0.99)) == pytest.approx(fine.quantiles((0.5, 0.95, 0.99)), rel=0.04)
    assert coarse.counts.sum() == 20_000


def test_histograms_as_bytes_add_up_and_know_their_layout() -> None:
    parts = [[0.001, 0.002], [0.4], []]
    total = merged([pack(Histogram.of(part)) for part in parts])
    assert total is not None
    assert (total.counts == Histogram.of([v for part in parts for v in part]).counts).all()
    assert merged([None, None]) is None
    batch = pack(Histogram.of([1.0, 200.0], ROWS))
    assert batch is not None
    assert unpack(batch).layout == ROWS


@pytest.mark.parametrize("rubbish", [b"", b"x" * 10, b"x" * 80])
def test_other_bytes_are_no_histogram(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match="not a histogram"):
        unpack(rubbish)


# ---- what is written down


def test_an_interval_says_what_happened_in_it(db: Database) -> None:
    past, writer = Past(), scribe(db)
    past.ops("writer", 500, 0.01)
    writer.look(past.look())  # what went before is not counted
    past.at = 1.0
    past.ops("writer", 200, 0.02)
    past.ops("reader", 4000, 0.0005)
    past.count("soakd_op_errors_total", "writer", "append", "busy", by=3)
    past.count("soakd_ops_total", "writer", "append", "error", by=3)
    past.engine.gauges["soakd_target_ops_per_second", "writer"] = 250.0
    writer.look(past.look())

    (interval,) = rows(db, "intervals")
    assert (interval["at"], interval["length"], interval["phase"]) == (0, 1000, "running")
    assert (interval["committed"], interval["flushes"], interval["queue_rows"]) == (200, 2, 7)
    assert interval["errors"] == '{"busy":3}'
    reader, wrote = rows(db, "pool_intervals", order="pool")
    assert (wrote["ok"], wrote["error"], wrote["target_rate"], wrote["workers"]) == (200, 3, 250.0, 10)
    assert (reader["ok"], reader["target_rate"]) == (4000, None)
    exact = np.percentile(past.values["writer"][500:], [50, 95, 99], method="inverted_cdf")
    assert [wrote["p50"], wrote["p95"], wrote["p99"]] == pytest.approx(exact, rel=0.01)
    assert wrote["service_p99"] == pytest.approx(exact[2] * 0.7, rel=0.01)
    assert unpack(wrote["response"]).count == 200
    assert (wrote["worst_p99"], wrote["worst_at"]) == (wrote["p99"], 0)


def test_what_has_a_name_is_an_event(db: Database) -> None:
    past, writer = Past(), scribe(db)
    checkpoints = ("soakd_pg_checkpoints_total", "timed")
    vacuum = ("soakd_pg_table_last_vacuum_timestamp_seconds", "events")
    past.phase = "warming up"
    past.samples.counters[checkpoints] = 4
    past.samples.gauges[vacuum] = STARTED - 100
    writer.look(past.look())
    past.at, past.phase = 1.0, "running"
    writer.look(past.look(), [Event(0.5, "planned", "VACUUM", 0.25, {"sql": "VACUUM"})])
    past.at = 2.0
    past.engine.gauges["soakd_target_up",] = 0.0
    past.count("soakd_engine_restarts_total", "0", by=1)
    past.count("soakd_sqlite_checkpoints_total", "passive", "complete", by=3)
    past.engine.histograms["soakd_sqlite_checkpoint_seconds", "passive"] = Histogram.of([0.01, 0.2])
    writer.look(past.look())
    past.at = 3.0
    past.engine.gauges["soakd_target_up",] = 1.0
    past.count("soakd_sqlite_checkpoints_total", "passive", "complete", by=3)  # short ones: no event
    past.samples.counters[checkpoints] = 5
    past.samples.gauges[vacuum] = STARTED + 2.5
    writer.look(past.look())
    found = [(row["at"], row["kind"], row["name"]) for row in rows(db, "events", order="at, id")]
    assert found == [
        (0, "phase", "running"),
        (500, "planned", "VACUUM"),
        (1000, "outage", "target does not answer"),
        (1000, "restart", "engine 0"),
        (1000, "checkpoint", "sqlite passive"),
        (2000, "outage", "target answers again"),
        (2000, "checkpoint", "postgres timed"),
        (2500, "vacuum", "events"),
    ]
    assert rows(db, "events", "kind = 'checkpoint'")[0]["length"] == 200


def test_samples_are_rates_over_the_time_between_two_samples_of_the_collector(db: Database) -> None:
    """Not over the time between two looks, which are more frequent."""
    past, writer = Past(), scribe(db)
    wal = ("soakd_pg_wal_bytes_total",)
    writer.look(past.look())
    past.sample("postgres", {wal: 1e6})
    for second in range(1, 9):
        past.at = float(second)
        if second in (3, 8):
            past.sample("postgres", {wal: 5e6})
        writer.look(past.look())
    found = rows(db, "samples_over_time", "signal = 'pg.wal'", order="second")
    assert [(row["second"], row["value"], row["unit"]) for row in found] == [
        (0.0, pytest.approx(5e6 / 3), "bytes/s"),
        (3.0, pytest.approx(1e6), "bytes/s"),
    ]


def test_every_signal_is_made_of_something_that_the_collectors_offer() -> None:
    """A span over everything in the catalogue gives every signal a value."""
    labels = {
        "mode": ("user", "idle", "iowait", "steal"),
        "kind": ("total", "available", "swap_used", "some", "seq", "timed", "requested"),
        "resource": ("cpu", "io", "memory"), "direction": ("read", "write"), "window": ("1m",),
        "state": ("active", "idle", "busy", "waiting", "idle in transaction", "dead", "live"),
        "type": ("Lock", "IO", "LWLock"), "outcome": ("commit", "rollback"), "source": ("hit", "read"),
        "pool": ("writer", "reader"), "event": ("hit", "miss"), "phase": ("write",),
    }  # fmt: skip
    before, after = Snapshot(), Snapshot()
    for name, metric in METRICS.items():
        keys: list[tuple[str, ...]] = [(name,)]
        for label in metric.labels:
            keys = [(*key, value) for key in keys for value in labels.get(label, ("x",))]
        for number, key in enumerate(keys, start=1):
            if metric.kind == "histogram":
                after.histograms[key] = Histogram()
                after.histograms[key].add(0.5)
            elif metric.kind == "counter":
                before.counters[key], after.counters[key] = 10.0, 10.0 + number
            else:
                after.gauges[key] = 10.0 + number
    span = Span(before, after, 5.0)
    engine, host, postgres = (values(source, span) for source in SOURCES)
    assert {*engine, *host, *postgres} == set(SIGNALS)
    assert 0 < host["host.cpu"] < 1
    assert postgres["pg.cache_hit"] == pytest.approx(1 / 3)
    assert values("engine", Span(Snapshot(), Snapshot(), 1.0)) == {}


def test_the_books_are_closed_with_the_summary_and_the_judgements(db: Database) -> None:
    past, writer = Past(), scribe(db)
    writer.look(past.look())
    past.at = 1.0
    past.ops("writer", 100, 0.01)
    past.sample("statements", {("soakd_pg_statement_calls_total", "copy soakd.events", "77"): 9.0})
    past.texts["77"] = "COPY soakd.events FROM STDIN"
    writer.look(past.look())
    judged = Judgement("writes", "response.writer.p99 < 5ms", "fail", ok=False, worst=0.02, at=0.5)
    past.at = 1.5
    writer.look(past.look()._replace(judgements=(judged._replace(verdict="pass", ok=True),)))
    assert [(row["name"], row["verdict"]) for row in rows(db, "thresholds", order="name")] == [
        ("writes", "pass")
    ]
    writer.finish(
        ending(2.0, verdict="failed", summary={"run_id": "x"}, measured=past.engine, judgements=(judged,))
    )
    (run,) = rows(db, "runs", order="id")
    assert (run["ended"], run["verdict"], run["summary"]) == (STARTED + 2, "failed", '{"run_id":"x"}')
    (operation,) = rows(db, "operations", order="op")
    assert (operation["op"], operation["ok"], unpack(operation["response"]).count) == ("append", 100, 100)
    (threshold,) = rows(db, "thresholds")
    assert (threshold["verdict"], threshold["ok"], threshold["worst"]) == ("fail", 0, 0.02)
    assert threshold["at"] == 500
    (statement,) = rows(db, "statements", order="queryid")
    assert (statement["calls"], statement["text"]) == (9.0, "COPY soakd.events FROM STDIN")
    assert rows(db, "environment", "section = 'hardware'", "name")[0]["value"] == "2"


def test_the_views_have_names_that_people_read(db: Database) -> None:
    """As they are shown by Datasette: each opens, and gives the run's rows with units in their names."""
    past, writer = Past(), scribe(db)
    for second in range(7):
        past.at = float(second)
        past.ops("writer", 100, 0.01)
        past.sample("host", {("soakd_host_cpu_seconds_total", "idle"): 1.0})
        writer.look(past.look())
    views = db.view_names()
    assert {"all_runs", "pools_over_time", "samples_over_time", "what_happened", "judgements"} <= set(views)
    for view in views:
        list(db.query(f"SELECT * FROM {view}"))
    first = next(iter(db.query("SELECT * FROM pools_over_time WHERE pool = 'writer' ORDER BY second")))
    assert (first["answered_per_second"], first["run_id"]) == (100.0, "20260921000000000")
    assert first["time"].startswith("2026-09-21T")


# ---- growing old


def test_old_intervals_grow_coarser_and_nothing_is_lost(db: Database) -> None:
    past, writer = Past(), scribe(db)
    writer.look(past.look())
    for second in range(1, 721):
        past.at = float(second)
        past.phase = "first" if second <= 95 else "second"
        past.ops("writer", 20, 0.3 if second == 42 else 0.01)
        past.engine.gauges["soakd_batch_queue_rows",] = 900.0 if second == 42 else 5.0
        writer.look(past.look())
    found = rows(db, "pool_intervals", "pool = 'writer'")
    lengths = {row["length"] for row in found}
    assert lengths == {1000, 10_000, 5000}  # 5 s: a phase ended at 95 s
    assert sum(row["ok"] for row in found) == 720 * 20
    assert all(a["at"] + a["length"] == b["at"] for a, b in pairwise(found))
    assert all(row["length"] == 1000 for row in found if row["at"] >= 120_000)
    spike = next(row for row in found if row["at"] <= 41_000 < row["at"] + row["length"])
    assert (spike["worst_at"], spike["at"], spike["length"]) == (41_000, 40_000, 10_000)
    assert spike["worst_p99"] > 0.3
    exact = np.percentile(past.values["writer"][800:1000], 95, method="inverted_cdf")
    assert spike["p95"] == pytest.approx(exact, rel=0.01)
    whole = merged([row["response"] for row in found])
    assert whole is not None
    assert whole.quantile(0.99) == pytest.approx(
        np.percentile(past.values["writer"], 99, method="inverted_cdf"), rel=0.01
    )
    assert max(row["queue_rows"] for row in rows(db, "intervals")) == 900


def test_coarser_samples_keep_mean_and_peak() -> None:
    def sample(at: int, value: float, peak: float | None = None) -> dict[str, Any]:
        return {"signal": 3, "at": at, "length": 5000, "value": value, "peak": peak}

    one = thinning.merge_samples([sample(0, 1.0), sample(5000, 2.0, 9.0)])
    assert one == {"signal": 3, "at": 0, "length": 10_000, "value": 1.5, "peak": 9.0}
    assert thinning.merge_samples([sample(0, 4.0), sample(5000, 4.0)])["peak"] is None


def test_a_week_fits_in_fifty_megabytes(tmp_path: Path) -> None:
    size = week(tmp_path / "history.db")
    assert 10e6 < size < 50e6, f"{size / 1e6:.1f} MB"


def test_a_full_file_loses_nothing_but_detail(db: Database) -> None:
    past, writer = Past(), scribe(db)
    writer.look(past.look())
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    with pytest.raises(sqlite3.OperationalError, match="full"):  # noqa: PT012 - it takes some to fill the last page
        for _ in range(200):
            past.at += 1
            past.ops("writer", 100, 0.01, spread=1.0)
            writer.look(past.look())
    written = sum(row["ok"] for row in rows(db, "pool_intervals"))
    db.execute("PRAGMA max_page_count = 100000").fetchone()
    past.at += 1
    past.ops("writer", 100, 0.01)
    writer.look(past.look())
    found = rows(db, "pool_intervals", "pool = 'writer'")
    assert sum(row["ok"] for row in found) == len(past.values["writer"])
    assert found[-1]["ok"] == len(past.values["writer"]) - written
    assert found[-1]["length"] == 2000


def test_a_run_whose_writer_is_gone_was_interrupted_when_last_seen(db: Database) -> None:
    past, writer = Past(), scribe(db)
    for second in range(4):
        past.at = float(second)
        writer.look(past.look())
    mark_interrupted(db, STARTED + 1000)  # this process lives
    assert rows(db, "runs", order="id")[0]["interrupted"] == 0
    gone = owner.me().replace('"pid": ', '"pid": 99999')
    db.execute("UPDATE runs SET owner = ?", [gone])
    db.conn.commit()
    mark_interrupted(db, STARTED + 1000)
    (run,) = rows(db, "runs", order="id")
    assert (run["interrupted"], run["ended"], run["stop_reason"]) == (1, STARTED + 3, "interrupted")
    assert next(iter(db.query("SELECT verdict FROM all_runs")))["verdict"] == "interrupted"


def test_of_another_machine_only_its_last_word_is_known() -> None:
    elsewhere = '{"host": "elsewhere", "pid": 1, "born": 0}'
    assert owner.lives(elsewhere, seen=100.0, now=130.0)
    assert not owner.lives(elsewhere, seen=100.0, now=100.0 + owner.PATIENCE)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a database at all, for certain" * 100, "not a database"), (None, "no such file")],
)
def test_a_file_that_cannot_be_read_is_told_of_in_one_line(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "h.db"
    if content:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught, reading(file):
        pass
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_databases_of_others_and_of_newer_versions_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(UsageError, match="something else"), reading(other):
        pass
    newer = tmp_path / "newer.db"
    with open_to_write(newer) as db, db.atomic():
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('soakd', '9999 later')")
    with pytest.raises(UsageError, match="newer soakd"), reading(newer):
        pass


def test_two_runs_may_write_into_one_file(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    first, second = open_to_write(file), open_to_write(file)
    ours, theirs, past = scribe(first, "1"), scribe(second, "2"), Past()
    for at in range(5):
        past.at = float(at)
        past.ops("writer", 10, 0.01)
        ours.look(past.look())
        theirs.look(past.look())
    first.close()
    counts = [row["n"] for row in second.query("SELECT count(*) AS n FROM intervals GROUP BY run")]
    second.close()
    assert counts == [4, 4]


# ---- the thread


class Slow:
    """Lets a test see what the thread complains about."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.told = threading.Event()

    def __call__(self, reason: str) -> None:
        self.said.append(reason)
        self.told.set()


def chronicle(file: Path, warn: Slow) -> Chronicle:
    return Chronicle(file, clock=SystemClock(), sample_interval=5, keep_runs=0, keep_days=0, warn=warn)


def test_the_thread_writes_all_that_it_was_told_before_it_closes(tmp_path: Path) -> None:
    past, warn = Past(), Slow()
    kept = chronicle(tmp_path / "h.db", warn)
    kept.begin(beginning(), past.look())
    kept.note(Event(0.2, "planned", "CHECKPOINT"))
    for number, phase in enumerate(("warming up", "running", "draining"), start=1):
        past.at, past.phase = float(number), phase
        past.ops("writer", 100, 0.01)
        kept.look(past.look())
    kept.finish(ending(3.5))
    kept.close()
    assert not warn.said
    with reading(tmp_path / "h.db") as db:
        assert [row["phase"] for row in rows(db, "intervals")] == ["warming up", "running", "draining"]
        assert [row["name"] for row in rows(db, "events", "kind = 'planned'")] == ["CHECKPOINT"]
        assert rows(db, "runs", order="id")[0]["verdict"] == "passed"


def test_a_broken_file_is_complained_of_once(tmp_path: Path) -> None:
    file, past, warn = tmp_path / "h.db", Past(), Slow()
    file.write_bytes(b"rubbish" * 1000)
    kept = chronicle(file, warn)
    kept.begin(beginning(), past.look())
    assert warn.told.wait(20)
    for second in range(1, 5):
        past.at = float(second)
        kept.look(past.look())
    kept.finish(ending(5.0))
    kept.close()
    (reason,) = warn.said
    assert "not a database" in reason
    assert str(file) in reason
    assert file.read_bytes() == b"rubbish" * 1000


def begun(file: Path) -> bool:
    """Tell whether a run is in a file that may not be there yet."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT id FROM runs").fetchall())
    except sqlite3.Error:
        return False


def test_a_file_that_is_taken_away_is_complained_of(tmp_path: Path) -> None:
    """SQLite itself notices nothing."""
    file, past, warn = tmp_path / "h.db", Past(), Slow()
    kept = chronicle(file, warn)
    kept.begin(beginning(), past.look())
    until = time.monotonic() + 20
    while not begun(file):
        assert time.monotonic() < until
    file.unlink()
    past.at = 1.0
    kept.look(past.look())
    kept.close()
    (reason,) = warn.said
    assert "taken away" in reason
    assert str(file) in reason
    assert not file.exists()


@pytest.mark.parametrize(
    ("file", "says"),
    [("/dev/full", "is full; make room, or name another"), ("no/h.db", "see that it is no folder, and that")],
)
def test_what_is_said_of_a_file_helps(tmp_path: Path, file: str, says: str) -> None:
    past, warn = Past(), Slow()
    kept = chronicle(tmp_path / file, warn)
    kept.begin(beginning(), past.look())
    kept.close()
    (reason,) = warn.said
    assert says in reason


def test_figures_that_wait_do_not_grow(tmp_path: Path) -> None:
    """The newest look says all that the others of its phase said."""
    past, warn = Past(), Slow()
    kept = chronicle(tmp_path / "h.db", warn)
    for number in range(100):
        past.at = number / 10
        past.phase = f"phase {number // 3}"
        kept.look(past.look())
        kept.note(Event(past.at, "note", "x"))
    assert len(kept._looks) <= 8
    assert kept._looks[-1].at == past.at


# ---- retention


def test_runs_beyond_what_is_to_be_kept_go_with_all_their_rows(db: Database) -> None:
    for day in range(6):
        past = Past()
        writer = Scribe(db, beginning(str(day), started=STARTED + day * 86400), sample_interval=5)
        for second in range(3):
            past.at = float(second)
            past.ops("writer", 10, 0.01)
            writer.look(past.look())
        writer.finish(ending(2.0))
    db.table("tags").insert({"run": 1, "tag": "baseline"})
    now = STARTED + 5 * 86400 + 10
    assert retain(db, keep_runs=0, keep_days=0, now=now) == []
    assert retain(db, keep_runs=0, keep_days=4, now=now) == ["1"]  # 0 has a tag
    assert retain(db, keep_runs=3, keep_days=0, now=now) == ["2"]
    assert [row["run_id"] for row in rows(db, "runs", order="id")] == ["0", "3", "4", "5"]
    delete(db, [1, 4, 5, 6])
    for table in PER_RUN:
        assert db.table(table).count == 0, table


def test_a_look_without_time_since_the_last_one_writes_its_events(db: Database) -> None:
    past, writer = Past(), scribe(db)
    writer.look(past.look())
    writer.look(past.look(), [Event(0.0, "note", "sampler.off")])
    assert isinstance(past.look(), Look)
    assert [row["name"] for row in rows(db, "events")] == ["sampler.off"]
    assert rows(db, "intervals") == []
