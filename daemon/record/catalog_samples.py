"""The metrics that are sampled beside the load: what the database and the host do under it."""

from collections.abc import Mapping

from daemon.record.metric import Metric

SAMPLERS: Mapping[str, Metric] = {
    "soakd_sampler_runs_total": Metric(
        "counter",
        ("collector", "outcome"),
        "Samples taken: ok, error, or skipped because it is switched off.",
    ),
    "soakd_sampler_seconds_total": Metric("counter", ("collector",), "Time spent on taking samples."),
    "soakd_sampler_last_success_timestamp_seconds": Metric(
        "gauge", ("collector",), "When the last sample was taken, seconds since the Unix epoch."
    ),
    "soakd_sampler_enabled": Metric(
        "gauge", ("collector",), "0 while a collector that keeps failing is switched off."
    ),
}

POSTGRES: Mapping[str, Metric] = {
    "soakd_pg_info": Metric(
        "gauge", ("version", "settings"), "Server and fingerprint of its settings; always 1."
    ),
    "soakd_pg_sessions": Metric(
        "gauge", ("state",), "Client sessions: active, idle, idle in transaction, the same (aborted), other."
    ),
    "soakd_pg_sessions_limit": Metric("gauge", (), "Sessions that the server allows (max_connections)."),
    "soakd_pg_waits": Metric(
        "gauge", ("type", "event"), "Active sessions by what they wait for; CPU are those that do not wait."
    ),
    "soakd_pg_oldest_transaction_seconds": Metric("gauge", (), "Age of the oldest open transaction."),
    "soakd_pg_oldest_xmin_transactions": Metric(
        "gauge", (), "Transactions since the oldest snapshot that VACUUM must respect."
    ),
    "soakd_pg_locks": Metric("gauge", ("mode", "granted"), "Locks in the database, held and waited for."),
    "soakd_pg_blocked_sessions": Metric("gauge", (), "Sessions that wait for a lock of another one."),
    "soakd_pg_blocking_heads": Metric(
        "gauge", ("state",), "Sessions that block others and wait for nobody: heads of lock chains, by state."
    ),
    "soakd_pg_longest_block_seconds": Metric(
        "gauge", (), "Longest time that a session has waited for a lock."
    ),
    "soakd_pg_deadlocks_total": Metric("counter", (), "Deadlocks that the server has ended."),
    "soakd_pg_transactions_total": Metric(
        "counter", ("outcome",), "Transactions of the database: commit, rollback."
    ),
    "soakd_pg_blocks_total": Metric(
        "counter", ("source",), "Blocks asked for: hit in shared buffers, or read."
    ),
    "soakd_pg_cache_hit_ratio": Metric(
        "gauge", (), "Share of blocks found in shared buffers since the sample before."
    ),
    "soakd_pg_rows_total": Metric(
        "counter", ("action",), "Rows returned, fetched, inserted, updated, deleted."
    ),
    "soakd_pg_temp_files_total": Metric("counter", (), "Temporary files written by queries."),
    "soakd_pg_temp_bytes_total": Metric("counter", (), "Bytes in temporary files."),
    "soakd_pg_io_seconds_total": Metric(
        "counter", ("direction",), "Time of block reads and writes; needs track_io_timing."
    ),
    "soakd_pg_io_timing": Metric("gauge", (), "1 where track_io_timing is on."),
    "soakd_pg_wal_bytes_total": Metric("counter", (), "WAL written."),
    "soakd_pg_wal_records_total": Metric("counter", (), "WAL records written (PostgreSQL 14 and newer)."),
    "soakd_pg_wal_full_page_images_total": Metric(
        "counter", (), "Full pages written to the WAL after checkpoints (PostgreSQL 14 and newer)."
    ),
    "soakd_pg_wal_buffers_full_total": Metric(
        "counter", (), "WAL writes because the WAL buffers were full (PostgreSQL 14 and newer)."
    ),
    "soakd_pg_checkpoints_total": Metric("counter", ("kind",), "Checkpoints: timed, requested."),
    "soakd_pg_checkpoint_seconds_total": Metric("counter", ("phase",), "Time of checkpoints: write, sync."),
    "soakd_pg_checkpoint_blocks_total": Metric("counter", (), "Blocks written by checkpoints."),
    "soakd_pg_autovacuum_workers": Metric("gauge", (), "Autovacuum workers that run now."),
    "soakd_pg_table_rows": Metric(
        "gauge", ("table", "state"), "Estimated rows of soakd's tables: live, dead."
    ),
    "soakd_pg_table_last_vacuum_timestamp_seconds": Metric(
        "gauge", ("table",), "Last VACUUM, manual or automatic, seconds since the Unix epoch; 0 for never."
    ),
    "soakd_pg_table_scans_total": Metric(
        "counter", ("table", "kind"), "Scans of soakd's tables: seq, index."
    ),
    "soakd_pg_table_bytes": Metric("gauge", ("table",), "Size of soakd's tables, indexes excluded."),
    "soakd_pg_index_bytes": Metric("gauge", ("table", "index"), "Size of the indexes of soakd's tables."),
    "soakd_pg_index_scans_total": Metric(
        "counter", ("table", "index"), "Scans of the indexes of soakd's tables."
    ),
    "soakd_pg_database_bytes": Metric("gauge", (), "Size of the database."),
    "soakd_pg_wraparound_age_transactions": Metric(
        "gauge",
        (),
        "Transactions since the oldest unfrozen one of any database; the server stops near 2 billion.",
    ),
    "soakd_pg_freeze_max_age_transactions": Metric(
        "gauge", (), "Age at which autovacuum freezes whatever the load (autovacuum_freeze_max_age)."
    ),
    "soakd_pg_replicas": Metric("gauge", (), "Standby servers that stream from this one."),
    "soakd_pg_replication_lag_bytes": Metric("gauge", (), "WAL that the slowest replica has not replayed."),
    "soakd_pg_replication_lag_seconds": Metric("gauge", (), "Replay lag of the slowest replica."),
    "soakd_pg_statement_calls_total": Metric(
        "counter", ("statement", "queryid"), "Executions of the statements that take the most time."
    ),
    "soakd_pg_statement_seconds_total": Metric(
        "counter", ("statement", "queryid"), "Execution time of the statements that take the most."
    ),
    "soakd_pg_statement_rows_total": Metric(
        "counter", ("statement", "queryid"), "Rows of the statements that take the most time."
    ),
}

