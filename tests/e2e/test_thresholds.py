"""Thresholds and the state of the target in whole runs: in figures, log, summary and exit code."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import balanced, command, settings, total


def test_thresholds_are_judged_shown_and_decide_the_exit_code(soakd: Start, target: str) -> None:
    """One is met, one is not; the summary is complete all the same, and the two agree."""
    met, failed = "response.writer.p99 < 12345ms", "rate.writer >= 1000000"
    run = soakd("--target", target, "--duration", "3s", "--threshold", met, "--threshold", failed).started()
    found = run.reaches(
        lambda found: total(found, "soakd_threshold_ok", f"threshold={failed}") == 0, "a failed threshold"
    )
    shown = {key[1]: value for key, value in found.items() if key[0] == "soakd_threshold_ok"}
    assert shown == {"threshold=response.writer.p99 < 12.345s": 1, f"threshold={failed}": 0}
    edges = {key[1] for key in found if key[0] == "soakd_op_response_seconds_bucket"}
    assert "le=12.345" in edges
    assert total(found, "soakd_state") in (0, 1, 2)
    assert run.event("threshold.failed")["threshold"] == failed
    assert run.wait() == 4
    assert run.stderr.startswith(f"soakd: error: threshold {failed}: ")
    assert len(run.stderr.splitlines()) == 1
    summary = run.summary
    assert balanced(summary["rows"])
    first, second = summary["thresholds"]
    assert (first["verdict"], second["verdict"]) == ("pass", "fail")
    writer = summary["pools"]["writer"]
    assert second["value"] == pytest.approx(writer["achieved_rate"], rel=0.01)
    # The summary has those of the drain as well, and the tail of a second or three is thin.
    assert writer["response"]["p95"] <= first["value"] <= writer["response"]["max"]
    spent = [summary["state"][f"{level}_seconds"] for level in ("healthy", "stressed", "overloaded")]
    assert sum(spent) == pytest.approx(summary["duration_seconds"], abs=2.0)
    assert summary["stop_reason"] == "duration"


def test_a_threshold_with_abort_ends_the_run_early_and_in_order(soakd: Start) -> None:
    slow = settings(null__latency="constant", null__mean="20ms")
    run = soakd(
        "--target", "null://", "--duration", "1h", "--readers", "0", *slow,
        "--threshold", "service.writer.p50 < 5ms for 1s after 500ms abort",
    )  # fmt: skip
    assert run.wait(60) == 4
    summary = run.summary
    assert summary["stop_reason"] == "threshold"
    assert summary["duration_seconds"] < 15
    assert balanced(summary["rows"])
    assert summary["rows"]["abandoned"] == 0
    (judged,) = summary["thresholds"]
    assert judged["verdict"] == "fail"
    assert judged["failed_at_seconds"] >= 1.5
    assert judged["value"] == pytest.approx(0.02, rel=0.5)


def test_nothing_to_judge_fails_a_run_unless_it_is_optional(soakd: Start) -> None:
    fast = ("--target", "null://", "--duration", "500ms", "--writers", "1", "--readers", "0")
    late = "errors.rate < 1% after 1h"
    run = soakd(*fast, "--threshold", late, "--threshold", f"{late} optional")
    assert run.wait() == 4
    assert run.stderr == f"soakd: error: threshold {late}: no data\n"
    assert [judged["ok"] for judged in run.summary["thresholds"]] == [False, True]


def test_a_target_beyond_its_means_is_overloaded_and_the_log_says_what_to_do(soakd: Start) -> None:
    """A writer that commits in 1.5 s, of whom 100 rows a second are asked."""
    slow = settings(null__latency="constant", null__mean="1500ms", pools__max_backlog="1h")
    run = soakd("--target", "null://", "--duration", "1h", "--readers", "0", "--write-rate", "100", *slow)
    changed = run.started().event("state.changed")
    run.until(lambda seen: seen == 2, "soakd_state")
    assert changed["was"] == "healthy"
    assert any(rule.startswith("latency_high") for rule in run.events("state.changed")[-1]["rules"])
    assert all(len(advice) > 40 for advice in changed["advice"])
    run.stop()


@pytest.mark.parametrize(
    ("threshold", "says", "words"),
    [
        ("respons.writer.p99 < 1s", "column 1: there is no signal respons.writer.p99; did you mean", "run"),
        ("op.apend.rate > 1", "column 4: the workload has no operation apend; did you mean append?", "run"),
        ("pg.cache_hit > 99%", "pg has figures of postgres targets only, and this one is null", "check"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused_before_anything_happens(
    tmp_path: Path, threshold: str, says: str, words: str
) -> None:
    done = command(tmp_path, words, "--target", "null://", "--threshold", threshold)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_in_a_file_the_line_of_the_thresholds_is_told(tmp_path: Path) -> None:
    file = tmp_path / "soakd.yaml"
    file.write_text("target: 'null://'\nthresholds:\n  - errors.rate < 1%\n  - rate.writer > many\n")
    done = command(tmp_path, "check", "--config", str(file))
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"soakd: error: {file}:2 thresholds: threshold 'rate.writer > many', column 15: "
    )
