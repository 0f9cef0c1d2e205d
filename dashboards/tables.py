"""What the dashboard of PostgreSQL says of tables and statements."""

from dashboards.panels import WARN, Lines, Query, Row, Table
from dashboards.promql import highest, rate, total

NONE = "no PostgreSQL run"
DEAD = 'state="dead"'
STATEMENT, INDEX = "statement, queryid", "table, index"
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
            "Is VACUUM at work?",
            "Autovacuum workers that run now, in the whole server.",
            "short",
            (Query(highest("soakd_pg_autovacuum_workers"), "workers · {{instance}}", "blue"),),
            width=6,
            none=NONE,
        ),
        Lines(
            "When was the last VACUUM?",
            "Time since it, manual or automatic.",
            "s",
            (Query(f"time() - {VACUUMED}", "{{table}} · {{instance}}"),),
            width=6,
            none="no VACUUM so far",
        ),
        Lines(
            "How far back must VACUUM look?",
            "Transactions since the oldest snapshot that is still in use. It grows for as long as "
            "somebody keeps one, and dead rows with it.",
            "short",
            (Query(highest("soakd_pg_oldest_xmin_transactions"), "oldest snapshot · {{instance}}", "blue"),),
            width=6,
            none=NONE,
        ),
        Lines(
            "How large do they get?",
            "Tables, their indexes, and the whole database. Indexes that outgrow their table are bloated.",
            "bytes",
            (
                Query(total("soakd_pg_table_bytes"), "tables · {{instance}}", "blue"),
                Query(total("soakd_pg_index_bytes"), "indexes · {{instance}}", "purple"),
                Query(highest("soakd_pg_database_bytes"), "database · {{instance}}", "dark-blue"),
            ),
            width=12,
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
            width=12,
            none=NONE,
        ),
    ),
    folded=True,
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
        Table(
            "Which indexes are used?",
            "Scans per second and size of each index of soakd's tables. One without scans costs every write "
            "and gives nothing back.",
            (
                ("scans per second", "ops", rate("soakd_pg_index_scans_total", by=INDEX)),
                ("size", "bytes", total("soakd_pg_index_bytes", by=INDEX)),
            ),
            keys={"instance": "instance", "table": "table", "index": "index"},
            width=12,
            none=NONE,
        ),
        Lines(
            "Do queries spill to disk?",
            "Bytes per second in temporary files: sorts and hashes beyond work_mem.",
            "binBps",
            (Query(rate("soakd_pg_temp_bytes_total"), "temporary files · {{instance}}", WARN),),
            width=12,
            none=NONE,
        ),
        Lines(
            "Do replicas keep up?",
            "WAL that the slowest standby has not replayed yet.",
            "bytes",
            (Query(highest("soakd_pg_replication_lag_bytes"), "not replayed · {{instance}}", "blue"),),
            width=12,
            none="no replicas",
        ),
    ),
    folded=True,
)
