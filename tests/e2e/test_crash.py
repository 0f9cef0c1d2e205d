"""Killed processes: an engine is replaced and its books kept; engines without a supervisor end."""

import signal
from itertools import pairwise

import psutil
import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import SLOW_STEP, Samples, balanced, eventually, settings, total, verified

LOAD = ("--duration", "0", "--read-rate", "100", "--batch-timeout", "2ms")


def counters(found: Samples) -> Samples:
    """Return what may never decrease."""
    endings = ("_total", "_count", "_sum", "_bucket")
    return {key: value for key, value in found.items() if key[0].endswith(endings)}


@pytest.mark.parametrize(
    ("target", "shards"), [("sqlite", 1), ("sqlite", 2), ("postgres", 2)], indirect=["target"]
)
def test_a_killed_engine_is_replaced_and_no_row_is_lost_or_counted_twice(
    soakd: Start, target: str, shards: int
) -> None:
    run = soakd("--target", target, *LOAD, "--shards", str(shards)).started()
    run.committed(300)
    before = run.scrape()
    run.engines[0].kill()
    seen = [before]

    def look() -> bool | None:
        seen.append(run.scrape())
        return True if total(seen[-1], "soakd_engine_restarts_total") else None

    eventually(look, 20, "a restart", SLOW_STEP)
    run.event("engine.restarted")
    goal = total(seen[-1], "soakd_rows_total", "outcome=committed") + 300
    run.committed(int(goal))
    seen.append(run.scrape())
    for earlier, later in pairwise(seen):
        smaller = {key for key, value in counters(earlier).items() if later[key] < value}
        assert not smaller
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr

    last = seen[-1]
    assert total(last, "soakd_engine_restarts_total") == 1
    assert 0 < total(last, "soakd_engine_gap_seconds_total") < 10
    died, restarted = run.event("engine.died"), run.event("engine.restarted")
    assert died["exit_code"] == -signal.SIGKILL
    assert (died["epoch"], restarted["epoch"], died["shard"]) == (0, 1, restarted["shard"])
    summary = run.summary
    assert balanced(summary["rows"])
    assert sum(engine["restarts"] for engine in summary["engines"]) == 1
    lives = {(account["shard"], account["epoch"]): account for account in summary["accounts"]}
    assert lives.keys() == {(shard, 0) for shard in range(shards)} | {(died["shard"], 1)}
    for account in lives.values():
        assert balanced({key: account[key] for key in ("accepted", "committed", "failed", "abandoned")})
        assert account["committed"] > 0
    checks = verified(target)
    assert sum(check.stored for check in checks) == summary["rows"]["committed"]
    assert [check.duplicates for check in checks] == [0] * len(lives)


def test_engines_end_by_themselves_and_leave_their_books_when_the_supervisor_is_killed(
    soakd: Start, target: str
) -> None:
    run = soakd("--target", target, *LOAD, "--shards", "2", *settings(batch__drain_timeout="3s")).started()
    run.committed(300)
    engines = run.engines
    assert len(engines) == 2
    run.signal(signal.SIGKILL)
    run.process.wait()
    _, left = psutil.wait_procs(engines, timeout=8)
    assert not left
    checks = verified(target)
    assert {(check.shard, check.epoch) for check in checks} == {(0, 0), (1, 0)}
    assert all(check.account.committed == check.stored > 0 for check in checks)


def test_the_books_of_a_dead_engine_are_left_by_its_heir_when_the_supervisor_is_killed(
    soakd: Start, target: str
) -> None:
    run = soakd("--target", target, *LOAD).started()
    run.committed(100)
    run.engines[0].kill()
    run.event("engine.restarted")
    run.committed(int(total(run.scrape("soakd_rows_total"), "soakd_rows_total", "outcome=committed")) + 100)
    engines = run.engines
    run.signal(signal.SIGKILL)
    run.process.wait()
    _, left = psutil.wait_procs(engines, timeout=8)
    assert not left
    dead, heir = verified(target)
    assert ((dead.shard, dead.epoch), (heir.shard, heir.epoch)) == ((0, 0), (0, 1))
    assert 0 < dead.account.committed <= dead.stored <= dead.account.committed + dead.account.in_doubt
    assert heir.account.committed == heir.stored > 0
