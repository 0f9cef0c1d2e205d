"""Canaries: how long a row takes to be seen is measured, whatever delays it, and lost ones are counted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import pytest

from daemon.backends.base import INFINITY
from daemon.errors import OpError
from daemon.load.batch import BatchPolicy, BatchWriter
from daemon.load.canaries import GIVE_UP, GIVE_UP_AT_END, RESOLUTION, Canaries
from daemon.ops import OpSpec, Table, Timed, Transaction, Tx, Values
from daemon.record.account import Account
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Canary
from tests import virtual
from tests.doubles import ScriptedBackend
from tests.virtual import VirtualClock

TABLE = Table("t", (("a", "int"),), ("a",))
INTERVAL = 1.0
NOBODY = 99  # worker of canaries


async def look(tx: Tx) -> None:
    """Stand for a reader: the backend below knows what it sees."""


class Sight(ScriptedBackend):
    """Readers see a row `delay` s after it was stored."""

    def __init__(self, clock: VirtualClock, *, seconds: float = 0.0) -> None:
        super().__init__(clock, seconds=seconds)
        self.delay = 0.0
        self.visible_at: dict[int, float] = {}
        self.looks = 0

    async def write_rows(self, table: Table, rows: Sequence[Values], *, again: bool) -> Timed:
        """Store rows, and note from when on canaries are seen."""
        timed = await super().write_rows(table, rows, again=again)
        for row in rows:
            if row[2] == NOBODY:
                self.visible_at[row[3]] = self.clock.now() + self.delay
        return timed

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Return the number of the latest canary that is seen."""
        assert work.fn is look
        self.looks += 1
        if self.down:
            raise OpError("connection", "down")
        now = self.clock.now()
        seen = [number for number, at in self.visible_at.items() if at <= now]
        return Timed(max(seen, default=0), now, now)


class Rig:
    """A canary beside a batch writer."""

    def __init__(self, clock: VirtualClock, policy: BatchPolicy) -> None:
        self.clock = clock
        self.backend = Sight(clock)
        self.recorder = OpRecorder([OpSpec("append", "writer")])
        self.cells = [0] * 5
        self.writer = BatchWriter(
            op=0, table=TABLE, policy=policy, backend=self.backend, recorder=self.recorder,
            cells=self.cells, clock=clock, rng=Random(1), on_failed=lambda *_: None,
        )  # fmt: skip
        work = Transaction(look, (), True, True)
        canary = Canary(0, lambda number: (1, 0, NOBODY, number), work, INTERVAL)
        self.canaries = Canaries([canary], writers=[self.writer], backend=self.backend, clock=clock)
        self.writing = asyncio.ensure_future(self.writer.run())
        self.following = asyncio.ensure_future(self.canaries.run())

    @property
    def snapshot(self) -> Snapshot:
        """The figures."""
        made = Snapshot()
        self.canaries.add_to(made)
        return made

    @property
    def seen(self) -> tuple[int, float, float]:
        """How many canaries were seen, and the shortest and the longest time that it took, s."""
        found = self.snapshot.histograms["soakd_canary_visible_seconds",]
        return found.count, found.min, found.max

    @property
    def lost(self) -> float:
        """How many were not."""
        return self.snapshot.counters["soakd_canaries_lost_total",]

    async def fill_up(self, seconds: float) -> None:
        """Let the database stall for a while, with a batch under way and a full queue."""
        self.backend.frozen_until = self.clock.now() + seconds
        for _ in range(2):
            while self.writer.has_room():
                self.writer.accept((1, 0, 1, self.writer.depth), 0.0, 0.0, 0.0)
            await asyncio.sleep(0.01)

    async def finish(self) -> None:
        """End as an engine does."""
        self.writer.close()
        await self.writing
        self.canaries.finish()
        await self.following


def rigged(test: Callable[[Rig], Awaitable[None]], *, timeout: float = 0.0, capacity: int = 9) -> None:
    """Run a test in virtual time."""

    async def main(clock: VirtualClock) -> None:
        rig = Rig(clock, BatchPolicy(size=5, timeout=timeout, capacity=capacity))
        await test(rig)
        await rig.finish()
        assert Account.of(rig.cells).balanced

    virtual.run(main)


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.3, 20.0])
def test_the_time_from_being_accepted_to_being_seen_is_measured(delay: float) -> None:
    """The wait in the batch included, right to the resolution."""

    async def script(rig: Rig) -> None:
        rig.backend.delay = delay
        await asyncio.sleep(3 * (delay + INTERVAL + 1))
        count, shortest, longest = rig.seen
        assert count >= 3
        assert delay + 0.05 <= shortest <= longest <= (delay + 0.05) * (1 + 2 * RESOLUTION) + 0.001
        assert rig.lost == 0

    rigged(script, timeout=0.05)


