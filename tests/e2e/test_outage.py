"""The target goes away in the middle of a run and comes back: counted, survived, not made up for."""

import signal
import time

from tests.e2e.conftest import Start
from tests.e2e.process import Samples, balanced, settings, total, verified
from tests.servers import LocalServer

WRITE_RATE, READ_RATE = 200, 300
SPAN = 1.0  # s that a rate is taken over


def started_ops(found: Samples, pool: str) -> float:
    """Return the operations that were tried: everything but what was dropped."""
    return total(found, "soakd_ops_total", f"pool={pool}") - total(
        found, "soakd_ops_total", f"pool={pool}", "outcome=dropped"
    )


def test_a_crash_of_the_server_is_counted_and_the_rate_afterwards_is_not_exceeded(
    soakd: Start, private_postgres: LocalServer
) -> None:
    server = private_postgres
    run = soakd(
        "--target", server.url, "--duration", "0", "--writers", "20", "--write-rate", str(WRITE_RATE),
        "--read-rate", str(READ_RATE), *settings(batch__retry__cap="100ms"),
    ).started()  # fmt: skip
    run.committed(100)
    server.stop("immediate")
    run.reaches(lambda found: total(found, "soakd_target_up") == 0, "target down", 5)
    time.sleep(1)
    down = run.scrape()
    server.start()
    run.reaches(lambda found: total(found, "soakd_target_up") == 1, "target up", 10)
    seen = [(time.monotonic(), run.scrape())]
    while seen[-1][0] < seen[0][0] + 2.5:
        time.sleep(0.1)
        seen.append((time.monotonic(), run.scrape()))
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr

    last, summary = seen[-1][1], run.summary
    assert total(down, "soakd_op_errors_total", "class=connection") > 0
    for pool, rate in (("writer", WRITE_RATE), ("reader", READ_RATE)):
        for at, later in seen:
            for before, earlier in seen:
                if at - before >= SPAN:
                    # Reports come every 0.25 s, and later on a busy machine: what is seen may be that
                    # much older than it looks. A burst would be of seconds.
                    bound = rate * (at - before + 0.5) * 1.02
                    assert started_ops(later, pool) - started_ops(earlier, pool) <= bound
    assert total(last, "soakd_ops_dropped_total", "pool=writer", "reason=outage") > 0
    assert total(down, "soakd_target_outages_total") == total(last, "soakd_target_outages_total") == 1
    assert 1 <= total(last, "soakd_target_outage_seconds_total") < summary["duration_seconds"]
    assert balanced(summary["rows"])
    assert summary["ops"]["by_key"]["errors"]["connection"] > 0
    assert verified(server.url)[0].stored == summary["rows"]["committed"]


def test_a_target_that_is_gone_at_the_end_leaves_a_summary_and_a_failure(
    soakd: Start, private_postgres: LocalServer
) -> None:
    """Nobody can tell what became of the rows in doubt, so the run does not claim to know."""
    server = private_postgres
    run = soakd(
        "--target",
        server.url,
        "--duration",
        "0",
        "--read-rate",
        "50",
        *settings(batch__drain_timeout="500ms"),
    ).started()
    run.committed(100)
    server.stop("immediate")
    run.reaches(lambda found: total(found, "soakd_target_up") == 0, "target down", 5)
    run.signal(signal.SIGTERM)
    assert run.wait() == 3
    assert run.stderr.count("\n") == 1
    assert "could not be written" in run.stderr
    assert run.event("run.unsettled", 0)["reason"]
    summary = run.summary
    assert summary["unsettled"]
    assert balanced(summary["rows"])
    assert summary["rows"]["abandoned"] + summary["rows"]["failed"] > 0
