"""The dashboard of the batch writer: do rows get through, and what makes, slows and fails batches?"""

from dashboards.panels import (
    BAD,
    GOOD,
    LIMIT,
    WARN,
    Heatmap,
    Lines,
    Page,
    Query,
    Row,
    Stat,
    limit,
    percentiles,
    rising,
)
from dashboards.promql import growth, highest, mean, quantile, rate, some, spread, total

FAILED = 'outcome="error"'
LOST = 'outcome=~"failed|abandoned"'
ERRORS = {
    "connection": BAD,
    "disk_full": "dark-red",
    "timeout": WARN,
    "deadlock": "purple",
    "serialization": "light-purple",
    "lock_timeout": "yellow",
    "busy": "light-yellow",
    "constraint": "blue",
    "other": LIMIT,
}
# A timeout of 0 is group commit: there is no time to wait for, and no line to be drawn.
TIMEOUT = f"({total('soakd_batch_timeout_seconds')} > 0)"


QUEUE = Lines(
    "Does the queue have room?",
    "Rows that wait to be written, and how many may. A queue that grows steadily is a database that takes "
    "up less than is asked of it.",
    "short",
    (
        Query(total("soakd_batch_queue_rows"), "waiting · {{instance}}", "blue"),
        limit(total("soakd_batch_queue_capacity_rows"), "room · {{instance}}"),
    ),
    width=12,
)
SIZES = Lines(
    "How large are batches?",
    "Rows in a batch, and the configured size. At the limit, batches are filled before their time is up: "
    "more load per COMMIT needs a larger batch size.",
    "short",
    (
        *percentiles("soakd_flush_rows"),
        limit(total("soakd_batch_size_limit_rows"), "limit · {{instance}}"),
    ),
    width=6,
)
REASONS = Lines(
    "What triggers a batch?",
    "Batches per second by reason. size: it was full; timeout: its oldest row had waited long "
    "enough; group: a writer was free (batch timeout 0); drain: the run ends.",
    "ops",
    (Query(rate("soakd_flushes_total", by="reason"), "{{reason}} · {{instance}}"),),
    colours={"size": "blue", "timeout": "yellow", "group": "purple", "drain": LIMIT},
    stacked=True,
    width=6,
)

FIRST = Row(
    "What to look at first",
    (
        Stat(
            "Rows committed",
            "Rows per second that the database has acknowledged.",
            "rowsps",
            (Query(rate("soakd_rows_total", 'outcome="committed"')),),
        ),
        Stat(
            "Queue filled",
            "Rows that wait to be written by rows that may. Above 80 % the database does not keep up.",
            "percentunit",
            (Query(highest("soakd_batch_queue_utilization_ratio")),),
            steps=rising(0.8, 0.9),
            decimals=0,
        ),
        Stat(
            "Batches filled",
            "Mean batch by configured size. Low is not bad: it says that the timeout, not the size, "
            "ends a batch.",
            "percentunit",
            (Query(f"{mean('soakd_flush_rows')} / {total('soakd_batch_size_limit_rows')}"),),
            decimals=0,
        ),
        Stat(
            "Batch p99",
            "Time to write a batch, COMMIT included, that 99 % of the batches stay below.",
            "s",
            (Query(quantile(0.99, "soakd_flush_seconds")),),
            steps=rising(0.1, 0.2),
        ),
        Stat(
            "COMMIT p99",
            "Time of COMMIT alone: mostly the disk's fsync. Compare it with the fsync probe of the host.",
            "s",
            (Query(quantile(0.99, "soakd_commit_seconds")),),
            steps=rising(0.05, 0.1),
        ),
        Stat(
            "Met a full queue",
            "Rows per second that found no room: their writers were blocked, or they were dropped.",
            "rowsps",
            (Query(rate("soakd_queue_full_total")),),
            steps=rising(0.001, 100),
        ),
        Stat(
            "Batches failed",
            "Batches that could not be written, of all. They are tried again where that can help.",
            "percentunit",
            (Query(f"{rate('soakd_flushes_total', FAILED)} / {rate('soakd_flushes_total')}"),),
            steps=rising(0.001, 0.01),
            decimals=2,
        ),
        Stat(
            "Not written",
            "Rows that failed for good, were abandoned at the end, or are in doubt, in the shown time.",
            "short",
            (Query(f"round({growth('soakd_rows_total', LOST)} + {growth('soakd_rows_in_doubt_total')})"),),
            steps=((None, GOOD), (1, BAD)),
        ),
    ),
)


