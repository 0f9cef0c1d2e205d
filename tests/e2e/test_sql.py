"""The workload `sql` as a whole process: pgbench's scripts and the user's own, and what is refused."""

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daemon.__main__ import main
from tests.e2e.conftest import Start
from tests.e2e.process import command
from tests.e2e.test_refusal import ask, objects

SQL = ("--workload", "sql", "--duration", "500ms")
BOOKS = {"runs", "accounts", "objects", "seeds", "seed_chunks"}


def added(target: str, before: set[str]) -> set[str]:
    """Return what is there beside soakd's own books and what was there before."""
    lite = target.startswith("sqlite")
    own = {f"soakd_{name}" if lite else f"soakd.{name}" for name in BOOKS} | {"soakd", "no file"}
    return {name for name in objects(target) - before - own if not name.startswith("sqlite_")}


def balanced(target: str, transactions: int) -> None:
    """Check that as many transactions of tpcb-like have taken effect, each of them wholly."""
    sums = {"accounts": "abalance", "tellers": "tbalance", "branches": "bbalance", "history": "delta"}
    totals = {
        ask(target, f"SELECT coalesce(sum({column}), 0) FROM pgbench_{table}")[0][0]
        for table, column in sums.items()
    }
    assert len(totals) == 1
    assert ask(target, "SELECT count(*) FROM pgbench_history") == [(transactions,)]


def test_pgbench_s_scripts_run_on_tables_that_soakd_has_made(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    """A pool without operations has no workers; every transaction that was counted is there."""
    before = objects(target)
    seeded = command(tmp_path, "seed", "--workload", "sql", "--target", target, "--scale", "1")
    assert seeded.returncode == 0, seeded.stderr
    assert {name.removeprefix("public.") for name in added(target, before)} == {
        "pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history",
    }  # fmt: skip
    assert ask(target, "SELECT count(*), max(aid), max(bid) FROM pgbench_accounts") == [(100_000, 100_000, 1)]
    after = objects(target)
    run = soakd("--target", target, *SQL, "--set", "sql.script=tpcb-like", "--writers", "4", "--shards", "2")
    assert run.wait() == 0, run.stderr
    one = run.summary["ops"]["tpcb-like"]
    assert one["ok"] > 0
    assert one["errors"] == {}
    assert run.summary["config"]["pools"]["readers"] == 0
    balanced(target, one["ok"])
    run = soakd("--target", target, *SQL, "--set", "sql.script=select-only")
    assert run.wait() == 0, run.stderr
    assert run.summary["ops"]["select-only"]["ok"] > 0
    assert run.summary["config"]["pools"]["writers"] == 0
    assert added(target, after) == set()


def test_pgbench_s_scripts_run_on_tables_that_pgbench_has_made(
    soakd: Start, database: str, postgres_binaries: Path
) -> None:
    parts = urlsplit(database)
    at = ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username), parts.path[1:]]
    subprocess.run([postgres_binaries / "pgbench", "-i", "-q", *at], check=True, capture_output=True)
    run = soakd("--target", database, *SQL, "--set", "sql.script=tpcb-like", "--writers", "4")
    assert run.wait() == 0, run.stderr
    balanced(database, run.summary["ops"]["tpcb-like"]["ok"])


def test_own_scripts_and_statements_run(soakd: Start, target: str, tmp_path: Path) -> None:
    """Nothing is made in the target but soakd's books, and a run can be repeated by its seed."""
    ask(target, "CREATE TABLE things (id bigint PRIMARY KEY, name text)")
    before = objects(target)
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "insert.sql").write_text("\\set id :client_id\nINSERT INTO things VALUES (:id, :word);\n")
    (folder / "more.yaml").write_text(
        "operations:\n"
        "  add:\n    parameters: {id: {generator: sequence, start: 1000}, name: [a, b]}\n"
        "    transaction:\n      - INSERT INTO things VALUES (:id, :name)\n"
        "      - UPDATE things SET name = :word WHERE id = :id\n"
        "  all:\n    sql: SELECT * FROM things WHERE id < :limit\n"
    )
    options = ("--set", f"sql.path={folder}", "--set", "sql.variables=word=x'y,limit=50")
    run = soakd("--target", target, *SQL, *options, "--writers", "3", "--readers", "2", "--seed", "1")
    assert run.wait() == 0, run.stderr
    ops = run.summary["ops"]
    assert set(ops) == {"insert", "add", "all"}
    assert ops["insert"]["ok"] == 3
    assert set(ops["insert"]["errors"]) == {"constraint"}
    (told,) = {one["reason"] for one in run.events("operation.refused")}
    assert told.startswith(f"{folder}/insert.sql:2: ")
    assert "things" in told  # the key that is there already
    assert ops["add"]["ok"] > 0
    assert ops["all"]["ok"] > 0
    assert ask(target, "SELECT count(*), min(name) FROM things WHERE id >= 1000") == [
        (ops["add"]["ok"], "x'y")
    ]
    assert added(target, before) == set()
    verified = command(tmp_path, "verify", "--target", target)
    assert verified.returncode == 0, verified.stderr


# Before anything is started, and after a look at the files or the target.
REFUSED_AT_ONCE = {
    "sql.path=a.sql sql.script=tpcb-like": "sql.path and sql.script exclude each other",
    "sql.script=tpcc": "one of tpcb-like, simple-update, select-only",
    "sql.path=a.sql sql.variables=5": "'5' is no variable; write name=value",
}
REFUSED = {
    "": "name a script, a YAML file or a folder with sql.path",
    "sql.path=shell.sql": "shell.sql:2: \\shell is not supported",
    "sql.path=column.sql": "column.sql:1: no such column: nmae",
}


def refused(options: str) -> list[str]:
    """Return the command line that is to be refused."""
    given = [part for option in options.split() for part in ("--set", option)]
    return ["run", *SQL, "--target", "sqlite:///t.db", "--listen", "127.0.0.1:0", *given]


@pytest.mark.parametrize("options", REFUSED_AT_ONCE)
def test_settings_that_contradict_each_other_are_refused(
    options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(refused(options)) == 2
    complaint = capsys.readouterr().err
    assert REFUSED_AT_ONCE[options] in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("options", REFUSED)
def test_what_cannot_be_run_is_refused_in_one_line(options: str, tmp_path: Path) -> None:
    for file, text in (
        ("a.sql", "SELECT 1;"),
        ("shell.sql", "SELECT 1;\n\\shell ls\n"),
        ("column.sql", "SELECT nmae FROM (SELECT 1 AS name) AS one;"),
    ):
        (tmp_path / file).write_text(text)
    done = command(tmp_path, *refused(options))
    assert done.returncode == 2
    assert REFUSED[options] in done.stderr
    assert done.stderr.count("\n") == 1
