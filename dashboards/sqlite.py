"""The dashboard of SQLite: does the WAL stay small, do checkpoints get through, and who waits for whom?"""

from dashboards.panels import BAD, GOOD, WARN, Heatmap, Lines, Page, Query, Row, Stat, falling, limit, rising
from dashboards.promql import growth, highest, quantile, quantile_shown, rate, some, spread, total

HIT, MISS = 'event="hit"', 'event="miss"'
ASKED = 'event=~"hit|miss"'
HELD_UP = 'result!="complete"'
WAL, WAL_LIMIT = total("soakd_sqlite_wal_bytes"), total("soakd_sqlite_wal_limit_bytes")
FRAMES, COPIED = total("soakd_sqlite_wal_frames"), total("soakd_sqlite_wal_checkpointed_frames")
WAITS = "soakd_sqlite_busy_wait_seconds"
PAGE_SIZE = f"on (instance) group_left () {highest('soakd_sqlite_page_size_bytes')}"
NONE = "no SQLite run"


FIRST = Row(
    "What to look at first",
    (
        Stat(
            "WAL ÷ limit",
            "Size of the WAL by the size above which soakd has it started over. Above 1 a reader stands "
            "in the way, or checkpoints do not keep up; reads get slower as it grows.",
            "percentunit",
            (Query(f"{WAL} / ({WAL_LIMIT} > 0)"),),
            steps=rising(1.2, 2),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "Not checkpointed",
            "Part of the WAL that has not been copied into the database file yet, by the size at which "
            "soakd has it started over.",
            "percentunit",
            (Query(f"({FRAMES} - {COPIED}) * {PAGE_SIZE} / ({WAL_LIMIT} > 0)"),),
            steps=rising(0.8, 1.2),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "Held up",
            "Checkpoints in the shown time that a reader or writer stood in the way of, of all.",
            "percentunit",
            (
                Query(
                    f"{growth('soakd_sqlite_checkpoints_total', HELD_UP)}"
                    f" / {growth('soakd_sqlite_checkpoints_total')}"
                ),
            ),
            steps=rising(0.5, 0.9),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "Oldest reader",
            "Age of soakd's oldest read transaction. While it lasts the WAL cannot start over.",
            "s",
            (Query(highest("soakd_sqlite_oldest_reader_seconds")),),
            steps=rising(1, 10),
            none=NONE,
        ),
        Stat(
            "Pinned reader",
            "yes while sqlite.pinned_reader holds a read transaction open on purpose.",
            "bool_yes_no",
            (Query(highest("soakd_sqlite_pinned_reader")),),
            steps=rising(0.5, 2),
            words={0: ("no", GOOD), 1: ("yes", WARN)},
            none=NONE,
        ),
        Stat(
            "Busy wait p99",
            "Time waited for a lock of another connection: less than this in 99 % of the waits of the shown "
            "time.",
            "s",
            (Query(quantile_shown(0.99, WAITS)),),
            steps=rising(0.1, 1),
            none="no waits",
        ),
        Stat(
            "Cache hits",
            "Pages found in the page caches, of all that were asked for. Low: a larger "
            "sqlite.cache_size may help.",
            "percentunit",
            (Query(f"{rate('soakd_sqlite_cache_total', HIT)} / {rate('soakd_sqlite_cache_total', ASKED)}"),),
            steps=falling(0.5, 0.8),
            none=NONE,
            decimals=1,
        ),
        Stat(
            "Database file",
            "Size of the database file, without its WAL.",
            "bytes",
            (Query(total("soakd_sqlite_database_bytes")),),
            none=NONE,
        ),
    ),
)


LOG = Row(
    "Does the WAL stay small?",
    (
        Lines(
            "Does the WAL stay below its limit?",
            "Size of the WAL file, and the size above which soakd has it started over. It grows without "
            "bound while any reader keeps an old snapshot open.",
            "bytes",
            (
                Query(WAL, "WAL · {{instance}}", "blue"),
                limit(WAL_LIMIT, "limit · {{instance}}"),
            ),
            width=12,
            none=NONE,
        ),
        Lines(
            "Are its frames copied into the database?",
            "Frames in the WAL at the last checkpoint, and how many of them it left copied. The gap "
            "between the lines is what a reader keeps back: checkpoint starvation.",
            "short",
            (
                Query(FRAMES, "frames · {{instance}}", WARN),
                Query(COPIED, "copied · {{instance}}", "blue"),
            ),
            width=12,
            none=NONE,
        ),
    ),
)


