"""Reports: their numbers are those of the history, spikes have their causes, rules fire when they should."""

import csv
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from daemon.history import lab as history_lab
from daemon.history.figures import TIMES
from daemon.history.file import open_to_write, reading
from daemon.history.look import Ending, Event, Judgement
from daemon.history.read import Record, find, load
from daemon.history.scribe import Scribe
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Snapshot
from daemon.report import charts, data, junit, tabular, templates
from daemon.report.advice import RULES, findings
from daemon.report.causes import CAUSES, Moment
from daemon.report.charts import phases
from daemon.report.content import Report, content
from daemon.report.evidence import Facts
from daemon.report.figures import Figures, pools
from daemon.report.spikes import Reason, Spike, spikes
from daemon.report.view import View
from daemon.results import readable
from daemon.results.summary import statistics
from tests.past import STARTED, Past, beginning

PRESSURE = "soakd_host_pressure_seconds_total"
HOST_CPU = "soakd_host_cpu_seconds_total"


def lived(
    folder: Path,
    *,
    seconds: int = 60,
    slow: Callable[[int], float] = lambda _second: 1.0,
    each: Callable[[Past, int], Sequence[Event] | None] = lambda _past, _second: None,
    end: Ending | bool = True,
    **facts: Any,
) -> Record:
    """Return a run of some seconds as the history gives it back.

    Args:
        folder: for its file.
        seconds: its length; the first five are the warm-up.
        slow: by how much slower writes are in a second.
        each: makes something else happen in a second.
        end: how it ended; False: it was cut off.
        facts: of its beginning.
    """
    past, started = Past(), beginning(**facts)
    with open_to_write(folder / "history.db") as db:
        writer = Scribe(db, started, sample_interval=1.0)
        past.phase = "warming up"
        writer.look(past.look())
        for second in range(1, seconds + 1):
            past.at = float(second)
            past.phase = "warming up" if second <= 5 else "running"
            past.ops("writer", 200, 0.01 * slow(second), spread=0.1)
            past.ops("reader", 300, 0.0005, spread=0.1)
            for mode, share in (("idle", 0.7), ("user", 0.3)):
                past.samples.counters[HOST_CPU, mode] = past.samples.counters.get((HOST_CPU, mode), 0) + share
            events = each(past, second) or ()
            past.sample("host")
            writer.look(past.look(), events)
        if end is not False:
            usual = Ending(float(seconds), "duration", "unjudged", {}, past.engine, {})
            writer.finish(end if isinstance(end, Ending) else usual)
        else:
            db.execute("UPDATE runs SET owner = ?", ['{"host": "elsewhere", "pid": 1, "born": 0}'])
            db.conn.commit()
    return loaded(folder)


def loaded(folder: Path, name: str = "last") -> Record:
    with reading(folder / "history.db") as db:
        return load(db, find(db, name))


# ---- numbers


def test_a_run_that_was_cut_off_is_told_from_its_intervals(tmp_path: Path) -> None:
    """What is said of it are the figures of the measured part, without the warm-up."""
    report = content(lived(tmp_path, end=False))
    assert report.run.state == "interrupted"
    assert report.headline == "Interrupted"
    assert report.seconds == 55
    writer, reader = sorted(report.pools, key=lambda pool: pool.name, reverse=True)
    assert (writer.outcomes["ok"], reader.outcomes["ok"]) == (55 * 200, 55 * 300)
    assert (writer.rate, reader.rate) == (200.0, 300.0)
    rows = report.record.pools["writer"]
    assert writer.times["response"].count == sum(row["ok"] for row in rows if row["phase"] == "running")
    assert writer.quantile("response", 0.99) == pytest.approx(0.01 * np.exp(0.1 * 2.326), rel=0.03)
    assert "cut off after 0:01:00" in " ".join(report.reasons)
    assert any(finding.name == "interrupted" for finding in report.findings)


def test_the_target_of_a_run_that_was_cut_off_is_its_mean(tmp_path: Path) -> None:
    """In a ramp the last one is far from what was asked for on the whole."""

    def ramp(past: Past, second: int) -> None:
        past.engine.gauges["soakd_target_ops_per_second", "writer"] = 10.0 * second

    report = content(lived(tmp_path, end=False, each=ramp))
    targets = {pool.name: pool.target for pool in report.pools}
    assert targets == {"writer": pytest.approx(10 * (6 + 60) / 2), "reader": None}


def test_the_phases_of_a_scenario_are_on_the_time_axis(tmp_path: Path) -> None:
    """A phase that is called as a part of the run is not taken for it."""
    begun = {5: "low", 20: "draining", 40: "high"}

    def each(_past: Past, second: int) -> list[Event]:
        return [
            Event(float(at), "note", "phase.begun", details={"name": name})
            for at, name in begun.items()
            if at == second
        ]

    record = lived(tmp_path, each=each)
    found = [(mark.label, mark.begin, mark.end) for mark in phases(record)]
    assert found == [("warming up", 0, 5), ("low", 5, 20), ("draining", 20, 40), ("high", 40, 60)]
    page = templates.as_html(content(record))
    assert "<title>low</title>" in page
    assert page.count("<title>draining</title>") == 1 < page.count("<title>warming up</title>")


ROWS = {"accepted": 12000, "committed": 12000}


