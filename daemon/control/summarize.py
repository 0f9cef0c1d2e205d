"""From a finished run to its summary, and the summary to its file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from daemon import __version__
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.invariants import Audit
from daemon.control.run import Run
from daemon.control.settle import Books
from daemon.errors import UsageError
from daemon.ops import POOLS, OpSpec
from daemon.results.environment import environment
from daemon.results.summary import PoolPlan, RunFacts, build_summary
from daemon.scenario.programme import Programme

LIMITED_SHARE = 0.1  # share of the time from which the engine counts as the bottleneck of the run


def summarize(run: Run, books: Books, ops: Sequence[OpSpec], audit: Audit) -> dict[str, Any]:
    """Return the summary of a run whose books are closed: JSON data."""
    settings, measured = run.settings, run.measured()
    limited = measured.total("soakd_generator_limited_seconds_total")
    facts = RunFacts(
        run_id=str(run.number),
        soakd_version=__version__,
        target=settings.public()["target"],
        workload=settings.workload,
        config=settings.public(),
        started_at=run.started_at,
        duration=run.duration,
        stop_reason=run.stop_reason,
        durability=plan.durability(settings),
        generator_limited=limited > LIMITED_SHARE * run.duration * settings.shards,
        environment=environment(**run.versions, server_settings=run.server_settings),
    )
    summary = build_summary(
        facts=facts,
        snapshot=measured,
        timely=run.timely(),
        ops=ops,
        pools=pool_plans(settings, run.programme, run.duration),
        rows=books.total._asdict(),
    )
    summary["rows"]["lost"] = books.lost
    summary["accounts"] = [
        {"shard": identity.shard, "epoch": identity.epoch, **account._asdict()}
        for identity, account in books.accounts.items()
    ]
    summary["unsettled"] = books.problem
    summary["invariants"] = audit.report()
    return summary


def pool_plans(
    settings: Settings, programme: Programme | None = None, duration: float = 0.0
) -> dict[str, PoolPlan]:
    """Return what each pool is asked to do; by a programme its mean rate over `duration` s."""
    pools = settings.pools
    plans = {
        "writer": PoolPlan(pools.writers, pools.write_rate, pools.arrivals),
        "reader": PoolPlan(pools.readers, pools.read_rate, pools.arrivals),
    }
    if programme is not None and duration > 0:
        for pool in POOLS:
            # Steps last some milliseconds longer, in which the load goes on as it was.
            elapsed = min(duration, programme.seconds)
            due = programme.due(pool, elapsed)
            random = any(step.pools[pool].random for step in programme.steps)
            plans[pool] = PoolPlan(
                plans[pool].workers,
                None if due is None else due / elapsed,
                "poisson" if random else "constant",
            )
    return plans


def check_writable(path: Path, what: str = "summary") -> None:
    """Find out before a long run whether its summary, or other report, can be written at the end.

    Raises:
        UsageError: the path is a folder, or its folder is missing or read-only.
    """
    folder = path.resolve().parent
    if path.is_dir():
        raise UsageError(f"{what} {path}: is a folder; name a file")
    if not folder.is_dir():
        raise UsageError(f"{what} {path}: there is no folder {folder}; create it first")
    if not os.access(path if _is_special(path) else folder, os.W_OK):
        raise UsageError(f"{what} {path}: cannot be written; choose another place")


def write_summary(path: Path, summary: dict[str, Any], what: str = "summary") -> None:
    """Write the summary, or other report, as JSON: a file in full or not at all, a pipe or a device as it is.

    Raises:
        UsageError: it cannot be written.
    """
    text = orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    file = path.resolve()  # a link stays a link
    try:
        if _is_special(file):
            file.write_bytes(text)
        else:
            _replace(file, text)
    except OSError as error:
        raise UsageError(
            f"{what} {path}: cannot be written ({error.strerror}); it was shown instead"
        ) from None


def _replace(file: Path, text: bytes) -> None:
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(text)
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()
