"""`soakd query-test` as a whole process: one command from an empty database to a report."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from daemon.__main__ import main
from daemon.history.file import reading
from daemon.workloads.marketplace.operations import READS
from tests.e2e.process import command, eventually
from tests.forked import Forked

MARKET = ("query-test", "--workload", "marketplace", "--scale", "60", "--iterations", "20")


def lab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a query test to its end."""
    return command(folder, *MARKET, *arguments)


def test_one_command_loads_measures_and_reports(tmp_path: Path, target: str) -> None:
    done = lab(tmp_path, "--target", target, "--report", "first.json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads((tmp_path / "first.json").read_text())
    assert report["queries"].keys() == READS.keys()
    for name, one in report["queries"].items():
        assert one["count"] == 20
        assert one["rows"]["min"] >= 1
        assert 0 < one["min"] <= one["p50"] <= one["p95"] <= one["p99"] <= one["max"]
        assert f"\n{name} " in done.stdout
    offers = dict.fromkeys(("sell_offers", "buy_offers", "invoices"), 300)
    assert report["records"] == {"mints": 60, "addresses": 500, "balances": 1200, **offers}
    assert "0 of 10 queries are slow" in done.stdout
    again = lab(tmp_path, "--target", target, "--skip-data", "--compare", "first.json", "--json")
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    second = json.loads(again.stdout)
    assert second["comparison"]["conditions"] == {}
    assert second["comparison"]["queries"].keys() == READS.keys()
    with reading(tmp_path / "soakd-history.db") as db:
        kept = [json.loads(row["report"]) for row in db.query("SELECT report FROM query_tests ORDER BY id")]
    assert kept == [report, {**second, "comparison": None}]


def test_a_slow_query_is_explained_and_over_the_limit_ends_in_exit_code_4(
    tmp_path: Path, target: str
) -> None:
    (tmp_path / "spoilt").mkdir()  # which is no history, and does no harm
    slow = ("--target", target, "--slow", "1us", "--report", "slow.json", "--history", "spoilt")
    done = lab(tmp_path, *slow, "--max-slow", "9")
    assert done.returncode == 4
    told = done.stderr.splitlines()[-1]
    assert "soakd: warning: not kept: history spoilt: unable to open" in done.stderr
    assert told.startswith("soakd: error: 10 queries are slow (list_mints_50, ")
    assert told.endswith("--max-slow allows 9")
    report = json.loads((tmp_path / "slow.json").read_text())
    for one in report["queries"].values():
        plan = one["plans"][0]
        assert plan["plan"]
        assert "missing_indexes" in plan
    assert ("Index Scan" if target.startswith("postgres") else "SEARCH") in done.stdout
    assert lab(tmp_path, *slow, "--max-slow", "10").returncode == 0


def test_writers_write_behind_the_queries(tmp_path: Path, target: str) -> None:
    done = lab(tmp_path, "--target", target, "--writers", "3", "--iterations", "50", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    load = json.loads((tmp_path / "r.json").read_text())["write_load"]
    assert load["outcomes"]["ok"] > 0
    assert load["outcomes"].keys() <= {"ok", "rejected"}
    assert "writes behind: " in done.stdout


@pytest.mark.parametrize("workload", ["ledger", "events", "sql"])
def test_it_is_for_every_workload(tmp_path: Path, workload: str) -> None:
    base = ("--target", f"sqlite:///{tmp_path}/lab.db", "--workload", workload)
    more: tuple[str, ...] = ("--scale", "50") if workload == "ledger" else ()
    if workload == "events":
        empty = command(tmp_path, "query-test", *base)
        assert (empty.returncode, empty.stderr.count("\n")) == (2, 1)
        assert "write some with `soakd run` first" in empty.stderr
        assert (
            command(tmp_path, "run", *base, "--duration", "300ms", "--listen", "127.0.0.1:0").returncode == 0
        )
        more = ("--writers", "2")
    if workload == "sql":
        assert command(tmp_path, "seed", *base, "--scale", "1").returncode == 0
        more = ("--set", "sql.script=select-only")
        writing = command(tmp_path, "query-test", *base, "--set", "sql.script=tpcb-like")
        assert (writing.returncode, writing.stderr.count("\n")) == (2, 1)
        assert "has no reads here" in writing.stderr
    done = command(tmp_path, "query-test", *base, *more, "--iterations", "10", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    queries = json.loads((tmp_path / "r.json").read_text())["queries"]
    assert len(queries) == {"ledger": 3, "events": 4, "sql": 1}[workload]
    for one in queries.values():
        assert one["count"] == 10
        assert one["errors"] == {}


def test_a_signal_ends_it_and_leaves_what_was_loaded(tmp_path: Path) -> None:
    arguments = [
        "query-test", "--workload", "marketplace", "--target", f"sqlite:///{tmp_path}/lab.db",
        "--scale", "60", "--iterations", "1000000",
    ]  # fmt: skip
    with (tmp_path / "err").open("wb") as err:
        process = Forked(arguments, stderr=err)
        eventually(
            lambda: "seed.finished" in (tmp_path / "err").read_text() or None, 30, "the data to be loaded"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT
    assert (
        (tmp_path / "err")
        .read_text()
        .splitlines()[-1]
        .startswith("soakd: error: stopped: there is no report")
    )
    assert lab(tmp_path, "--target", f"sqlite:///{tmp_path}/lab.db", "--skip-data").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--iterations", "0"), 2, "--iterations"),
        (("--slow", "100"), 2, "--slow: '100' has no unit"),
        (("--max-slow", "-1"), 2, "--max-slow"),
        (("--target", "null://"), 2, "stores nothing"),
        (("--skip-data", "--clean"), 2, "give one of them"),
        (("--history", "lab.db"), 2, "is the database under load"),
        (("--skip-data",), 3, "leave --skip-data out"),
        (("--compare", "nowhere.json"), 2, "--compare nowhere.json: cannot be read"),
        (("--report", "nowhere/report.json"), 2, "report nowhere/report.json: there is no folder"),
        (("--workload", "nothing"), 2, "--workload"),
    ],
)
def test_bad_input_is_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(["query-test", "--workload", "marketplace", "--target", "sqlite:///lab.db", *arguments]) == code
    )
    complaint = capsys.readouterr().err
    assert words in complaint
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "lab.db").exists()


def test_data_that_is_not_there_or_not_the_one_asked_for_is_refused(
    tmp_path: Path, target: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def complaint(*arguments: str) -> str:
        assert main(["query-test", "--workload", "marketplace", "--target", target, *arguments]) == 2
        told = capfd.readouterr().err
        assert len(told.splitlines()) == 1
        return told

    assert main(["seed", "--workload", "marketplace", "--target", target, "--skip-data"]) == 0
    capfd.readouterr()
    assert "does not hold all data of marketplace" in complaint("--skip-data")
    assert main(["seed", "--workload", "marketplace", "--target", target, "--scale", "20"]) == 0
    capfd.readouterr()
    assert "scale 20 instead of 30" in complaint("--skip-data", "--scale", "30")
    assert "scale 20 instead of 30" in complaint("--scale", "30")