def summarized(past_engine: Snapshot) -> dict[str, Any]:
    """Return as much of a summary as a report reads."""
    pools_of = {}
    for pool, op in (("writer", "append"), ("reader", "by_key")):
        kinds = {"response": "response", "service": "service", "queue_wait": "wait"}
        times = {
            kind: statistics(past_engine.histograms[TIMES[name], pool, op]) for kind, name in kinds.items()
        }
        ok = round(past_engine.counters["soakd_ops_total", pool, op, "ok"])
        pools_of[pool] = {
            "ok": ok, "rejected": 0, "error": 0, "timeout": 0, "dropped": 0,
            "achieved_rate": ok / 60, "target_rate": None, **times,
        }  # fmt: skip
    return {
        "pools": pools_of, "ops": {}, "duration_seconds": 60.0, "durability": "some",
        "rows": dict.fromkeys(("failed", "abandoned", "in_doubt", "lost"), 0) | ROWS,
        "flushes": {"by_reason": {"size": {"ok": 9, "error": 0}}, "rows": {"mean": 100.0}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A run with thresholds, spikes, an outage, statements and an end."""
    folder = tmp_path_factory.mktemp("finished")
    engine: list[Snapshot] = []

    def each(past: Past, second: int) -> Sequence[Event]:
        engine[:] = [past.engine]
        past.engine.gauges["soakd_target_up",] = float(second != 50)
        past.texts["1"] = "COPY soakd.events <FROM> STDIN | x"
        statement = ("soakd_pg_statement_calls_total", "copy soakd.events", "1")
        past.samples.counters[statement] = past.samples.counters.get(statement, 0) + 2
        return [Event(30.2, "planned", "CHECKPOINT", 0.5)] if second == 31 else []

    past = Past()
    past.ops("writer", 100, 0.01)
    past.ops("reader", 100, 0.0005)
    slow = "response.writer.p99 < 20ms"
    judged = (
        Judgement(slow, slow, "fail", ok=False, value=0.05, at=30.0, found="50ms"),
        Judgement("night: errors.rate < 1%", "errors.rate < 1%", "pass", ok=True, value=0.0, found="0 %"),
        Judgement("pg.cache_hit > 99%", "pg.cache_hit > 99%", "no data", ok=True, found="no data"),
    )
    end = Ending(60.0, "duration", "failed", summarized(past.engine), past.engine, {}, judged)
    return lived(folder, slow=lambda second: 20.0 if second == 31 else 1.0, each=each, end=end)


def test_every_form_says_the_numbers_of_the_history(finished: Record) -> None:
    report = content(finished)
    writer = next(pool for pool in report.pools if pool.name == "writer")
    told = (finished.run.summary or {})["pools"]["writer"]
    assert writer.quantile("response", 0.99) == told["response"]["p99"]
    assert (writer.rate, writer.outcomes["ok"]) == (told["achieved_rate"], told["ok"])
    p99 = readable.seconds(told["response"]["p99"])

    page, text = templates.as_html(report), templates.as_markdown(report)
    row = next(cells for cells in tables(page) if cells[0] == "writer")
    assert row[1] == readable.rate(told["achieved_rate"])
    assert row[3] == readable.count(told["ok"])
    assert row[9] == p99
    line = next(line for line in text.splitlines() if line.startswith("| writer |"))
    assert [cell.strip() for cell in line.split("|")][1:-1] == row
    given = json.loads(data.as_json(report))
    assert next(one for one in given["pools"] if one["name"] == "writer")["response"] == told["response"]

    lines = list(csv.DictReader(io.StringIO(tabular.intervals(finished))))
    assert len(lines) == sum(len(rows) for rows in finished.pools.values())
    mine = [line for line in lines if line["pool"] == "writer"]
    assert [float(line["p99"]) for line in mine] == [row["p99"] for row in finished.pools["writer"]]
    assert sum(int(line["rows_committed"] or 0) for line in lines) == sum(
        row["committed"] for row in finished.intervals
    )
    assert {line["target_up"] for line in lines} >= {"1.0", "0.0"}
    buckets = list(csv.DictReader(io.StringIO(tabular.buckets(finished))))
    assert (
        sum(int(one["count"]) for one in buckets if (one["pool"], one["time"]) == ("writer", "response"))
        == 100
    )
    assert all(float(one["from_seconds"]) < float(one["to_seconds"]) for one in buckets)


class Cells(HTMLParser):
    """Collects the rows of all tables."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        self._open = tag == "td"
        if self._open:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def tables(page: str) -> list[list[str]]:
    parser = Cells()
    parser.feed(page)
    return [row for row in parser.rows if row]


def test_the_page_has_the_verdict_first_and_needs_nothing_else(finished: Record) -> None:
    report = content(finished)
    page = templates.as_html(report)
    assert len(page) < 1_000_000
    parts = ("thresholds", "figures", "findings", "spikes", "time", "distributions", "environment")
    order = [page.index(f'id="{name}"') for name in parts]
    assert order == sorted(order)
    assert page.index("<h1>Failed</h1>") < order[0]
    assert "1 of 3 thresholds" not in page
    assert "2 of 3 thresholds hold." in page
    assert not re.search(r"<script|https?://|@import|url\(", page.replace("http://www.w3.org", ""))
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "COPY soakd.events &lt;FROM&gt; STDIN" in page
    assert page.count("<svg") >= 8
    spike = next(row for row in tables(page) if "planned event" in row[-1])
    assert spike[0].startswith("0:00:30")
    assert spike[2] == "writer"


def test_the_json_is_as_its_schema_says(finished: Record, tmp_path: Path) -> None:
    schema = json.loads(data.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for record in (finished, lived(tmp_path, seconds=8, end=False)):
        given = json.loads(data.as_json(content(record)))
        jsonschema.validate(given, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**given, "surprise": 1}, schema)


def test_junit_has_a_case_for_each_threshold_and_one_for_the_run(finished: Record) -> None:
    suite = ET.fromstring(junit.as_junit(content(finished)))  # noqa: S314 - our own text
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "4", "failures": "1", "skipped": "1",
    }  # fmt: skip
    failed = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["response.writer.p99 < 20ms"]


def test_markdown_is_not_broken_by_what_it_holds(finished: Record) -> None:
    text = templates.as_markdown(content(finished))
    assert text.startswith("# soakd run 20260921000000000: Failed\n")
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    for block in blocks:
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert r"STDIN \| x" in text


def test_the_head_says_what_to_change_first(finished: Record) -> None:
    report = content(finished)
    first = report.findings[0]
    assert first.weight != "note"
    assert report.reasons[-1] == f"To change first: {first.name} ({first.evidence})."
    assert not [said for said in content(loud_only(finished)).reasons if said.startswith("To change")]


def loud_only(record: Record) -> Record:
    """Return the run without anything to act on."""
    quiet = [{**row, "up": 1.0} for row in record.intervals]
    return record._replace(intervals=quiet, samples={}, events=[])


def test_the_bars_of_a_distribution_are_equally_wide_and_their_shares_add_up_to_one() -> None:
    histogram = Histogram.of(np.random.default_rng(1).lognormal(-5, 1, 20_000).tolist())
    shares = {x: y or 0.0 for x, y in charts._shares(histogram)}
    assert {round(later / earlier, 9) for earlier, later in pairwise(shares)} == {round(2 ** (1 / 8), 9)}
    assert sum(shares.values()) == pytest.approx(1.0)
    below = sum(share for x, share in shares.items() if x < histogram.quantile(0.5) / 2 ** (1 / 8))
    assert below < 0.5 < below + 2 * max(shares.values())


def test_other_workloads_and_databases_are_left_out_of_the_settings(tmp_path: Path) -> None:
    config = {"workload": "events", "events": {"limit": 50}, "ledger": {"mix": 1}, "sqlite": {"mmap_size": 0},
              "postgres": {"pool_size": 4}, "pools": {"writers": 3},
              "thresholds": ["errors.rate < 1%", "pg.deadlocks == 0"]}  # fmt: skip
    page = templates.as_markdown(content(lived(tmp_path, seconds=8, config=config)))
    told = re.findall(r"^\| settings \| (\S+) \|", page, re.MULTILINE)
    assert told == ["events.limit", "pools.writers", "sqlite.mmap_size", "thresholds", "workload"]
    assert "errors.rate \\< 1%; pg.deadlocks == 0 |" in page


def test_a_long_run_is_a_small_page(tmp_path: Path) -> None:
    """Charts have a bounded number of points, and the greatest of those left out is not lost."""
    record = lived(tmp_path, seconds=30, end=False)
    row = record.pools["writer"][-1]
    many = [
        {**row, "at": n * 1000, "p99": 9.0 if n == 7_777 else 0.01, "worst_p99": 0.01} for n in range(20_000)
    ]
    whole = {**record.intervals[-1]}
    longer = record._replace(
        pools={"writer": many}, intervals=[{**whole, "at": n * 1000} for n in range(20_000)]
    )
    page = templates.as_html(content(longer))
    assert len(page) < 1_000_000
    assert "10.0s" in page  # the axis reaches up to the spike


# ---- the query lab


def test_what_the_query_lab_found_is_in_every_form(finished: Record) -> None:
    report = content(finished._replace(query_test=lab(slow=("mean", "p95"))))
    given = json.loads(data.as_json(report))
    jsonschema.validate(given, json.loads(data.SCHEMA.read_text()))
    assert given["query_test"]["queries"]["by_owner"]["p95"] == 0.012
    page, text = templates.as_html(report), templates.as_markdown(report)
    expected = ["by_owner", "20", "2", "10.0ms", "10.0ms", "12.0ms", "20.0ms", "20.0ms", "slow", "mean, p95"]
    assert expected in tables(page)
    assert f"| {' | '.join(expected)} |" in text.replace("\\_", "_")
    assert "SELECT &lt;x&gt; FROM wallets" in page
    assert "missing index of wallets (owner): CREATE INDEX ON wallets (owner)" in text
    finding = next(found for found in report.findings if found.name == "slow queries")
    assert finding.evidence == (
        "1 of 1 are slow alone: by_owner (p95 12.0ms); missing: CREATE INDEX ON wallets (owner)"
    )
    without = content(finished)
    assert 'id="queries"' not in templates.as_html(without)
    assert "Queries one by one" not in templates.as_markdown(without)


def test_a_run_has_the_newest_query_test_of_its_target_until_the_next_run_of_it(tmp_path: Path) -> None:
    """One of another workload is none, and what was found after a later run belongs to that one."""
    first, second = STARTED, STARTED + 1000
    made = [(STARTED - 50, "events", "old"), (STARTED + 500, "events", "between"),
            (STARTED + 600, "ledger", "other"), (STARTED + 2000, "events", "new")]  # fmt: skip
    file = tmp_path / "history.db"
    with open_to_write(file) as db:
        for started, run_id in ((first, "1"), (second, "2")):
            Scribe(db, beginning(run_id, started=started), sample_interval=1.0)
    for created, workload, server in made:
        when = datetime.fromtimestamp(created, UTC).isoformat()
        history_lab.keep(file, {**lab(created=when), "workload": workload, "server": server})
    servers = [(loaded(tmp_path, name).query_test or {})["server"] for name in ("1", "2")]
    assert servers == ["between", "new"]
    with open_to_write(file) as db:
        (row,) = db.query("SELECT * FROM queries_one_by_one WHERE workload = 'ledger'")
    assert (row["query"], row["mean_ms"], row["slow"]) == ("by_owner", 10.0, 0)


def test_a_bounded_number_of_query_tests_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_lab, "KEEP", 3)
    file = tmp_path / "history.db"
    for minute in range(5):
        history_lab.keep(file, lab(created=f"2026-09-21T00:0{minute}:00+00:00"))
    with open_to_write(file) as db:
        kept = [row["created"][11:16] for row in db.query("SELECT created FROM queries_one_by_one")]
    assert kept == ["00:02", "00:03", "00:04"]


