"""Scenarios in whole runs: phases with their own loads, thresholds and statements, on both databases."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import balanced, total, verified

MINE = """
description: Two loads and a statement.
settings: {pools: {writers: 10, readers: 4}}
phases:
  - name: slow
    duration: 2s
    writers: 2
    write: 50
    read: {ramp: {from: 0, to: 100}}
    thresholds: ["rate.writer < 60", "rate.writer > 1000000 optional"]
  - name: fast
    duration: 4s
    write: {steps: {rates: [100, 300]}}
    readers: 1
    read: closed
    events:
      - {at: 500ms, name: note, sql: SELECT 1}
      - {at: 500ms, name: wrong, sql: SELEKT 1}
"""


def test_a_load_changes_from_phase_to_phase_and_each_has_its_figures(
    soakd: Start, target: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE)
    run = soakd("--target", target, "--scenario", str(file), "--shards", "2").started()
    run.reaches(
        lambda found: (
            total(found, "soakd_workers", "pool=writer") == 2
            and total(found, "soakd_target_ops_per_second", "pool=writer") == 50
        ),
        "the first phase",
    )
    run.reaches(
        lambda found: (
            total(found, "soakd_workers", "pool=writer") == 10
            and total(found, "soakd_workers", "pool=reader") == 2 - 1
            and total(found, "soakd_target_ops_per_second", "pool=writer") >= 100
            and total(found, "soakd_target_ops_per_second", "pool=reader") == 0
        ),
        "the second phase",
    )
    assert run.wait() == 4  # one threshold of the first phase is failed, and no other
    assert run.stderr.startswith("soakd: error: phase slow: threshold rate.writer > 1000000 optional: ")
    summary = run.summary
    assert summary["scenario"] == "mine"
    slow, fast = summary["phases"]
    assert (slow["name"], fast["name"], slow["complete"], fast["complete"]) == ("slow", "fast", True, True)
    assert [judged["verdict"] for judged in slow["thresholds"]] == ["pass", "fail"]
    assert slow["pools"]["writer"]["target_rate"] == 50
    assert slow["pools"]["writer"]["achieved_rate"] == pytest.approx(50, rel=0.35)
    assert fast["pools"]["writer"]["achieved_rate"] == pytest.approx(200, rel=0.35)
    assert fast["pools"]["reader"]["loop"] == "closed"
    note, wrong = fast["events"]
    assert (note["name"], note["error"]) == ("note", None)
    assert "SELEKT" in wrong["error"]
    for when in ("before", "during", "after"):
        assert note[when]["pools"].keys() == {"writer", "reader"}
    writer = summary["pools"]["writer"]
    counted = [phase["pools"]["writer"]["ok"] for phase in summary["phases"]]
    answered = writer["achieved_rate"] * summary["duration_seconds"]  # without what the drain has finished
    assert sum(counted) == pytest.approx(answered, rel=0.05)
    assert sum(counted) <= writer["ok"]
    assert writer["target_rate"] == pytest.approx(150, rel=0.1)
    assert balanced(summary["rows"])
    assert sum(check.stored for check in verified(target)) == summary["rows"]["committed"]


def test_a_phase_whose_threshold_aborts_is_the_last_one(soakd: Start, tmp_path: Path) -> None:
    file = tmp_path / "levels.yaml"
    file.write_text(
        "description: Two levels.\nphases:\n"
        "  - {name: one, duration: 1h, write: 10, thresholds: [errors.count > 5 after 1s abort]}\n"
        "  - {name: two, duration: 1h}\n"
    )
    run = soakd("--target", "null://", "--scenario", str(file), "--report", "o.html", "--report", "o.xml")
    assert run.wait(60) == 4
    assert "<h1>Failed</h1>" in (run.folder / "o.html").read_text()
    assert 'failures="1"' in (run.folder / "o.xml").read_text()
    assert run.summary["stop_reason"] == "threshold"
    (phase,) = run.summary["phases"]
    assert (phase["name"], phase["complete"]) == ("one", False)