CHECKPOINTS = Row(
    "Do checkpoints get through?",
    (
        Lines(
            "How do checkpoints end?",
            "Per second, by mode and result. complete: all frames copied; partial: a reader stood in "
            "the way; busy: another connection did not let it begin; failed: an error, see the log.",
            "ops",
            (
                Query(
                    some(rate("soakd_sqlite_checkpoints_total", by="mode, result")),
                    "{{result}} {{mode}} · {{instance}}",
                ),
            ),
            colours={"complete": "blue", "partial": WARN, "busy": "yellow", "failed": BAD},
            stacked=True,
            width=6,
            none=NONE,
        ),
        Lines(
            "How long does a checkpoint take?",
            "99 % of the checkpoints take less. While it runs, writers go on but COMMITs get slower.",
            "s",
            (
                Query(
                    quantile(0.99, "soakd_sqlite_checkpoint_seconds", by="mode"),
                    "{{mode}} p99 · {{instance}}",
                ),
            ),
            colours={"passive": "blue", "restart": "purple"},
            steps=rising(0.1, 1),
            log=True,
            width=6,
            none=NONE,
        ),
        Lines(
            "Who holds the WAL?",
            "Age of soakd's oldest read transaction. Readers of other programs are not seen here: their "
            "trace is a WAL that grows while this line is low.",
            "s",
            (Query(highest("soakd_sqlite_oldest_reader_seconds"), "oldest reader · {{instance}}", "blue"),),
            steps=rising(1, 10),
            width=6,
            none=NONE,
        ),
        Lines(
            "Are reads held back for it?",
            "Share of time in which soakd held new reads back, so that the WAL could start over.",
            "percentunit",
            (Query(rate("soakd_sqlite_reads_held_seconds_total"), "held back · {{instance}}", WARN),),
            steps=rising(0.01, 0.1),
            width=6,
            none=NONE,
        ),
    ),
)


BUSY = Row(
    "Who waits for a lock?",
    (
        Lines(
            "How often is the file locked?",
            "Waits per second for a lock of another connection.",
            "ops",
            (Query(rate(f"{WAITS}_count"), "waits · {{instance}}", "blue"),),
            none=NONE,
        ),
        Lines(
            "How long are the waits?",
            "SQLite has no queue for locks: who waits tries again and again, and can be overtaken.",
            "s",
            (
                Query(quantile(0.5, WAITS), "p50 · {{instance}}", "light-blue"),
                Query(quantile(0.99, WAITS), "p99 · {{instance}}", "dark-blue"),
            ),
            steps=rising(0.1, 1),
            log=True,
            none="no waits",
        ),
        Heatmap(
            "How are waits spread?",
            "The darker, the more waits were that long.",
            "s",
            spread(WAITS),
            none="no waits",
        ),
    ),
)


FILE = Row(
    "Do cache and file do their part?",
    (
        Lines(
            "Are pages found in the cache?",
            "Share of pages found in the page cache, by the pool of the lane.",
            "percentunit",
            (
                Query(
                    f"{rate('soakd_sqlite_cache_total', HIT, by='pool')}"
                    f" / {rate('soakd_sqlite_cache_total', ASKED, by='pool')}",
                    "{{pool}} · {{instance}}",
                ),
            ),
            steps=falling(0.5, 0.9),
            colours={"writer": "blue", "reader": "purple"},
            top=1,
            width=6,
            none=NONE,
        ),
        Lines(
            "What does the cache write?",
            "Pages per second. spill: written before the COMMIT because the cache was full.",
            "ops",
            (
                Query(
                    rate("soakd_sqlite_cache_total", 'event=~"write|spill"', by="event"),
                    "{{event}} · {{instance}}",
                ),
            ),
            colours={"write": "blue", "spill": WARN},
            width=6,
            none=NONE,
        ),
        Lines(
            "How much memory do the caches take?",
            "By the pool of the lane; each connection has a cache of its own, up to sqlite.cache_size.",
            "bytes",
            (Query(total("soakd_sqlite_cache_bytes", by="pool"), "{{pool}} · {{instance}}"),),
            colours={"writer": "blue", "reader": "purple"},
            stacked=True,
            width=6,
            none=NONE,
        ),
        Lines(
            "How does the file grow?",
            "The database file by pages in use and pages on the freelist, which are used again before "
            "it grows.",
            "bytes",
            (
                Query(
                    f"{total('soakd_sqlite_pages', by='state')} * {PAGE_SIZE}",
                    "{{state}} pages · {{instance}}",
                ),
                Query(total("soakd_sqlite_database_bytes"), "file · {{instance}}", "dark-blue", dashed=True),
            ),
            colours={"used": "blue", "free": "light-blue"},
            stacked=True,
            width=6,
            none=NONE,
        ),
    ),
)

PAGE = Page(
    name="sqlite-wal",
    uid="soakd-sqlite-wal",
    title="soakd · SQLite WAL",
    description="Does the WAL stay small, do checkpoints get through, and who waits for whom?",
    marker="soakd_sqlite_wal_bytes",
    instance="soakd-sqlite",
    backend="sqlite",
    choices=("pool",),
    rows=(FIRST, LOG, CHECKPOINTS, BUSY, FILE),
)