FIGURES = {
    "achieved_rate": 47.5, "target_rate": 50.0, "error": 1, "timeout": 2,
    "response": {"p50": 0.001, "p95": 0.002, "p99": 0.003},
}  # fmt: skip
LOAD = {"seconds": 1.0, "pools": {"writer": {"rate": 47.5, "p99": 0.25, "max": 0.5}}}
EVENTS = [
    {"name": "index", "at_seconds": 4.0, "sql": "CREATE INDEX", "error": None, "seconds": 2.5,
     "before": LOAD, "during": {**LOAD, "pools": {}}, "after": LOAD},
    {"name": "hook", "at_seconds": 9.0, "shell": "exit 3", "error": "the phase was over before"},
]  # fmt: skip


def test_phases_and_planned_events_are_told_with_what_they_did(finished: Record) -> None:
    judged = [{"threshold": "errors.rate < 1%", "ok": True}, {"threshold": "rate.writer > 48", "ok": False}]
    phases = [
        {"name": "up", "seconds": 10.0, "complete": True, "pools": {"writer": FIGURES}, "thresholds": judged,
         "events": EVENTS},
        {"name": "down", "seconds": 3.0, "complete": False, "pools": {"writer": FIGURES}, "thresholds": [],
         "events": []},
    ]  # fmt: skip
    summary = {**(finished.run.summary or {}), "phases": phases}
    report = content(finished._replace(run=finished.run._replace(summary=summary)))
    page = tables(templates.as_html(report))
    assert ["up", "10.0s", "writer", "47.5", "50.0", "3", "1.00ms", "2.00ms", "3.00ms",
            "1 of 2 hold, rate.writer > 48"] in page  # fmt: skip
    assert ["down", "3.00s (cut off)", "writer"] in [row[:3] for row in page]
    assert ["up, 0:00:04", "index", "CREATE INDEX", "2.50s", "done", "writer 47.5/s, p99 250ms", "",
            "writer 47.5/s, p99 250ms"] in page  # fmt: skip
    assert ["up, 0:00:09", "hook", "exit 3", "–", "the phase was over before", "", "", ""] in page
    assert "| up, 0:00:04 | index | CREATE INDEX |" in templates.as_markdown(report)


