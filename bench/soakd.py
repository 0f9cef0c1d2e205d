"""Running soakd as a user would, and what its summary says."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.stage import BenchError

Summary = dict[str, Any]
PATIENCE = 120.0  # s that a run may take beyond its length
WARMUP = 1.5  # s of load before the measured part
FULL_SPEED = ("--batch-size", "200", "--batch-timeout", "0")
ONLY_BY_KEY = tuple(
    part for name in ("newest", "by_service", "level_counts") for part in ("--set", f"events.reads.{name}=0")
)


def command(target: str, options: Sequence[str]) -> list[str]:
    """Return the command that runs soakd; it listens on a free port unless told otherwise."""
    listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
    return [sys.executable, "-m", "daemon", "run", "--target", target, "--json", *listen, *options]


def environment() -> dict[str, str]:
    """Return the environment without the settings of soakd that happen to be in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SOAKD_")}


@contextmanager
def running(target: str, options: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run soakd for as long as the context lasts; it is killed at the end if it has not ended."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(target, options), cwd=log.parent, env=environment(), stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def run(target: str, seconds: float, *options: str, warmup: float = WARMUP) -> Summary:
    """Make a run and return its summary.

    Raises:
        BenchError: it did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="soakd-bench-") as name:
        folder = Path(name)
        file = folder / "summary.json"
        times = ("--duration", f"{seconds}s", "--warmup", f"{warmup}s", "--summary", str(file))
        log = folder / "log"
        with running(target, (*times, *options), log) as process:
            try:
                process.wait(seconds + warmup + PATIENCE)
            except subprocess.TimeoutExpired:
                raise BenchError(f"soakd did not end {PATIENCE:.0f} s after its run") from None
        if process.returncode:
            raise BenchError(f"soakd ended with {process.returncode}: {log.read_text()[-500:]}")
        summary: Summary = json.loads(file.read_text())
        return summary


def seed_seconds(target: str, *options: str) -> float:
    """Return the time, s, that `soakd seed` takes from start to end.

    Raises:
        BenchError: it did not end well.
    """
    command = [sys.executable, "-m", "daemon", "seed", "--target", target, *options]
    begun = time.perf_counter()
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        raise BenchError(f"soakd seed ended with {done.returncode}: {done.stderr[-500:]}")
    return time.perf_counter() - begun


def rows_per_second(summary: Summary) -> float:
    """Return the rows that were acknowledged in the measured part, per second."""
    return float(summary["ops"]["append"]["rate"])


def reads_per_second(summary: Summary) -> float:
    """Return the reads that were answered in the measured part, per second."""
    return float(summary["pools"]["reader"]["ok"]) / float(summary["duration_seconds"])
