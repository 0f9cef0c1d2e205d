"""What cannot work is refused before anything is touched; what is not soakd's is left alone."""

import signal
import socket
import sqlite3
import time
from pathlib import Path

import psycopg

from tests.e2e.conftest import Start
from tests.e2e.locks import writes_blocked
from tests.e2e.process import command, eventually, verified
from tests.servers import free_port

SHORT = ("--duration", "300ms", "--read-rate", "50")


def ask(target: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a database that nobody uses at the moment."""
    if target.startswith("sqlite"):
        connection = sqlite3.connect(target.removeprefix("sqlite:///"), isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    with psycopg.connect(target, autocommit=True) as server:
        cursor = server.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def objects(target: str) -> set[str]:
    """Return the names of the tables and schemas that are there."""
    if target.startswith("sqlite"):
        file = Path(target.removeprefix("sqlite:///"))
        found = ask(target, "SELECT name FROM sqlite_master") if file.exists() else [("no file",)]
    else:
        found = ask(
            target,
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' "
            "UNION ALL SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', "
            "'soakd')",
        )
    return {str(row[0]) for row in found}


def table(target: str, name: str) -> str:
    """Return the qualified name of one of soakd's tables."""
    return f"soakd_{name}" if target.startswith("sqlite") else f"soakd.{name}"


def test_a_port_in_use_is_refused_before_the_target_is_touched(soakd: Start, target: str) -> None:
    before = objects(target)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = soakd("--target", target, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        assert run.wait() == 2
    assert run.stderr.count("\n") == 1
    assert "in use" in run.stderr
    assert objects(target) == before


def test_a_summary_that_could_not_be_written_is_refused_before_the_load(soakd: Start, database: str) -> None:
    before = objects(database)
    run = soakd("--target", database, "--summary", "missing/summary.json")
    assert run.wait() == 2
    assert "missing" in run.stderr
    assert run.stderr.count("\n") == 1
    assert objects(database) == before


def test_a_target_that_does_not_answer_is_refused_within_seconds(soakd: Start) -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()}/nothing"
    begun = time.monotonic()
    run = soakd("--target", url)
    assert run.wait(15) == 3
    assert time.monotonic() - begun < 10
    assert run.stderr.count("\n") == 1
    assert "refused" in run.stderr
    assert not run.summary_file.exists()


def test_two_signals_end_preparations_that_hang(soakd: Start, database: str) -> None:
    """Somebody holds the lock that keeps two soakd from creating the same tables."""
    with psycopg.connect(database) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(7305800412)")
        port = free_port()
        with_password = database.replace("postgres@", "postgres:hunter2@")
        run = soakd("--target", with_password, "--duration", "1s", "--listen", f"127.0.0.1:{port}")
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: True if ask(database, waits) == [(1,)] else None, 20, "a soakd that waits")
        assert run.event("run.preparing")["target"] == with_password.replace("hunter2", "***")
        assert run.answers(f"http://127.0.0.1:{port}/readyz") == (503, "preparing\n")
        assert run.answers(f"http://127.0.0.1:{port}/healthz").status == 200
        run.signal(signal.SIGTERM)
        time.sleep(0.2)
        run.signal(signal.SIGTERM)
        assert run.wait(10) == 128 + signal.SIGTERM
    assert objects(database) == {"public"}


def test_clean_drops_what_soakd_created_and_nothing_else(soakd: Start, target: str) -> None:
    assert soakd("--target", target, *SHORT).wait() == 0
    ask(target, "CREATE TABLE soakdust (n integer)")
    ask(target, "INSERT INTO soakdust VALUES (7)")
    ask(target, f"CREATE TABLE {table(target, 'mine')} (n integer)")
    runs = ask(target, f"SELECT run FROM {table(target, 'runs')}")
    assert soakd("--target", target, *SHORT, "--clean").wait() == 0
    left = ask(target, f"SELECT run FROM {table(target, 'runs')}")
    assert len(left) == len(runs) == 1
    assert left != runs
    assert ask(target, f"SELECT DISTINCT run FROM {table(target, 'events')}") == left
    assert ask(target, "SELECT n FROM soakdust") == [(7,)]
    assert ask(target, f"SELECT count(*) FROM {table(target, 'mine')}") == [(0,)]


