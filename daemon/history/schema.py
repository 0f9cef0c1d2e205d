"""Tables and views of the history file, and how an older file becomes a newer one.

A change is a new migration below the last one, never an edit of one that was released.
"""

from sqlite_utils import Database, Migrations

from daemon.errors import UsageError

SET = "soakd"
PER_RUN = (
    "intervals", "pool_intervals", "samples", "events", "thresholds", "operations", "statements",
    "environment", "tags",
)  # fmt: skip
"""Tables whose rows belong to a run, by their column `run`."""

# Times are whole milliseconds since the run began: four bytes where a float takes eight. Durations of
# operations are seconds, as everywhere. `samples` have no row ids, so their key is stored once;
# `pool_intervals` have, since a row of more than 1 KB without one would take a page of its own.
_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    soakd_version TEXT NOT NULL,
    backend TEXT NOT NULL,
    target TEXT NOT NULL,
    workload TEXT NOT NULL,
    scenario TEXT,
    config TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    seen REAL NOT NULL,
    owner TEXT NOT NULL,
    stop_reason TEXT,
    verdict TEXT,
    interrupted INTEGER NOT NULL DEFAULT 0,
    summary TEXT
);
CREATE INDEX runs_by_run_id ON runs (run_id);
CREATE TABLE tags (run INTEGER NOT NULL REFERENCES runs (id), tag TEXT NOT NULL, PRIMARY KEY (run, tag))
WITHOUT ROWID;
CREATE TABLE intervals (
    run INTEGER NOT NULL REFERENCES runs (id),
    at INTEGER NOT NULL,
    length INTEGER NOT NULL,
    phase TEXT NOT NULL,
    committed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    abandoned INTEGER NOT NULL,
    flushes INTEGER NOT NULL,
    flush_seconds REAL NOT NULL,
    commit_seconds REAL NOT NULL,
    queue_rows INTEGER NOT NULL,
    queue_capacity INTEGER NOT NULL,
    up REAL NOT NULL,
    limited_seconds REAL NOT NULL,
    errors TEXT,
    PRIMARY KEY (run, at)
) WITHOUT ROWID;
CREATE TABLE pool_intervals (
    run INTEGER NOT NULL REFERENCES runs (id),
    pool TEXT NOT NULL,
    at INTEGER NOT NULL,
    length INTEGER NOT NULL,
    phase TEXT NOT NULL,
    ok INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    error INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    target_rate REAL,
    workers INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    p50 REAL, p95 REAL, p99 REAL, max REAL,
    service_p50 REAL, service_p95 REAL, service_p99 REAL, service_max REAL,
    wait_p99 REAL, lag_p99 REAL,
    worst_p99 REAL, worst_at INTEGER,
    response BLOB, service BLOB, wait BLOB,
    PRIMARY KEY (run, pool, at)
);
CREATE TABLE signals (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL, about TEXT NOT NULL
);
CREATE TABLE samples (
    run INTEGER NOT NULL REFERENCES runs (id),
    signal INTEGER NOT NULL REFERENCES signals (id),
    at INTEGER NOT NULL,
    length INTEGER NOT NULL,
    value REAL NOT NULL,
    peak REAL,
    PRIMARY KEY (run, signal, at)
) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    at INTEGER NOT NULL,
    length INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    details TEXT
);
CREATE INDEX events_by_run ON events (run, at);
CREATE TABLE thresholds (
    run INTEGER NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    expression TEXT NOT NULL,
    verdict TEXT NOT NULL,
    ok INTEGER NOT NULL,
    unit TEXT NOT NULL,
    value REAL,
    worst REAL,
    at INTEGER,
    found TEXT NOT NULL,
    details TEXT,
    PRIMARY KEY (run, name)
);
CREATE TABLE operations (
    run INTEGER NOT NULL REFERENCES runs (id),
    pool TEXT NOT NULL,
    op TEXT NOT NULL,
    ok INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    error INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    response BLOB, service BLOB, wait BLOB,
    PRIMARY KEY (run, pool, op)
);
CREATE TABLE statements (
    run INTEGER NOT NULL REFERENCES runs (id),
    queryid TEXT NOT NULL,
    name TEXT NOT NULL,
    calls REAL NOT NULL,
    seconds REAL NOT NULL,
    rows REAL NOT NULL,
    text TEXT,
    PRIMARY KEY (run, queryid)
);
CREATE TABLE environment (
    run INTEGER NOT NULL REFERENCES runs (id),
    section TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, section, name)
) WITHOUT ROWID;
"""
# A suite's runs carry its id; what became of a scenario that made no run stands in `suite_parts` alone.
_SUITES = """
CREATE TABLE suites (
    suite_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    soakd_version TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    stop_reason TEXT,
    owner TEXT NOT NULL
);
CREATE TABLE suite_parts (
    suite_id TEXT NOT NULL REFERENCES suites (suite_id),
    place INTEGER NOT NULL,
    name TEXT NOT NULL,
    scenario TEXT NOT NULL,
    target TEXT NOT NULL,
    exit_code INTEGER,
    problem TEXT,
    PRIMARY KEY (suite_id, place)
) WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN suite_id TEXT REFERENCES suites (suite_id);
ALTER TABLE runs ADD COLUMN place INTEGER;
CREATE INDEX runs_by_suite ON runs (suite_id, place) WHERE suite_id IS NOT NULL
"""
_SUITE_VIEW = """
SELECT s.suite_id, s.name AS suite, p.place + 1 AS number, p.name, p.scenario, p.target, p.exit_code,
       p.problem, r.run_id, r.verdict
