"""Whole suites: every shipped scenario on both databases in one process each, failures, and Ctrl-C."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.__main__ import main
from daemon.scenario.read import SHIPPED, read, shipped
from tests.e2e.process import UNHURRIED, balanced, eventually
from tests.forked import Forked

POOLS = ("--set", "postgres.pool_size=20")  # the server of the tests has few connections
SHORT = 0.2  # s, a length at which only their going through says something


def suite(folder: Path, *arguments: str) -> Forked:
    """Start a suite in a folder, its log in a file there."""
    with (folder / "log").open("wb") as out, (folder / "complaints").open("wb") as err:
        return Forked(
            ["suite", "--json", "--listen", "127.0.0.1:0", "--log-interval", "1h", *arguments],
            cwd=folder,
            stdout=out,
            stderr=err,
        )


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the events of a name that a suite has logged."""
    lines = (folder / "log").read_text().splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in found if event["event"] == name]


def shortened(name: str) -> dict[str, Any]:
    """Return a shipped scenario as part of a suite: a hundredth of its length, or `SHORT` if that is less."""
    phases = read(SHIPPED / f"{name}.yaml").scenario
    return {"scenario": name, "time_scale": min(0.01, SHORT / phases.seconds)}


@pytest.mark.timeout(240)  # 18 runs, half a minute on a machine with nothing else to do
def test_every_shipped_scenario_runs_on_both_databases(target: str, tmp_path: Path) -> None:
    parts = [shortened(name) for name in shipped()]
    text = {"description": "All of them.", "cool_down": 0, "scenarios": parts}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(text))
    process = suite(
        tmp_path,
        "all.yaml",
        "--target",
        target,
        *POOLS,
        *UNHURRIED,
        "--scale",
        "100",
        "--report",
        "all.json",
        "--report",
        "all.html",
    )
    try:
        assert process.wait(180) in (0, 4), (tmp_path / "complaints").read_text()
    finally:
        process.kill()
    report = json.loads((tmp_path / "all.json").read_text())
    assert [part["name"] for part in report["scenarios"]] == shipped()
    for part in report["scenarios"]:
        assert part["exit_code"] in (0, 4), part["problem"]
        summary = part["report"]["summary"]
        assert summary["phases"]
        assert summary["stop_reason"] in ("duration", "threshold")
        assert balanced(summary["rows"])
        assert sum(pool["ok"] for pool in part["report"]["pools"]) > 0
    assert report["stop_reason"] == "done"
    assert len((tmp_path / "all.html").read_bytes()) < 1_000_000


FAULTS = """
description: One that fails, one that cannot begin, one that is interrupted, and one that never begins.
cool_down: 10ms
scenarios:
  - {scenario: own.yaml, name: strict}
  - {scenario: own.yaml, name: nowhere, target: "postgresql://soakd@127.0.0.1:1/none"}
  - {scenario: endless.yaml}
  - light
"""
OWN = """
description: A threshold that cannot be met, and a command.
thresholds: ["rate.writer > 10000000"]
phases:
  - name: only
    duration: 1s
    events: [{at: 100ms, name: hook, shell: "echo no; exit 3"}]
"""
ENDLESS = "description: An hour.\nphases: [{name: only, duration: 1h}]\n"


def test_a_suite_goes_on_after_failures_and_ends_in_order_at_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("faults", FAULTS), ("own", OWN), ("endless", ENDLESS)):
        (tmp_path / f"{name}.yaml").write_text(text)
    process = suite(
        tmp_path,
        "faults.yaml",
        "--set",
        "postgres.connect_timeout=1s",
        "--allow-shell",
        "--report",
        "out.json",
    )
    try:
        eventually(lambda: events(tmp_path, "phase.begun")[1:] or None, 60, "the third scenario")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 3, (tmp_path / "complaints").read_text()
    finally:
        process.kill()

    *complaints, wrote = sorted((tmp_path / "complaints").read_text().splitlines())
    assert wrote == "wrote out.json"
    assert [line.split(": ")[2] for line in complaints] == ["nowhere", "strict"]
    ended = events(tmp_path, "scenario.finished")
    assert [(one["number"], one["of"], one["exit_code"]) for one in ended] == [
        (1, 4, 4),
        (2, 4, 3),
        (3, 4, 0),
    ]
    assert events(tmp_path, "suite.finished")[0]["stopped"] == "SIGINT"

    report = json.loads((tmp_path / "out.json").read_text())
    verdicts = [(part["name"], part["verdict"]) for part in report["scenarios"]]
    assert verdicts == [
        ("strict", "failed"), ("nowhere", "failed"), ("endless", "stopped"), ("light", "not run"),
    ]  # fmt: skip
    assert (report["verdict"], report["stop_reason"]) == ("failed", "SIGINT")
    strict, _, endless, _ = (part["report"] for part in report["scenarios"])
    (hook,) = strict["summary"]["phases"][0]["events"]
    assert (hook["shell"], hook["exit_code"], hook["error"]) == ("echo no; exit 3", 3, "exit code 3: no")
    (planned,) = [event for event in strict["events"] if event["kind"] == "planned"]
    assert (planned["name"], planned["details"]["exit_code"]) == ("hook", 3)
    assert endless["summary"]["stop_reason"] == "SIGINT"
    assert balanced(endless["summary"]["rows"])

    monkeypatch.chdir(tmp_path)
    assert main(["report", "suite", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == report
    assert main(["report", "faults", "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("# soakd suite faults: Failed")
    assert main(["history", "list", "--json"]) == 0
    assert {run["suite_id"] for run in json.loads(capsys.readouterr().out)} == {report["suite_id"]}
