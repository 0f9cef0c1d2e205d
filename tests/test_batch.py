"""The batch writer: when it flushes, what it acknowledges, and that every row finds its end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.errors import OpError
from daemon.load.batch import Ack, BatchPolicy, BatchWriter, Stopping
from daemon.ops import OpSpec, Table, Values
from daemon.record.account import Account
from daemon.record.recorder import OpRecorder
from tests import virtual
from tests.doubles import Fault, ScriptedBackend
from tests.virtual import VirtualClock

TABLE = Table("t", (("a", "int"),), ("a",))
LONG = 1e6


class Rig:
    """A writer on a scripted backend, with what it needs around it."""

    def __init__(
        self, clock: VirtualClock, policy: BatchPolicy, *, seconds: float = 0.0, fault: Fault | None = None
    ) -> None:
        self.clock = clock
        self.backend = ScriptedBackend(clock, seconds=seconds, fault=fault)
        self.recorder = OpRecorder([OpSpec("append", "writer")])
        self.cells = [0] * 5
        self.failed: list[Values] = []
        self.writer = BatchWriter(
            op=0,
            table=TABLE,
            policy=policy,
            backend=self.backend,
            recorder=self.recorder,
            cells=self.cells,
            clock=clock,
            rng=Random(1),
            on_failed=lambda values, _: self.failed.append(values),
        )
        self.task = asyncio.ensure_future(self.writer.run())

    def offer(self, *numbers: int) -> list[Ack]:
        """Offer one row per number; return the acks of those that there was room for."""
        now = self.clock.now()
        return [self.writer.accept((n, 0, 0, 0), now, now, now) for n in numbers if self.writer.has_room()]

    async def finish(self) -> Account:
        """Close, wait, and return the account."""
        self.writer.close()
        await self.task
        return Account.of(self.cells)

    @property
    def sizes(self) -> list[int]:
        """Rows of each batch that was tried."""
        return [len(batch) for batch in self.backend.batches]

    def reasons(self) -> dict[tuple[str, ...], float]:
        """Flushes by reason and outcome."""
        return {
            k[1:]: v for k, v in self.recorder.snapshot().counters.items() if k[0] == "soakd_flushes_total"
        }


def rigged(
    test: Callable[[Rig], Awaitable[None]],
    policy: BatchPolicy,
    *,
    seconds: float = 0.0,
    fault: Fault | None = None,
) -> Rig:
    """Run a test on a rig in virtual time."""

    async def main(clock: VirtualClock) -> Rig:
        rig = Rig(clock, policy, seconds=seconds, fault=fault)
        await test(rig)
        return rig

    rig: Rig = virtual.run(main)
    return rig


def test_flushes_as_soon_as_a_batch_is_full() -> None:
    """Rows beyond the batch size wait for the next one."""

    async def script(rig: Rig) -> None:
        acks = rig.offer(*range(7))
        await asyncio.wait_for(acks[5], 1)
        assert (rig.sizes, rig.writer.depth) == ([3, 3], 1)
        assert (await rig.finish()).committed == 7

    rig = rigged(script, BatchPolicy(size=3, timeout=LONG, capacity=10))
    assert rig.reasons() == {("size", "ok"): 2, ("drain", "ok"): 1}


def test_flushes_when_oldest_row_reaches_timeout() -> None:
    """The timeout runs from the first row, however many follow."""

    async def script(rig: Rig) -> None:
        start = rig.clock.now()
        first = rig.offer(0)[0]
        await asyncio.sleep(0.008)
        rig.offer(1)
        await first
        assert rig.clock.now() - start == pytest.approx(0.010)
        assert rig.sizes == [2]
        await rig.finish()

    assert rigged(script, BatchPolicy(size=9, timeout=0.010, capacity=10)).reasons() == {("timeout", "ok"): 1}


def test_timeout_starts_afresh_with_the_row_after_a_flush() -> None:
    """A row that arrives after a flush waits its own full timeout."""

    async def script(rig: Rig) -> None:
        await rig.offer(0)[0]
        await asyncio.sleep(1)
        start = rig.clock.now()
        await rig.offer(1)[0]
        assert rig.clock.now() - start == pytest.approx(0.010)
        await rig.finish()

    rigged(script, BatchPolicy(size=9, timeout=0.010, capacity=10))


def test_timeout_zero_is_group_commit() -> None:
    """What arrives while a flush is under way goes together into the next one."""

    async def script(rig: Rig) -> None:
        rig.offer(0)
        await asyncio.sleep(0.5)
        last = rig.offer(1, 2, 3)[-1]
        await last
        assert rig.sizes == [1, 3]
        await rig.finish()

    rig = rigged(script, BatchPolicy(size=9, timeout=0, capacity=10), seconds=1.0)
    assert rig.reasons() == {("group", "ok"): 2}


def test_several_flushers_write_at_the_same_time() -> None:
    """Two full batches take the time of one."""

    async def script(rig: Rig) -> None:
        start = rig.clock.now()
        await asyncio.gather(*rig.offer(*range(6)))
        assert rig.clock.now() - start == pytest.approx(1.0)
        await rig.finish()

    rigged(script, BatchPolicy(size=3, timeout=LONG, capacity=10, flushers=2), seconds=1.0)


def test_group_commit_shares_the_waiting_rows_among_idle_flushers() -> None:
    """Two flushers write five rows as three and two at once, not as five while one is idle."""

    async def script(rig: Rig) -> None:
        await asyncio.sleep(0.001)  # until both flushers are idle
        start = rig.clock.now()
        await asyncio.gather(*rig.offer(*range(5)))
        assert rig.clock.now() - start == pytest.approx(1.0)
        assert rig.sizes == [3, 2]
        await rig.finish()

    rigged(script, BatchPolicy(size=9, timeout=0, capacity=10, flushers=2), seconds=1.0)


def test_nothing_is_acknowledged_before_commit() -> None:
    """While the database works, no ack is done and no row counts as committed."""

    async def script(rig: Rig) -> None:
        ack = rig.offer(0)[0]
        await asyncio.sleep(0.9)
        assert (ack.done(), rig.cells[:2]) == (False, [1, 0])
        await ack
        assert rig.cells[:2] == [1, 1]
        await rig.finish()

    rigged(script, BatchPolicy(size=1, timeout=0, capacity=10), seconds=1.0)


def test_slow_commit_shows_in_the_latency_and_is_no_error() -> None:
    """A commit of 1.5 s is a success of 1.5 s."""

    async def script(rig: Rig) -> None:
        await rig.offer(0)[0]
        await rig.finish()

    snapshot = rigged(script, BatchPolicy(size=1, timeout=0, capacity=9), seconds=1.5).recorder.snapshot()
    assert snapshot.counters["soakd_ops_total", "writer", "append", "ok"] == 1
    assert snapshot.histograms["soakd_op_service_seconds", "writer", "append"].max == pytest.approx(1.5)
    assert ("soakd_ops_total", "writer", "append", "error") not in snapshot.counters


def test_full_queue_accepts_nothing_until_there_is_room() -> None:
    """The offer is refused, the promise of room is kept in turn, and nobody jumps the queue."""

    async def script(rig: Rig) -> None:
        rig.offer(0, 1)
        assert rig.offer(2) == []
        rooms = [rig.writer.room(), rig.writer.room()]
        await rooms[0]
        assert rig.offer(9) == []  # the room is promised
        now = rig.clock.now()
        rig.writer.claim()
        rig.writer.accept((2, 0, 0, 0), now, now, now)
        await rooms[1]
        rig.writer.claim()
        rig.writer.accept((3, 0, 0, 0), now, now, now)
        assert (await rig.finish()).committed == 4

    rig = rigged(script, BatchPolicy(size=1, timeout=0, capacity=2), seconds=1.0)
    assert [batch[0][0] for batch in rig.backend.batches] == [0, 1, 2, 3]


def test_writers_waiting_for_room_are_turned_away_at_the_close() -> None:
    """They are told so; what was accepted is still written."""

    async def script(rig: Rig) -> None:
        rig.offer(0)
        room = rig.writer.room()
        account = await rig.finish()
        assert isinstance(room.exception(), Stopping)
        assert account == Account(1, 1, 0, 0, 0)
        with pytest.raises(Stopping):
            rig.writer.has_room()

    rigged(script, BatchPolicy(size=1, timeout=LONG, capacity=1), seconds=1.0)


def test_transient_failure_is_retried_until_it_passes() -> None:
    """Three busy answers, then success: one effect, three retries, growing pauses."""
    answers: list[OpError | None] = [OpError("busy"), OpError("busy"), OpError("busy"), None]

    async def script(rig: Rig) -> None:
        start = rig.clock.now()
        await rig.offer(0)[0]
        assert 0.35 <= rig.clock.now() - start <= 0.7  # 0.1 + 0.2 + 0.4, each half to full
        await rig.finish()

    rig = rigged(
        script,
        BatchPolicy(size=1, timeout=0, capacity=9, retry_initial=0.1),
        fault=lambda _rows, _again: answers.pop(0),
    )
    assert list(rig.backend.rows.values()) == [1]
    assert rig.recorder.snapshot().counters["soakd_retries_total", "busy"] == 3


def test_batch_lost_during_commit_is_retried_without_duplicates() -> None:
    """The first try was committed though it failed; the second one says that it may have been."""
    tries: list[bool] = []

    def fault(_rows: Sequence[Values], again: bool) -> OpError | None:  # noqa: FBT001
        tries.append(again)
        return OpError("connection", in_doubt=True) if len(tries) == 1 else None

    async def script(rig: Rig) -> None:
        await asyncio.gather(*rig.offer(0, 1, 2))
        assert await rig.finish() == Account(3, 3, 0, 0, 0)

    rig = rigged(script, BatchPolicy(size=3, timeout=0, capacity=9), fault=fault)
    assert (tries, list(rig.backend.rows.values())) == ([False, True], [1, 1, 1])


def test_poison_row_is_isolated_and_the_others_are_written() -> None:
    """Of eight rows the bad one fails alone, by name."""

    async def script(rig: Rig) -> None:
        acks = rig.offer(*range(8))
        results = await asyncio.gather(*acks, return_exceptions=True)
        assert [n for n, r in enumerate(results) if r is not None] == [5]
        assert await rig.finish() == Account(8, 7, 1, 0, 0)

    rig = rigged(
        script,
        BatchPolicy(size=8, timeout=0, capacity=9),
        fault=lambda rows, _: OpError("constraint") if (5, 0, 0, 0) in rows else None,
    )
    assert rig.failed == [(5, 0, 0, 0)]


def test_rows_are_given_up_when_the_retry_budget_is_spent() -> None:
    """They count as failed, and as in doubt if a commit got no answer."""

    async def script(rig: Rig) -> None:
        ack = rig.offer(0)[0]
        with pytest.raises(OpError):
            await ack
        assert await rig.finish() == Account(1, 0, 1, 0, 1)

    rigged(
        script,
        BatchPolicy(size=1, timeout=0, capacity=9, retry_budget=5.0),
        fault=lambda _rows, _again: OpError("connection", in_doubt=True),
    )


def test_stop_with_a_full_queue_accounts_for_every_row() -> None:
    """A drain cut short abandons what is queued and what is being written, and counts both."""

    async def script(rig: Rig) -> None:
        acks = rig.offer(*range(10))
        await asyncio.sleep(1.5)  # one batch of two is written, the second is under way
        rig.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rig.task
        assert rig.writer.abandon() == 8
        account = Account.of(rig.cells)
        assert account == Account(10, 2, 0, 8, 2)
        assert account.balanced
        assert len(rig.backend.rows) == account.committed
        assert acks[-1].cancelled()

    rigged(script, BatchPolicy(size=2, timeout=0, capacity=10), seconds=1.0)


def test_row_whose_writer_gave_up_is_committed_and_not_recorded_twice() -> None:
    """The writer recorded a timeout; the row still counts as committed."""

    async def script(rig: Rig) -> None:
        late, kept = rig.offer(0, 1)
        late.set_exception(OpError("timeout"))
        await kept
        assert late.exception() is not None
        assert await rig.finish() == Account(2, 2, 0, 0, 0)

    rig = rigged(script, BatchPolicy(size=2, timeout=0, capacity=9), seconds=1.0)
    assert rig.recorder.snapshot().counters["soakd_ops_total", "writer", "append", "ok"] == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_accepted_row_is_committed_failed_or_abandoned(data: st.DataObject) -> None:
    """Whatever fails and whenever it stops: accepted = committed + failed + abandoned, no duplicates."""
    policy = BatchPolicy(
        size=data.draw(st.integers(1, 5)),
        timeout=data.draw(st.sampled_from([0, 0.01, 1.0])),
        capacity=data.draw(st.integers(5, 12)),
        flushers=data.draw(st.integers(1, 3)),
        retry_budget=data.draw(st.sampled_from([0.0, 3.0])),
    )
    verdicts = data.draw(st.lists(st.sampled_from(["ok", "busy", "doubt", "constraint"]), max_size=30))
    stop_after = data.draw(st.floats(0, 5))
    writers = data.draw(st.integers(1, 15))

    def fault(_rows: Sequence[Values], _again: bool) -> OpError | None:  # noqa: FBT001
        verdict = verdicts.pop() if verdicts else "ok"
        if verdict == "doubt":
            return OpError("connection", in_doubt=True)
        return None if verdict == "ok" else OpError(verdict)  # type: ignore[arg-type]

    async def script(rig: Rig) -> None:
        async def writer(name: int) -> None:
            for n in range(20):
                now = rig.clock.now()
                try:
                    if not rig.writer.has_room():
                        await rig.writer.room()
                        rig.writer.claim()
                    await rig.writer.accept((name, n, 0, 0), now, now, rig.clock.now())
                except Stopping:
                    return
                except OpError:
                    continue

        tasks = [asyncio.ensure_future(writer(n)) for n in range(writers)]
        await asyncio.sleep(stop_after)
        rig.writer.close()
        await asyncio.wait({rig.task}, timeout=0.5)
        rig.task.cancel()
        await asyncio.wait({rig.task})
        rig.writer.abandon()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    rig = rigged(script, policy, seconds=0.1, fault=fault)
    account = Account.of(rig.cells)
    assert account.balanced
    assert set(rig.backend.rows.values()) <= {1}
    assert account.committed <= len(rig.backend.rows) <= account.committed + account.in_doubt
    assert account.settled(len(rig.backend.rows)).committed == len(rig.backend.rows)