# ---- spikes


def test_a_spike_is_found_where_it_was_and_by_how_much(tmp_path: Path) -> None:
    record = lived(tmp_path, slow=lambda second: {20: 8.0, 21: 5.0, 40: 3.0, 50: 1.5}.get(second, 1.0))
    found = spikes(record)
    assert [(spike.at, spike.seconds, spike.pool) for spike in found] == [
        (19.0, 2.0, "writer"),
        (39.0, 1.0, "writer"),
    ]
    assert found[0].times == pytest.approx(8, rel=0.1)
    assert found[0].p99 == max(row["p99"] for row in record.pools["writer"])
    assert not found[0].reasons


def test_at_most_ten_spikes_are_told_the_worst_first(tmp_path: Path) -> None:
    record = lived(
        tmp_path,
        seconds=80,
        slow=lambda second: 2.0 + second / 10 if second > 10 and second % 5 == 0 else 1.0,
    )
    found = spikes(record)
    assert len(found) == 10
    assert [spike.at for spike in found][:2] == [79.0, 74.0]


def test_a_standstill_is_a_spike_without_answers(tmp_path: Path) -> None:
    found = spikes(slowed(lived(tmp_path, seconds=30), "writer", {20: None, 21: None}))
    assert [(spike.at, spike.seconds, spike.p99) for spike in found] == [(20.0, 2.0, None)]


