"""Runs of the workload `game` as whole processes: figures, rollbacks, broken data."""

import signal

from daemon.workloads.game.invariants import RULES
from daemon.workloads.game.workload import READS, WRITES
from tests.e2e.conftest import Start
from tests.e2e.process import settings, total
from tests.e2e.test_ledger_run import execute

GAME = ("--workload", "game", "--scale", "40", "--read-rate", "300")
OFTEN = settings(invariants__interval="100ms", game__rollbacks=0.3)


def test_every_operation_runs_and_the_invariants_hold(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *GAME, "--duration", "0", *OFTEN).started()
    found = run.reaches(
        lambda page: (
            total(page, "soakd_invariant_checks_total", "result=ok") >= 2 * len(RULES)
            and total(page, "soakd_ops_total", "op=transaction", "outcome=rejected") >= 10
            and all(total(page, "soakd_ops_total", f"op={op}", "outcome=ok") for op in (*WRITES, *READS))
        ),
        "every operation, and checks",
    )
    assert total(found, "soakd_invariant_violations") == 0
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert {name: one["final"] for name, one in summary["invariants"].items()} == dict.fromkeys(RULES, "ok")
    assert summary["ops"].keys() == {*WRITES, *READS}
    assert {name for name, op in summary["ops"].items() if op["error"] or op["timeout"]} == set()
    assert {name for name, op in summary["ops"].items() if op["rejected"]} == {"transaction"}


def test_a_wrong_counter_ends_in_exit_code_5_and_one_line(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *GAME, "--duration", "0", *OFTEN).started()
    run.until(lambda seen: seen >= 7, "soakd_invariant_checks_total", "result=ok")
    execute(target, "UPDATE {}games SET score = score + 1000000 WHERE id = 7")
    assert run.event("invariant.violated")["level"] == "warning"
    run.signal(signal.SIGINT)
    assert run.wait() == 5
    assert len(run.stderr.splitlines()) == 1
    assert "invariants are violated: game_counters: score of game 7 is kept as 1" in run.stderr
    assert run.summary["invariants"]["game_counters"]["final"] == "violated"


def test_data_that_refers_to_itself_can_be_cleaned_away(soakd: Start, target: str) -> None:
    for clean in ((), ("--clean",)):
        run = soakd("--target", target, *GAME, "--duration", "300ms", *clean)
        assert run.wait() == 0, run.stderr
        assert run.event("seed.finished")["rows"] > 1000


def test_the_null_target_runs_it_too(soakd: Start) -> None:
    run = soakd("--target", "null://", "--workload", "game", "--duration", "1s")
    assert run.wait() == 0, run.stderr
    assert all(op["ok"] > 0 for op in run.summary["ops"].values())
