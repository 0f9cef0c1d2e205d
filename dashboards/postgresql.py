"""The dashboard of PostgreSQL: what the server does under the load, and what it waits for."""

from dashboards.panels import BAD, LIMIT, WARN, Lines, Page, Query, Row, Stat, falling, limit, rising
from dashboards.promql import growth, highest, lowest, rate, select, some, total
from dashboards.tables import DEAD, MORE, NONE, TABLES

LIVE = 'state="live"'
DEAD_ROWS, LIVE_ROWS = total("soakd_pg_table_rows", DEAD), total("soakd_pg_table_rows", LIVE)
ROWS = {
    "returned": "light-blue",
    "fetched": "blue",
    "inserted": "purple",
    "updated": "yellow",
    "deleted": LIMIT,
}
# Settings: the server's max_connections and autovacuum_freeze_max_age.
SESSION_LIMIT = highest("soakd_pg_sessions_limit")
FREEZE = highest("soakd_pg_freeze_max_age_transactions")


FIRST = Row(
    "What to look at first",
    (
        Stat(
            "Commits",
            "Transactions that the database commits per second, those of others included.",
            "ops",
            (Query(rate("soakd_pg_transactions_total", 'outcome="commit"')),),
            none=NONE,
        ),
        Stat(
            "Sessions ÷ limit",
            "Client sessions by those that max_connections allows.",
            "percentunit",
            (Query(f"{total('soakd_pg_sessions')} / {SESSION_LIMIT}"),),
            steps=rising(0.8, 0.95),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "Blocked",
            "Sessions that wait for a lock of another one. Who blocks them: see below.",
            "short",
            (Query(highest("soakd_pg_blocked_sessions")),),
            steps=rising(1, 10),
            none=NONE,
        ),
        Stat(
            "Deadlocks",
            "Deadlocks that the server has ended in the shown time: one of the transactions each time "
            "was lost.",
            "short",
            (Query(f"round({growth('soakd_pg_deadlocks_total')})"),),
            steps=rising(1, 10),
            none=NONE,
        ),
        Stat(
            "Oldest transaction",
            "Age of the oldest open transaction. VACUUM cannot remove what has died since it began.",
            "s",
            (Query(highest("soakd_pg_oldest_transaction_seconds")),),
            steps=rising(60, 600),
            none=NONE,
        ),
        Stat(
            "Cache hits",
            "Blocks found in shared buffers, of all that were asked for. Low: the data in use do not fit.",
            "percentunit",
            (Query(lowest("soakd_pg_cache_hit_ratio")),),
            steps=falling(0.9, 0.99),
            none=NONE,
            decimals=1,
        ),
        Stat(
            "Dead rows",
            "Dead rows of soakd's tables, of all. Much more than 20 %: autovacuum does not keep up.",
            "percentunit",
            (Query(f"{DEAD_ROWS} / ({DEAD_ROWS} + {LIVE_ROWS})"),),
            steps=rising(0.2, 0.4),
            none=NONE,
            decimals=1,
        ),
        Stat(
            "Wraparound",
            "Age of the oldest unfrozen transaction by the age at which autovacuum freezes whatever the "
            "load. Above 1 that is under way; far above, it does not get through.",
            "percentunit",
            (Query(f"{highest('soakd_pg_wraparound_age_transactions')} / {FREEZE}"),),
            steps=rising(1, 2),
            none=NONE,
            decimals=0,
        ),
    ),
)


SESSIONS = Row(
    "What do the sessions do?",
    (
        Lines(
            "Are there sessions left?",
            "Client sessions by state, and max_connections. idle in transaction: somebody holds locks "
            "and snapshots without working.",
            "short",
            (
                Query(total("soakd_pg_sessions", by="state"), "{{state}} · {{instance}}"),
                limit(SESSION_LIMIT, "limit · {{instance}}"),
            ),
            colours={"active": "blue", "idle": LIMIT, "idle in": WARN},
            stacked=True,
            none=NONE,
        ),
        Lines(
            "What do active sessions wait for?",
            "Active sessions by wait event; CPU is none at all. LWLock WALWrite and IO WALSync: the "
            "disk of the WAL; Lock: other transactions; Client: soakd.",
            "short",
            (Query(total("soakd_pg_waits", by="type, event"), "{{type}} {{event}} · {{instance}}"),),
            colours={"Lock": BAD, "IO": WARN, "LWLock": "yellow", "Client": LIMIT},
            stacked=True,
            none=NONE,
        ),
        Lines(
            "Which locks are held and waited for?",
            "By mode; granted false is somebody who waits.",
            "short",
            (
                Query(
                    some(total("soakd_pg_locks", 'granted="true"', by="mode")), "{{mode}} held · {{instance}}"
                ),
                Query(
                    some(total("soakd_pg_locks", 'granted="false"', by="mode")),
                    "waiting for {{mode}} · {{instance}}",
                    BAD,
                ),
            ),
            stacked=True,
            none=NONE,
        ),
    ),
)


