"""The target goes away in the middle of a run and comes back: counted, survived, not made up for."""

import signal
import time

from daemon.load.vitals import BEAT
from tests.e2e.conftest import Start
from tests.e2e.process import SLOW_STEP, Samples, balanced, settings, total, verified
from tests.servers import LocalServer

WRITE_RATE, READ_RATE = 200, 300
SECONDS = "soakd_target_outage_seconds_total"


def dispatched(found: Samples, pool: str) -> float:
    """Return the operations that were begun: those that have ended, and those under way."""
    ended = total(found, "soakd_ops_total", f"pool={pool}")
    dropped = total(found, "soakd_ops_total", f"pool={pool}", "outcome=dropped")
    return ended - dropped + total(found, "soakd_ops_in_flight", f"pool={pool}")


def beats(found: Samples) -> float:
    """Return the time of the last beat before a report by the engine's own clock, s.

    How old a report is when it is seen nobody knows. But it brings the time with it: the engine's
    loop beats every `BEAT` s, and adds up by how much each beat was late.
    """
    lag = "soakd_event_loop_lag_seconds"
    return BEAT * total(found, f"{lag}_count") + total(found, f"{lag}_sum")


def test_a_crash_of_the_server_is_counted_and_the_rate_afterwards_is_not_exceeded(
    soakd: Start, private_postgres: LocalServer
) -> None:
    """What was due in the outage is not made up for after it, neither at once nor little by little."""
    server = private_postgres
    run = soakd(
        "--target", server.url, "--duration", "0", "--writers", "20", "--write-rate", str(WRITE_RATE),
        "--read-rate", str(READ_RATE), *settings(batch__retry__cap="100ms"),
    ).started()  # fmt: skip
    run.committed(100)
    server.stop("immediate")
    run.until(lambda seen: seen >= 1, SECONDS, within=10)
    down = run.scrape()
    server.start()
    seen = [run.reaches(lambda found: total(found, "soakd_target_up") == 1, "target up", 10)]
    while beats(seen[-1]) < beats(seen[0]) + 2.5:
        time.sleep(SLOW_STEP)
        seen.append(run.scrape())
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr

    last, summary = seen[-1], run.summary
    (engine,) = summary["engines"]
    stall = engine["loop_lag"]["max"]
    for later in seen:
        # A report is up to a beat later than its last beat, and what was due in a stall is late.
        window = beats(later) - beats(down) + BEAT + 2 * stall
        # Reads fail at once in an outage, when they are due. The writers all wait for its end.
        waited = total(later, SECONDS) - total(down, SECONDS)
        for pool, due in (("writer", WRITE_RATE * (window - waited)), ("reader", READ_RATE * window)):
            assert dispatched(later, pool) - dispatched(down, pool) <= due + 1
    assert total(down, "soakd_op_errors_total", "class=connection") > 0
    assert total(last, "soakd_ops_dropped_total", "pool=writer", "reason=outage") > 0
    assert total(down, "soakd_target_outages_total") == total(last, "soakd_target_outages_total") == 1
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
    run.until(lambda seen: seen == 0, "soakd_target_up", within=5)
    run.signal(signal.SIGTERM)
    assert run.wait() == 3
    assert run.stderr.count("\n") == 1
    assert "could not be written" in run.stderr
    assert run.event("run.unsettled", 0)["reason"]
    summary = run.summary
    assert summary["unsettled"]
    assert balanced(summary["rows"])
    assert summary["rows"]["abandoned"] + summary["rows"]["failed"] > 0
