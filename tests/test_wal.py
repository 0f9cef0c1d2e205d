"""The checkpoint policy, without a database."""

from daemon.backends.wal import REST, Checkpoint, WalPolicy

STEP = 100
PAGE = 4096
LIMIT_PAGES = 1000


def policy() -> WalPolicy:
    """Return a policy that acts each 100 pages and loses patience at 1000."""
    return WalPolicy(STEP, LIMIT_PAGES * (PAGE + 24))


def test_a_checkpoint_is_due_each_step() -> None:
    """It is due from the given number of pages on, and again as many pages later."""
    wal = policy()
    assert not wal.committed(STEP - 1)
    assert wal.committed(STEP)
    wal.note(Checkpoint("PASSIVE", busy=False, log=STEP, checkpointed=STEP, seconds=0.01), 1.0)
    assert not wal.committed(STEP + 1)
    assert wal.committed(2 * STEP)


def test_counting_begins_again_with_the_wal() -> None:
    """Once a commit has begun the WAL anew, the next checkpoint is one step away."""
    wal = policy()
    wal.committed(150)
    wal.note(Checkpoint("PASSIVE", busy=False, log=150, checkpointed=150, seconds=0.01), 1.0)
    assert not wal.committed(10)
    assert not wal.committed(STEP - 1)
    assert wal.committed(STEP)


def test_an_incomplete_checkpoint_is_not_tried_again_at_once() -> None:
    """What a reader pins is left alone for another step, and counted."""
    wal = policy()
    wal.committed(STEP)
    wal.note(Checkpoint("PASSIVE", busy=False, log=STEP, checkpointed=3, seconds=0.01), 1.0)
    assert wal.partial["PASSIVE"] == 1
    assert wal.complete["PASSIVE"] == 0
    assert not wal.committed(2 * STEP - 1)
    assert wal.committed(2 * STEP)


def test_readers_are_waited_for_only_above_the_limit() -> None:
    """Below the limit nobody waits; above it the mode changes."""
    wal = policy()
    wal.committed(LIMIT_PAGES)
    assert wal.mode(0.0) == "PASSIVE"
    wal.committed(LIMIT_PAGES + 1)
    assert wal.mode(0.0) == "RESTART"


def test_a_pinned_reader_costs_the_writer_a_tenth_of_its_time_at_most() -> None:
    """After a wait in vain the next one comes no sooner than ten times its length later."""
    wal = policy()
    wal.committed(LIMIT_PAGES + 1)
    wal.note(Checkpoint("RESTART", busy=True, log=LIMIT_PAGES + 1, checkpointed=3, seconds=0.25), 50.0)
    assert wal.partial["RESTART"] == 1
    assert wal.mode(50.0 + REST * 0.25 - 0.01) == "PASSIVE"
    assert wal.mode(50.0 + REST * 0.25) == "RESTART"


def test_an_error_is_counted_and_tried_again_a_step_later() -> None:
    """A checkpoint that failed does not come back with each commit."""
    wal = policy()
    wal.committed(STEP)
    wal.note_failure()
    assert wal.failed == 1
    assert wal.last is None
    assert not wal.committed(STEP + 1)
    assert wal.committed(2 * STEP)


def test_the_limit_is_in_bytes_of_the_file() -> None:
    """Larger pages reach it sooner."""
    wal = policy()
    wal.page_size = 2 * PAGE
    wal.committed(LIMIT_PAGES // 2 + 10)
    assert wal.mode(0.0) == "RESTART"
