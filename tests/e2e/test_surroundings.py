"""Odd places to run in: among files named like Python's own, on a full disk, on a terminal."""

import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import SOAKD, balanced, command, eventually, total, verified

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
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


class Terminal:
    """A terminal with `soakd run` in it; Ctrl-C goes to every process of it, as a person's does."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [SOAKD, "run", "--duration", "0", "--listen", "127.0.0.1:0", *arguments],
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._drawn = b""

    @property
    def shown(self) -> str:
        """What it has shown so far, without colours and movements."""
        return ESCAPES.sub("", self._drawn.decode(errors="replace"))

    def shows(self, words: str, what: str) -> None:
        """Wait until it has shown words of this pattern."""
        try:
            eventually(lambda: self._look(words), 20, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.shown[-4000:]}") from None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def close(self) -> None:
        """Kill what is left in it."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _look(self, words: str) -> bool | None:
        try:
            self._drawn += os.read(self._master, 65536)
        except BlockingIOError:
            return None
        except OSError:  # the other side is closed
            pass
        return True if re.search(words, self.shown) else None


def test_a_terminal_shows_the_load_live_and_ctrl_c_ends_it_with_a_table(tmp_path: Path) -> None:
    with closing(Terminal(tmp_path)) as terminal:
        terminal.shows(r"[1-9]\d* committed", "rows on the screen")
        assert "p99" in terminal.shown
        before = len(terminal.shown)
        terminal.interrupt()
        terminal.shows(r"accepted = .*committed", "a table")
        assert terminal.process.wait(10) == 0
    assert "Traceback" not in terminal.shown
    assert "SIGINT" in terminal.shown[before:]
    assert command(tmp_path, "verify").returncode == 0


def test_a_terminal_shows_that_the_target_is_being_waited_for(tmp_path: Path) -> None:
    """A server that takes connections and says nothing; the clock shows that soakd is alive."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}/db"
        with closing(Terminal(tmp_path, "--target", f"postgresql://me:hunter2@{address}")) as terminal:
            terminal.shows(f"connecting · postgresql://me:\\*\\*\\*@{address}", "the target")
            terminal.shows(r"0:00:01.*waiting for the target", "the time")
            terminal.shows(r"soakd: error:.*", "the end")
            assert terminal.process.wait(10) == 3
    assert "until stopped" not in terminal.shown
    assert "hunter2" not in terminal.shown
