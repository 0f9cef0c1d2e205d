"""`soakd history` and `soakd report`: what they show, name, change and write."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from daemon.__main__ import main
from daemon.history.file import open_to_write, reading
from daemon.history.look import Ending
from daemon.history.read import runs
from daemon.history.scribe import Scribe
from daemon.record.snapshot import Snapshot
from tests.past import STARTED, Past, beginning

TIMES = {"p50": 0.001, "p90": 0.002, "p95": 0.003, "p99": 0.004, "p999": 0.005, "max": 0.006, "mean": 0.0015}


def summary(rate: float) -> dict[str, Any]:
    """Return the part of a summary that lists and trends read."""
    pool = {
        "achieved_rate": rate, "ok": 100, "rejected": 0, "error": 1, "timeout": 0, "dropped": 0,
        "response": TIMES, "service": TIMES, "queue_wait": TIMES, "target_rate": None,
    }  # fmt: skip
    return {
        "pools": {"writer": pool},
        "ops": {},
        "rows": {"accepted": 100, "committed": 100, "lost": 0},
        "durability": "",
    }


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a history of three runs, one of which has no end."""
    monkeypatch.chdir(tmp_path)
    with open_to_write(tmp_path / "soakd-history.db") as db:
        for number, rate in enumerate((1000.0, 1100.0)):
            add(db, f"2026092{number}000000000", rate, STARTED + number * 86400)
        past = Past()
        writer = Scribe(db, beginning("20260925000000111", started=STARTED + 5 * 86400), sample_interval=5)
        for second in range(4):
            past.at = float(second)
            past.ops("writer", 100, 0.01)
            writer.look(past.look())
    return tmp_path


def add(db: Database, run_id: str, rate: float, started: float) -> None:
    past, writer = Past(), Scribe(db, beginning(run_id, started=started), sample_interval=5)
    for second in range(3):
        past.at = float(second)
        past.ops("writer", 100, 0.01)
        writer.look(past.look())
    writer.finish(Ending(60.0, "duration", "passed", summary(rate), Snapshot(), {}))


def test_the_list_has_the_newest_first(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "20260925000000111", "20260921000000000", "20260920000000000",
    ]  # fmt: skip
    assert "passed" in lines[2]
    assert "1,100" in lines[2]
    assert "4.00ms" in lines[2]
    assert main(["history", "list", "--limit", "1", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["state"] == "running"  # this process wrote it, and lives


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("last", "20260925000000111"),
        ("last-1", "20260921000000000"),
        ("20260920000000000", "20260920000000000"),
        ("0111", "20260925000000111"),
        ("baseline", "20260920000000000"),
    ],
)
def test_a_run_has_many_names(
    history: Path, capsys: pytest.CaptureFixture[str], name: str, run_id: str
) -> None:
    assert main(["history", "tag", "20260920000000000", "baseline", "slow-disk"]) == 0
    assert "baseline slow-disk" in capsys.readouterr().out
    assert main(["history", "show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_id"] == run_id


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("history show nonsense", "there is no such run"),
        ("history show 000", "2 runs end in it"),
        ("history show last-7", "the history holds 3 runs"),
        ("history tag last 42", "a tag is a word"),
        ("history trend rate.reader", "there are: dropped.writer, errors.rate"),
        ("history delete last", "still going on"),
        ("history export --format db", "name a file with --output"),
        ("history list --file nowhere.db", "there is no such file"),
        ("report nonsense", "there is no such run"),
        ("report last-1 --format md -o nowhere/x.md", "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    history: Path, capsys: pytest.CaptureFixture[str], arguments: str, says: str
) -> None:
    assert main(arguments.split()) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert len(shown.err.splitlines()) == 1


def test_a_trend_compares_each_run_with_the_one_before(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "trend", "rate.writer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3  # the run without an end has no figures
    assert "+10.0 %" in lines[2]
    assert main(["history", "trend", "response.writer.p99", "--json"]) == 0
    assert [one["response.writer.p99"] for one in json.loads(capsys.readouterr().out)] == [0.004, 0.004]


def test_a_tag_is_taken_away_and_a_run_deleted(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "tag", "last-2", "old"]) == 0
    assert main(["history", "list", "--tag", "old", "--json"]) == 0
    assert main(["history", "tag", "old", "old", "--remove"]) == 0
    assert "no tags" in capsys.readouterr().out
    assert main(["history", "delete", "last-1", "last-2"]) == 0
    with reading(history / "soakd-history.db") as db:
        assert [run.run_id for run in runs(db)] == ["20260925000000111"]


def test_runs_are_exported_as_a_table_and_whole(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "export"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["rate.writer"] for line in lines] == ["1000.0", "1100.0", ""]
    assert main(["history", "export", "last-1", "--format", "db", "-o", "one.db"]) == 0
    capsys.readouterr()
    assert main(["report", "--file", "one.db", "--format", "json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["run_id"] == "20260921000000000"
    assert given["pools"][0]["rate"] == 1100.0
    assert main(["history", "export", "--format", "db", "-o", "one.db"]) == 2


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("html", "<!DOCTYPE html>"),
        ("md", "# soakd run 20260925000000111: Still running"),
        ("json", "{"),
        ("csv", "second,seconds,phase,pool"),
        ("junit", "<?xml"),
    ],
)
def test_a_report_is_written_where_it_is_asked_for(
    history: Path, capsys: pytest.CaptureFixture[str], form: str, begins: str
) -> None:
    assert main(["report", "--format", form, "--output", f"report.{form}"]) == 0
    assert capsys.readouterr().out == f"wrote report.{form}\n"
    assert (history / f"report.{form}").read_text().startswith(begins)
    assert main(["report", "--format", form, "--output", "-"]) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_a_page_gets_a_name_of_its_own(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    assert "soakd-report-20260925000000111.html" in capsys.readouterr().out
    assert (history / "soakd-report-20260925000000111.html").is_file()


def test_the_configuration_names_the_file(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (history / "soakd-history.db").rename(history / "kept.db")
    (history / "soakd.yaml").write_text("history:\n  file: kept.db\n")
    assert main(["history", "list", "--config", "soakd.yaml"]) == 0
    assert "20260921000000000" in capsys.readouterr().out
    assert main(["report", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Report of a soakd run"
