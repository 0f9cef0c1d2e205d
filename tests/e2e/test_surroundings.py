"""Odd places to run in: among files named like Python's own, on a full disk, on a terminal."""

import os
import pty
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import SOAKD, balanced, command, eventually, total, verified

NAMES = ("random", "daemon", "asyncio", "json", "signal", "apsw", "numpy", "typing", "socket", "engine")


def test_python_files_in_the_working_directory_are_not_imported(soakd: Start, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('imported the wrong {name}')\n")
    run = soakd("--duration", "500ms", "--read-rate", "50")
    assert run.wait() == 0, run.stderr
    assert run.summary["rows"]["committed"] > 0
    assert command(tmp_path, "verify").returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of another process can be set on Linux only")
def test_a_full_disk_is_counted_survived_and_recovered_from(soakd: Start, tmp_path: Path) -> None:
    """The files may grow no further, which SQLite is told by an error as on a full disk; later they may."""
    target = f"sqlite:///{tmp_path}/load.db"
    run = soakd(
        "--target", target, "--duration", "0", "--read-rate", "50", "--batch-timeout", "2ms"
    ).started()
    run.committed(200)
    engine = run.engines[0]
    engine.rlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    run.reaches(lambda found: total(found, "soakd_flushes_total", "outcome=error") > 3, "a full disk")
    full = run.reaches(
        lambda found: (
            total(found, "soakd_retries_total", "class=disk_full")
            + total(found, "soakd_op_errors_total", "class=disk_full")
            > 0
        ),
        "errors of a full disk",
        5,
    )
    engine.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    run.committed(int(total(full, "soakd_rows_total", "outcome=committed")) + 200)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr
    assert run.events("engine.died") == []
    rows = run.summary["rows"]
    assert balanced(rows)
    assert verified(target)[0].stored == rows["committed"]


def test_a_terminal_shows_the_load_live_and_ctrl_c_ends_it_with_a_table(tmp_path: Path) -> None:
    """Ctrl-C goes to every process of the terminal, as a person's does."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [SOAKD, "run", "--duration", "0", "--listen", "127.0.0.1:0"],
        cwd=tmp_path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        start_new_session=True,
    )
    os.close(slave)
    os.set_blocking(master, False)
    shown = ""

    def look(words: str) -> bool | None:
        nonlocal shown
        try:
            shown += os.read(master, 65536).decode(errors="replace")
        except BlockingIOError:
            return None
        except OSError:  # the other side is closed
            pass
        return True if re.search(words, shown) else None

    try:
        eventually(lambda: look(r"[1-9]\d* committed"), 20, "rows on the screen")
        assert "p99" in shown
        before = len(shown)
        os.killpg(process.pid, signal.SIGINT)
        eventually(lambda: look(r"accepted = .*committed"), 20, f"a table: {shown[before:]}")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert "Traceback" not in shown
    assert "SIGINT" in shown[before:]
    assert command(tmp_path, "verify").returncode == 0