SQLITE: Mapping[str, Metric] = {
    "soakd_sqlite_wal_bytes": Metric("gauge", (), "Size of the WAL file."),
    "soakd_sqlite_wal_limit_bytes": Metric("gauge", (), "Size above which soakd has the WAL started over."),
    "soakd_sqlite_wal_frames": Metric("gauge", (), "Frames in the WAL since it last began anew."),
    "soakd_sqlite_wal_checkpointed_frames": Metric(
        "gauge", (), "Frames of the WAL that have been copied into the database file."
    ),
    "soakd_sqlite_checkpoints_total": Metric(
        "counter",
        ("mode", "result"),
        "Checkpoints: passive, restart; complete, partial (a reader stood in the way), busy, failed.",
    ),
    "soakd_sqlite_checkpoint_seconds": Metric("histogram", ("mode",), "Duration of checkpoints."),
    "soakd_sqlite_reads_held_seconds_total": Metric(
        "counter", (), "Time in which new reads were held back so that the WAL could start over."
    ),
    "soakd_sqlite_database_bytes": Metric("gauge", (), "Size of the database file."),
    "soakd_sqlite_page_size_bytes": Metric("gauge", (), "Size of a page."),
    "soakd_sqlite_pages": Metric(
        "gauge", ("state",), "Pages of the database file: used, free (on the freelist)."
    ),
    "soakd_sqlite_cache_total": Metric(
        "counter", ("pool", "event"), "Page cache: hit, miss, write, spill, by the lane's pool."
    ),
    "soakd_sqlite_cache_bytes": Metric("gauge", ("pool",), "Memory of the page caches."),
    "soakd_sqlite_busy_wait_seconds": Metric(
        "histogram", (), "Time waited for a lock of another connection."
    ),
    "soakd_sqlite_oldest_reader_seconds": Metric(
        "gauge",
        (),
        "Age of the oldest read transaction of soakd's own, which keeps the WAL from starting over.",
    ),
    "soakd_sqlite_pinned_reader": Metric(
        "gauge", (), "1 while sqlite.pinned_reader holds a read transaction open."
    ),
}

HOST: Mapping[str, Metric] = {
    "soakd_host_cpus": Metric("gauge", (), "Processors of the generator's machine."),
    "soakd_host_cpu_seconds_total": Metric(
        "counter",
        ("mode",),
        "CPU time of the generator's machine: user, nice, system, idle, iowait, irq, softirq, steal.",
    ),
    "soakd_host_load": Metric("gauge", ("window",), "Load average: 1m, 5m, 15m."),
    "soakd_host_memory_bytes": Metric(
        "gauge", ("kind",), "Memory of the generator's machine: total, available, cached, swap_used."
    ),
    "soakd_host_pressure_seconds_total": Metric(
        "counter",
        ("resource", "kind"),
        "Time in which some or all tasks waited for cpu, io or memory (PSI).",
    ),
    "soakd_host_disk_bytes_total": Metric(
        "counter", ("direction",), "Bytes read from and written to the data disk."
    ),
    "soakd_host_disk_operations_total": Metric("counter", ("direction",), "Operations of the data disk."),
    "soakd_host_disk_operation_seconds_total": Metric(
        "counter", ("direction",), "Time of the data disk's operations, waiting included."
    ),
    "soakd_host_disk_busy_seconds_total": Metric(
        "counter", (), "Time in which the data disk had work to do."
    ),
    "soakd_host_disk_free_bytes": Metric("gauge", (), "Free space where the data are."),
    "soakd_host_disk_size_bytes": Metric("gauge", (), "Size of the file system where the data are."),
    "soakd_host_network_bytes_total": Metric(
        "counter", ("direction",), "Bytes received and transmitted, loopback excluded."
    ),
    "soakd_host_fsync_seconds": Metric(
        "histogram", (), "Time to write and fsync 4 KiB in the data folder, tried now and then."
    ),
    "soakd_host_cgroup_cpu_limit_cores": Metric("gauge", (), "CPU quota of soakd's cgroup; 0 for none."),
    "soakd_host_cgroup_throttled_seconds_total": Metric(
        "counter", (), "Time in which the quota held soakd back."
    ),
    "soakd_host_cgroup_throttled_periods_total": Metric(
        "counter", (), "Periods in which the quota was used up."
    ),
    "soakd_host_cgroup_memory_bytes": Metric("gauge", (), "Memory charged to soakd's cgroup."),
    "soakd_host_cgroup_memory_limit_bytes": Metric(
        "gauge", (), "Memory limit of soakd's cgroup; 0 for none."
    ),
    "soakd_process_open_fds": Metric("gauge", ("process",), "Open file descriptors: supervisor, engine."),
    "soakd_process_threads": Metric("gauge", ("process",), "Threads: supervisor, engine."),
}
