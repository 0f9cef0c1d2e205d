"""`soakd top` looks at a real soakd: once in a pipe, and in a terminal until it is told to end."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import SOAKD, Soakd, command
from tests.servers import free_port

ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


class Terminal:
    """`soakd top` in a terminal of 80 columns and 24 lines."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._slave = slave
        self.state = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [SOAKD, "top", *arguments],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        self._seen = b""

    def shows(self, text: str, within: float = 20.0) -> None:
        """Wait until this text is drawn, after what was waited for before."""
        give_up = time.monotonic() + within
        while text.encode() not in (plain := ESCAPES.sub(b"", self._seen)):
            assert time.monotonic() < give_up, plain.decode(errors="replace")
            self._read(0.1)
        self._seen = b""

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ends(self, within: float = 10.0) -> int:
        """Wait for the end, drawing on, and return the exit code."""
        give_up = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < give_up
            self._read(0.05)
        return self.process.returncode

    @property
    def present(self) -> list[Any]:
        """The terminal's settings."""
        return termios.tcgetattr(self._slave)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def _read(self, within: float) -> None:
        if select.select([self.master], [], [], within)[0]:
            self._seen += os.read(self.master, 65536)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a run that does not end by itself can be looked at."""
    run = Soakd(tmp_path_factory.mktemp("run"), "--target", "null://", "--duration", "0")
    yield run.url
    run.stop()


@pytest.fixture
def terminal(url: str, tmp_path: Path) -> Iterator[Terminal]:
    """Looks at that run."""
    opened = Terminal(tmp_path, url, "--interval", "200ms")
    yield opened
    opened.close()


def test_one_picture_in_a_pipe(soakd: Start, tmp_path: Path) -> None:
    """Rates beside their targets, percentiles, and the rest; behind a password."""
    (tmp_path / "secret").write_text("hunter2\n")
    run = soakd(
        "--target", f"sqlite:///{tmp_path}/load.db", "--duration", "60s",
        "--write-rate", "200", "--read-rate", "150", "--set", "http.password_file=secret",
    ).started()  # fmt: skip
    refused = command(tmp_path, "top", run.url, "--once")
    assert refused.returncode == 3
    assert refused.stderr == (
        f"soakd: error: {run.url}: the password is needed; give it with --password-file\n"
    )
    done = command(tmp_path, "top", f"{run.url}/metrics", "--interval", "2s", "--password-file", "secret")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert float(lines["writer"][1]) == pytest.approx(200, rel=0.25)
    assert lines["writer"][2] == "200"
    assert float(lines["reader"][1]) == pytest.approx(150, rel=0.25)
    assert all(re.fullmatch(r"[\d.]+(µs|ms|s)", time) for time in lines["reader"][4:7])
    assert re.search(r"from buckets of the last 2\.\d s", done.stdout)
    assert " of 10,000 rows" in done.stdout
    assert re.search(r"rows +[\d,]+ committed, [\d.]+/s", done.stdout)
    assert re.search(r"errors +none", done.stdout)
    assert re.search(r"target +up", done.stdout)
    assert done.stdout.splitlines()[0].rstrip().endswith("running")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_q_ends_it_and_the_terminal_is_as_before(terminal: Terminal) -> None:
    terminal.shows("from buckets of the last")
    assert terminal.present != terminal.state
    terminal.press(b"x")
    terminal.shows("from buckets of the last")
    terminal.press(b"q")
    assert terminal.ends() == 0
    assert terminal.present == terminal.state


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_signals_end_it_and_the_terminal_is_as_before(
    terminal: Terminal, number: signal.Signals, code: int
) -> None:
    """SIGINT is Ctrl-C."""
    terminal.shows("from buckets of the last")
    terminal.process.send_signal(number)
    assert terminal.ends() == code
    assert terminal.present == terminal.state


def test_ctrl_c_ends_it_also_when_it_was_ignored_by_who_started_it(url: str, tmp_path: Path) -> None:
    """As a shell has it for what is started in the background; a program on a terminal is not there."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminal = Terminal(tmp_path, url, "--interval", "200ms")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        terminal.shows("from buckets of the last")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ends() == 0
        assert terminal.present == terminal.state
    finally:
        terminal.close()


def test_a_soakd_that_goes_away_is_told_and_looked_for_until_it_is_back(soakd: Start, tmp_path: Path) -> None:
    """Another run on the same port is a new picture."""
    port = free_port()
    listen = ("--listen", f"127.0.0.1:{port}", "--duration", "60s")
    target = ("--target", f"sqlite:///{tmp_path}/load.db")
    terminal = Terminal(tmp_path, f"127.0.0.1:{port}", "--interval", "200ms")
    try:
        terminal.shows("no answer")
        first = soakd(*target, *listen)
        terminal.shows("from buckets of the last")
        first.stop()
        terminal.shows("no answer")
        soakd("--target", f"sqlite:///{tmp_path}/other.db", *listen)
        terminal.shows("from buckets of the last")
        terminal.press(b"q")
        assert terminal.ends() == 0
    finally:
        terminal.close()


def test_nobody_there_is_exit_code_3_at_once(tmp_path: Path) -> None:
    done = command(tmp_path, "top", "127.0.0.1:1", "--once")
    assert done.returncode == 3
    assert done.stderr.startswith("soakd: error: http://127.0.0.1:1: no answer: ")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ftp://host",), "ftp://host/metrics is not an address; write for example http://127.0.0.1:8080"),
        (("--interval", "5"), "--interval: '5' has no unit; write for example 5s or 5ms"),
        (("--interval", "1ms"), "--interval 1ms: too short to say anything; write at least 100ms"),
        (("--password-file", "nowhere"), "--password-file nowhere: No such file or directory"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = command(tmp_path, "top", *arguments, "--once")
    assert done.returncode == 2
    assert done.stderr.startswith(f"soakd: error: {says}")
    assert done.stderr.count("\n") == 1