BLOCKING = Row(
    "Who is in whose way?",
    (
        Lines(
            "Who blocks whom?",
            "Sessions that wait for a lock, and the heads of their chains: sessions that block others "
            "and wait for nobody. A head that is idle in transaction has been forgotten by its client.",
            "short",
            (
                Query(highest("soakd_pg_blocked_sessions"), "blocked · {{instance}}", BAD),
                Query(
                    some(total("soakd_pg_blocking_heads", by="state")),
                    "head of a chain, {{state}} · {{instance}}",
                    WARN,
                ),
            ),
            width=9,
            none=NONE,
        ),
        Lines(
            "For how long?",
            "Longest wait for a lock, and age of the oldest transaction, which VACUUM has to respect.",
            "s",
            (
                Query(highest("soakd_pg_longest_block_seconds"), "longest wait · {{instance}}", BAD),
                Query(
                    highest("soakd_pg_oldest_transaction_seconds"),
                    "oldest transaction · {{instance}}",
                    "blue",
                ),
            ),
            width=9,
            none=NONE,
        ),
        Stat(
            "Which server is it?",
            "Version, and a fingerprint of its settings: when it changes in the middle, figures from before "
            "and after cannot be compared.",
            "none",
            (
                Query(select("soakd_pg_info"), "PostgreSQL {{version}}"),
                Query(select("soakd_pg_info"), "settings {{settings}}"),
            ),
            none=NONE,
            names=True,
            width=6,
            height=8,
        ),
    ),
)

WORK = Row(
    "What work is done?",
    (
        Lines(
            "How do transactions end?",
            "Per second, those of others included. Deadlocks are among the rollbacks.",
            "ops",
            (
                Query(rate("soakd_pg_transactions_total", by="outcome"), "{{outcome}} · {{instance}}"),
                Query(rate("soakd_pg_deadlocks_total"), "deadlock · {{instance}}", BAD),
            ),
            colours={"commit": "blue", "rollback": WARN},
            width=6,
            none=NONE,
        ),
        Lines(
            "What is done to rows?",
            "Rows per second. returned far above fetched: scans that read more than they need.",
            "rowsps",
            (Query(rate("soakd_pg_rows_total", by="action"), "{{action}} · {{instance}}"),),
            colours=ROWS,
            log=True,
            width=6,
            none=NONE,
        ),
        Lines(
            "Where do blocks come from?",
            "Blocks per second from shared buffers (hit), and from the disk or the system's cache (read).",
            "ops",
            (Query(rate("soakd_pg_blocks_total", by="source"), "{{source}} · {{instance}}"),),
            colours={"hit": "blue", "read": WARN},
            log=True,
            width=6,
            none=NONE,
        ),
        Lines(
            "How long does it wait for blocks?",
            "Seconds per second that all sessions together spend on reading and writing blocks.",
            "percentunit",
            (
                Query(
                    f"{rate('soakd_pg_io_seconds_total', by='direction')}"
                    f" and on (instance) ({highest('soakd_pg_io_timing')} == 1)",
                    "{{direction}} · {{instance}}",
                ),
            ),
            colours={"read": WARN, "write": "blue"},
            width=6,
            none="track_io_timing is off, or no PostgreSQL run",
        ),
    ),
)


LOG = Row(
    "What do WAL and checkpoints cost?",
    (
        Lines(
            "How much WAL is written?",
            "It jumps after a checkpoint, when whole pages go into it.",
            "binBps",
            (Query(rate("soakd_pg_wal_bytes_total"), "WAL · {{instance}}", "blue"),),
            width=6,
            none=NONE,
        ),
        Lines(
            "What is in the WAL?",
            "Per second. Full pages make up most of the bytes after a checkpoint; buffers full: larger "
            "wal_buffers would help. PostgreSQL 14 and newer.",
            "ops",
            (
                Query(rate("soakd_pg_wal_records_total"), "records · {{instance}}", "blue"),
                Query(rate("soakd_pg_wal_full_page_images_total"), "full pages · {{instance}}", WARN),
                Query(rate("soakd_pg_wal_buffers_full_total"), "buffers full · {{instance}}", BAD),
            ),
            log=True,
            width=6,
            none="PostgreSQL 13, or no PostgreSQL run",
        ),
        Lines(
            "When are checkpoints?",
            "Checkpoints per minute. requested: max_wal_size was reached before the time was up; many "
            "of them ask for a larger one.",
            "none",
            (Query(f"{rate('soakd_pg_checkpoints_total', by='kind')} * 60", "{{kind}} · {{instance}}"),),
            colours={"timed": "blue", "requested": WARN},
            width=6,
            none=NONE,
        ),
        Lines(
            "How hard do checkpoints work?",
            "Seconds per second that they spend on writing (spread out on purpose) and on syncing "
            "(which is felt by everybody).",
            "percentunit",
            (Query(rate("soakd_pg_checkpoint_seconds_total", by="phase"), "{{phase}} · {{instance}}"),),
            colours={"write": "blue", "sync": WARN},
            width=6,
            none=NONE,
        ),
    ),
)


PAGE = Page(
    name="postgresql",
    uid="soakd-postgresql",
    title="soakd · PostgreSQL",
    description="What the server does under the load, what it waits for, and whether it stays healthy.",
    marker="soakd_pg_info",
    instance="soakd",
    backend="postgres",
    rows=(FIRST, SESSIONS, BLOCKING, WORK, LOG, TABLES, MORE),
)
