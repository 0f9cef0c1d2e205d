"""Every metric that soakd exports: name, kind, labels and meaning, in one table."""

from collections.abc import Iterable, Mapping, Sequence

from daemon.record.catalog_samples import HOST, POSTGRES, SAMPLERS, SQLITE
from daemon.record.catalog_workloads import WORKLOADS
from daemon.record.metric import Metric

METRICS: Mapping[str, Metric] = {
    "soakd_ops_total": Metric("counter", ("pool", "op", "outcome"), "Operations by outcome."),
    "soakd_op_errors_total": Metric(
        "counter", ("pool", "op", "class"), "Failed operations by class of error."
    ),
    "soakd_ops_dropped_total": Metric(
        "counter",
        ("pool", "reason"),
        "Intended operations that never ran or were cut off: backlog, outage, queue_full, stopping, aborted.",
    ),
    "soakd_ops_due_total": Metric(
        "counter", ("pool",), "Operations that schedules asked for; on average, while all workers are late."
    ),
    "soakd_op_response_seconds": Metric(
        "histogram", ("pool", "op"), "From the intended time to the end: what a user would have waited."
    ),
    "soakd_op_service_seconds": Metric(
        "histogram", ("pool", "op"), "From being taken up by the database to the end, COMMIT included."
    ),
    "soakd_op_queue_wait_seconds": Metric(
        "histogram",
        ("pool", "op"),
        "From dispatch to being taken up by the database: batch queue, pool or lane.",
    ),
    "soakd_schedule_lag_seconds": Metric("histogram", ("pool",), "How late operations were dispatched."),
    "soakd_ops_in_flight": Metric("gauge", ("pool",), "Operations under way."),
    "soakd_workers": Metric("gauge", ("pool",), "Workers running."),
    "soakd_target_ops_per_second": Metric("gauge", ("pool",), "Rate asked for; 0 in a closed loop."),
    "soakd_rows_total": Metric(
        "counter", ("outcome",), "Rows by what became of them; accepted is the sum of the others."
    ),
    "soakd_rows_in_doubt_total": Metric(
        "counter", (), "Rows whose COMMIT got no answer and was never settled."
    ),
    "soakd_flushes_total": Metric("counter", ("reason", "outcome"), "Batches by what triggered them."),
    "soakd_flush_rows": Metric("histogram", (), "Rows in a batch."),
    "soakd_flush_seconds": Metric(
        "histogram", (), "Time to write a batch, COMMIT included, retries excluded."
    ),
    "soakd_commit_seconds": Metric("histogram", (), "Time of a batch's COMMIT alone."),
    "soakd_batch_queue_rows": Metric("gauge", (), "Rows waiting to be written."),
    "soakd_batch_queue_capacity_rows": Metric("gauge", (), "Rows that may wait at most."),
    "soakd_batch_queue_utilization_ratio": Metric("gauge", (), "Rows waiting by rows that may wait, 0 to 1."),
    "soakd_batch_size_limit_rows": Metric("gauge", (), "Configured batch size."),
    "soakd_batch_timeout_seconds": Metric("gauge", (), "Configured batch timeout; 0 is group commit."),
    "soakd_queue_full_total": Metric("counter", ("action",), "Rows that met a full queue, by what was done."),
    "soakd_retries_total": Metric("counter", ("class",), "Work tried again, by class of error."),
    "soakd_pool_connections": Metric("gauge", ("pool", "state"), "Connections, or lanes, by state."),
    "soakd_event_loop_lag_seconds": Metric("histogram", ("shard",), "How late the engine's own timers fire."),
    "soakd_engine_cpu_ratio": Metric("gauge", ("shard",), "CPU seconds the engine uses per second."),
    "soakd_engine_rss_bytes": Metric("gauge", ("shard",), "Resident memory of the engine."),
    "soakd_engine_restarts_total": Metric("counter", ("shard",), "Engines that died and were replaced."),
    "soakd_engine_gap_seconds_total": Metric(
        "counter", ("shard",), "Time without load between a death and its replacement."
    ),
    "soakd_generator_limited": Metric(
        "gauge", ("shard",), "1 while the engine, not the database, is the bottleneck."
    ),
    "soakd_generator_limited_seconds_total": Metric(
        "counter", ("shard",), "Time during which the engine, not the database, was the bottleneck."
    ),
    "soakd_supervisor_rss_bytes": Metric("gauge", (), "Resident memory of the supervisor."),
    "soakd_target_up": Metric("gauge", (), "1 while the database answers."),
    "soakd_target_outages_total": Metric(
        "counter", (), "Times that the database did not answer; the present one is counted as it begins."
    ),
    "soakd_target_outage_seconds_total": Metric(
        "counter", (), "Time in which the database did not answer, however short: no scrape has to see it."
    ),
    "soakd_state": Metric("gauge", (), "How the target is: 0 healthy, 1 stressed, 2 overloaded."),
    "soakd_threshold_ok": Metric(
        "gauge", ("threshold",), "0 while a threshold is failed, 1 while it is met or cannot be judged yet."
    ),
    "soakd_run_phase": Metric("gauge", ("phase",), "1 for the phase that the run is in."),
    "soakd_build_info": Metric("gauge", ("version", "python"), "Versions in use; always 1."),
    "soakd_run_info": Metric("gauge", ("run_id", "backend", "workload"), "What is being run; always 1."),
    **SAMPLERS,
    **POSTGRES,
    **SQLITE,
    **HOST,
    **WORKLOADS,
}

# Counted by each engine for itself; an outage that several have seen is one.
OUTAGES = ("soakd_target_outages_total", "soakd_target_outage_seconds_total")
# Closed sets of label values; the pools, operations, outcomes and error classes stand in `ops` and `errors`.
ROW_OUTCOMES = ("accepted", "committed", "failed", "abandoned")
FLUSH_REASONS = ("size", "timeout", "group", "drain")
FLUSH_OUTCOMES = ("ok", "error")
QUEUE_FULL_ACTIONS = ("blocked", "dropped")
DROP_REASONS = ("backlog", "outage", "queue_full", "stopping", "aborted")
CONNECTION_STATES = ("busy", "idle", "waiting")
CHECKPOINT_MODES = ("passive", "restart")
CHECKPOINT_RESULTS = ("complete", "partial", "busy", "failed")
CACHE_EVENTS = ("hit", "miss", "write", "spill")
PHASES = ("preparing", "warming up", "running", "draining", "finished")

LATENCY_BOUNDS: Sequence[float] = (
    0.00005, 0.0001, 0.00015, 0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.0025, 0.005, 0.0075, 0.01, 0.015,
    0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Prometheus bucket bounds of every latency histogram, s."""


def latency_bounds(further: Iterable[float]) -> Sequence[float]:
    """Return the bounds of the latency histograms and further ones, s: what is asked about is an edge."""
    return sorted({*LATENCY_BOUNDS, *(bound for bound in further if bound > 0)})


def row_bounds(batch_size: int) -> Sequence[float]:
    """Return the bucket bounds of `soakd_flush_rows`: powers of two and the batch size itself."""
    powers = {float(2**n) for n in range(18) if 2**n < 2 * batch_size}
    return sorted(powers | {float(batch_size)})
