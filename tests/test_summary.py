"""The summary: its numbers are those that were recorded, and its table says what they mean."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from daemon.ops import OpSpec
from daemon.record.histogram import Histogram
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Snapshot
from daemon.results import readable
from daemon.results.environment import environment
from daemon.results.summary import PoolPlan, RunFacts, build_summary, statistics, target_met
from daemon.results.table import summary_table, verdict_lines

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"), OpSpec("newest", "reader"))
ROWS = {"accepted": 1000, "committed": 1000, "failed": 0, "abandoned": 0, "in_doubt": 0}
SERVICE = np.linspace(0.001, 0.1, 1000)


def recorded() -> Snapshot:
    """A thousand writes of 1 to 100 ms that waited 10 ms, in 10 s; reads with errors."""
    recorder = OpRecorder(OPS)
    for n, service in enumerate(SERVICE):
        begun = n * 0.01
        recorder.ok(0, begun, begun + 0.002, begun + 0.01, begun + 0.01 + float(service))
    for _ in range(30):
        recorder.ok(1, 1.0, 1.0, 1.0, 1.004)
    recorder.rejected(1, 1.0, 1.0, 1.0, 1.004)
    for name in ("connection", "connection", "busy"):
        recorder.failure(1, name, 1.0, 1.0, 1.0, 1.0)
    recorder.failure(2, "timeout", 1.0, 1.0, 1.0, 3.0)
    recorder.drop(1, "backlog")
    for _ in range(10):
        recorder.flush("size", "ok", 100, 0.05, 0.02)
    recorder.flush("timeout", "error", 7, 0.0, 0.0)
    recorder.count("soakd_retries_total", "connection")
    recorder.count("soakd_queue_full_total", "blocked")
    snapshot = recorder.snapshot()
    snapshot.histograms["soakd_event_loop_lag_seconds", "0"] = Histogram.of([0.001, 0.002])
    return snapshot


def summarize(
    snapshot: Snapshot | None = None,
    *,
    pools: Mapping[str, PoolPlan] | None = None,
    rows: Mapping[str, int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "run_id": "20261120120000000",
        "soakd_version": "0.1.0",
        "target": "sqlite:///soakd.db",
        "workload": "events",
        "config": {"duration": "10s"},
        "started_at": 1_790_000_000.0,
        "duration": 10.0,
        "stop_reason": "duration reached",
        "durability": "synchronous=NORMAL: a power cut may lose the last commits",
        "generator_limited": False,
        "environment": {"python": "3.11"},
    }
    return build_summary(
        facts=RunFacts(**{**given, **(facts or {})}),
        snapshot=recorded() if snapshot is None else snapshot,
        timely=recorded() if snapshot is None else snapshot,
        ops=OPS,
        pools=pools or {"writer": PoolPlan(10), "reader": PoolPlan(5)},
        rows=rows or ROWS,
    )


def test_rates_are_made_from_what_was_done_in_time() -> None:
    """What the drain still finished is counted, but in no rate: its time is not in the duration."""
    final = recorded()
    facts = RunFacts(
        "1", "0", "null://", "events", {}, 0.0, 10.0, "duration", "", generator_limited=False, environment={}
    )
    summary = build_summary(
        facts=facts,
        snapshot=final,
        timely=Snapshot({key: value / 2 for key, value in final.counters.items()}),
        ops=OPS,
        pools={"writer": PoolPlan(10), "reader": PoolPlan(5)},
        rows=ROWS,
    )
    append = summary["ops"]["append"]
    assert append["ok"] > 0
    assert append["rate"] == append["ok"] // 2 / 10.0


def test_the_table_tells_the_verdict_of_each_threshold_and_the_time_in_each_state() -> None:
    summary = summarize()
    summary["state"] = {
        "level": "stressed", "rules": [{"rule": "errors"}],
        "healthy_seconds": 50.2, "stressed_seconds": 9.8, "overloaded_seconds": 0.0,
    }  # fmt: skip
    summary["thresholds"] = [
        {"verdict": "fail", "threshold": "errors.rate < 1%", "found": "2.3 %", "ok": False}
    ]
    text = shown(summary)
    assert "fail: errors.rate < 1% (2.3 %)" in text
    assert "healthy 50 s · stressed 10 s; at the end stressed by errors" in text


def shown(summary: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(summary_table(summary))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_has_the_keys_that_others_rely_on() -> None:
    """Names are a contract with whoever reads the file."""
    summary = summarize()
    assert {
        "run_id", "soakd_version", "target", "workload", "config", "started_at", "duration_seconds",
        "stop_reason", "ops", "pools", "schedule_lag", "rows", "flushes", "durability", "generator_limited",
        "environment",
    } <= summary.keys()  # fmt: skip
    for op in summary["ops"].values():
        assert {
            "pool", "ok", "rejected", "error", "timeout", "dropped", "rate", "errors", "response", "service",
            "queue_wait",
        } <= op.keys()  # fmt: skip
        for times in ("response", "service", "queue_wait"):
            assert {"p50", "p90", "p95", "p99", "p999", "max", "mean"} <= op[times].keys()
    assert summary["started_at"] == "2026-09-21T14:13:20.000+00:00"


def test_operations_are_counted_by_outcome_and_class() -> None:
    """Every one that was recorded is found again."""
    ops = summarize()["ops"]
    outcomes = ("ok", "rejected", "error", "timeout", "dropped")
    assert [ops["append"][name] for name in outcomes] == [1000, 0, 0, 0, 0]
    assert [ops["by_key"][name] for name in outcomes] == [30, 1, 3, 0, 1]
    assert [ops["newest"][name] for name in outcomes] == [0, 0, 0, 1, 0]
    assert ops["by_key"]["errors"] == {"connection": 2, "busy": 1}
    assert ops["append"]["rate"] == 100.0


def test_times_are_those_that_were_recorded() -> None:
    """Percentiles are right to 1 %, maximum and mean exactly; the waiting is in the response time."""
    op = summarize()["ops"]["append"]
    for name, q in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9)):
        assert op["service"][name] == pytest.approx(np.percentile(SERVICE, q), rel=0.01)
        assert op["response"][name] == pytest.approx(np.percentile(SERVICE, q) + 0.01, rel=0.01)
    assert op["service"]["max"] == pytest.approx(0.1)
    assert op["service"]["mean"] == pytest.approx(SERVICE.mean())
    assert op["queue_wait"]["p50"] == pytest.approx(0.008, rel=0.01)


def test_pools_add_up_their_operations() -> None:
    """And say which loop their numbers come from."""
    summary = summarize()
    reader = summary["pools"]["reader"]
    assert (reader["ok"], reader["rejected"], reader["error"], reader["timeout"]) == (30, 1, 3, 1)
    assert reader["dropped_by_reason"] == {"backlog": 1}
    assert reader["achieved_rate"] == pytest.approx(3.1)
    assert reader["response"]["count"] == 32
    assert (reader["loop"], reader["target_rate"], reader["target_met"]) == ("closed", None, None)
    assert summary["schedule_lag"]["writer"]["p99"] == pytest.approx(0.002, rel=0.01)


def test_a_pool_without_workers_is_left_out_with_its_operations() -> None:
    """A table of zeros would say that reads took no time."""
    summary = summarize(pools={"writer": PoolPlan(10), "reader": PoolPlan(0)})
    assert list(summary["pools"]) == ["writer"]
    assert list(summary["ops"]) == ["append"]


def test_flushes_are_told_by_reason_with_their_sizes_and_times() -> None:
    """COMMIT alone, too."""
    flushes = summarize()["flushes"]
    assert (flushes["ok"], flushes["error"]) == (10, 1)
    assert flushes["by_reason"] == {"size": {"ok": 10, "error": 0}, "timeout": {"ok": 0, "error": 1}}
    assert (flushes["rows"]["p50"], flushes["rows"]["mean"]) == (100, 100)
    assert flushes["seconds"]["p50"] == pytest.approx(0.05, rel=0.01)
    assert flushes["commit"]["max"] == pytest.approx(0.02)
    assert (flushes["retries"], flushes["queue_full"]) == ({"connection": 1}, {"blocked": 1})


def test_a_run_in_which_nothing_happened_is_plain_json_all_the_same() -> None:
    """No infinity, no division by zero; percentiles of nothing are null and not 0."""
    summary = summarize(Snapshot(), facts={"duration": 0.0})
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["ops"]["append"]["response"]["p99"] is None
    assert "append" not in shown(summary)


def test_a_full_summary_is_plain_json() -> None:
    """It is written to a file and to the log."""
    summary = summarize()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


@pytest.mark.parametrize(
    ("arrivals", "answered", "met"),
    [
        ("constant", 10_000, True),
        ("constant", 9_900, True),
        ("constant", 9_898, False),
        ("constant", 10_101, True),
        ("constant", 10_102, False),
        ("poisson", 9_700, True),
        ("poisson", 9_500, False),
    ],
)
def test_a_target_rate_is_met_within_one_per_cent(arrivals: str, answered: int, *, met: bool) -> None:
    """Chance is allowed for where the number of arrivals is random."""
    assert target_met(PoolPlan(5, 1000.0, arrivals), answered, 10.0) is met


def test_a_missed_target_is_reported_in_words_and_as_data() -> None:
    """The writers were asked for 125/s and gave 100/s."""
    summary = summarize(pools={"writer": PoolPlan(10, 125.0), "reader": PoolPlan(0)})
    assert summary["pools"]["writer"]["target_met"] is False
    assert list(verdict_lines(summary)) == ["writer: rate target missed by 20 % (100/s of 125/s)"]


def test_what_spoils_the_figures_is_said_in_one_line_each() -> None:
    """Drops, rows that were not written, doubts, dead engines, a slow generator."""
    snapshot = recorded()
    snapshot.counters["soakd_engine_restarts_total", "0"] = 2
    snapshot.counters["soakd_engine_gap_seconds_total", "0"] = 1.5
    rows = {"accepted": 1000, "committed": 900, "failed": 10, "abandoned": 90, "in_doubt": 5}
    lines = "\n".join(verdict_lines(summarize(snapshot, rows=rows, facts={"generator_limited": True})))
    assert "reader: 1 operations were due and never ran (backlog 1)" in lines
    assert "100 accepted rows were not written (10 failed, 90 abandoned)" in lines
    assert "5 rows are in doubt" in lines
    assert "engine 0 died and was replaced 2×: 1.50s without its load" in lines
    assert "generator limited" in lines
    assert "add up" not in lines


def test_rows_that_do_not_add_up_are_never_passed_over() -> None:
    """The one equation that holds for every run."""
    lines = list(verdict_lines(summarize(rows={**ROWS, "committed": 999})))
    assert any("do not add up" in line for line in lines)


def test_a_clean_run_has_nothing_to_warn_of() -> None:
    recorder = OpRecorder(OPS)
    recorder.ok(0, 0.0, 0.0, 0.0, 0.001)
    assert list(verdict_lines(summarize(recorder.snapshot()))) == []


def test_the_table_shows_rates_percentiles_and_the_row_account() -> None:
    """What a reader looks for first."""
    text = shown(summarize())
    (line,) = [line for line in text.splitlines() if line.startswith("append")]
    assert line.split() == ["append", "1,000", "0", "100", "60.4ms", "105ms", "109ms", "110ms", "98.9ms"]
    assert "1,000 accepted = 1,000 committed + 0 failed + 0 abandoned" in text
    assert "closed loop, 10 workers: 100/s" in text
    assert "by_key: connection 2 · busy 1" in text
    assert "10 of 100 rows on average, by size 10 · timeout 1" in text


def test_rows_of_the_warm_up_are_told_from_figures_without_it() -> None:
    """The books are those of the whole run; a batch of the warm-up is not to be looked for elsewhere."""
    assert "warm-up" not in shown(summarize(facts={"config": {"warmup": "0"}}))
    lines = shown(summarize(facts={"config": {"warmup": "90s"}})).splitlines()
    (rows,) = [n for n, line in enumerate(lines) if line.startswith("rows")]
    assert lines[rows + 1].strip() == "with the warm-up of 90s, which all other figures leave out"


def test_eighty_columns_are_enough_for_large_numbers() -> None:
    """A run of weeks: nothing is cut off and no line of the table is folded."""
    snapshot = recorded()
    snapshot.counters["soakd_ops_total", "writer", "append", "ok"] = 98_765_432_109
    snapshot.counters["soakd_ops_total", "reader", "by_key", "ok"] = 987_654_321
    snapshot.counters["soakd_ops_total", "reader", "by_key", "error"] = 123_456
    text = shown(
        summarize(snapshot, facts={"duration": 250_000.0, "target": "postgresql://u:***@[::1]:5432/x"})
    )
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("append")]
    assert line.split()[:5] == ["append", "98,765", "M", "0", "395,062"]
    assert "[::1]" in text  # an address is not taken for markup


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0µs"),
        (0.0000005, "0.50µs"),
        (0.000085, "85.0µs"),
        (0.0009994, "999µs"),
        (0.0009996, "1.00ms"),
        (0.00123, "1.23ms"),
        (0.0123, "12.3ms"),
        (0.456, "456ms"),
        (0.9996, "1.00s"),
        (12.34, "12.3s"),
        (1234.0, "1234s"),
    ],
)
def test_times_are_short_and_have_a_unit(value: float | None, text: str) -> None:
    assert readable.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0:00:00"), (59.9, "0:00:59"), (3661, "1:01:01"), (200_000, "2d 7:33:20")]
)
def test_lengths_of_time_are_shown_as_on_a_clock(value: float, text: str) -> None:
    assert readable.clock_time(value) == text


def test_statistics_of_nothing_are_none() -> None:
    assert statistics(None) == statistics(Histogram())
    assert statistics(None)["count"] == 0
    assert statistics(None)["mean"] is None


def test_the_environment_names_versions_and_the_machine() -> None:
    """Two runs can only be compared when it is known what they ran on."""
    found = environment(sqlite_version="3.54.0", server_version=None)
    assert found["python"].startswith("CPython 3.")
    assert {"psycopg", "apsw", "numpy"} <= found["libraries"].keys()
    assert found["sqlite"] == "3.54.0"
    assert found["usable_cores"] >= 1
    assert found["memory_bytes"] > 2**20
    assert json.loads(json.dumps(found)) == found
