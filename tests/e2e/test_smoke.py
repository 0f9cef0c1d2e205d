"""A plain run on either database: it tells the truth about itself, in the summary and at /metrics."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from daemon.record.catalog import METRICS
from daemon.record.catalog_workloads import WORKLOADS
from tests.e2e.conftest import Start
from tests.e2e.process import (
    Samples,
    balanced,
    command,
    eventually,
    get,
    samples,
    total,
)
from tests.servers import free_port

SUMMARY_KEYS = {
    "run_id", "soakd_version", "target", "workload", "config", "started_at", "duration_seconds",
    "stop_reason", "ops", "pools", "schedule_lag", "rows", "flushes", "durability", "generator_limited",
    "environment",
}  # fmt: skip
OP_KEYS = {
    "pool", "ok", "rejected", "error", "timeout", "dropped", "rate", "errors", "response", "service",
    "queue_wait",
}  # fmt: skip
STATISTICS = {"p50", "p90", "p95", "p99", "p999", "max", "mean"}


def test_a_run_ends_with_a_full_summary_and_books_that_verify_confirms(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    run = soakd(
        "--target", target, "--duration", "1500ms", "--listen", f"127.0.0.1:{port}", "--log-interval", "500ms"
    )
    assert run.url == url
    ready = eventually(
        lambda: answer if (answer := get(f"{url}/readyz")) and answer.status == 200 else None, 5, "ready"
    )
    assert ready.text == "ok\n"
    page = ""
    while run.process.poll() is None:
        answer = get(f"{url}/metrics")
        page = answer.text if answer and answer.status == 200 else page
        time.sleep(0.02)
    assert run.wait() == 0, run.stderr
    assert run.stderr == ""

    summary = run.summary
    assert summary.keys() >= SUMMARY_KEYS
    for op in summary["ops"].values():
        assert op.keys() >= OP_KEYS
        assert op["ok"] > 0
        assert op["errors"] == {}
        for times in ("response", "service", "queue_wait"):
            assert op[times].keys() >= STATISTICS
            assert op[times]["count"] == op["ok"]
    assert summary["stop_reason"] == "duration"
    assert summary["duration_seconds"] == pytest.approx(1.5, abs=0.5)
    rows = summary["rows"]
    assert balanced(rows)
    assert rows["committed"] == rows["accepted"] == summary["ops"]["append"]["ok"]
    finished = run.events("run.finished")[0]
    assert {key: finished[key] for key in summary} == summary
    assert len(run.events("run.progress")) >= 2

    confirmed = command(tmp_path, "verify", "--target", target, "--json")
    assert confirmed.returncode == 0, confirmed.stderr
    checks = json.loads(confirmed.stdout)["checks"]
    assert [check["stored"] for check in checks] == [rows["committed"]]
    assert [check["account"]["accepted"] for check in checks] == [rows["accepted"]]
    promtool_approves(page)
    found = samples(page)
    assert total(found, "soakd_rows_total", "outcome=committed") <= rows["committed"]
    assert total(found, "soakd_rows_total", "outcome=committed") >= 0.5 * rows["committed"]


def promtool_approves(page: str) -> None:
    """Have Prometheus' own tool look for mistakes; without it this part is left out."""
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_last_figures_at_metrics_are_those_of_the_summary(soakd: Start, database: str) -> None:
    """A lock on the accounts holds the end of the run back, so that there is time to look."""
    run = soakd("--target", database, "--duration", "1s").started()
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE soakd.accounts IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: None if run.engines else True, 20, "the end of the engines")
        not_ready = get(f"{run.url}/readyz")
        page = get(f"{run.url}/metrics")
    assert not_ready is not None
    assert (not_ready.status, not_ready.text.strip()) == (503, "draining")
    assert run.wait() == 0, run.stderr
    assert page is not None
    shown = samples(page.text)
    assert_same_figures(shown, run.summary)
    assert_complete(shown)


def assert_same_figures(shown: Samples, summary: dict[str, Any]) -> None:
    """Compare the counters of the two reports of the same run."""
    for name, op in summary["ops"].items():
        of_op = (f"pool={op['pool']}", f"op={name}")
        for outcome in ("ok", "rejected", "error", "timeout", "dropped"):
            assert total(shown, "soakd_ops_total", *of_op, f"outcome={outcome}") == op[outcome]
        for times in ("response", "service", "queue_wait"):
            assert total(shown, f"soakd_op_{times}_seconds_count", *of_op) == op[times]["count"]
    for outcome in ("accepted", "committed", "failed", "abandoned"):
        assert total(shown, "soakd_rows_total", f"outcome={outcome}") == summary["rows"][outcome]
    assert total(shown, "soakd_flushes_total", "outcome=ok") == summary["flushes"]["ok"]
    assert total(shown, "soakd_flush_rows_sum") == summary["rows"]["committed"]
    lag = sum(lag["count"] for lag in summary["schedule_lag"].values())
    assert total(shown, "soakd_schedule_lag_seconds_count") == lag


def assert_complete(shown: Samples) -> None:
    """Every metric of the catalogue has a sample, and those that a run must move have moved.

    Those of consumers and invariants are another test's: `events` has none.
    """
    names = {key[0] for key in shown}
    for name, metric in METRICS.items():
        if name in WORKLOADS:
            continue
        assert f"{name}_count" in names if metric.kind == "histogram" else name in names, name
        if metric.kind == "histogram":
            assert total(shown, f"{name}_count") > 0, name
    for name in ("soakd_engine_rss_bytes", "soakd_supervisor_rss_bytes", "soakd_target_up", "soakd_run_info"):
        assert total(shown, name) > 0, name