def test_a_standstill_and_the_late_answers_that_end_it_are_one(tmp_path: Path) -> None:
    """Nobody had an answer from the 18th second on, and writers had theirs, 4 s late, in the 22nd."""
    record = lived(tmp_path, seconds=30, slow=lambda second: 400.0 if second == 22 else 1.0)
    silent = slowed(record, "reader", dict.fromkeys(range(18, 22)))
    (spike,) = spikes(slowed(silent, "writer", dict.fromkeys(range(18, 21))))
    assert (spike.at, spike.seconds) == (18.0, 4.0)


def slowed(record: Record, pool: str, times: Mapping[int, float | None]) -> Record:
    """Return a run in which a pool was slower by some times from seconds on, or had no answers: None."""

    def row(row: Mapping[str, Any]) -> Mapping[str, Any]:
        factor = times.get(row["at"] // 1000, 1.0)
        if factor is None:
            return {**row, "ok": 0, "p99": None, "worst_p99": None}
        return {**row, "p99": row["p99"] * factor, "worst_p99": row["worst_p99"] * factor}

    return record._replace(pools={**record.pools, pool: [row(one) for one in record.pools[pool]]})


def test_a_standstill_is_one_spike_whatever_the_others_did_meanwhile(tmp_path: Path) -> None:
    record = lived(tmp_path, seconds=30)
    silent = slowed(record, "reader", dict.fromkeys(range(18, 25)))
    (spike,) = spikes(slowed(silent, "writer", {19: 9.0, 20: 3.0, 21: 9.0}))
    assert (spike.at, spike.seconds) == (18.0, 7.0)
    late = slowed(record, "reader", {**dict.fromkeys(range(18, 22)), 22: 8000.0})  # 4 s
    (spike,) = spikes(slowed(late, "writer", {20: 3.0}))
    assert (spike.at, spike.seconds) == (18.0, 5.0)


def test_ripples_between_two_spikes_do_not_make_one_of_them(tmp_path: Path) -> None:
    """Readers were a little slow every other second; writers were very slow at both ends of that."""
    record = slowed(lived(tmp_path, seconds=30), "reader", {12: 4.0, 13: 2.1, 14: 4.0})
    found = spikes(slowed(record, "writer", {10: 50.0, 16: 60.0}))
    assert [(spike.pool, spike.at, spike.seconds) for spike in found] == [
        ("writer", 14.0, 3.0),
        ("writer", 10.0, 4.0),
    ]


def test_ripples_that_rise_to_a_spike_are_not_of_it(tmp_path: Path) -> None:
    record = slowed(lived(tmp_path, seconds=30), "writer", {10: 2.2, 14: 2.6, 18: 50.0})
    found = spikes(slowed(record, "reader", {12: 2.4, 16: 2.8}))
    assert (found[0].at, found[0].seconds) == (16.0, 3.0)


Change = Callable[[Past], Sequence[Event] | None]
STAMP = STARTED + 30.4


def counting(
    *keys: tuple[str, ...], by: float = 1.0, usual: float = 0.0, collector: str = "postgres"
) -> Change:
    """Return what lets sampled counters grow in the bad second, and a little in others."""

    def change(past: Past) -> None:
        bad = past.at in (31.0, 32.0)
        for key in keys:
            past.samples.counters[key] = past.samples.counters.get(key, 0) + (by if bad else usual)
        past.sample(collector)

    return change


def showing(*pairs: tuple[tuple[str, ...], float], usual: float = 0.0, collector: str = "postgres") -> Change:
    """Return what lets sampled gauges have a value in the bad second."""

    def change(past: Past) -> None:
        for key, value in pairs:
            past.samples.gauges[key] = value if past.at in (31.0, 32.0) else usual
        past.sample(collector)

    return change


def lasting(metric: str, value: float, *labels: str, target: str = "engine") -> Change:
    """Return what lets a histogram count a long time in the bad second, and short ones in others."""

    def change(past: Past) -> None:
        where = past.engine if target == "engine" else past.samples
        histogram = where.histograms.setdefault((metric, *labels), Histogram())
        histogram.add(value if past.at == 31.0 else 0.0001)
        if target != "engine":
            past.sample(target)

    return change


def together(*changes: Change) -> Change:
    def change(past: Past) -> list[Event]:
        return [event for one in changes for event in (one(past) or ())]

    return change


def saying(kind: str, name: str, **details: Any) -> Change:
    return lambda past: [Event(30.5, kind, name, 0.2, details)] if past.at == 31.0 else []


def engine(key: tuple[str, ...], value: float, usual: float) -> Change:
    def change(past: Past) -> None:
        past.engine.gauges[key] = value if past.at == 31.0 else usual

    return change


def counted(*key: str, by: float) -> Change:
    return lambda past: past.count(*key, by=by if past.at == 31.0 else 0.0)


def vacuumed(past: Past) -> None:
    past.samples.gauges["soakd_pg_table_last_vacuum_timestamp_seconds", "events"] = (
        STAMP if past.at >= 31 else 5.0
    )


def busy_host(past: Past) -> None:
    if past.at in (31.0, 32.0):
        past.samples.counters[HOST_CPU, "user"] += 9.0


def checkpointed(past: Past) -> None:
    past.samples.counters["soakd_pg_checkpoints_total", "requested"] = float(past.at >= 31)
    past.sample("postgres")


def silent(past: Past) -> None:
    """The server takes no samples for some seconds."""
    if not 29.0 <= past.at <= 32.0:
        counting(("soakd_pg_transactions_total", "commit"), usual=5.0, by=5.0)(past)


def late(past: Past) -> None:
    """What was due was begun late, from some seconds before the bad one to the end of it."""
    lag = past.engine.histograms.setdefault(("soakd_schedule_lag_seconds", "writer"), Histogram())
    lag.add(0.2 if 25.0 <= past.at <= 31.0 else 0.0)


SQLITE_CHECKPOINT = together(
    counted("soakd_sqlite_checkpoints_total", "passive", "complete", by=1),
    lasting("soakd_sqlite_checkpoint_seconds", 0.15, "passive"),
)
WHEN: Mapping[str, Change] = {
    "outage": engine(("soakd_target_up",), 0.0, 1.0),
    "engine restart": counted("soakd_engine_restarts_total", "0", by=1),
    "planned event": saying("planned", "VACUUM (FREEZE)"),
    "lock chain": together(
        showing((("soakd_pg_blocked_sessions",), 12.0), (("soakd_pg_longest_block_seconds",), 0.9)),
        saying("note", "target.blocked", pid=4711, application_name="psql", state="idle in transaction"),
    ),
    "deadlock": counting(("soakd_pg_deadlocks_total",)),
    "checkpoint": checkpointed,
    "vacuum": vacuumed,
    "silent server": silent,
    "backlog": late,
    "temporary files": counting(("soakd_pg_temp_bytes_total",), by=1e6),
    "WAL": counting(("soakd_pg_wal_bytes_total",), by=9e6, usual=1e6),
    "server's disk": showing((("soakd_pg_waits", "IO", "DataFileRead"), 6.0)),
    "SQLite checkpoint": SQLITE_CHECKPOINT,
    "SQLite lock": lasting("soakd_sqlite_busy_wait_seconds", 0.12),
    "reads held back": counted("soakd_sqlite_reads_held_seconds_total", by=0.3),
    "steal": counting((HOST_CPU, "steal"), by=0.5, collector="host"),
    "CPU quota": counting(("soakd_host_cgroup_throttled_seconds_total",), by=0.4, collector="host"),
    "disk": counting((PRESSURE, "io", "some"), by=0.6, usual=0.01, collector="host"),
    "memory": counting((PRESSURE, "memory", "some"), by=0.2, collector="host"),
    "processor": busy_host,
    "generator": lasting("soakd_event_loop_lag_seconds", 0.1, "0"),
}  # fmt: skip


def spoilt(folder: Path, change: Change, **values: Any) -> Record:
    """Return a run with one bad second, the 31st, in which something else happened as well."""
    return lived(
        folder,
        slow=lambda second: 15.0 if second == 31 else 1.0,
        each=lambda past, _second: change(past),
        **values,
    )


@pytest.fixture(scope="module")
def spoilt_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Record]:
    """Gives the run that was spoilt by a cause."""
    return cache(lambda name: spoilt(tmp_path_factory.mktemp("spoilt"), WHEN[name], seconds=48))


