"""A plain run on either database: it tells the truth about itself, in the summary and at /metrics."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client.parser import text_string_to_metric_families

from daemon.record.catalog import METRICS
from daemon.record.catalog_samples import HOST, POSTGRES, SQLITE
from daemon.record.catalog_workloads import WORKLOADS
from tests.e2e.conftest import Start
from tests.e2e.process import (
    LATE,
    SLOW_STEP,
    Answer,
    Samples,
    balanced,
    command,
    eventually,
    get,
    samples,
    settings,
    total,
)
from tests.servers import free_port

SUMMARY_KEYS = {
    "run_id", "soakd_version", "target", "workload", "config", "started_at", "duration_seconds",
    "stop_reason", "ops", "pools", "schedule_lag", "rows", "flushes", "durability", "generator_limited",
    "environment", "thresholds", "state",
}  # fmt: skip
OP_KEYS = {
    "pool", "ok", "rejected", "error", "timeout", "dropped", "rate", "errors", "response", "service",
    "queue_wait",
}  # fmt: skip
# What a plain run cannot show; each has a test of its own that makes what it takes.
NEEDS_A_STANDBY = {"soakd_pg_replication_lag_bytes", "soakd_pg_replication_lag_seconds"}
NEEDS_THE_EXTENSION = {name for name in POSTGRES if name.startswith("soakd_pg_statement_")}
OTHERS = {name for name in WORKLOADS if not name.startswith("soakd_invariant_")}  # `events` has none
EXPECTED = {
    "sqlite": METRICS.keys() - POSTGRES.keys() - HOST.keys() - OTHERS,
    "postgresql": METRICS.keys()
    - SQLITE.keys()
    - HOST.keys()
    - OTHERS
    - NEEDS_A_STANDBY
    - NEEDS_THE_EXTENSION,
}
STATISTICS = {"p50", "p90", "p95", "p99", "p999", "max", "mean"}


def test_a_run_ends_with_a_full_summary_and_books_that_verify_confirms(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    run = soakd(
        "--target", target, "--duration", "2s", "--listen", f"127.0.0.1:{port}",
        "--log-interval", "500ms", "--sample-interval", "300ms", "--threshold", "errors.rate < 1%",
        "--set", "events.reads.level_counts=50",  # one read of a hundred could be none of them
    )  # fmt: skip
    assert run.url == url
    ready = eventually(
        lambda: answer if (answer := get(f"{url}/readyz")) and answer.status == 200 else None, 5, "ready"
    )
    assert ready.text == "ok\n"
    page = ""
    while run.process.poll() is None:
        answer = get(f"{url}/metrics")
        page = answer.text if answer and answer.status == 200 else page
        time.sleep(SLOW_STEP)
    assert run.wait() == 0, run.stderr
    assert run.stderr == ""

    summary = run.summary
    assert summary.keys() >= SUMMARY_KEYS
    for name, op in summary["ops"].items():
        assert op.keys() >= OP_KEYS
        assert (op["ok"] > 0) == (name != "search")  # only made when it is asked for
        assert op["errors"] == {}
        for times in ("response", "service", "queue_wait"):
            assert op[times].keys() >= STATISTICS
            assert op[times]["count"] == op["ok"]
    assert summary["stop_reason"] == "duration"
    assert 2.0 <= summary["duration_seconds"] < 2.0 + LATE
    rows = summary["rows"]
    assert balanced(rows)
    assert rows["committed"] == rows["accepted"] == summary["ops"]["append"]["ok"]
    finished = run.events("run.finished")[0]
    assert {key: finished[key] for key in summary} == summary
    assert len(run.events("run.progress")) >= 2

    settings = summary["environment"]["server_settings"]
    assert settings["max_connections"] if target.startswith("postgresql") else settings is None

    confirmed = command(tmp_path, "verify", "--target", target, "--json")
    assert confirmed.returncode == 0, confirmed.stderr
    checks = json.loads(confirmed.stdout)["checks"]
    assert [check["stored"] for check in checks] == [rows["committed"]]
    assert [check["account"]["accepted"] for check in checks] == [rows["accepted"]]
    promtool_approves(page)
    found = samples(page)
    assert {frozenset(key): value for key, value in found.items()} == as_the_library_sees_it(page)
    assert_complete(found, EXPECTED[target.partition(":")[0]])
    assert total(found, "soakd_rows_total", "outcome=committed") <= rows["committed"]
    assert total(found, "soakd_rows_total", "outcome=committed") >= 0.5 * rows["committed"]


def as_the_library_sees_it(page: str) -> dict[frozenset[str], float]:
    """Return the samples of a page by name and labels."""
    return {
        frozenset((one.name, *(f"{label}={text}" for label, text in one.labels.items()))): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


def promtool_approves(page: str) -> None:
    """Have Prometheus' own tool look for mistakes; without it this part is left out."""
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_last_figures_at_metrics_are_those_of_the_summary(soakd: Start, database: str) -> None:
    """A lock on the accounts holds the end of the run back, so that there is time to look."""
    run = soakd(
        "--target", database, "--duration", "1s", "--sample-interval", "200ms",
        "--threshold", "errors.rate < 1%",
    ).started()  # fmt: skip
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE soakd.accounts IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: None if run.engines else True, 20, "the end of the engines")
        not_ready = get(f"{run.url}/readyz")
        # the server publishes its counters with a delay
        page = eventually(lambda: with_ratio(get(f"{run.url}/metrics")), 20, "a share of cached blocks")
    assert not_ready is not None
    assert (not_ready.status, not_ready.text.strip()) == (503, "draining")
    assert run.wait() == 0, run.stderr
    shown = samples(page.text)
    assert_same_figures(shown, run.summary)
    assert_complete(shown, EXPECTED["postgresql"])


