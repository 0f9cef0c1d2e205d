"""The load is what was asked for: rates met or the miss reported, shares that add up, a warm-up left out."""

import signal
from typing import Any

import pytest

from daemon.load.vitals import BEAT
from tests.e2e.conftest import Start
from tests.e2e.process import LATE, balanced, settings, total, verified

TRIES = 10  # to find a busy machine awake at the end of two seconds


def test_an_open_loop_meets_its_rate_within_one_percent(soakd: Start) -> None:
    """The target takes no time, so that only the generator, or a machine that stalls, can be at fault."""

    def pools() -> list[dict[str, Any]]:
        run = soakd("--target", "null://", "--duration", "2s", "--write-rate", "200", "--read-rate", "200")
        assert run.wait() == 0, run.stderr
        return list(run.summary["pools"].values())

    def met(pool: dict[str, Any]) -> bool:
        close = pool["achieved_rate"] == pytest.approx(200, rel=0.01)
        return bool(pool["target_met"] and close and not pool["dropped"])

    seen = [pools()]
    while not all(map(met, seen[-1])):
        assert len(seen) < TRIES, seen
        seen.append(pools())
    assert [pool["target_rate"] for pool in seen[-1]] == [200, 200]


def test_a_rate_that_is_not_met_is_reported_as_missed(soakd: Start) -> None:
    """One writer with a commit of 20 ms cannot do more than 50 a second."""
    slow = settings(null__latency="constant", null__mean="20ms", pools__max_backlog="500ms")
    run = soakd(
        "--target", "null://", "--duration", "2s", "--write-rate", "200", "--writers", "1", "--readers", "0",
        "--batch-size", "1", *slow,
    )  # fmt: skip
    assert run.wait() == 0, run.stderr
    writer = run.summary["pools"]["writer"]
    assert writer["target_met"] is False
    assert writer["achieved_rate"] < 60
    assert writer["dropped_by_reason"]["backlog"] > 100


def test_shards_share_workers_and_rates_and_their_figures_add_up(soakd: Start, target: str) -> None:
    run = soakd(
        "--target", target, "--duration", "0", "--shards", "3", "--writers", "7", "--readers", "4",
        "--write-rate", "300", "--read-rate", "100", "--batch-timeout", "2ms",
    ).started()  # fmt: skip
    found = run.reaches(lambda found: total(found, "soakd_workers", "pool=writer") == 7, "seven writers")
    assert total(found, "soakd_workers", "pool=reader") == 4
    assert total(found, "soakd_target_ops_per_second", "pool=writer") == pytest.approx(300)
    assert total(found, "soakd_target_ops_per_second", "pool=reader") == pytest.approx(100)
    assert {key[1] for key in found if key[0] == "soakd_engine_rss_bytes"} == {f"shard={n}" for n in range(3)}
    run.committed(300)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    for pool in summary["pools"].values():
        # Without what the drain has finished; each shard may have begun one that is not due yet in all.
        answered = round(pool["achieved_rate"] * summary["duration_seconds"])
        wanted = pool["target_rate"] * summary["duration_seconds"]
        assert 0 < answered <= wanted + 3
        assert pool["target_met"] is (abs(answered - wanted) <= 0.01 * wanted + 1)
    accounts = summary["accounts"]
    assert [account["shard"] for account in accounts] == [0, 1, 2]
    for name, rows in summary["rows"].items():
        assert name == "lost" or rows == sum(account[name] for account in accounts)
    for account, engine in zip(accounts, summary["engines"], strict=True):
        # On a busy machine some engines begin and end later than others: what was due is told by
        # an engine's own clock, which beats as long as it loads.
        lag = engine["loop_lag"]
        loaded = lag["count"] * (BEAT + lag["mean"]) + BEAT + lag["max"]
        assert 0 < account["accepted"] <= 300 / 3 * loaded + 1
    assert balanced(summary["rows"])
    assert sum(check.stored for check in verified(target)) == summary["rows"]["committed"]


def test_the_warm_up_counts_for_the_rows_and_not_for_the_summary(soakd: Start) -> None:
    run = soakd(
        "--target", "null://", "--warmup", "2s", "--duration", "1s", "--write-rate", "500", "--readers", "0"
    ).started()
    warming = run.scrape()
    assert total(warming, "soakd_run_phase", "phase=warming up") == 1
    assert total(warming, "soakd_run_phase") == 1
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert 1.0 <= summary["duration_seconds"] < 1.0 + LATE
    assert summary["ops"]["append"]["rate"] == pytest.approx(500, rel=0.1)
    assert summary["ops"]["append"]["response"]["count"] == summary["ops"]["append"]["ok"]
    assert summary["rows"]["committed"] >= 1.5 * summary["ops"]["append"]["ok"]


def test_a_run_that_only_reads_finds_the_rows_of_an_earlier_one(soakd: Start, database: str) -> None:
    filled = soakd("--target", database, "--duration", "500ms", "--readers", "0")
    assert filled.wait() == 0, filled.stderr
    run = soakd("--target", database, "--duration", "500ms", "--writers", "0", "--readers", "2")
    assert run.wait() == 0, run.stderr
    assert run.summary["ops"].keys() == {"by_key", "newest", "by_service", "level_counts", "search"}
    assert filled.summary["ops"].keys() == {"append"}
    assert run.summary["ops"]["by_key"]["ok"] > 0
    assert run.summary["rows"]["accepted"] == 0
