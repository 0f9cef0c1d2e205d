"""Runs of the workload `progress` as whole processes: figures, broken counters, a killed engine."""

import signal
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.process import balanced, command, settings, total, verified
from tests.e2e.test_ledger_run import execute

PROGRESS = ("--workload", "progress", "--scale", "50", "--read-rate", "200")
OFTEN = settings(invariants__interval="100ms", progress__canary="50ms")
NAMES = {"counted_once", "events_accounted", "references"}


def test_a_run_keeps_its_invariants_and_tells_how_soon_events_are_seen(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    run = soakd("--target", target, *PROGRESS, "--duration", "0", "--shards", "2", *OFTEN).started()
    found = run.reaches(
        lambda page: (
            total(page, "soakd_invariant_checks_total", "result=ok") >= 9
            and total(page, "soakd_canary_visible_seconds_count") >= 5
        ),
        "checks and canaries",
    )
    assert total(found, "soakd_invariant_violations") == 0
    assert total(found, "soakd_canaries_lost_total") == 0
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert {name: one["final"] for name, one in summary["invariants"].items()} == dict.fromkeys(NAMES, "ok")
    assert all(op["ok"] > 0 and not op["errors"] for op in summary["ops"].values())
    rows, canaries = summary["rows"], summary["canaries"]
    assert balanced({name: rows[name] for name in ("accepted", "committed", "failed", "abandoned")})
    assert canaries["visible"]["count"] >= 5
    seen = canaries["visible"]["count"] + canaries["lost"]
    assert (
        summary["ops"]["event"]["ok"] + seen <= rows["committed"] <= summary["ops"]["event"]["ok"] + seen + 2
    )
    checks = verified(target)
    assert sum(check.stored for check in checks) == rows["committed"]
    told = command(tmp_path, "verify", "--target", target)
    assert told.returncode == 0, told.stderr
    assert "–" in told.stdout


def test_an_event_counted_twice_ends_in_exit_code_5_and_verify_says_so(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    run = soakd("--target", target, *PROGRESS, "--duration", "0", *OFTEN).started()
    run.until(lambda seen: seen >= 3, "soakd_invariant_checks_total", "result=ok")
    execute(target, "UPDATE {}progress_counters SET events = events + 1 WHERE user_id = 7 AND challenge = 3")
    assert run.event("invariant.violated")["invariant"] == "counted_once"
    run.signal(signal.SIGINT)
    assert run.wait() == 5
    assert len(run.stderr.splitlines()) == 1
    assert "invariants are violated: counted_once: the counters add up to" in run.stderr
    told = command(tmp_path, "verify", "--target", target)
    assert told.returncode == 5
    assert "rows were merged into them" in told.stderr


def test_a_killed_engine_is_replaced_and_no_event_is_lost_or_counted_twice(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *PROGRESS, "--duration", "0", "--shards", "2", *OFTEN).started()
    run.committed(300)
    before = run.scrape()
    run.engines[0].kill()
    run.event("engine.restarted")
    run.committed(int(total(before, "soakd_rows_total", "outcome=committed")) + 300)
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert {one["final"] for one in summary["invariants"].values()} == {"ok"}
    checks = verified(target)
    assert len(checks) == 3
    assert sum(check.stored for check in checks) == summary["rows"]["committed"]


def test_canaries_are_rows_and_not_among_the_operations_of_a_rate(soakd: Start, target: str) -> None:
    run = soakd(
        "--target", target, *PROGRESS, "--duration", "2s", "--write-rate", "100",
        *settings(progress__canary="50ms"),
    )  # fmt: skip
    assert run.wait() == 0, run.stderr
    summary = run.summary
    event, canaries = summary["ops"]["event"], summary["canaries"]["visible"]["count"]
    assert event["ok"] > 0
    assert canaries >= 3
    assert summary["rows"]["committed"] >= event["ok"] + canaries


def test_a_run_that_only_reads_writes_nothing(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *PROGRESS, "--duration", "300ms", "--writers", "0")
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert summary["rows"]["accepted"] == 0
    assert summary["canaries"] == {}
    assert all(op["ok"] > 0 for name, op in summary["ops"].items() if name != "event")


def test_the_null_target_runs_it_too(soakd: Start) -> None:
    run = soakd("--target", "null://", "--workload", "progress", "--duration", "300ms")
    assert run.wait() == 0, run.stderr
    assert run.summary["invariants"] == run.summary["canaries"] == {}
    assert all(op["ok"] > 0 for op in run.summary["ops"].values())
