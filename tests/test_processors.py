"""Which processors threads run on: one for those that work hand in hand, all for the others."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.backends.base import Backend
from daemon.backends.processors import keep_to_one, roam
from tests.lite import checked

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds threads")


def in_a_thread(test: Callable[[], None]) -> None:
    """Run a test in a thread of its own, whose binding ends with it."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(test).result()


def test_engines_take_one_processor_each_in_turn() -> None:
    def test() -> None:
        before = os.sched_getaffinity(0)
        taken: list[int] = []
        for number in range(len(before)):
            assert keep_to_one(number) == before
            taken += os.sched_getaffinity(0)
            roam(frozenset(before))
        assert sorted(taken) == sorted(before)
        roam(frozenset())
        assert os.sched_getaffinity(0) == before

    in_a_thread(test)


def test_the_loop_the_writer_and_the_first_reader_share_a_processor(tmp_path: Path) -> None:
    """Lanes for slow reads may use all of them; the rest of the program is left alone."""
    everywhere = os.sched_getaffinity(0)

    async def check(_: Backend) -> None:
        mine = os.sched_getaffinity(0)
        assert len(mine) == 1
        threads = {thread.name: thread.native_id or 0 for thread in threading.enumerate()}
        for name in ("sqlite-writer-0", "sqlite-reader-0"):
            assert os.sched_getaffinity(threads[name]) == mine
        assert os.sched_getaffinity(threads["sqlite-reader-1"]) == everywhere

    in_a_thread(lambda: checked(tmp_path / "a.db", check, processor=1))
    assert os.sched_getaffinity(0) == everywhere
