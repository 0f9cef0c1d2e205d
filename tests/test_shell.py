"""Shell commands beside the load: their exit codes, their last words, and that nothing of them is left."""

import asyncio
from pathlib import Path

import psutil
import pytest

from daemon.control.shell import KEPT, run_shell
from tests.e2e.process import eventually


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("true", 0, None),
        ("echo one; echo two >&2; exit 3", 3, "exit code 3: two"),
        ("kill -9 $$", -9, "exit code -9"),
        ("no-such-command-of-soakd", 127, "not found"),
        (f"head -c {50 * KEPT} /dev/zero | tr '\\0' x; exit 1", 1, "x" * KEPT),
    ],
)
def test_a_command_ends_with_its_code_and_its_last_words(command: str, code: int, error: str | None) -> None:
    outcome = asyncio.run(run_shell(command, 20.0))
    assert outcome.exit_code == code
    assert (outcome.error is None) if error is None else (error in (outcome.error or ""))


def gone(pid: int) -> bool | None:
    return None if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" else True


def test_a_command_that_takes_too_long_is_killed() -> None:
    outcome = asyncio.run(run_shell("exec sleep 300", 0.2))
    assert outcome == (None, "killed after 0.2 s")


def test_a_command_that_is_cancelled_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    async def main() -> None:
        command = f"sleep 300 & echo $! > {file}.new; mv {file}.new {file}; wait"
        running = asyncio.create_task(run_shell(command, 300.0))
        await asyncio.to_thread(eventually, lambda: file.exists() or None, 20, "its start")
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    asyncio.run(main())
    eventually(lambda: gone(int(file.read_text())), 5, "the end of what it started")


def test_what_is_left_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    outcome = asyncio.run(run_shell(f"sleep 300 >/dev/null 2>&1 & echo $! > {file}", 20.0))
    assert outcome == (0, None)
    eventually(lambda: gone(int(file.read_text())), 5, "the end of what it left")
