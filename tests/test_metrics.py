"""What /metrics says, line by line."""

import re
import shutil
import subprocess
from collections.abc import Collection

import pytest

from daemon.errors import UsageError
from daemon.observe.metrics import render, utilization, zeros
from daemon.ops import OpSpec
from daemon.record.catalog import LATENCY_BOUNDS, METRICS, row_bounds
from daemon.record.catalog_samples import HOST, POSTGRES, SAMPLERS, SQLITE
from daemon.record.catalog_workloads import WORKLOADS
from daemon.record.histogram import ROWS, Histogram
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Snapshot

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"), OpSpec("newest", "reader"))


def lines(snapshot: Snapshot, *, batch_size: int = 100) -> list[str]:
    text = render(snapshot, bounds=LATENCY_BOUNDS, row_bounds=row_bounds(batch_size))
    return text.decode().splitlines()


def running(backend: str = "sqlite") -> Snapshot:
    """A snapshot as the supervisor of a running daemon has it."""
    snapshot = zeros(OPS, 2, backend)
    recorder = OpRecorder(OPS)
    recorder.rows(0, [10.0, 10.001], [10.0, 10.002], 10.01, 10.02)
    recorder.ok(1, 10.0, 10.0, 10.001, 10.003)
    recorder.failure(1, "connection", 10.0, 10.0, 10.001, 10.003)
    recorder.flush("size", "ok", 100, 0.01, 0.004)
    snapshot.merge(recorder.snapshot())
    snapshot.merge(
        Snapshot(
            gauges={
                ("soakd_batch_queue_rows",): 25.0,
                ("soakd_batch_queue_capacity_rows",): 10_000.0,
                ("soakd_state",): 0.0,
                ("soakd_threshold_ok", "errors.rate < 1%"): 1.0,
                ("soakd_build_info", "1.0", "3.11"): 1.0,
                ("soakd_run_info", "r1", backend, "events"): 1.0,
            }
        )
    )
    snapshot.merge(sampled(backend))
    return snapshot


def sampled(backend: str) -> Snapshot:
    """A value for each metric that is sampled beside the load; the labels are their own values."""
    snapshot = Snapshot()
    for name, metric in {**SAMPLERS, **HOST, **(POSTGRES if backend == "postgres" else {})}.items():
        if metric.kind == "histogram":
            snapshot.histograms[name, *metric.labels] = Histogram()
        else:
            (snapshot.counters if metric.kind == "counter" else snapshot.gauges)[name, *metric.labels] = 1.0
    return snapshot


def test_recorded_operations_are_counted_by_outcome_and_class() -> None:
    """Each outcome has its own line, and an error has its class beside it."""
    shown = lines(running())
    assert 'soakd_ops_total{op="append",outcome="ok",pool="writer"} 2.0' in shown
    assert 'soakd_ops_total{op="by_key",outcome="ok",pool="reader"} 1.0' in shown
    assert 'soakd_ops_total{op="by_key",outcome="error",pool="reader"} 1.0' in shown
    assert 'soakd_op_errors_total{class="connection",op="by_key",pool="reader"} 1.0' in shown


def test_what_did_not_happen_is_zero_and_not_missing() -> None:
    """A first error must be an increase from 0: every combination of labels is there at the start."""
    shown = lines(zeros(OPS, 2, "sqlite"))
    assert 'soakd_ops_total{op="newest",outcome="timeout",pool="reader"} 0.0' in shown
    assert 'soakd_op_errors_total{class="deadlock",op="append",pool="writer"} 0.0' in shown
    assert 'soakd_rows_total{outcome="abandoned"} 0.0' in shown
    assert 'soakd_flushes_total{outcome="error",reason="timeout"} 0.0' in shown
    assert 'soakd_queue_full_total{action="blocked"} 0.0' in shown
    assert 'soakd_retries_total{class="busy"} 0.0' in shown
    assert "soakd_target_outages_total 0.0" in shown
    assert "soakd_target_outage_seconds_total 0.0" in shown
    assert 'soakd_ops_dropped_total{pool="writer",reason="backlog"} 0.0' in shown
    assert 'soakd_engine_restarts_total{shard="1"} 0.0' in shown
    assert 'soakd_op_response_seconds_count{op="newest",pool="reader"} 0.0' in shown
    assert 'soakd_sqlite_checkpoints_total{mode="restart",result="partial"} 0.0' in shown
    assert 'soakd_sqlite_cache_total{event="spill",pool="reader"} 0.0' in shown
    assert 'soakd_sqlite_checkpoint_seconds_count{mode="passive"} 0.0' in shown


