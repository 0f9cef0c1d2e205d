"""Metrics that are on no dashboard, and why."""

from collections.abc import Mapping

NOT_CHARTED: Mapping[str, str] = {
    "soakd_consumer_lag_rows": "the age of the oldest of them is charted, and does not depend on the rate",
    "soakd_host_cgroup_throttled_periods_total": "the time that the quota held soakd back says it in seconds",
    "soakd_ops_due_total": "the rate asked for is charted; thresholds compare answers with this one",
    "soakd_pg_checkpoint_blocks_total": "the time that checkpoints write and sync is what the load feels",
    "soakd_pg_replicas": "the panel of the replication lag has no data without replicas",
    "soakd_pg_replication_lag_seconds": "the lag in bytes is charted; this one grows in idle times too",
    "soakd_pg_temp_files_total": "their bytes are charted; many small files cost little",
    "soakd_target_outages_total": "the time that outages took is charted; an alert looks at their number",
}