ROWS = Row(
    "Do rows get through?",
    (
        Lines(
            "Is what is accepted also committed?",
            "Rows per second. Accepted above committed fills the queue; failed and abandoned rows are "
            "lost to the database, and counted.",
            "rowsps",
            (Query(rate("soakd_rows_total", by="outcome"), "{{outcome}} · {{instance}}"),),
            colours={"accepted": LIMIT, "committed": "blue", "failed": BAD, "abandoned": WARN},
            width=12,
        ),
        QUEUE,
    ),
)


MAKING = Row(
    "What makes a batch?",
    (
        REASONS,
        SIZES,
        Heatmap(
            "How are sizes spread?",
            "Rows in a batch: the darker, the more batches. The configured size is a bucket of its own.",
            "short",
            spread("soakd_flush_rows"),
            width=6,
        ),
        Lines(
            "How long do rows wait for their batch?",
            "From being handed in to the begin of their batch. Dashes are the batch timeout: waits "
            "beyond it are waits for a free connection, so the database is behind.",
            "s",
            (
                *percentiles("soakd_op_queue_wait_seconds", 'pool="writer"', 'op=~".+"'),
                limit(TIMEOUT, "timeout · {{instance}}"),
            ),
            log=True,
            width=6,
        ),
    ),
)


WRITING = Row(
    "How long does a batch take?",
    (
        Lines(
            "How long does a batch take to write?",
            "COMMIT included, retries excluded. Dashes at 100 and 200 ms.",
            "s",
            (*percentiles("soakd_flush_seconds"),),
            steps=rising(0.1, 0.2),
            log=True,
        ),
        Lines(
            "How much of it is COMMIT?",
            "Time of COMMIT alone. Where it makes up most of a batch, the disk is what the database "
            "waits for.",
            "s",
            (*percentiles("soakd_commit_seconds"),),
            steps=rising(0.05, 0.1),
            log=True,
        ),
        Heatmap(
            "How are batch times spread?",
            "The darker, the more batches took that long.",
            "s",
            spread("soakd_flush_seconds"),
        ),
    ),
)


FAILURES = Row(
    "What goes wrong?",
    (
        Lines(
            "What becomes of rows that find no room?",
            "blocked: the writer waited, which shows in the response time; dropped: the row was given "
            "up and counted.",
            "rowsps",
            (Query(some(rate("soakd_queue_full_total", by="action")), "{{action}} · {{instance}}"),),
            colours={"blocked": WARN, "dropped": BAD},
            width=6,
            stacked=True,
            bars=True,
            none="all rows found room",
        ),
        Lines(
            "Which batches fail?",
            "Failed batches per second by what had triggered them.",
            "ops",
            (Query(some(rate("soakd_flushes_total", FAILED, by="reason")), "{{reason}} · {{instance}}"),),
            colours={"size": "blue", "timeout": "yellow", "group": "purple", "drain": LIMIT},
            stacked=True,
            width=6,
            bars=True,
            none="none",
        ),
        Lines(
            "Why are batches tried again?",
            "Retries per second by class of error. A retry never writes a row twice.",
            "ops",
            (Query(some(rate("soakd_retries_total", by="class")), "{{class}} · {{instance}}"),),
            colours=ERRORS,
            stacked=True,
            width=6,
            bars=True,
            none="no retries",
        ),
        Lines(
            "Are there connections to write with?",
            "Connections, or SQLite's lanes, by state. Many that wait and none idle: more connections, "
            "or a database that is done with them sooner, would help.",
            "short",
            (
                Query(
                    total("soakd_pool_connections", 'pool="writer"', by="state"), "{{state}} · {{instance}}"
                ),
            ),
            colours={"busy": "blue", "idle": "green", "waiting": WARN},
            width=6,
        ),
    ),
)

PAGE = Page(
    name="batch-writer",
    uid="soakd-batch-writer",
    title="soakd · Batch writer",
    description="Do rows get through, and what makes, slows and fails batches?",
    marker="soakd_batch_queue_rows",
    instance="soakd",
    rows=(FIRST, ROWS, MAKING, WRITING, FAILURES),
)
