"""Reports of whole runs that somebody disturbed: each bad moment is there, for the reason that it had."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil
import psycopg

from daemon.history.file import reading
from tests.e2e.conftest import Start
from tests.e2e.locks import snapshot_held, writes_blocked
from tests.e2e.process import SLOW_STEP, Soakd, command, eventually, settings
from tests.servers import LocalServer

# An open loop: whatever is due while the target stands still is late, and shows it.
LOAD = (
    "--writers", "4", "--write-rate", "100", "--readers", "2", "--read-rate", "100",
    "--batch-timeout", "0", "--sample-interval", "1s", "--duration", "0",
)  # fmt: skip
HOST = {"disk", "memory", "processor", "steal", "CPU quota", "generator", "backlog"}
"""What may be true of a busy machine at any time, beside what was done to the database."""

KNOWN = "SELECT (SELECT started FROM runs) + max(at + length) / 1000.0 FROM intervals"
CPU = "SELECT value FROM samples_over_time WHERE signal = 'host.cpu'"


class Disturbance(NamedTuple):
    """What was done from `begin` on, when its last answers had come, s since the epoch, and right causes."""

    begin: float
    end: float
    right: set[str]


class Watched:
    """A run that is disturbed now and then, and what was done to it."""

    def __init__(self, run: Soakd) -> None:
        self.run = run
        self.done: dict[str, Disturbance] = {}
        self.quiet(4)

    @contextmanager
    def disturbed(self, name: str, *right: str) -> Iterator[None]:
        """Note that something is done, and wait until the run has recovered from it."""
        begin = time.time()
        yield
        # Its answers come within a second. A busy machine has bad moments of its own before the next one.
        self.done[name] = Disturbance(begin, time.time() + 1, set(right))
        self.quiet(4)

    def quiet(self, seconds: int) -> None:
        """Wait for so long, and until the history knows it."""
        until = time.time() + seconds
        eventually(lambda: self._known() >= until or None, 60, f"{seconds} s of history", SLOW_STEP)

    def _known(self) -> float:
        """Return until when the history knows of the load, s since the epoch."""
        file = self.run.folder / "soakd-history.db"
        if not file.exists():
            return 0.0
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            (end,) = connection.execute(KNOWN).fetchone()
        except sqlite3.OperationalError:  # just being made
            return 0.0
        finally:
            connection.close()
        return end or 0.0

    def report(self) -> dict[str, Any]:
        """End the run and return its report."""
        self.run.process.terminate()
        assert self.run.wait() == 0, self.run.stderr
        done = command(self.run.folder, "report", "last", "--format", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def reasons(self, report: Mapping[str, Any], name: str) -> dict[str, str]:
        """Return why responses were slow during a disturbance: causes, and all that was seen of each."""
        done, started = self.done[name], report["started"]
        spikes = [
            spike
            for spike in report["spikes"]
            if started + spike["at"] < done.end and started + spike["at"] + spike["seconds"] > done.begin
        ]
        assert spikes, (name, done.begin - started, done.end - started, outline(report))
        told = defaultdict[str, list[str]](list)
        for spike in spikes:
            for cause, seen in causes(spike).items():
                told[cause].append(seen)
        return {cause: "; ".join(seen) for cause, seen in told.items()}

    def check(self, report: Mapping[str, Any]) -> None:
        """See each disturbance named by a cause that is right for it, and by none of what was done later."""
        later: set[str] = set()
        for name, done in reversed(self.done.items()):
            if name == "hog":
                continue
            found = self.reasons(report, name).keys()
            assert found & done.right or not done.right, self._told(report, name, found)
            assert not found & (later - done.right), self._told(report, name, found)
            later |= done.right - HOST

    def _told(self, report: Mapping[str, Any], name: str, found: Iterable[str]) -> str:
        """Return all of it in one text, for whoever looks at a failure."""
        when = {
            what: (done.begin - report["started"], done.end - report["started"])
            for what, done in self.done.items()
        }
        return f"{name}: {list(found)} among {outline(report)}; done at {when}"

    def hog(self) -> None:
        """Have others want the processors, unless they are busy all the time: that explains no moment."""
        if not self._busy():
            with self.disturbed("hog"), hogged():
                spent(2.0)

    def check_hog(self, report: Mapping[str, Any]) -> None:
        """See the processors named, if they were not busy before, nor for most of the run."""
        if "hog" in self.done and not self._busy():
            assert self.reasons(report, "hog").keys() & {"processor", "generator"}, outline(report)

    def _busy(self) -> bool:
        with reading(self.run.folder / "soakd-history.db") as db:
            return bool(median(row["value"] for row in db.query(CPU)) >= 0.75)


@contextmanager
def suspended(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop processes for as long as the context lasts."""
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        process.resume()


