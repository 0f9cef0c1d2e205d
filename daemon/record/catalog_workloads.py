"""The metrics of what a workload does beside its operations: consumers, canaries and invariants."""

from collections.abc import Mapping

from daemon.record.metric import Metric

WORKLOADS: Mapping[str, Metric] = {
    "soakd_consumer_rows_total": Metric(
        "counter", ("consumer",), "Rows of its stream that it has processed."
    ),
    "soakd_consumer_errors_total": Metric(
        "counter", ("consumer", "class"), "Failed steps of a consumer by class of error."
    ),
    "soakd_consumer_lag_rows": Metric("gauge", ("consumer",), "Rows that it has not processed yet."),
    "soakd_consumer_lag_seconds": Metric(
        "gauge", ("consumer",), "Age of the oldest row that it has not processed yet; 0: there is none."
    ),
    "soakd_invariant_checks_total": Metric(
        "counter", ("invariant", "result"), "Checks by what came of them: ok, violated, timeout, error."
    ),
    "soakd_invariant_violations": Metric(
        "gauge", ("invariant",), "Violations that the latest finished check has found."
    ),
    "soakd_canary_visible_seconds": Metric(
        "histogram", (), "From a canary row being accepted to being visible to a reader."
    ),
    "soakd_canaries_lost_total": Metric(
        "counter", (), "Canary rows that no reader has seen within 60 s, or before the end."
    ),
}