def test_a_canary_follows_each_interval_and_a_look_costs_little() -> None:
    async def script(rig: Rig) -> None:
        rig.backend.delay = 0.1
        await asyncio.sleep(10.05 * (INTERVAL + 0.1))
        assert 9 <= rig.seen[0] <= 11
        assert rig.backend.looks < 10 * 60

    rigged(script)


def test_canaries_are_accounted_for_and_no_operations() -> None:
    async def script(rig: Rig) -> None:
        await asyncio.sleep(5.5 * INTERVAL)
        assert Account.of(rig.cells) == Account(6, 6)
        assert rig.seen[0] == 6
        found = rig.recorder.snapshot()
        assert not [key for key in found.counters if key[0] == "soakd_ops_total"]
        assert found.histograms["soakd_op_response_seconds", "writer", "append"].count == 0
        assert found.histograms["soakd_flush_rows",].count == 6

    rigged(script)


def test_rows_that_share_a_batch_with_a_canary_are_operations() -> None:
    async def script(rig: Rig) -> None:
        now = rig.clock.now()
        acks = [rig.writer.accept((1, 0, 1, n), now, now, now) for n in range(3)]
        await asyncio.gather(*acks)
        assert rig.recorder.snapshot().counters["soakd_ops_total", "writer", "append", "ok"] == 3

    rigged(script, timeout=0.05)


def test_an_outage_shows_in_the_time() -> None:
    async def script(rig: Rig) -> None:
        rig.backend.down = True
        await asyncio.sleep(10)
        rig.backend.down = False
        await asyncio.sleep(3)
        assert rig.seen[2] >= 9.9
        assert rig.lost == 0

    rigged(script)


def test_one_that_is_never_seen_is_counted_and_the_next_is_sent() -> None:
    async def script(rig: Rig) -> None:
        rig.backend.delay = INFINITY
        await asyncio.sleep(GIVE_UP + INTERVAL + 5)
        assert (rig.lost, rig.seen[0]) == (1, 0)
        rig.backend.delay = 0.0
        await asyncio.sleep(GIVE_UP + 5)
        assert rig.lost == 2
        assert rig.seen[0] >= 1
        assert rig.seen[2] < 0.01

    rigged(script)


def test_it_waits_for_room_like_any_writer_and_its_time_begins_after_that() -> None:
    async def script(rig: Rig) -> None:
        await asyncio.sleep(INTERVAL / 2)  # the first one is through
        await rig.fill_up(10)
        await asyncio.sleep(9)
        assert rig.seen[0] == 1
        await asyncio.sleep(3)
        assert rig.seen[0] >= 2
        assert rig.seen[2] < 0.1

    rigged(script, capacity=3)


def test_at_the_end_the_last_one_is_looked_for_a_little_longer() -> None:
    async def script(rig: Rig) -> None:
        rig.backend.delay = 1.5
        await asyncio.sleep(0.1)
        await rig.finish()
        assert rig.seen[0] == 1

    rigged(script)


def test_at_the_end_one_that_is_not_seen_does_not_keep_anybody_waiting() -> None:
    async def script(rig: Rig) -> None:
        rig.backend.delay = INFINITY
        await asyncio.sleep(0.1)
        began = rig.clock.now()
        await rig.finish()
        assert rig.clock.now() - began < GIVE_UP_AT_END + 0.2
        assert rig.lost == 1

    rigged(script)


def test_a_pause_ends_with_the_load() -> None:
    async def script(rig: Rig) -> None:
        await asyncio.sleep(INTERVAL / 4)
        began = rig.clock.now()
        await rig.finish()
        assert rig.clock.now() == began

    rigged(script)


def test_without_canaries_there_are_no_figures() -> None:
    async def main(clock: VirtualClock) -> Snapshot:
        canaries = Canaries([], writers=[], backend=ScriptedBackend(clock), clock=clock)
        await canaries.run()
        made = Snapshot()
        canaries.add_to(made)
        return made

    assert virtual.run(main) == Snapshot()


def test_a_writer_that_closes_turns_a_waiting_canary_away() -> None:
    async def script(rig: Rig) -> None:
        await asyncio.sleep(INTERVAL / 2)
        await rig.fill_up(5)
        await asyncio.sleep(INTERVAL)
        await rig.finish()
        assert (rig.lost, rig.seen[0]) == (0, 1)

    rigged(script, capacity=2)
