"""Whole suites: every shipped scenario on both databases, failures, and Ctrl-C."""

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from daemon.__main__ import main
from daemon.scenario.read import SHIPPED, read, shipped
from tests.e2e.process import LATE, balanced, eventually, settings
from tests.forked import Forked
from tests.servers import Server

LEVELS = ("levels-combined", "levels-read", "levels-write")
LONG = ("game-endurance", "game-stress")
GROUPS: Mapping[str, Sequence[str]] = {
    **{name: (name,) for name in LEVELS},
    "long": LONG,
    "others": [name for name in shipped() if name not in (*LEVELS, *LONG)],
}
"""Shipped scenarios that are played one after the other, while other groups are."""
HELD = {
    "levels-combined": "rate.writer < 150 for 1s abort",
    "levels-read": "rate.reader < 75 for 1s abort",
    "levels-write": "rate.writer < 150 for 1s abort",
}
"""What ends them at their second level."""
EASY = settings(
    postgres__pool_size=4, data__scale=100, pools__write_think_time="2s", pools__read_think_time="2s"
)
"""Many of them share two processors, and one server with few connections."""


class Played(NamedTuple):
    """A group of scenarios on a kind of database, and the folder of what it writes."""

    group: str
    kind: str
    folder: Path


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


@pytest.fixture(scope="module")
def played(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Played, Forked]]:
    """All shipped scenarios on both databases, begun side by side: they take a minute, and little else."""
    with ExitStack() as stack:
        begun: dict[Played, Forked] = {}
        for group in GROUPS:
            for kind in ("sqlite", "postgres"):
                folder = tmp_path_factory.mktemp(f"{group}-{kind}")
                file = f"sqlite:///{folder}/load.db"
                readable = "all.html" if group == "others" else "all.md"
                target = file if kind == "sqlite" else stack.enter_context(postgres.database())
                bounds = ("--threshold", HELD[group]) if group in HELD else ()
                begun[Played(group, kind, folder)] = process = suite(
                    folder, *GROUPS[group], "--target", target, "--time-scale", "0.01", *bounds, *EASY,
                    "--cool-down", "0", "--report", "all.json", "--report", readable,
                )  # fmt: skip
                stack.callback(process.kill)
        yield begun


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_shipped_scenario_runs_at_a_hundredth_of_its_length(
    played: Mapping[Played, Forked], group: str, kind: str
) -> None:
    """The levels end at one of the first, by a bound of the test: five thousand a second are for a bench."""
    ((folder, process),) = (
        (one.folder, process) for one, process in played.items() if one[:2] == (group, kind)
    )
    code = process.wait(200)
    assert code in (0, 4), (folder / "complaints").read_text()
    report = json.loads((folder / "all.json").read_text())
    assert [part["name"] for part in report["scenarios"]] == list(GROUPS[group])
    for part in report["scenarios"]:
        assert part["exit_code"] in (0, 4), part["problem"]
        summary = part["report"]["summary"]
        assert summary["phases"]
        assert summary["stop_reason"] == ("threshold" if group in HELD else "duration")
        assert part["exit_code"] == 4 or group not in HELD
        assert balanced(summary["rows"])
        assert sum(pool["ok"] for pool in part["report"]["pools"]) > 0
        planned = read(SHIPPED / f"{part['name']}.yaml").scenario.seconds / 100
        assert group in HELD or planned <= summary["duration_seconds"] < planned + LATE
    assert report["stop_reason"] == "done"
    (readable,) = (folder / name for name in ("all.html", "all.md") if (folder / name).exists())
    assert 1000 < len(readable.read_bytes()) < 1_000_000


def test_every_shipped_scenario_is_played() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == shipped()


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
