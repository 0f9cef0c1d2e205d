"""The list of cases: their names, what each must reach, and how long they take."""

from collections.abc import Callable
from typing import NamedTuple

from bench import (
    cases_history,
    cases_ledger,
    cases_postgres,
    cases_progress,
    cases_seed,
    cases_sql,
    cases_sqlite,
)
from bench.figures import Figure, Goal
from bench.stage import Stage

EXTRA = 3.5  # s that a measurement takes beside its length: start, warm-up, end


class Case(NamedTuple):
    """One case.

    Attributes:
        name: as `--only` takes it.
        about: what it measures, in a line.
        measure: does it.
        seconds: how long that takes about, for the progress bar.
        server: it needs PostgreSQL.
    """

    name: str
    about: str
    measure: Callable[[Stage], list[Figure]]
    seconds: Callable[[Stage], float]
    server: bool = False


def cases() -> list[Case]:
    """Return all cases, in the order in which they are run."""
    s, p, q = cases_sqlite, cases_postgres, cases_sql
    return [
        Case("sqlite-rows-50", "rows, 50 writers, against raw apsw",
             lambda stage: s.rows(stage, "sqlite-rows-50", 50, Goal(0.20, 0.30)), _sides(2)),
        Case("sqlite-rows-300", "rows, 300 writers, against raw apsw",
             lambda stage: s.rows(stage, "sqlite-rows-300", 300, Goal(0.30, 0.50)), _sides(2)),
        Case("sqlite-reads", "point reads, 20 readers, against raw apsw",
             lambda stage: s.reads(stage, "sqlite-reads", Goal(0.5, 0.8)), _sides(2.3)),
        Case("postgres-rows", "rows, 50 writers, against pgbench and psql \\copy",
             lambda stage: p.rows(stage, "postgres-rows", Goal(4, 8), Goal(0.25, 0.5)), _sides(3.7),
             server=True),
        Case("postgres-rows-memory", "the same where a flush of the WAL does not wait for a disk",
             lambda stage: p.rows_in_memory(stage, "postgres-rows-memory"), _sides(3.9), server=True),
        Case("postgres-reads", "point reads, 20 readers, against pgbench",
             lambda stage: p.reads(stage, "postgres-reads", Goal(0.35, 0.5)), _sides(3.3), server=True),
        Case("postgres-upserts", "events in merged batches, 50 writers, against single UPSERTs of pgbench",
             lambda stage: cases_progress.upserts(stage, "postgres-upserts", Goal(5)), _sides(2.7),
             server=True),
        Case("sql-select-only", "pgbench's script select-only, 20 clients, against pgbench",
             lambda stage: q.script(stage, "sql-select-only", "select-only", Goal(0.35, 0.5)),
             _sides(2.5), server=True),
        Case("sql-tpcb-like", "pgbench's script tpcb-like, 20 clients, against pgbench",
             lambda stage: q.script(stage, "sql-tpcb-like", "tpcb-like", Goal(0.55, 0.85)),
             _sides(2.5), server=True),
        Case("ledger-transfers", "transfers of the ledger, 20 writers, against pgbench",
             lambda stage: cases_ledger.transfers(stage, "ledger-transfers", Goal(0.5)),
             _sides(3.5), server=True),
        Case("seed", "data of marketplace by soakd seed, against psql \\copy",
             lambda stage: cases_seed.seed(stage, "seed", Goal(0.4)),
             lambda stage: stage.rounds * cases_seed.SECONDS, server=True),
        Case("open-loop", "5000 rows/s for 20 s: share met, schedule lag",
             lambda stage: s.open_loop(
                 stage, "open-loop", Goal(99.5, None, "%"), Goal(None, 3, "ms", smaller=True)),
             lambda stage: stage.rounds * (s.OPEN_SECONDS + EXTRA)),
        Case("recording", "what measuring costs",
             lambda stage: s.recording(stage, "recording", Goal(8, 3, "%", smaller=True)), _sides(4.7)),
        Case("scrapes", "GET /metrics each second at full load",
             lambda stage: s.scrapes(
                 stage, "scrapes", Goal(100, 25, "ms", smaller=True), Goal(5, 1, "%", smaller=True)),
             _sides(2.7)),
        Case("samplers", "what sampling PostgreSQL costs",
             lambda stage: p.samplers(stage, "samplers", Goal(2, None, "%", smaller=True)),
             _sides(3.3), server=True),
        Case("history", "what keeping a history costs, and the size of a week of it",
             lambda stage: cases_history.history(
                 stage, "history", Goal(1, None, "%", smaller=True), Goal(50, None, "MB", smaller=True)),
             _sides(2 * cases_history.TIMES)),
        Case("start", "start to first operation",
             lambda stage: s.start(stage, "start", Goal(2, 1, "s", smaller=True)),
             lambda stage: stage.rounds * s.STARTS * 2.5),
        Case("memory", "growth of both processes in ten minutes at full speed",
             lambda stage: s.memory(stage, "memory", Goal(4, 0, "MB", smaller=True)),
             lambda stage: stage.memory_seconds + EXTRA),
    ]  # fmt: skip


def _sides(number: float) -> Callable[[Stage], float]:
    return lambda stage: number * stage.rounds * (stage.seconds + EXTRA)
