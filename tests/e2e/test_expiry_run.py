"""Runs of `events` with a limit of rows as whole processes: the table stays small, the books stay right."""

import signal

import pytest

from tests.e2e.conftest import Start
from tests.e2e.process import settings, total, verified

LIMIT = 300
EXPIRED = ("soakd_consumer_rows_total", "consumer=expiry")
LOAD = ("--duration", "0", "--write-rate", "800", "--read-rate", "200", "--batch-timeout", "2ms")
LIMITED = settings(events__retain_rows=LIMIT, events__reads__search=20, invariants__interval="200ms")


@pytest.mark.parametrize(("target", "shards"), [("sqlite", "2"), ("postgres", "1")], indirect=["target"])
def test_a_week_in_short(soakd: Start, target: str, shards: str) -> None:
    """Also when engines die, the one that deletes among them, and no sequence is taken for torn."""
    run = soakd("--target", target, *LOAD, "--shards", shards, *LIMITED).started()
    run.until(lambda seen: seen > 500, *EXPIRED)
    for engine in run.engines:
        engine.kill()
    run.event("engine.restarted")
    before = total(run.scrape(EXPIRED[0]), *EXPIRED)
    run.until(lambda seen: seen > before + 500, *EXPIRED)
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert summary["invariants"]["sequences"]["final"] == "ok"
    assert summary["invariants"]["sequences"]["checks"]["ok"] > 3
    assert summary["ops"]["search"]["ok"] > 0
    assert summary["consumers"]["expiry"]["lag_rows"] == 0
    checks = verified(target)
    later = 0 if shards == "1" else 50  # rows of the shard that ends after the one that deletes
    assert LIMIT / 2 < sum(check.stored for check in checks) <= LIMIT + later
    assert sum(check.stored + check.expired for check in checks) == summary["rows"]["committed"]


def test_a_table_that_was_let_grow_is_cut_down(soakd: Start, target: str) -> None:
    grown = soakd("--target", target, "--duration", "1s", "--readers", "0", "--write-rate", "1500")
    assert grown.wait() == 0, grown.stderr
    run = soakd("--target", target, "--duration", "2s", "--write-rate", "100", *LIMITED)
    assert run.wait() == 0, run.stderr
    deleted = run.summary["consumers"]["expiry"]["rows"]
    left = grown.summary["rows"]["committed"] + run.summary["rows"]["committed"] - deleted
    assert LIMIT / 2 < left <= LIMIT
    assert sum(check.stored for check in verified(target)) <= left