def test_clean_does_not_drop_the_tables_under_a_run_that_is_going_on(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    """Nor does a run that was killed forbid it for ever."""
    first = soakd("--target", target, "--duration", "0", "--read-rate", "50").started()
    first.committed(20)
    second = soakd("--target", target, *SHORT, "--clean")
    assert second.wait() == 3
    assert second.stderr.count("\n") == 1
    assert "is going on" in second.stderr
    for older in ((), ("--older-than", "1ms")):
        seeding = command(tmp_path, "seed", "--target", target, "--clean", "--skip-data", *older)
        assert (seeding.returncode, seeding.stderr.count("\n")) == (3, 1), seeding.stderr
        assert "is going on" in seeding.stderr
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    assert verified(target)[0].stored == first.summary["rows"]["committed"]
    ask(target, f"UPDATE {table(target, 'runs')} SET stop_reason = 'running'")
    assert soakd("--target", target, *SHORT, "--clean").wait() == 0


def test_a_run_whose_tables_were_dropped_says_that_its_rows_are_gone(soakd: Start, target: str) -> None:
    """By somebody, and made anew meanwhile."""
    run = soakd("--target", target, "--duration", "0", "--read-rate", "50").started()
    run.committed(20)
    ask(target, f"DELETE FROM {table(target, 'events')}")
    ask(target, f"DELETE FROM {table(target, 'runs')}")
    run.signal(signal.SIGTERM)
    assert run.wait() == 5
    assert run.stderr.count("\n") == 1
    assert "dropped" in run.stderr
    assert run.summary["rows"]["lost"] >= 20


def test_a_run_that_never_began_is_not_remembered(soakd: Start, target: str) -> None:
    """Its engine was killed before it was connected; `soakd verify` goes on finding the run before it."""
    assert soakd("--target", target, *SHORT).wait() == 0
    before = ask(target, f"SELECT run FROM {table(target, 'runs')}")
    with writes_blocked(target, "runs"):
        run = soakd("--target", target, *SHORT)
        (engine,) = eventually(lambda: run.engines or None, 20, "an engine")
        engine.kill()
    assert run.wait() == 3
    assert run.stderr.count("\n") == 1
    assert "killed" in run.stderr
    assert ask(target, f"SELECT run FROM {table(target, 'runs')}") == before


def test_somebody_elses_table_of_the_same_name_is_left_alone(soakd: Start, target: str) -> None:
    """Even with --clean. More such cases stand in the tests of the ledger."""
    if not target.startswith("sqlite"):
        ask(target, "CREATE SCHEMA soakd")
    ask(target, f"CREATE TABLE {table(target, 'events')} (precious integer)")
    ask(target, f"INSERT INTO {table(target, 'events')} VALUES (42)")
    before = objects(target)
    run = soakd("--target", target, "--clean")
    assert run.wait() == 3
    assert run.stderr.count("\n") == 1
    assert "events" in run.stderr
    assert ask(target, f"SELECT precious FROM {table(target, 'events')}") == [(42,)]
    assert objects(target) == before
    if target.startswith("sqlite"):
        assert ask(target, "PRAGMA journal_mode") == [("delete",)]


def test_a_database_of_a_newer_soakd_is_refused(soakd: Start, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/load.db"
    assert soakd("--target", target, *SHORT).wait() == 0
    ask(target, "UPDATE soakd_objects SET version = version + 1")
    run = soakd("--target", target, "--clean")
    assert run.wait() == 3
    assert "newer" in run.stderr
    assert ask(target, "SELECT count(*) FROM soakd_runs") == [(1,)]