@pytest.mark.parametrize("cause", [cause.name for cause in CAUSES])
def test_a_spike_is_explained_by_what_happened_then(spoilt_by: Callable[[str], Record], cause: str) -> None:
    (spike,) = spikes(spoilt_by(cause))
    assert cause in [reason.name for reason in spike.reasons], spike.reasons


def test_the_head_of_a_lock_chain_and_the_table_of_a_vacuum_are_named(tmp_path: Path) -> None:
    (spike,) = spikes(spoilt(tmp_path, together(WHEN["lock chain"], WHEN["vacuum"])))
    seen = {reason.name: reason.seen for reason in spike.reasons}
    assert seen["lock chain"] == (
        "12 sessions waited for locks, for 900ms at most; at the head session 4711 "
        "(psql, idle in transaction)"
    )
    assert seen["vacuum"] == "vacuum of events"


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_what_happened_at_another_time_explains_nothing(
    spoilt_by: Callable[[str], Record], cause: Any
) -> None:
    """The same thing happened, but the view is of a quiet second some time later."""
    record = spoilt_by(cause.name)
    assert cause.sees(Moment(View(record, 30_000, 31_000), 0.15))
    assert cause.sees(Moment(View(record, 46_000, 47_000), 0.15)) is None


# ---- findings


def facts(record: Record, **values: Any) -> Facts:
    usual = Facts(record, View.measured(record), {pool.name: pool for pool in pools(record)}, ())
    return usual._replace(**values)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A run of which there is nothing to say."""
    folder = tmp_path_factory.mktemp("calm")
    past = Past()
    past.ops("writer", 100, 0.01)
    past.ops("reader", 100, 0.0005)
    end = Ending(70.0, "duration", "passed", summarized(past.engine), past.engine, {})
    return lived(folder, seconds=70, end=end)


def test_nothing_is_said_of_a_calm_run(calm: Record) -> None:
    assert findings(facts(calm)) == []
    assert spikes(calm) == []


def test_no_share_is_more_than_all(calm: Record) -> None:
    """Engines judge themselves in stretches that may be longer than what was measured."""
    said = [finding.evidence for finding in findings(facts(changed(calm, limited_seconds=1.1)))]
    assert any("bottleneck for 100 % of the time" in words for words in said)


def sampled(record: Record, **values: float) -> Record:
    """Return the run with other samples: a value throughout, by name with two underscores for the point."""
    series = {
        name.replace("__", "."): [{"at": 5000, "length": 65_000, "value": value, "peak": None}]
        for name, value in values.items()
    }
    return record._replace(samples={**record.samples, **series})


def summed(record: Record, **values: Any) -> Record:
    return record._replace(run=record.run._replace(summary={**(record.run.summary or {}), **values}))


def changed(record: Record, **values: Any) -> Record:
    return record._replace(intervals=[{**row, **values} for row in record.intervals])


def happened(record: Record, kind: str, name: str, **details: Any) -> Record:
    event = {"at": 9000, "length": 0, "kind": kind, "name": name, "details": details}
    return record._replace(events=[*record.events, event])


def pool_with(record: Record, **values: Any) -> Facts:
    made = facts(record)
    return made._replace(pools={"writer": made.pools["writer"]._replace(**values)})


def batches(record: Record) -> Facts:
    """Return a run in which writers wait for the time-out."""
    flushes = {
        "by_reason": {"timeout": {"ok": 99, "error": 0}, "size": {"ok": 1, "error": 0}},
        "rows": {"mean": 10.0},
    }
    made = facts(summed(record, flushes=flushes))
    writer = made.pools["writer"]
    times = {
        "response": Histogram.of([0.011]),
        "wait": Histogram.of([0.0105]),
        "service": Histogram.of([0.0005]),
    }
    return made._replace(pools={"writer": writer._replace(times=times)})


def lab(*, created: str = "2026-09-21T00:00:30+00:00", slow: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report of a query test of one query, as `soakd query-test --report` writes it."""
    index = {"table": "wallets", "columns": ["owner"], "statement": "CREATE INDEX ON wallets (owner)"}
    plan = {
        "statement": "SELECT <x> FROM wallets WHERE owner = ?",
        "parameters": ["7"],
        "plan": ["SCAN wallets"],
        "missing_indexes": [index],
    }
    query = {
        "count": 20, "mean": 0.01, "stddev": 0.0, "min": 0.01, "p50": 0.01, "p90": 0.01, "p95": 0.012,
        "p99": 0.02, "max": 0.02, "rows": {"total": 40, "mean": 2.0, "min": 2, "max": 2}, "errors": {},
        "failure": "", "slow": list(slow), "plans": [plan] if slow else [],
    }  # fmt: skip
    return {
        "report": "query-test", "version": 1, "created": created, "target": "sqlite:///soakd.db",
        "workload": "events", "server": "SQLite 3.54.1", "dataset": None, "records": {"wallets": 9},
        "iterations": 20, "warmup": 10, "writers": 0, "slow_seconds": 0.005, "queries": {"by_owner": query},
        "write_load": None, "comparison": None,
    }  # fmt: skip


