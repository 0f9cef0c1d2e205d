"""Being told to stop: what was accepted is written, or counted as not; a second signal ends at once."""

import signal
import time

from tests.e2e.conftest import Start
from tests.e2e.locks import writes_blocked
from tests.e2e.process import Samples, balanced, eventually, settings, total, verified

WRITERS, QUEUE = 40, 20


def crowded(*more: str) -> list[str]:
    """Return arguments for more writers than the queue can take, with no end of their own."""
    return [
        "--duration", "0", "--writers", str(WRITERS), "--read-rate", "50", "--batch-size", "10",
        "--queue-size", str(QUEUE), "--batch-timeout", "5ms", *more,
    ]  # fmt: skip


def queue_is_full(found: Samples) -> bool:
    """Return whether no row fits into the queue and writers wait."""
    return (
        total(found, "soakd_batch_queue_rows") >= QUEUE
        and total(found, "soakd_queue_full_total", "action=blocked") > 0
    )


def test_a_stop_at_a_full_queue_writes_everything_once_the_target_lets_it(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *crowded()).started()
    run.committed(200)
    with writes_blocked(target):
        run.reaches(queue_is_full, "a full queue")
        run.signal(signal.SIGTERM)
        run.until(lambda seen: seen == 1, "soakd_run_phase", "phase=draining")
    assert run.wait() == 0, run.stderr
    rows = run.summary["rows"]
    assert balanced(rows)
    assert (rows["failed"], rows["abandoned"], rows["in_doubt"]) == (0, 0, 0)
    assert run.summary["stop_reason"] == "SIGTERM"
    assert verified(target)[0].stored == rows["committed"]


def test_rows_that_cannot_be_drained_in_time_are_abandoned_and_counted(soakd: Start, target: str) -> None:
    run = soakd(
        "--target", target, *crowded(*settings(batch__drain_timeout="1s", sqlite__busy_timeout="500ms"))
    ).started()
    run.committed(200)
    with writes_blocked(target):
        run.reaches(queue_is_full, "a full queue")
        run.signal(signal.SIGTERM)
        told = time.monotonic()
        eventually(lambda: None if run.engines else True, 20, "the end of the engine")
        took = time.monotonic() - told
    assert run.wait() == 0, run.stderr
    rows = run.summary["rows"]
    assert balanced(rows)
    assert QUEUE <= rows["abandoned"] <= WRITERS
    assert verified(target)[0].stored == rows["committed"]
    assert took < 6


def test_a_second_signal_ends_the_run_at_once_and_the_books_are_still_right(
    soakd: Start, target: str
) -> None:
    run = soakd("--target", target, *crowded(*settings(sqlite__busy_timeout="500ms"))).started()
    run.committed(200)
    with writes_blocked(target):
        run.reaches(queue_is_full, "a full queue")
        run.signal(signal.SIGTERM)
        run.until(lambda seen: seen == 1, "soakd_run_phase", "phase=draining")
        run.signal(signal.SIGINT)
        told = time.monotonic()
        eventually(lambda: None if run.engines else True, 20, "the end of the engine")
        took = time.monotonic() - told
    assert run.wait() == 128 + signal.SIGINT
    rows = run.summary["rows"]
    assert balanced(rows)
    assert QUEUE <= rows["abandoned"] <= WRITERS
    assert run.summary["stop_reason"] == "SIGTERM"
    assert verified(target)[0].stored == rows["committed"]
    assert took < 5
