"""The summary: its target rates, and its file: in full or not at all, and only plain files are replaced."""

import json
import os
import resource
import threading
from pathlib import Path

import pytest

from daemon.config.settings import Settings
from daemon.control.summarize import check_writable, pool_plans, write_summary
from daemon.errors import UsageError
from daemon.scenario.model import Scenario
from daemon.scenario.programme import programme

SUMMARY = {"run_id": "1", "ops": {}}


def test_a_file_is_written_in_full_and_nothing_else_is_left(tmp_path: Path) -> None:
    """An older summary is replaced; no partial file stays."""
    path = tmp_path / "summary.json"
    path.write_text("old")
    write_summary(path, SUMMARY)
    assert json.loads(path.read_text()) == SUMMARY
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points to is written."""
    link, file = tmp_path / "link.json", tmp_path / "file.json"
    file.write_text("old")
    link.symlink_to(file)
    write_summary(link, SUMMARY)
    assert link.is_symlink()
    assert json.loads(file.read_text()) == SUMMARY


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """So is a device such as /dev/stdout or /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_writable(pipe)
    write_summary(pipe, SUMMARY)
    reader.join(10)
    assert json.loads(read[0]) == SUMMARY
    assert pipe.is_fifo()


def test_a_folder_that_went_away_is_one_clear_line(tmp_path: Path) -> None:
    """The run is over by then: it is no bug and no traceback."""
    with pytest.raises(UsageError, match="cannot be written"):
        write_summary(tmp_path / "gone" / "summary.json", SUMMARY)


@pytest.mark.parametrize("name", ["", "missing/summary.json"])
def test_a_place_that_will_not_do_is_refused_before_the_run(tmp_path: Path, name: str) -> None:
    """A folder, and a file in a folder that is not there."""
    with pytest.raises(UsageError, match="summary"):
        check_writable(tmp_path / name)


def test_a_file_that_does_not_fit_on_the_disk_is_taken_away_again(tmp_path: Path) -> None:
    """A part of a summary is worth nothing, and an older one is kept."""
    path = tmp_path / "summary.json"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(UsageError, match="cannot be written"):
            write_summary(path, SUMMARY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize(("seconds", "rate"), [(1.0, 50.0), (3.0, 100.0), (4.0, 125.0), (4.4, 125.0)])
def test_the_rate_of_a_scenario_is_what_its_phases_ask_for(seconds: float, rate: float) -> None:
    """Also where they took longer than they were to: the load went on meanwhile."""
    phases = [
        {"name": "low", "duration": 2, "write": 50},
        {"name": "high", "duration": 2, "write": 200},
    ]
    scenario = Scenario.model_validate({"description": "x", "phases": phases})
    plans = pool_plans(Settings(), programme("mine", scenario, 1.0), seconds)
    assert (plans["writer"].target_rate, plans["reader"].target_rate) == (rate, None)
