"""Reports of whole runs that somebody disturbed: the worst moment is then, and for that reason."""

import json
import time
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Start
from tests.e2e.locks import writes_blocked
from tests.e2e.process import Soakd, command, eventually
from tests.servers import LocalServer

LOAD = (
    "--writers",
    "4",
    "--readers",
    "2",
    "--read-rate",
    "200",
    "--batch-timeout",
    "2ms",
    "--sample-interval",
    "1s",
)


def kept(run: Soakd, seconds: float) -> None:
    """Wait until the history has so many seconds of the load."""

    def look() -> bool | None:
        done = command(run.folder, "report", "--format", "json")
        found = json.loads(done.stdout) if done.returncode == 0 else {"measured_seconds": 0}
        return True if found["measured_seconds"] >= seconds else None

    eventually(look, 60, f"{seconds} s of history")


def told(run: Soakd) -> dict[str, Any]:
    """Return the report as data."""
    done = command(run.folder, "report", "last", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def reasons(report: dict[str, Any], begin: float, end: float) -> set[str]:
    """Return why responses were slow from `begin` to `end`, s since the epoch."""
    return {
        reason["name"]
        for spike in report["spikes"]
        if report["started"] + spike["at"] < end
        and report["started"] + spike["at"] + spike["seconds"] > begin
        for reason in spike["reasons"]
    }


@pytest.mark.parametrize("target", ["sqlite", "postgres"], indirect=True)
def test_a_lock_is_named_as_the_reason_for_the_wait(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *LOAD, "--duration", "0").started()
    kept(run, 5)
    begin = time.time()
    with writes_blocked(target):
        time.sleep(2.5)  # the length of the disturbance, not a wait for something
    end = time.time()
    kept(run, end - begin + 8)
    run.process.terminate()
    assert run.wait() == 0, run.stderr
    report = told(run)
    assert report["state"] == "unjudged"
    name = "lock chain" if target.startswith("postgres") else "SQLite lock"
    assert name in reasons(report, begin, end + 1), report["spikes"]
    finding = "lock waits" if target.startswith("postgres") else "other writers"
    assert finding in {found["name"] for found in report["findings"]}


def test_a_stopped_server_is_named_as_the_reason(soakd: Start, private_postgres: LocalServer) -> None:
    with private_postgres.database() as url:
        run = soakd("--target", url, *LOAD, "--duration", "0").started()
        kept(run, 6)
        server = private_postgres._process
        assert server is not None
        postmaster = psutil.Process(server.pid)
        processes = [postmaster, *postmaster.children()]
        begin = time.time()
        for process in processes:
            process.suspend()
        time.sleep(2.5)
        for process in processes:
            process.resume()
        end = time.time()
        private_postgres.execute("CHECKPOINT")
        kept(run, end - begin + 9)
        run.process.terminate()
        assert run.wait() == 0, run.stderr
    report = told(run)
    assert {"silent server", "outage"} & reasons(report, begin, end + 1), report["spikes"]
    assert [event["name"] for event in report["events"] if event["kind"] == "checkpoint"] == [
        "postgres requested"
    ]