def test_a_class_that_is_never_retried_has_no_retry_series() -> None:
    """A constraint violation is not tried again, so counting its retries would be noise."""
    assert not any('soakd_retries_total{class="constraint"' in line for line in lines(zeros(OPS, 1, "null")))


def test_a_histogram_has_cumulative_buckets_and_an_exact_sum() -> None:
    """Buckets count what is at most their bound; sum and count are not approximated."""
    snapshot = Snapshot(
        histograms={
            ("soakd_op_response_seconds", "reader", "by_key"): Histogram.of([0.0012, 0.003, 0.4, 99.0])
        }
    )
    shown = lines(snapshot)
    name = 'soakd_op_response_seconds_bucket{{le="{}",op="by_key",pool="reader"}} {}'
    for edge, expected in (("0.001", 0.0), ("0.0015", 1.0), ("0.005", 2.0), ("0.5", 3.0), ("60.0", 3.0)):
        assert name.format(edge, expected) in shown
    assert name.format("+Inf", 4.0) in shown
    assert 'soakd_op_response_seconds_sum{op="by_key",pool="reader"} 99.4042' in shown
    assert 'soakd_op_response_seconds_count{op="by_key",pool="reader"} 4.0' in shown


def test_the_configured_batch_size_is_a_bucket_of_its_own() -> None:
    """Rows of full batches are told apart from those of smaller ones, exactly."""
    batches = Histogram(ROWS)
    for rows in (99, 100, 100):
        batches.add(rows)
    shown = lines(Snapshot(histograms={("soakd_flush_rows",): batches}))
    assert 'soakd_flush_rows_bucket{le="64.0"} 0.0' in shown
    assert 'soakd_flush_rows_bucket{le="100.0"} 3.0' in shown
    assert "soakd_flush_rows_sum 299.0" in shown


def test_utilization_is_derived_from_rows_and_capacity() -> None:
    """It is the quotient of two gauges, and 0 where there is no queue."""
    assert "soakd_batch_queue_utilization_ratio 0.0025" in lines(running())
    assert utilization(Snapshot()) == 0


@pytest.mark.parametrize(
    ("backend", "others"), [("sqlite", POSTGRES), ("postgres", SQLITE), ("null", {**POSTGRES, **SQLITE})]
)
def test_every_family_of_the_catalogue_is_shown(backend: str, others: Collection[str]) -> None:
    """Nothing that dashboards may rely on is missing, and no zeros stand for what cannot be."""
    shown = {line.split()[2] for line in lines(running(backend)) if line.startswith("# TYPE")}
    assert shown == set(METRICS) - set(others) - set(WORKLOADS)


def test_no_creation_times_and_no_figures_of_the_process_are_shown() -> None:
    """Only soakd's own families are there."""
    names = {line.partition("{")[0].split()[0] for line in lines(running()) if not line.startswith("#")}
    assert not {name for name in names if name.endswith("_created") or not name.startswith("soakd_")}


def test_some_metrics_or_series_can_be_asked_for_alone() -> None:
    asked = ("soakd_rows_total", "soakd_flush_seconds_count", "soakd_batch_queue_utilization_ratio")
    text = render(running(), bounds=LATENCY_BOUNDS, row_bounds=row_bounds(100), names=asked).decode()
    whole = lines(running())
    wanted = re.compile(
        r"(# \w+ )?(soakd_rows_total|soakd_flush_seconds|soakd_batch_queue_utilization_ratio)\b"
    )
    series = re.compile(r"soakd_flush_seconds_(bucket|sum|count)\b")
    assert text.splitlines() == [line for line in whole if wanted.match(line) or series.match(line)]
    assert 10 < len(text.splitlines()) < len(whole) / 4


@pytest.mark.parametrize(
    "name",
    [
        "soakd_row_total",
        "up",
        "",
        "soakd_rows_total_count",
        "soakd_rows_total ",
        "x\r\n\x1b[2J\u202e",
        "x" * 9000,
    ],
)
def test_a_metric_that_is_not_there_is_no_empty_page(name: str) -> None:
    """Nor does it get to a terminal as it is."""
    with pytest.raises(UsageError, match=r"^name\[\]=[ -~]{0,200}: there is no such metric; [ -~]+$"):
        render(running(), bounds=LATENCY_BOUNDS, row_bounds=row_bounds(100), names=[name])


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_about() -> None:
    """Names, types, help texts and the format follow Prometheus' rules."""
    text = render(running(), bounds=LATENCY_BOUNDS, row_bounds=row_bounds(100))
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
