"""`make preview` brings a whole stack up; when it is ended before its time nothing of that stays."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.process import SLOW_STEP, eventually
from tests.e2e.watched import has_statements

ROOT = Path(__file__).parent.parent.parent
WITHIN = 60.0  # s, for a busy machine
STACK = {"prometheus": 1, "postgres": 1, "soakd": 3}  # what it starts itself; each soakd has an engine


def living(processes: set[psutil.Process]) -> list[psutil.Process]:
    """Return those that are there; one that is dead and whom nobody has asked for its end is not."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def programs(parent: psutil.Process) -> Iterator[psutil.Process]:
    """Yield what a process has started, also what it has had forked."""
    for child in parent.children():
        if "tests.forked" in child.cmdline():
            yield from child.children()
        else:
            yield child


def test_a_preview_that_is_told_to_end_leaves_nothing_behind(postgres_binaries: Path, tmp_path: Path) -> None:
    """Asked twice, too, as by somebody who is impatient."""
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed (Debian's package prometheus)")
    if not has_statements(postgres_binaries):
        pytest.skip("this PostgreSQL has no pg_stat_statements")
    log = tmp_path / "log"
    with log.open("wb") as out:
        preview = subprocess.Popen(
            [sys.executable, "-m", "dashboards.preview", "600"],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out,
        )  # fmt: skip
    started: set[psutil.Process] = set()

    def whole() -> bool | None:
        """Note what it has started; true once that is all, engines included."""
        assert preview.poll() is None, log.read_text()
        with suppress(psutil.NoSuchProcess):  # initdb and its helpers come and go
            started.update(psutil.Process(preview.pid).children(recursive=True))
            present = [child.parent() for child in living(started)]
            parents = Counter(parent.name() for parent in present if parent)
            names = Counter(child.name() for child in programs(psutil.Process(preview.pid)))
            return (names == STACK and parents["soakd"] == STACK["soakd"]) or None
        return None

    try:
        eventually(whole, WITHIN, "the whole stack", SLOW_STEP)
        for _ in range(2):
            preview.send_signal(signal.SIGTERM)
        assert preview.wait(WITHIN) == 128 + signal.SIGTERM, log.read_text()
        eventually(lambda: not living(started) or None, WITHIN, "no process of the stack", SLOW_STEP)
    finally:
        preview.kill()
        for process in living(started):
            process.kill()
