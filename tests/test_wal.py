"""The checkpoint policy, without a database."""

import pytest

from daemon.backends.wal import REST, REST_IN_VAIN, Checkpoint, WalPolicy

STEP = 100
PAGE = 4096
LIMIT_PAGES = 1000


def policy() -> WalPolicy:
    """Return a policy that acts each 100 pages and finds 1000 too many."""
    return WalPolicy(STEP, LIMIT_PAGES * (PAGE + 24))


def passive(log: int, checkpointed: int) -> Checkpoint:
    """Return a checkpoint that waited for nobody."""
    return Checkpoint("passive", busy=False, log=log, checkpointed=checkpointed, seconds=0.01)


def restart(log: int, checkpointed: int, *, busy: bool) -> Checkpoint:
    """Return a checkpoint that waited for readers, in vain if it was `busy`."""
    return Checkpoint("restart", busy=busy, log=log, checkpointed=checkpointed, seconds=0.25)


def test_a_checkpoint_is_due_each_step() -> None:
    """It is due from the given number of pages on, and again as many pages later."""
    wal = policy()
    assert not wal.committed(STEP - 1)
    assert not wal.due()
    assert wal.committed(STEP)
    assert wal.due()
    wal.note(passive(STEP, STEP))
    assert not wal.committed(STEP + 1)
    assert not wal.due()
    assert wal.committed(2 * STEP)


def test_counting_begins_again_with_the_wal() -> None:
    """Once a commit has begun the WAL anew, the next checkpoint is one step away."""
    wal = policy()
    wal.committed(150)
    wal.note(passive(150, 150))
    assert not wal.committed(10)
    assert not wal.committed(STEP - 1)
    assert wal.committed(STEP)


def test_an_incomplete_checkpoint_is_not_tried_again_at_once() -> None:
    """What a reader pins is left alone for another step, and counted."""
    wal = policy()
    wal.committed(STEP)
    wal.note(passive(STEP, 3))
    assert dict(wal.counts) == {("passive", "partial"): 1}
    assert not wal.committed(2 * STEP - 1)
    assert wal.committed(2 * STEP)


@pytest.mark.parametrize(
    ("checkpoint", "result"),
    [
        (passive(9, 9), "complete"),
        (passive(9, 8), "partial"),
        (restart(9, 9, busy=False), "complete"),
        (restart(9, 9, busy=True), "partial"),
        (restart(9, 8, busy=True), "partial"),
        (restart(-1, -1, busy=True), "busy"),
    ],
)
def test_what_came_of_a_checkpoint(checkpoint: Checkpoint, result: str) -> None:
    """All copied is not enough for a RESTART: readers may still be in the WAL."""
    wal = policy()
    assert wal.note(checkpoint) == result == checkpoint.result
    assert dict(wal.counts) == {(checkpoint.mode, result): 1}
    assert wal.seconds[checkpoint.mode].count == 1


def test_the_wal_is_too_long_above_the_limit_only() -> None:
    """Below the limit nobody is to wait."""
    wal = policy()
    wal.committed(LIMIT_PAGES)
    assert not wal.too_long(0.0)
    wal.committed(LIMIT_PAGES + 1)
    assert wal.too_long(0.0)


def test_after_a_restart_the_wal_is_as_good_as_empty() -> None:
    """The next commit writes it from its beginning; there need not be one soon."""
    wal = policy()
    wal.committed(LIMIT_PAGES + 1)
    wal.note(restart(LIMIT_PAGES + 1, LIMIT_PAGES + 1, busy=False))
    assert not wal.due()
    assert not wal.too_long(1e9)
    assert wal.committed(STEP)


@pytest.mark.parametrize(
    ("checkpoint", "times"),
    [
        (restart(LIMIT_PAGES, LIMIT_PAGES, busy=False), REST),
        (restart(-1, -1, busy=True), REST_IN_VAIN),
    ],
)
def test_readers_are_left_in_peace_after_they_were_held_back(checkpoint: Checkpoint, times: float) -> None:
    """The pause is in proportion to how long they were held, longer where it was for nothing."""
    wal = policy()
    wal.committed(LIMIT_PAGES + 1)
    wal.rest(50.0, 2.0, wal.note(checkpoint))
    wal.committed(LIMIT_PAGES + 1)
    assert wal.held == 2
    assert not wal.too_long(50.0 + 2 * times - 0.01)
    assert wal.too_long(50.0 + 2 * times)


def test_nobody_is_held_back_while_the_reader_that_was_in_the_way_is_still_there() -> None:
    """The usual checkpoints tell: as long as they get no further, another RESTART would not either."""
    wal = policy()
    wal.committed(LIMIT_PAGES + 1)
    wal.rest(50.0, 1.0, wal.note(restart(LIMIT_PAGES + 1, 700, busy=True)))
    for more in range(1, 5):
        wal.note(passive(LIMIT_PAGES + more, 700))
        assert not wal.too_long(1000.0)
    wal.note(passive(LIMIT_PAGES + 5, 701))
    assert wal.too_long(1000.0)


def test_a_wal_that_others_began_anew_is_watched_afresh() -> None:
    """What was in the way of the one before says nothing about it."""
    wal = policy()
    wal.committed(LIMIT_PAGES + 1)
    wal.note(restart(LIMIT_PAGES + 1, 700, busy=True))
    wal.committed(5)
    wal.committed(LIMIT_PAGES + 1)
    assert wal.too_long(0.0)


def test_an_error_is_counted_and_tried_again_a_step_later() -> None:
    """A checkpoint that failed does not come back with each commit."""
    wal = policy()
    wal.committed(STEP)
    assert wal.note_failure("passive") == "failed"
    assert dict(wal.counts) == {("passive", "failed"): 1}
    assert wal.last is None
    assert not wal.committed(STEP + 1)
    assert wal.committed(2 * STEP)


def test_the_limit_is_in_bytes_of_the_file() -> None:
    """Larger pages reach it sooner."""
    wal = policy()
    wal.page_size = 2 * PAGE
    wal.committed(LIMIT_PAGES // 2 + 10)
    assert wal.too_long(0.0)
