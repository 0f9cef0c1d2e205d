"""A thread wakes a loop by a bell."""

import asyncio
import threading
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from daemon.backends.bell import ROOM, Bell

Runner = Callable[[Coroutine[None, None, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Runs a coroutine on either kind of loop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


def test_a_ring_is_answered_on_the_loop(run: Runner) -> None:
    async def main() -> None:
        answered = asyncio.Event()
        threads: list[int] = []

        def answer() -> None:
            threads.append(threading.get_ident())
            answered.set()

        bell = Bell(asyncio.get_running_loop(), answer)
        for times in range(1, 4):
            answered.clear()
            ringer = threading.Thread(target=bell.ring)
            ringer.start()
            await asyncio.wait_for(answered.wait(), 5)
            ringer.join()
            assert threads == [threading.get_ident()] * times
        bell.close()

    run(main())


def test_many_rings_are_answered_and_none_stays_behind(run: Runner) -> None:
    """More rings than are read at a time: the last answer comes after the last ring."""
    rings = 3 * ROOM + 1

    async def main() -> None:
        heard = 0
        all_heard = asyncio.Event()

        def answer() -> None:
            nonlocal heard
            heard += 1
            if heard == rings // ROOM + 1:
                all_heard.set()

        bell = Bell(asyncio.get_running_loop(), answer)
        for _ in range(rings):
            bell.ring()
        await asyncio.wait_for(all_heard.wait(), 5)
        bell.close()

    run(main())
