"""Consumers follow what is written: until told to finish, through failures, with a lag that is told."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from daemon.backends.base import INFINITY
from daemon.errors import OpError
from daemon.load.consumers import CATCH_UP_WITHIN, LONGEST_PAUSE, Consumers
from daemon.ops import Timed, Transaction, Tx
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Consumer, Progress
from tests import virtual
from tests.doubles import ScriptedBackend
from tests.virtual import VirtualClock

LIMIT = 10  # rows that a step processes
PAUSE = 0.1
STEP = 0.001  # s that one takes


async def step(tx: Tx, name: str) -> None:
    """Stand for a step: the backend below knows what it gives."""


class Stream(ScriptedBackend):
    """Holds the number of rows that there are, and how far each consumer has come."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.written = 0
        self.unsettled = 0
        self.position: dict[str, int] = {}
        self.steps: list[float] = []

    @property
    def settled(self) -> int:
        """Rows that can be processed."""
        return self.written - self.unsettled

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Process the next of the rows that are there when it begins."""
        self.steps.append(self.clock.now())
        written, settled = self.written, self.settled
        await asyncio.sleep(STEP)
        if self.down:
            raise OpError("connection", "down")
        name = work.args[0]
        at = self.position.get(name, 0)
        rows = min(LIMIT, settled - at)
        self.position[name] = at + rows
        behind = written - at - rows
        oldest = self.clock.wall() - 5.0 if behind else None
        now = self.clock.now()
        more = settled > at + rows
        return Timed(Progress(rows, more, behind, oldest), now, now)


def followed(
    script: Callable[[Stream, Consumers], Awaitable[None]], names: str = "a"
) -> tuple[Stream, Snapshot]:
    """Run consumers while a script goes on and until they end; return the stream and the figures."""

    async def main(clock: VirtualClock) -> tuple[Stream, Snapshot]:
        stream = Stream(clock)
        made = [Consumer(name, Transaction(step, (name,), read_only=False), PAUSE) for name in names]
        consumers = Consumers(made, backend=stream, clock=clock, rng=Random(1))
        running = asyncio.ensure_future(consumers.run())
        await script(stream, consumers)
        consumers.finish()
        await asyncio.wait_for(running, 60)
        snapshot = Snapshot()
        consumers.add_to(snapshot)
        return stream, snapshot

    found: tuple[Stream, Snapshot] = virtual.run(main)
    return found


def test_without_new_rows_a_consumer_looks_now_and_then() -> None:
    async def script(stream: Stream, _: Consumers) -> None:
        await asyncio.sleep(10)

    stream, snapshot = followed(script)
    assert 90 <= len(stream.steps) <= 102
    assert snapshot.counters["soakd_consumer_rows_total", "a"] == 0


def test_a_backlog_is_worked_off_without_pauses() -> None:
    async def script(stream: Stream, _: Consumers) -> None:
        stream.written = 1000
        await asyncio.sleep(0.11)
        assert stream.position["a"] == 1000

    followed(script)


def test_before_the_end_each_consumer_catches_up() -> None:
    async def script(stream: Stream, _: Consumers) -> None:
        stream.written = 12_345

    stream, snapshot = followed(script, "abc")
    assert stream.position == {"a": 12_345, "b": 12_345, "c": 12_345}
    for name in "abc":
        assert snapshot.counters["soakd_consumer_rows_total", name] == 12_345
        assert snapshot.gauges["soakd_consumer_lag_rows", name] == 0
        assert snapshot.gauges["soakd_consumer_lag_seconds", name] == 0


def test_what_is_written_during_a_step_is_caught_up_with_when_the_load_ends_before_it() -> None:
    async def script(stream: Stream, _: Consumers) -> None:
        await asyncio.sleep(PAUSE + 1.5 * STEP)
        assert len(stream.steps) == 2
        stream.written = 3

    stream, snapshot = followed(script)
    assert stream.position == {"a": 3}
    assert snapshot.counters["soakd_consumer_rows_total", "a"] == 3


def test_a_consumer_lives_through_an_outage_and_its_errors_are_counted() -> None:
    """With pauses that grow up to a bound; during the outage the oldest row grows older."""
    ages = []

    async def script(stream: Stream, consumers: Consumers) -> None:
        stream.written = 1_000
        await asyncio.sleep(0.02)
        stream.down = True
        for _ in range(2):
            await asyncio.sleep(10)
            snapshot = Snapshot()
            consumers.add_to(snapshot)
            ages.append(snapshot.gauges["soakd_consumer_lag_seconds", "a"])
        stream.down = False

    stream, snapshot = followed(script)
    assert stream.position["a"] == 1000
    errors = snapshot.counters["soakd_consumer_errors_total", "a", "connection"]
    assert 20 / LONGEST_PAUSE <= errors <= 2 * 20 / LONGEST_PAUSE + 10
    assert ages[0] > 14.9
    assert 9.9 < ages[1] - ages[0] < 10.1


def test_an_outage_does_not_keep_the_end_from_coming_once_it_is_over() -> None:
    async def script(stream: Stream, consumers: Consumers) -> None:
        stream.written, stream.down = 100, True
        consumers.finish()
        await asyncio.sleep(5)
        stream.down = False

    stream, _ = followed(script)
    assert stream.position["a"] == 100


def test_at_the_end_rows_that_do_not_settle_are_waited_for_a_little() -> None:
    """Somebody else's transaction may go on for hours."""
    ended = []

    async def script(stream: Stream, _: Consumers) -> None:
        stream.written, stream.unsettled = 100, 3
        ended.append(stream.clock.now())

    stream, snapshot = followed(script)
    assert stream.position["a"] == 97
    assert snapshot.gauges["soakd_consumer_lag_rows", "a"] == 3
    assert CATCH_UP_WITHIN < stream.clock.now() - ended[0] < CATCH_UP_WITHIN + 3 * PAUSE


def test_without_consumers_there_is_nothing_to_wait_for() -> None:
    async def script(_: Stream, __: Consumers) -> None:
        await asyncio.sleep(0)

    _, snapshot = followed(script, "")
    assert snapshot == Snapshot()
