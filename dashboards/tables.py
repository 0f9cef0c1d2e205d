"""What the dashboard of PostgreSQL says of tables and statements."""

from dashboards.panels import WARN, Lines, Query, Row, Table, limit
from dashboards.promql import highest, rate, total

NONE = "no PostgreSQL run"
DEAD = 'state="dead"'
STATEMENT = "statement, queryid"
# A table that was never vacuumed has the time 0.
VACUUMED = f"({highest('soakd_pg_table_last_vacuum_timestamp_seconds', by='table')} > 0)"

TABLES = Row(
    "Do the tables stay healthy?",
    (
        Lines(
            "Does VACUUM keep up?",
            "Estimated dead rows of soakd's tables. They should fall back again and again.",
            "short",
            (Query(total("soakd_pg_table_rows", DEAD, by="table"), "dead in {{table}} · {{instance}}"),),
            width=6,
            none=NONE,
        ),
        Lines(
            "When was the last one?",
            "Time since the last VACUUM, manual or automatic.",
            "s",
            (Query(f"time() - {VACUUMED}", "{{table}} · {{instance}}"),),
            width=6,
            none="no VACUUM so far",
        ),
        Lines(
            "How large do they get?",
            "Tables, their indexes, and the whole database. Indexes that outgrow their table are bloated.",
            "bytes",
            (
                Query(total("soakd_pg_table_bytes"), "tables · {{instance}}", "blue"),
                Query(total("soakd_pg_index_bytes"), "indexes · {{instance}}", "purple"),
                limit(highest("soakd_pg_database_bytes"), "database · {{instance}}"),
            ),
            width=6,
            none=NONE,
        ),
        Lines(
            "Are indexes used?",
            "Scans per second of soakd's tables. Every read of soakd has its index: seq should stay at 0.",
            "ops",
            (
                Query(
                    rate("soakd_pg_table_scans_total", by="table, kind"), "{{kind}} {{table}} · {{instance}}"
                ),
            ),
            colours={"seq": WARN, "index": "blue"},
            width=6,
            none=NONE,
        ),
    ),
)

MORE = Row(
    "Which statements cost most, and what else?",
    (
        Table(
            "Which statements take the time?",
            "Of those that take the most since the server's start: seconds of execution per second, "
            "executions and rows per second. Needs pg_stat_statements.",
            (
                ("time per second", "s", rate("soakd_pg_statement_seconds_total", by=STATEMENT)),
                ("calls per second", "ops", rate("soakd_pg_statement_calls_total", by=STATEMENT)),
                ("rows per second", "rowsps", rate("soakd_pg_statement_rows_total", by=STATEMENT)),
            ),
            keys={"instance": "instance", "statement": "statement", "queryid": "query id"},
            width=12,
            none="needs pg_stat_statements",
        ),
        Lines(
            "Do queries spill to disk?",
            "Bytes per second in temporary files: sorts and hashes beyond work_mem.",
            "binBps",
            (Query(rate("soakd_pg_temp_bytes_total"), "temporary files · {{instance}}", WARN),),
            width=6,
            none=NONE,
        ),
        Lines(
            "Do replicas keep up?",
            "WAL that the slowest standby has not replayed yet.",
            "bytes",
            (Query(highest("soakd_pg_replication_lag_bytes"), "not replayed · {{instance}}", "blue"),),
            width=6,
            none="no replicas",
        ),
    ),
    folded=True,
)