OUTCOMES = {"ok": 1000, "rejected": 0, "error": 0, "timeout": 0, "dropped": 0}
FIRES: Mapping[str, Callable[[Record], Facts]] = {
    "data loss": lambda r: facts(summed(r, rows={"lost": 3})),
    "interrupted": lambda r: facts(r._replace(run=r.run._replace(state="interrupted"))),
    "outage": lambda r: facts(changed(r, up=0.0)),
    "engine died": lambda r: facts(happened(r, "restart", "engine 0", times=2)),
    "rate not reached": lambda r: pool_with(r, target=500.0, rate=400.0),
    "operations dropped": lambda r: pool_with(r, outcomes={**OUTCOMES, "dropped": 7}),
    "errors": lambda r: pool_with(r, outcomes={**OUTCOMES, "error": 7}),
    "generator limited": lambda r: facts(changed(r, limited_seconds=0.5)),
    "queue full": lambda r: facts(sampled(r, queue__full=20.0)),
    "queue nearly full": lambda r: facts(changed(r, queue_rows=9000)),
    "batch.timeout is the limit": batches,
    "connections exhausted": lambda r: facts(sampled(r, pool__usage=0.95, pool__waiting=4.0)),
    "processors in use": lambda r: facts(sampled(r, host__cpu=0.95)),
    "steal": lambda r: facts(sampled(r, host__steal=0.08)),
    "CPU quota": lambda r: facts(sampled(r, host__throttled=0.05)),
    "disk is waited for": lambda r: facts(sampled(r, host__pressure_io=0.3)),
    "slow fsync": lambda r: facts(sampled(r, host__fsync=0.2)),
    "memory is short": lambda r: facts(sampled(r, host__pressure_memory=0.05)),
    "disk nearly full": lambda r: facts(sampled(r, host__disk_free=0.05)),
    "lock waits": lambda r: facts(sampled(r, pg__blocked=3.0, pg__longest_block=0.5)),
    "deadlocks": lambda r: facts(sampled(r, pg__deadlocks=2.0)),
    "old transaction": lambda r: facts(sampled(r, pg__oldest_transaction=300.0)),
    "shared buffers too small": lambda r: facts(sampled(r, pg__cache_hit=0.8)),
    "page cache too small": lambda r: facts(sampled(r, sqlite__cache_hit=0.8)),
    "temporary files": lambda r: facts(sampled(r, pg__temp=1e6)),
    "checkpoints by size": lambda r: facts(sampled(r, pg__checkpoints_requested=5.0)),
    "WAL buffers full": lambda r: facts(sampled(r, pg__wal_buffers_full=50.0)),
    "slow queries": lambda r: facts(r._replace(query_test=lab(slow=("p95",)))),
    "dead rows": lambda r: facts(sampled(r, pg__dead_rows=0.4)),
    "sessions nearly exhausted": lambda r: facts(sampled(r, pg__sessions=0.9)),
    "WAL cannot begin anew": lambda r: facts(sampled(r, sqlite__wal_share=2.0, sqlite__oldest_reader=90.0)),
    "other writers": lambda r: facts(sampled(r, sqlite__busy_longest=0.5)),
    "checkpoints take long": lambda r: facts(sampled(r, sqlite__checkpoint_time=0.3)),
    "spikes without a cause": lambda r: facts(r, spikes=[Spike(1.0, 1.0, "writer", 1.0, 9.0, ())] * 4),
    "no samples": lambda r: facts(happened(r, "note", "sampler.off", collector="host", reason="no /proc")),
    "short run": lambda r: facts(r, view=View(r, 5000, 30_000)),
}  # fmt: skip
NEARLY: Mapping[str, Callable[[Record], Facts]] = {
    "data loss": lambda r: facts(summed(r, rows={"lost": 0})),
    "interrupted": lambda r: facts(r._replace(run=r.run._replace(state="failed"))),
    "rate not reached": lambda r: pool_with(r, target=500.0, rate=496.0),
    "operations dropped": lambda r: pool_with(r, outcomes=OUTCOMES),
    "errors": lambda r: pool_with(r, outcomes={**OUTCOMES, "ok": 100_000, "error": 7}),
    "generator limited": lambda r: facts(changed(r, limited_seconds=0.05)),
    "queue nearly full": lambda r: facts(changed(r, queue_rows=7900)),
    "batch.timeout is the limit": lambda r: batches(r)._replace(
        pools={"writer": batches(r).pools["writer"]._replace(target=100.0)}
    ),
    "connections exhausted": lambda r: facts(sampled(r, pool__usage=0.95, pool__waiting=0.0)),
    "processors in use": lambda r: facts(sampled(r, host__cpu=0.8)),
    "steal": lambda r: facts(sampled(r, host__steal=0.04)),
    "slow fsync": lambda r: facts(sampled(r, host__fsync=0.04)),
    "disk nearly full": lambda r: facts(sampled(r, host__disk_free=0.2)),
    "lock waits": lambda r: facts(sampled(r, pg__blocked=3.0, pg__longest_block=0.01)),
    "old transaction": lambda r: facts(sampled(r, pg__oldest_transaction=30.0)),
    "shared buffers too small": lambda r: facts(sampled(r, pg__cache_hit=0.97)),
    "page cache too small": lambda r: facts(sampled(r, sqlite__cache_hit=0.97)),
    "temporary files": lambda r: facts(sampled(r, pg__temp=10.0)),
    "checkpoints by size": lambda r: facts(
        sampled(r, pg__checkpoints_requested=2.0, pg__checkpoints_timed=5.0)
    ),
    "WAL buffers full": lambda r: facts(sampled(r, pg__wal_buffers_full=0.5)),
    "slow queries": lambda r: facts(r._replace(query_test=lab())),
    "dead rows": lambda r: facts(sampled(r, pg__dead_rows=0.1)),
    "sessions nearly exhausted": lambda r: facts(sampled(r, pg__sessions=0.5)),
    "WAL cannot begin anew": lambda r: facts(sampled(r, sqlite__wal_share=1.0)),
    "other writers": lambda r: facts(sampled(r, sqlite__busy_longest=0.01)),
    "checkpoints take long": lambda r: facts(sampled(r, sqlite__checkpoint_time=0.05)),
    "spikes without a cause": lambda r: facts(
        r, spikes=[Spike(1.0, 1.0, "writer", 1.0, 9.0, (Reason("disk", "slow"),))] * 4
    ),
    "short run": lambda r: facts(r, view=View(r, 5000, 70_000)),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_fires_when_it_should_and_says_what_it_saw(calm: Record, rule: Any) -> None:
    assert rule.evidence(facts(calm)) is None
    fired = [finding for finding in findings(FIRES[rule.name](calm)) if finding.name == rule.name]
    assert [finding.change for finding in fired] == [rule.change]
    assert fired[0].evidence
    if rule.name in NEARLY:
        assert rule.evidence(NEARLY[rule.name](calm)) is None


def test_what_matters_most_stands_first(calm: Record) -> None:
    record = sampled(happened(calm, "restart", "engine 0"), pg__cache_hit=0.5, host__steal=0.2)
    assert [finding.weight for finding in findings(facts(record))] == ["critical", "warning", "note"]


# ---- the page in a browser


def browser() -> str:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )
    if found is None:
        pytest.skip("no Chromium")
    return found


def test_a_browser_shows_the_page_without_a_complaint(finished: Record, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(templates.as_html(content(finished)))
    done = subprocess.run(
        [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr
    assert "<h1>Failed</h1>" in done.stdout
    assert isinstance(content(finished), Report)
    assert isinstance(content(finished).pools[0], Figures)