@contextmanager
def hogged() -> Iterator[None]:
    """Have others want twice the processors that there are."""
    with ExitStack() as stack:
        for _ in range(2 * (os.cpu_count() or 1)):
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(hog.wait)
            stack.callback(hog.kill)
        yield


def spent(seconds: float) -> None:
    """Let a disturbance last; nothing is waited for."""
    time.sleep(seconds)


def family(server: LocalServer) -> list[psutil.Process]:
    """Return all processes of a server."""
    assert server._process is not None
    postmaster = psutil.Process(server._process.pid)
    return [postmaster, *postmaster.children()]


SLOW = """
CREATE OR REPLACE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$
"""
TRIGGER = (
    "CREATE TRIGGER slow BEFORE INSERT ON soakd.events FOR EACH STATEMENT EXECUTE FUNCTION public.slow()"
)


@contextmanager
def slow_writes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Have each batch take a while longer, for a second at least, for a reason that no figure shows."""
    connection.execute(SLOW.format(seconds=0.4))
    yield
    spent(1.0)
    connection.execute(SLOW.format(seconds=0))


def test_on_postgres_each_bad_moment_has_the_reason_that_it_had(
    soakd: Start, private_postgres: LocalServer
) -> None:
    """A checkpoint of a small database holds nothing up, so a trigger sees to it that it is slow meanwhile.

    The trigger alone is what nobody can explain.
    """
    server = private_postgres
    with (
        server.database() as url,
        psycopg.connect(url, autocommit=True, application_name="somebody") as other,
    ):
        run = soakd("--target", url, *LOAD).started()
        other.execute(SLOW.format(seconds=0))
        other.execute(TRIGGER)
        watched = Watched(run)
        with watched.disturbed("lock", "lock chain"), other.transaction():
            other.execute("LOCK TABLE soakd.events IN EXCLUSIVE MODE")
            spent(2.5)  # whose head is told after a second
        watched.hog()
        with watched.disturbed("trigger"), slow_writes(other):
            pass
        with watched.disturbed("checkpoint", "checkpoint"), slow_writes(other):
            other.execute("CHECKPOINT")
        with watched.disturbed("pause", "silent server", "outage"), suspended(family(server)):
            spent(2.5)
        report = watched.report()
        head = f"at the head session {other.info.backend_pid} (somebody, idle in transaction)"
    watched.check(report)
    watched.check_hog(report)
    assert head in watched.reasons(report, "lock")["lock chain"]
    assert "a checkpoint (requested)" in watched.reasons(report, "checkpoint")["checkpoint"]
    assert watched.reasons(report, "trigger").keys() <= HOST
    assert "lock waits" in {found["name"] for found in report["findings"]}


def test_on_sqlite_each_bad_moment_has_the_reason_that_it_had(soakd: Start, tmp_path: Path) -> None:
    """Moving 8 MB into a file may hold nobody up, so a checkpoint has to wait for a reader.

    What is paused is the process that holds the file.
    """
    target, wal = f"sqlite:///{tmp_path}/load.db", tmp_path / "load.db-wal"
    big = settings(events__message_size=20_000, sqlite__wal_limit="8MiB")
    watched = Watched(soakd("--target", target, *LOAD, *big).started())
    with watched.disturbed("checkpoint", "SQLite checkpoint", "SQLite lock"), snapshot_held(target):
        eventually(lambda: wal.stat().st_size > 8 * 2**20 or None, 60, "a WAL that is too long")
        spent(1.5)  # it waits for a second
    with watched.disturbed("lock", "SQLite lock"), writes_blocked(target):
        spent(1.5)
    with watched.disturbed("pause", "generator"), suspended(watched.run.engines):
        spent(1.5)
    watched.hog()
    report = watched.report()
    watched.check(report)
    watched.check_hog(report)
    seen = watched.reasons(report, "checkpoint")["SQLite checkpoint"]
    assert "a checkpoint (" in seen
    assert "restart" in seen
    made = [event for event in report["events"] if event["name"] == "sqlite restart"]
    assert made
    for spike in report["spikes"]:
        assert "restart" not in causes(spike).get("SQLite checkpoint", "") or any(
            event["at"] < spike["at"] + spike["seconds"] + 1
            and event["at"] + event["seconds"] > spike["at"] - (spike["p99"] or 1.0) - 1
            for event in made
        ), (made, outline(report))
    assert "other writers" in {found["name"] for found in report["findings"]}


def causes(spike: Mapping[str, Any]) -> dict[str, str]:
    """Return the causes of a spike, and what was seen of each."""
    return {reason["name"]: reason["seen"] for reason in spike["reasons"]}


def outline(report: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return what there was of spikes, for whoever looks at a failure."""
    return [
        (spike["at"], spike["seconds"], spike["pool"], spike["p99"], *causes(spike))
        for spike in report["spikes"]
    ]
