"""`soakd seed` as a whole process: what it says, how it is stopped, what `soakd run` makes of it."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.__main__ import main
from tests.e2e.conftest import Start
from tests.e2e.process import command
from tests.forked import Forked

LEDGER = ("--workload", "ledger")


def events(text: str) -> list[dict[str, Any]]:
    """Return what was logged."""
    return [json.loads(line) for line in text.splitlines()]


def test_data_is_loaded_once_and_used_by_a_run(soakd: Start, target: str, tmp_path: Path) -> None:
    first = command(tmp_path, "seed", *LEDGER, "--target", target, "--scale", "50", "--seed", "3")
    assert first.returncode == 0, first.stderr
    told = events(first.stdout)
    assert [one["event"] for one in told][:1] == ["seed.started"]
    assert told[-1]["result"] == "the data of ledger is there: 50 wallets, seed 3"
    finished = next(one for one in told if one["event"] == "seed.finished")
    assert finished["rows"] == finished["of"] == told[0]["rows"] > 1000
    again = command(tmp_path, "seed", *LEDGER, "--target", target, "--seed", "3")
    assert [one["event"] for one in events(again.stdout)] == ["seed.ended"]
    run = soakd("--target", target, *LEDGER, "--duration", "300ms", "--set", "data.seed=3")
    assert run.wait() == 0, run.stderr
    assert not run.events("seed.started")
    refused = command(tmp_path, "run", *LEDGER, "--target", target, "--duration", "1s", "--scale", "60")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "scale 50 instead of 60" in refused.stderr


def test_a_run_loads_a_little_by_itself(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *LEDGER, "--duration", "300ms", "--scale", "30")
    assert run.wait() == 0, run.stderr
    assert run.event("seed.finished")["rows"] > 1000
    assert run.summary["ops"]["credit"]["ok"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command_name", ["seed", "run"])
def test_a_signal_leaves_what_is_loaded_to_go_on_with(
    tmp_path: Path, command_name: str, number: signal.Signals
) -> None:
    target = f"sqlite:///{tmp_path}/data.db"
    arguments = [command_name, *LEDGER, "--target", target, "--log-interval", "100ms", "--json"]
    if command_name == "run":
        arguments += ["--listen", "127.0.0.1:0"]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = Forked([*arguments, "--scale", "20000"], stdout=out, stderr=err)
        give_up = time.monotonic() + 30
        while '"tables"' not in (tmp_path / "out").read_text():
            assert process.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    message = (tmp_path / "err").read_text()
    assert message.startswith("soakd: error: stopped")
    assert len(message.splitlines()) == 1
    rows = {one["event"]: one.get("rows", 0) for one in events((tmp_path / "out").read_text())}
    assert 0 < rows["seed.finished"] < rows["seed.started"]
    refused = command(tmp_path, "seed", *LEDGER, "--target", target, "--scale", "7")
    assert refused.returncode == 2
    assert "scale 20000 instead of 7" in refused.stderr


def test_tables_can_be_made_without_data(tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/data.db"
    made = command(tmp_path, "seed", *LEDGER, "--target", target, "--skip-data")
    assert made.returncode == 0, made.stderr
    assert "nothing else" in events(made.stdout)[-1]["result"]
    loaded = command(tmp_path, "seed", *LEDGER, "--target", target, "--scale", "20")
    assert loaded.returncode == 0, loaded.stderr


def test_only_what_is_old_is_dropped(tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/data.db"
    arguments = ("seed", *LEDGER, "--target", target, "--clean", "--older-than")
    assert command(tmp_path, "seed", *LEDGER, "--target", target, "--scale", "20").returncode == 0
    kept = command(tmp_path, *arguments, "1h", "--scale", "30")
    assert kept.returncode == 2
    assert "scale 20 instead of 30" in kept.stderr
    anew = command(tmp_path, *arguments, "0", "--scale", "30")
    assert anew.returncode == 0, anew.stderr
    assert "30 wallets" in anew.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scale", "-5"), "--scale: '-5' is not a scale"),
        (("--scale", "0"), "--scale: '0' is not a scale"),
        (("--scale", "many"), "--scale: 'many' is not a scale"),
        (("--scale", "1"), "data.scale 1 is 1 wallets"),
        (("--loaders", "0"), "--loaders: '0' is not valid; write a whole number from 1 to 64"),
        (("--older-than", "1h"), "--older-than"),
        (("--clean", "--older-than", "yesterday"), "--older-than: 'yesterday' is not a duration"),
        (("--target", "null://"), "stores nothing"),
        (("--set", "ledger.history=0"), "ledger.history"),
    ],
)
def test_bad_input_is_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["seed", *LEDGER, *arguments]) == 2
    complaint = capsys.readouterr().err
    assert words in complaint
    assert len(complaint.splitlines()) == 1


def test_a_workload_without_data_says_so(tmp_path: Path) -> None:
    told = command(tmp_path, "seed", "--workload", "events")
    assert told.returncode == 0
    assert "events begins with no data" in told.stdout
