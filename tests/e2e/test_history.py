"""The history of whole runs: figures as in the summary, nothing lost in a crash, a bad file does no harm."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from daemon.history.blob import unpack
from daemon.history.file import reading
from tests.e2e.conftest import Start
from tests.e2e.process import Soakd, command, eventually, settings

QUICK = ("--writers", "4", "--readers", "2", "--read-rate", "200", "--batch-timeout", "2ms")


def rows(run: Soakd, sql: str) -> list[dict[str, Any]]:
    """Return what the history of a run's folder answers."""
    with reading(run.folder / "soakd-history.db") as db:
        return list(db.query(sql))


@pytest.mark.parametrize("target", ["sqlite", "postgres"], indirect=True)
def test_the_history_says_what_the_summary_says(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *QUICK, "--warmup", "1s", "--duration", "3s", "--sample-interval", "1s")
    assert run.wait() == 0, run.stderr
    assert not run.events("history.off")
    summary = run.summary
    (kept,) = rows(run, "SELECT * FROM runs")
    assert kept["run_id"] == summary["run_id"]
    assert json.loads(kept["summary"]) == summary
    assert (kept["verdict"], kept["stop_reason"], kept["interrupted"]) == ("unjudged", "duration", 0)
    assert "password" not in kept["target"]
    for operation in rows(run, "SELECT * FROM operations"):
        told = summary["ops"][operation["op"]]
        assert operation["ok"] == told["ok"]
        assert unpack(operation["response"]).quantile(0.99) == told["response"]["p99"]
    phases = [row["phase"] for row in rows(run, "SELECT DISTINCT phase FROM intervals ORDER BY at")]
    assert phases[-3:] == ["warming up", "running", "draining"]
    measured = rows(
        run,
        "SELECT pool, sum(ok) AS ok FROM pool_intervals WHERE phase IN ('running', 'draining') GROUP BY pool",
    )
    assert {row["pool"]: row["ok"] for row in measured} == {
        name: pool["ok"] for name, pool in summary["pools"].items()
    }
    (total,) = rows(run, "SELECT sum(committed) AS committed FROM intervals")
    assert total["committed"] == summary["rows"]["committed"]
    sections = {row["section"] for row in rows(run, "SELECT DISTINCT section FROM environment")}
    assert {"hardware", "system", "versions"} < sections
    signals = {row["signal"] for row in rows(run, "SELECT DISTINCT signal FROM samples_over_time")}
    assert {"host.cpu", "pool.usage"} <= signals
    assert ("pg.cache_hit" in signals, "sqlite.wal" in signals) == (
        target.startswith("postgres"), target.startswith("sqlite"),
    )  # fmt: skip


def test_a_killed_run_is_there_up_to_its_last_second(soakd: Start, tmp_path: Path) -> None:
    met, failed = "errors.rate < 1%", "rate.writer >= 1000000"
    bounds = ("--threshold", met, "--threshold", failed)
    run = soakd("--target", "sqlite:///load.db", *QUICK, *bounds, "--duration", "0").started()
    file = run.folder / "soakd-history.db"

    def seconds() -> int | None:
        if not file.exists():
            return None
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            try:
                (number,) = connection.execute("SELECT count(*) FROM intervals").fetchone()
            except sqlite3.OperationalError:  # just being made
                number = 0
        connection.close()
        return number if number >= 3 else None

    seen = eventually(seconds, 20, "three seconds of history")
    run.process.kill()
    run.process.wait()
    (kept,) = rows(run, "SELECT *, (SELECT count(*) FROM intervals) AS n FROM runs")
    assert (kept["interrupted"], kept["stop_reason"], kept["verdict"]) == (1, "interrupted", None)
    assert kept["n"] >= seen
    (last,) = rows(run, "SELECT max(at + length) / 1000.0 AS second FROM intervals")
    assert kept["ended"] - kept["started"] == pytest.approx(last["second"], abs=0.002)
    report = json.loads(command(run.folder, "report", "--format", "json").stdout)
    assert [(one["expression"], one["verdict"]) for one in report["thresholds"]] == [
        (met, "pass"), (failed, "fail"),
    ]  # fmt: skip
    assert "1 of 2 thresholds held when it was last seen." in report["reasons"]


@pytest.mark.parametrize("spoil", ["rubbish", "folder", "missing"])
def test_a_history_that_cannot_be_written_stops_no_load(soakd: Start, tmp_path: Path, spoil: str) -> None:
    file = tmp_path / "spoilt.db" if spoil != "missing" else tmp_path / "nowhere" / "spoilt.db"
    if spoil == "rubbish":
        file.write_bytes(b"this is no database" * 500)
    elif spoil == "folder":
        file.mkdir()
    run = soakd("--target", "sqlite:///load.db", *QUICK, "--duration", "2s", "--history", str(file))
    assert run.wait() == 0, run.stderr
    assert run.summary["rows"]["committed"] > 0
    (warning,) = run.events("history.off")
    assert warning["level"] == "warning"
    assert str(file) in warning["reason"]


def test_no_history_means_no_file(soakd: Start) -> None:
    run = soakd("--target", "null://", *QUICK, "--duration", "1s", "--no-history")
    assert run.wait() == 0, run.stderr
    assert not list(run.folder.glob("*history*"))


def test_the_database_under_load_is_no_history(tmp_path: Path) -> None:
    """One file in two SQLite libraries could be damaged."""
    one = settings(history__file="load.db")
    done = command(tmp_path, "run", "--target", "sqlite:///load.db", "--duration", "1s", *one)
    assert done.returncode == 2
    assert "is the database under load" in done.stderr
