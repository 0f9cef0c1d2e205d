"""Runs of the workload `ledger` as whole processes: figures, broken data, a killed engine."""

import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from daemon.record.catalog_workloads import WORKLOADS
from tests.e2e.conftest import Start
from tests.e2e.process import command, settings, total

CONSUMED = "soakd_consumer_rows_total"
LEDGER = (
    "--workload", "ledger", "--scale", "40", "--read-rate", "200", "--set", "ledger.history=20",
)  # fmt: skip
OFTEN = settings(invariants__interval="100ms")
# In a process of its own, with soakd's own SQLite: another library would undo the file's locks.
_EXECUTE = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(9999)
connection.execute(sys.argv[2])
"""


def execute(target: str, statement: str) -> None:
    """Change the data of a running load; `{}` stands for what tables' names begin with."""
    if target.startswith("sqlite"):
        path = target.removeprefix("sqlite:///")
        subprocess.run([sys.executable, "-c", _EXECUTE, path, statement.format("soakd_")], check=True)
        return
    with psycopg.connect(target) as connection:
        connection.execute(statement.format("soakd.").encode())


def test_a_run_keeps_its_invariants_and_tells_of_its_consumers(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    run = soakd("--target", target, *LEDGER, "--duration", "0", *OFTEN).started()
    found = run.reaches(
        lambda page: (
            total(page, "soakd_invariant_checks_total", "result=ok") >= 20 and total(page, CONSUMED) > 100
        ),
        "checks and consumers at work",
    )
    names = {key[0] for key in found}
    assert {name for name in WORKLOADS if "canar" not in name} <= names
    assert total(found, "soakd_invariant_violations") == 0
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert {one["final"] for one in summary["invariants"].values()} == {"ok"}
    assert len(summary["invariants"]) == 7
    effects = sum(summary["ops"][name]["ok"] for name in ("credit", "debit", "transfer"))
    rows = {consumer["rows"] for consumer in summary["consumers"].values()}
    assert len(rows) == 1
    assert effects <= rows.pop() <= effects + summary["ops"]["replay"]["ok"]
    assert {consumer["lag_rows"] for consumer in summary["consumers"].values()} == {0}
    assert summary["rows"]["accepted"] == 0
    verified = command(tmp_path, "verify", "--target", target)
    assert verified.returncode == 0, verified.stderr


def test_money_from_nowhere_ends_in_exit_code_5_and_one_line(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *LEDGER, "--duration", "0", *OFTEN).started()
    run.until(lambda seen: seen >= 7, "soakd_invariant_checks_total", "result=ok")
    execute(target, "UPDATE {}ledger_wallets SET balance = balance + 1000000 WHERE id = 7")
    told = run.event("invariant.violated")
    assert told["level"] == "warning"
    run.until(lambda seen: seen > 0, "soakd_invariant_violations")
    run.signal(signal.SIGINT)
    assert run.wait() == 5
    assert len(run.stderr.splitlines()) == 1
    assert "invariants are violated: conservation: the balances add up to" in run.stderr
    assert run.summary["invariants"]["conservation"]["final"] == "violated"


def test_a_killed_engine_leaves_everything_consistent(soakd: Start, target: str) -> None:
    """The next one goes on where the consumers were."""
    run = soakd("--target", target, *LEDGER, "--duration", "0", *OFTEN).started()
    run.until(lambda seen: seen > 100, CONSUMED)
    run.engines[0].kill()
    run.event("engine.restarted")
    before = total(run.scrape(CONSUMED), CONSUMED)
    run.until(lambda seen: seen > before + 100, CONSUMED)
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr
    assert {one["final"] for one in run.summary["invariants"].values()} == {"ok"}


def test_two_shards_share_the_consumers(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *LEDGER, "--duration", "1s", "--shards", "2", *OFTEN)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    rows = [one["rows"] for one in summary["consumers"].values()]
    assert min(rows) > 0
    assert max(rows) - min(rows) <= 50, "a shard may end a little before the other"
    assert {one["final"] for one in summary["invariants"].values()} == {"ok"}


def test_conflicts_are_tried_again_and_told(soakd: Start, database: str) -> None:
    run = soakd(
        "--target", database, "--workload", "ledger", "--scale", "5", "--duration", "1s", "--readers", "1",
        *settings(ledger__isolation="serializable"),
    )  # fmt: skip
    assert run.wait() == 0, run.stderr
    assert run.summary["retries"]["serialization"] > 0
    assert run.summary["ops"]["credit"]["ok"] > 0
    for op in run.summary["ops"].values():
        assert op["errors"].keys() <= {"serialization"}, "what the retries were not enough for"


def test_the_null_target_runs_it_too(soakd: Start) -> None:
    run = soakd("--target", "null://", "--workload", "ledger", "--duration", "300ms")
    assert run.wait() == 0, run.stderr
    assert run.summary["invariants"] == {}
    assert all(op["ok"] > 0 for op in run.summary["ops"].values())
