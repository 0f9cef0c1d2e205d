"""The table of metrics: Prometheus' naming rules, closed label sets, and no name outside the table."""

import ast
import re
from pathlib import Path

from daemon.record.catalog import LATENCY_BOUNDS, METRICS
from daemon.record.catalog_samples import POSTGRES, SAMPLERS, SQLITE
from tests.each import for_each

SOURCE = Path(__file__).parent.parent / "daemon"
UNITS = ("seconds", "rows", "bytes", "ratio", "info", "transactions")
# Counts of things that are their own unit.
UNITLESS_GAUGES = {
    "soakd_ops_in_flight",
    "soakd_workers",
    "soakd_target_ops_per_second",
    "soakd_pool_connections",
    "soakd_generator_limited",
    "soakd_target_up",
    "soakd_run_phase",
    "soakd_state",
    "soakd_threshold_ok",
    "soakd_sqlite_wal_frames",
    "soakd_sqlite_wal_checkpointed_frames",
    "soakd_sqlite_pages",
    "soakd_sqlite_pinned_reader",
    "soakd_host_cpus",
    "soakd_host_load",
    "soakd_host_cgroup_cpu_limit_cores",
    "soakd_process_open_fds",
    "soakd_process_threads",
    "soakd_sampler_enabled",
    "soakd_pg_sessions",
    "soakd_pg_sessions_limit",
    "soakd_pg_waits",
    "soakd_pg_locks",
    "soakd_pg_blocked_sessions",
    "soakd_pg_blocking_heads",
    "soakd_pg_io_timing",
    "soakd_pg_autovacuum_workers",
    "soakd_pg_replicas",
    "soakd_invariant_violations",
}
# The names that dashboards and checks outside the repository rely on, with their labels.
CONTRACT = {
    "soakd_ops_total": ("pool", "op", "outcome"),
    "soakd_op_errors_total": ("pool", "op", "class"),
    "soakd_op_response_seconds": ("pool", "op"),
    "soakd_op_service_seconds": ("pool", "op"),
    "soakd_op_queue_wait_seconds": ("pool", "op"),
    "soakd_schedule_lag_seconds": ("pool",),
    "soakd_ops_in_flight": ("pool",),
    "soakd_workers": ("pool",),
    "soakd_target_ops_per_second": ("pool",),
    "soakd_rows_total": ("outcome",),
    "soakd_flushes_total": ("reason", "outcome"),
    "soakd_flush_rows": (),
    "soakd_flush_seconds": (),
    "soakd_commit_seconds": (),
    "soakd_batch_queue_rows": (),
    "soakd_batch_queue_capacity_rows": (),
    "soakd_batch_queue_utilization_ratio": (),
    "soakd_batch_size_limit_rows": (),
    "soakd_batch_timeout_seconds": (),
    "soakd_queue_full_total": ("action",),
    "soakd_retries_total": ("class",),
    "soakd_pool_connections": ("pool", "state"),
    "soakd_event_loop_lag_seconds": ("shard",),
    "soakd_engine_cpu_ratio": ("shard",),
    "soakd_engine_rss_bytes": ("shard",),
    "soakd_generator_limited": ("shard",),
    "soakd_invariant_checks_total": ("invariant", "result"),
    "soakd_invariant_violations": ("invariant",),
}
LOOKS_LIKE_A_METRIC = re.compile(
    r"soakd_(pg|sqlite|host|sampler)_[a-z_]+"
    r"|soakd_[a-z_]+_(total|seconds|rows|bytes|ratio|info|limited|up|phase|violations)"
)


@for_each(METRICS)
def test_a_name_has_the_prefix_and_ends_in_its_unit(name: str) -> None:
    """Counters end in _total, everything else in a base unit."""
    metric = METRICS[name]
    assert re.fullmatch(r"soakd_[a-z]+(_[a-z]+)*", name)
    assert name.endswith("_total") == (metric.kind == "counter")
    if metric.kind != "counter" and name not in UNITLESS_GAUGES:
        assert name.endswith(UNITS)


@for_each(METRICS)
def test_labels_are_names_and_never_what_prometheus_keeps_for_itself(name: str) -> None:
    labels = METRICS[name].labels
    assert len(set(labels)) == len(labels) <= 3
    assert not set(labels) & {"le", "quantile", "job", "instance"}
    assert all(re.fullmatch(r"[a-z_]+", label) for label in labels)


@for_each(METRICS)
def test_the_help_is_one_sentence(name: str) -> None:
    text = METRICS[name].help
    assert text.endswith(".")
    assert "\n" not in text
    assert 10 <= len(text) <= 110


@for_each(CONTRACT)
def test_a_promised_metric_keeps_its_name_and_labels(name: str) -> None:
    """Renaming one breaks dashboards that nobody here can see."""
    assert METRICS[name].labels == CONTRACT[name]


@for_each(
    # a table of metrics may be ahead of what is exported
    sorted(path for path in SOURCE.rglob("*.py") if not path.name.startswith("catalog")),
    lambda path: str(path.relative_to(SOURCE)),
)
def test_no_module_uses_a_metric_that_is_not_in_the_table(path: Path) -> None:
    """A figure under another name would be counted and never exported."""
    text = path.read_text(encoding="utf-8")
    if "soakd_" not in text:
        return
    strings = {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    used = {text for text in strings if LOOKS_LIKE_A_METRIC.fullmatch(text)}
    assert used <= {*METRICS, *SAMPLERS, *POSTGRES, *SQLITE}


def test_the_usual_latency_thresholds_are_bucket_bounds() -> None:
    """A threshold that is no bound cannot be read off a histogram."""
    assert {0.05, 0.1, 0.2, 0.5, 1.0, 2.0} <= set(LATENCY_BOUNDS)