def test_every_metric_of_sqlite_has_a_value(soakd: Start, tmp_path: Path) -> None:
    """Checkpoints, waits, held reads, a pinned reader: a run with a tiny WAL has them all."""
    run = soakd(
        "--target", f"sqlite:///{tmp_path}/load.db", "--duration", "0", "--threshold", "errors.rate < 1%",
        *settings(sqlite__checkpoint_pages=10, sqlite__wal_limit="64KiB", sqlite__pinned_reader="300ms"),
    ).started()  # fmt: skip
    moved: set[str] = set()

    def all_moved(found: Samples) -> bool:
        moved.update(name for name in SQLITE if total(found, name) or total(found, f"{name}_count"))
        return moved == SQLITE.keys()

    assert_complete(run.reaches(all_moved, "every metric of SQLite above 0"), EXPECTED["sqlite"])
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr
    for name in ("reader.pinned", "reader.released"):
        assert run.events(name)[0]["shard"] == 0


def with_ratio(page: Answer | None) -> Answer | None:
    """Return a page that has the last of the sampled figures to appear, else None."""
    return page if page and "soakd_pg_cache_hit_ratio" in page.text else None


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


def assert_complete(shown: Samples, expected: AbstractSet[str]) -> None:
    """Every metric that this run can have has a sample, no other has, and what must move has moved.

    What the host can tell depends on it; tests of their own read recorded ones.
    """
    names = {re.sub("_(count|sum|bucket)$", "", key[0]) for key in shown}
    assert names - HOST.keys() == expected
    assert names >= {"soakd_host_cpu_seconds_total", "soakd_host_load", "soakd_process_threads"}
    for name in expected - SQLITE.keys():
        if METRICS[name].kind == "histogram":
            assert total(shown, f"{name}_count") > 0, name
    for name in ("soakd_engine_rss_bytes", "soakd_supervisor_rss_bytes", "soakd_target_up", "soakd_run_info"):
        assert total(shown, name) > 0, name