FROM suite_parts p JOIN suites s USING (suite_id)
     LEFT JOIN runs r ON r.suite_id = p.suite_id AND r.place = p.place
ORDER BY s.started DESC, p.place"""
_WHEN = "strftime('%Y-%m-%dT%H:%M:%fZ', r.started + x.at / 1000.0, 'unixepoch')"
_VIEWS = {
    "all_runs": """
SELECT r.run_id, strftime('%Y-%m-%dT%H:%M:%SZ', r.started, 'unixepoch') AS started, r.workload, r.scenario,
       r.backend, r.target, CASE WHEN r.interrupted THEN 'interrupted' ELSE coalesce(r.verdict, 'running') END
           AS verdict, r.stop_reason,
       round(coalesce(r.ended, r.seen) - r.started, 1) AS seconds,
       (SELECT group_concat(t.tag, ' ') FROM tags t WHERE t.run = r.id) AS tags, r.soakd_version
FROM runs r ORDER BY r.started DESC""",
    "pools_over_time": f"""
SELECT r.run_id, {_WHEN} AS time, x.at / 1000.0 AS second, x.length / 1000.0 AS seconds, x.phase, x.pool,
       round((x.ok + x.rejected) * 1000.0 / max(1, x.length), 1) AS answered_per_second,
       x.target_rate AS target_per_second,
       x.error, x.timeout, x.dropped, round(x.p50 * 1000, 3) AS p50_ms, round(x.p95 * 1000, 3) AS p95_ms,
       round(x.p99 * 1000, 3) AS p99_ms, round(x.max * 1000, 3) AS max_ms,
       round(x.service_p99 * 1000, 3) AS service_p99_ms, x.workers, x.in_flight
FROM pool_intervals x JOIN runs r ON r.id = x.run""",
    "rows_over_time": f"""
SELECT r.run_id, {_WHEN} AS time, x.at / 1000.0 AS second, x.length / 1000.0 AS seconds, x.phase,
       round(x.committed * 1000.0 / max(1, x.length), 1) AS committed_per_second, x.failed, x.abandoned,
       round(x.flushes * 1000.0 / max(1, x.length), 1) AS flushes_per_second,
       x.queue_rows, x.queue_capacity, x.up, x.errors
FROM intervals x JOIN runs r ON r.id = x.run""",
    "samples_over_time": f"""
SELECT r.run_id, {_WHEN} AS time, x.at / 1000.0 AS second, s.name AS signal, x.value,
       coalesce(x.peak, x.value) AS peak, s.unit, s.about
FROM samples x JOIN signals s ON s.id = x.signal JOIN runs r ON r.id = x.run""",
    "what_happened": f"""
SELECT r.run_id, {_WHEN} AS time, x.at / 1000.0 AS second, x.length / 1000.0 AS seconds, x.kind, x.name,
       x.details
FROM events x JOIN runs r ON r.id = x.run""",
    "judgements": """
SELECT r.run_id, x.name, x.expression, x.verdict, x.ok, x.value, x.worst, x.unit,
       x.at / 1000.0 AS worst_at_second, x.found
FROM thresholds x JOIN runs r ON r.id = x.run""",
}
_QUERY_TESTS = """
CREATE TABLE query_tests (
    id INTEGER PRIMARY KEY,
    created REAL NOT NULL,
    target TEXT NOT NULL,
    workload TEXT NOT NULL,
    report TEXT NOT NULL
)"""
_QUERIES = """
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', t.created, 'unixepoch') AS created, t.workload, t.target,
       q.key AS query, json_extract(q.value, '$.count') AS runs,
       round(json_extract(q.value, '$.mean') * 1000, 3) AS mean_ms,
       round(json_extract(q.value, '$.p95') * 1000, 3) AS p95_ms,
       json_array_length(q.value, '$.slow') > 0 AS slow
FROM query_tests t, json_each(t.report, '$.queries') q"""


def migrations() -> Migrations:
    """Return all steps from an empty file to the present schema, oldest first."""
    steps = Migrations(SET)

    @steps(name="0001 first tables")
    def first(db: Database) -> None:
        _execute(db, _TABLES)
        for name, sql in _VIEWS.items():
            db.create_view(name, sql.strip())

    @steps(name="0002 suites")
    def second(db: Database) -> None:
        _execute(db, _SUITES)
        db.create_view("suite_runs", _SUITE_VIEW.strip())

    @steps(name="0003 query tests")
    def third(db: Database) -> None:
        db.execute(_QUERY_TESTS)
        db.create_view("queries_one_by_one", _QUERIES.strip())

    return steps


def _execute(db: Database, script: str) -> None:
    """Execute statements one by one: `executescript` would commit what is under way."""
    for statement in script.split(";"):
        if statement.strip():
            db.execute(statement)


def upgrade(db: Database) -> None:
    """Bring a file to the present schema; does nothing when it has it.

    Raises:
        UsageError: it is the file of something else, or of a newer soakd.
    """
    steps = migrations()
    known = {step.name for step in steps.pending(db)} | {step.name for step in steps.applied(db)}
    applied = {step.name for step in steps.applied(db)}
    ours = {step.name for step in migrations()._migrations}  # noqa: SLF001 - there is no public list of them
    if not applied and db.table_names():
        raise UsageError("is a database of something else; name another file in history.file")
    if known - ours:
        raise UsageError("was written by a newer soakd; use that one, or name another file in history.file")
    if applied != ours:
        steps.apply(db)
