"""The load loop: turns, lag, backlog, time-outs and outages, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import pytest

from daemon.backends.base import NULL
from daemon.errors import OpError
from daemon.load.batch import BatchPolicy, BatchWriter
from daemon.load.policy import PoolPolicy
from daemon.load.pool import Pool
from daemon.load.schedule import Constant, Poisson, Shaped
from daemon.load.shapes import Burst, Ramp, Shape, Sine, steps
from daemon.load.turns import Pace
from daemon.ops import PoolName
from daemon.record.histogram import Histogram
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Identity
from daemon.workloads.events import EVENTS, Events
from tests import virtual
from tests.doubles import ScriptedBackend
from tests.virtual import VirtualClock

EVERYTHING = {"by_key": 1.0, "newest": 0.0, "by_service": 0.0, "level_counts": 0.0, "search": 0.0}


class Rig:
    """One pool of the workload `events` on a scripted backend."""

    def __init__(
        self, clock: VirtualClock, pool: PoolName, policy: PoolPolicy, batch: BatchPolicy, seconds: float
    ) -> None:
        self.clock = clock
        self.backend = ScriptedBackend(clock, seconds=seconds)
        self.workload = Events(
            identity=Identity(1, 0, 0),
            dialect=NULL,
            workers=policy.workers,
            message_size=20,
            services=3,
            keys="uniform",
            limit=5,
            window=60,
            weights=EVERYTHING,
            existing=(),
            wall=clock.wall,
            rng=Random(1),
        )
        self.recorder = OpRecorder(self.workload.ops)
        self.cells = [0] * 5
        self.writer = BatchWriter(
            op=0,
            table=EVENTS,
            policy=batch,
            backend=self.backend,
            recorder=self.recorder,
            cells=self.cells,
            clock=clock,
            rng=Random(1),
            on_failed=lambda *_: None,
        )
        self.pool = Pool(
            pool,
            policy._replace(timer_resolution=0.0),
            workload=self.workload,
            backend=self.backend,
            writers=(self.writer,),
            recorder=self.recorder,
            clock=clock,
            seed="7",
            on_refused=lambda _: None,
        )

    async def load(self, seconds: float, meanwhile: Callable[["Rig"], Awaitable[None]] | None = None) -> None:
        """Run the pool for so long, then stop and drain."""
        tasks = [asyncio.ensure_future(self.pool.run()), asyncio.ensure_future(self.writer.run())]
        other = asyncio.ensure_future(meanwhile(self)) if meanwhile else None
        await asyncio.sleep(seconds)
        self.pool.stop()
        self.writer.close()
        await asyncio.gather(*tasks)
        if other:
            await other


def loaded(
    policy: PoolPolicy,
    seconds: float,
    *,
    pool: PoolName = "reader",
    batch: BatchPolicy | None = None,
    takes: float = 0.001,
    meanwhile: Callable[[Rig], Awaitable[None]] | None = None,
) -> tuple[Rig, Snapshot]:
    """Load a scripted backend in virtual time; return the rig and what was recorded."""
    batch = batch or BatchPolicy(size=10, timeout=0, capacity=1000)

    async def main(clock: VirtualClock) -> Rig:
        rig = Rig(clock, pool, policy, batch, takes)
        await rig.load(seconds, meanwhile)
        return rig

    rig: Rig = virtual.run(main)
    return rig, rig.recorder.snapshot()


def histogram(snapshot: Snapshot, name: str, pool: PoolName = "reader") -> Histogram:
    """Return the merged histogram of a pool."""
    return snapshot.pooled(lambda key: key[:2] == (name, pool))


def outcomes(snapshot: Snapshot, outcome: str) -> float:
    """Return how many operations of any kind ended so."""
    return sum(v for k, v in snapshot.counters.items() if k[0] == "soakd_ops_total" and k[3] == outcome)


def test_closed_loop_goes_on_as_soon_as_it_has_its_answer() -> None:
    """Five workers at 1 ms each make 5000 per second, without lag."""
    _, snapshot = loaded(PoolPolicy(workers=5), 2.0)
    assert outcomes(snapshot, "ok") == pytest.approx(10_000, rel=0.01)
    assert histogram(snapshot, "soakd_schedule_lag_seconds").max == 0


def test_think_time_is_added_after_each_operation() -> None:
    """1 ms of service and 9 ms of thought make 100 per second and worker."""
    _, snapshot = loaded(PoolPolicy(workers=3, think_time=0.009), 2.0)
    assert outcomes(snapshot, "ok") == pytest.approx(600, rel=0.01)


@pytest.mark.parametrize("kind", [Constant, Poisson])
def test_open_loop_meets_the_rate_within_one_percent(kind: type[Constant] | type[Poisson]) -> None:
    """The schedule decides, not the answers."""
    _, snapshot = loaded(PoolPolicy(workers=50, schedule=kind(1000.0)), 20.0)
    assert outcomes(snapshot, "ok") == pytest.approx(20_000, rel=0.01)


def test_open_loop_is_never_early() -> None:
    """With a free worker each operation begins exactly at its intended time."""
    _, snapshot = loaded(PoolPolicy(workers=50, schedule=Constant(1000.0)), 5.0)
    assert histogram(snapshot, "soakd_schedule_lag_seconds").max < 1e-6


def test_freeze_of_the_target_shows_in_response_time_as_theory_predicts() -> None:
    """A freeze of 1 s at 1000/s makes about 1000 late operations, the latest by 1 s.

    The operations that only waited for a worker have the ordinary service time.
    """

    async def freeze(rig: Rig) -> None:
        await asyncio.sleep(3.0)
        rig.backend.frozen_until = rig.clock.now() + 1.0

    _, snapshot = loaded(PoolPolicy(workers=10, schedule=Constant(1000.0)), 10.0, meanwhile=freeze)
    response = histogram(snapshot, "soakd_op_response_seconds")
    service = histogram(snapshot, "soakd_op_service_seconds")
    late = response.count - response.cumulative([0.01])[0]
    assert response.count == pytest.approx(10_000, rel=0.01)
    # 10 workers answer 10,000/s after the freeze, so the backlog of 1000 melts by 9000/s: 1111 are late.
    assert late == pytest.approx(1111, rel=0.03)
    assert response.quantile(0.999) == pytest.approx(1.0, rel=0.02)
    assert response.quantile(0.95) == pytest.approx(0.55, rel=0.05)
    assert service.count - service.cumulative([0.01])[0] == 10  # one per worker


def test_queue_bound_system_is_not_reported_faster_than_it_was_offered() -> None:
    """Offered 1000/s to a target that does 500/s, the response time grows with the queue."""
    _, snapshot = loaded(
        PoolPolicy(workers=5, schedule=Constant(1000.0), max_backlog=100.0), 10.0, takes=0.010
    )
    response = histogram(snapshot, "soakd_op_response_seconds")
    assert outcomes(snapshot, "ok") == pytest.approx(5000, rel=0.01)
    assert response.max == pytest.approx(5.0, rel=0.02)  # the last of 5000 was due at 5 s, ran at 10 s
    assert response.quantile(0.5) == pytest.approx(2.5, rel=0.02)
    assert histogram(snapshot, "soakd_op_service_seconds").max == pytest.approx(0.010, rel=0.01)


def test_backlog_beyond_the_cap_is_dropped_and_counted() -> None:
    """Scheduled = ok + dropped, to the last one, and no response is later than the cap allows."""
    _, snapshot = loaded(PoolPolicy(workers=5, schedule=Constant(1000.0), max_backlog=1.0), 10.0, takes=0.010)
    dropped = snapshot.counters["soakd_ops_dropped_total", "reader", "backlog"]
    left = snapshot.counters["soakd_ops_dropped_total", "reader", "stopping"]  # within the cap at the stop
    assert left == pytest.approx(1000, rel=0.01)
    assert outcomes(snapshot, "dropped") == dropped + left
    assert outcomes(snapshot, "ok") + dropped + left == pytest.approx(10_000, abs=1)
    assert histogram(snapshot, "soakd_op_response_seconds").max <= 1.011


def test_no_burst_after_an_outage() -> None:
    """Turns missed in an outage are dropped; afterwards the rate is the intended one."""
    finished: list[tuple[float, float]] = []

    async def outage(rig: Rig) -> None:
        start = rig.clock.now()
        await asyncio.sleep(2.0)
        rig.backend.outage_end = float("inf")
        rig.backend.frozen_until = start + 5.0  # the workers hang until the target is back
        await asyncio.sleep(3.0)
        rig.backend.outage_end = rig.clock.now()
        for _ in range(50):
            finished.append((rig.clock.now(), outcomes(rig.recorder.snapshot(), "ok")))
            await asyncio.sleep(0.1)

    _, snapshot = loaded(PoolPolicy(workers=10, schedule=Constant(1000.0)), 10.0, meanwhile=outage)
    assert snapshot.counters["soakd_ops_dropped_total", "reader", "outage"] == pytest.approx(2990, rel=0.01)
    steps = [b[1] - a[1] for a, b in pairwise(finished)]
    assert max(steps) <= 100 * 1.02 + 10  # the ten that hung end with the outage
    assert sum(steps) == pytest.approx(100 * len(steps), rel=0.01)


def test_operations_fail_with_class_connection_while_the_target_is_down() -> None:
    """The schedule goes on; every turn has an outcome."""

    async def down(rig: Rig) -> None:
        await asyncio.sleep(1.0)
        rig.backend.down = True
        await asyncio.sleep(1.0)
        rig.backend.down = False

    _, snapshot = loaded(PoolPolicy(workers=10, schedule=Constant(100.0)), 3.0, meanwhile=down)
    assert snapshot.counters["soakd_op_errors_total", "reader", "by_key", "connection"] == pytest.approx(
        100, abs=1
    )
    assert outcomes(snapshot, "ok") == pytest.approx(200, abs=2)


def test_closed_loop_does_not_spin_while_the_target_is_down() -> None:
    """Each worker pauses longer and longer, up to a second."""

    async def down(rig: Rig) -> None:
        rig.backend.down = True

    _, snapshot = loaded(PoolPolicy(workers=2), 30.0, meanwhile=down)
    assert outcomes(snapshot, "error") < 2 * 40


def test_row_that_takes_too_long_is_a_timeout_and_still_committed() -> None:
    """The operation ends as a timeout after op_timeout; the row finds its own end."""
    rig, snapshot = loaded(
        PoolPolicy(workers=1, op_timeout=1.0), 1.5, pool="writer", takes=5.0, batch=BatchPolicy(10, 0, 10)
    )
    assert outcomes(snapshot, "timeout") >= 1
    assert snapshot.counters["soakd_op_errors_total", "writer", "append", "timeout"] >= 1
    assert rig.cells[0] == rig.cells[1] == len(rig.backend.rows)
    assert histogram(snapshot, "soakd_op_response_seconds", "writer").min >= 1.0


def test_full_queue_blocks_or_drops_as_told() -> None:
    """Dropped rows are counted, use no sequence number, and are never accepted."""
    batch = BatchPolicy(size=1, timeout=0, capacity=2)
    for drops in (False, True):
        policy = PoolPolicy(workers=8, schedule=Constant(100.0), max_backlog=1e6, full_drops=drops)
        rig, snapshot = loaded(policy, 5.0, pool="writer", takes=0.1, batch=batch)
        action = "dropped" if drops else "blocked"
        assert snapshot.counters["soakd_queue_full_total", action] > 10
        assert rig.cells[0] == rig.cells[1] == len(rig.backend.rows) == outcomes(snapshot, "ok")
        assert (snapshot.counters.get(("soakd_ops_dropped_total", "writer", "queue_full"), 0) > 100) == drops
        assert outcomes(snapshot, "ok") + outcomes(snapshot, "dropped") == pytest.approx(500, abs=1)
        for worker in range(8):
            seqs = sorted(key[3] for key in rig.backend.rows if key[2] == worker)
            assert seqs == list(range(len(seqs)))


def test_closed_loop_that_drops_rows_leaves_the_others_their_turn() -> None:
    """More writers than places, and nobody waits for a place: the queue is still written."""
    batch = BatchPolicy(size=1, timeout=0, capacity=2)
    rig, snapshot = loaded(PoolPolicy(8, full_drops=True), 5.0, pool="writer", takes=0.1, batch=batch)
    assert outcomes(snapshot, "ok") == rig.cells[1] == pytest.approx(50, abs=5)
    assert 0 < snapshot.counters["soakd_ops_dropped_total", "writer", "queue_full"] < 1000


def test_think_time_does_not_slow_an_open_loop() -> None:
    """Its schedule alone says when."""
    _, snapshot = loaded(PoolPolicy(workers=1, schedule=Constant(100.0), think_time=0.1), 5.0)
    assert outcomes(snapshot, "ok") == pytest.approx(500, abs=1)


@pytest.mark.parametrize("rate", [1e-6, 1e-3])
def test_a_tiny_rate_waits_for_its_turn(rate: float) -> None:
    """The first operation is due at once, the second one in a long time."""
    _, snapshot = loaded(PoolPolicy(workers=2, schedule=Constant(rate)), 900.0)
    assert outcomes(snapshot, "ok") == 1


def test_operation_cut_off_by_the_end_of_the_drain_has_an_outcome() -> None:
    """Cancelled workers leave a drop with the reason `aborted`, one each."""

    async def main(clock: VirtualClock) -> Snapshot:
        rig = Rig(clock, "reader", PoolPolicy(3), BatchPolicy(1, 0, 1), 60.0)
        task = asyncio.ensure_future(rig.pool.run())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait({task})
        return rig.recorder.snapshot()

    assert virtual.run(main).counters["soakd_ops_dropped_total", "reader", "aborted"] == 3


def test_writers_that_gave_up_waiting_for_room_are_forgotten() -> None:
    """While a write hangs, no more futures are kept than there are writers."""

    async def main(clock: VirtualClock) -> int:
        policy = PoolPolicy(workers=20, op_timeout=0.02)
        rig = Rig(clock, "writer", policy, BatchPolicy(size=1, timeout=0, capacity=1), 1e6)
        tasks = [asyncio.ensure_future(rig.pool.run()), asyncio.ensure_future(rig.writer.run())]
        await asyncio.sleep(5.0)
        waiting = len(rig.writer._waiting)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return waiting

    assert virtual.run(main) <= 20


def test_stop_ends_sleeping_workers_at_once() -> None:
    """A pool of one operation per hour stops without waiting for its next turn."""

    async def main(clock: VirtualClock) -> float:
        rig = Rig(clock, "reader", PoolPolicy(3, Constant(1 / 3600)), BatchPolicy(1, 0, 1), 0.001)
        start = clock.now()
        await rig.load(5.0)
        return clock.now() - start

    assert virtual.run(main) == pytest.approx(5.0, abs=0.01)


def test_mix_follows_the_weights() -> None:
    """Operations are drawn in proportion, and one of weight 0 never."""
    weights = {"by_key": 3.0, "newest": 1.0, "by_service": 0.0, "level_counts": 0.0, "search": 0.0}

    async def main(clock: VirtualClock) -> Snapshot:
        rig = Rig(clock, "reader", PoolPolicy(20), BatchPolicy(1, 0, 1), 0.001)
        rig.workload.ops = tuple(
            spec._replace(weight=weights[spec.name]) if spec.pool == "reader" else spec
            for spec in rig.workload.ops
        )
        rig.pool = Pool(
            "reader",
            PoolPolicy(20),
            workload=rig.workload,
            backend=rig.backend,
            writers=(),
            recorder=rig.recorder,
            clock=clock,
            seed="7",
            on_refused=lambda _: None,
        )
        await rig.load(2.0)
        return rig.recorder.snapshot()

    counters = virtual.run(main).counters
    by_key = counters["soakd_ops_total", "reader", "by_key", "ok"]
    assert by_key / counters["soakd_ops_total", "reader", "newest", "ok"] == pytest.approx(3, rel=0.05)
    assert ("soakd_ops_total", "reader", "by_service", "ok") not in counters


def test_rejection_is_its_own_outcome() -> None:
    """A business rule that says no is neither ok nor an error."""
    from daemon.errors import Rejected

    async def main(clock: VirtualClock) -> Snapshot:
        rig = Rig(clock, "reader", PoolPolicy(1), BatchPolicy(1, 0, 1), 0.001)

        async def refuse(*_: object, **__: object) -> None:
            await asyncio.sleep(0.001)
            raise Rejected

        rig.backend.transact = refuse  # type: ignore[assignment,method-assign]
        await rig.load(0.1)
        return rig.recorder.snapshot()

    snapshot = virtual.run(main)
    assert outcomes(snapshot, "rejected") == pytest.approx(100, abs=2)
    assert outcomes(snapshot, "error") == outcomes(snapshot, "ok") == 0


def test_an_unexpected_exception_ends_the_pool_and_is_seen() -> None:
    """A bug is never counted as a failed operation."""

    async def main(clock: VirtualClock) -> None:
        rig = Rig(clock, "reader", PoolPolicy(2), BatchPolicy(1, 0, 1), 0.001)

        async def bug(*_: object, **__: object) -> None:
            await asyncio.sleep(0)
            raise ZeroDivisionError

        rig.backend.transact = bug  # type: ignore[assignment,method-assign]
        with pytest.raises(ExceptionGroup):
            await rig.pool.run()

    virtual.run(main)
    assert OpError("other").transient is False


def test_a_writer_with_rows_in_flight_fills_batches_on_its_own() -> None:
    """Two writers that send five rows each before they wait fill batches of ten."""
    policy = PoolPolicy(workers=2, rows_in_flight=5)
    rig, snapshot = loaded(policy, 1.0, pool="writer", takes=0.1, batch=BatchPolicy(10, 0, 100))
    assert snapshot.histograms["soakd_flush_rows",].max == 10
    assert outcomes(snapshot, "ok") == len(rig.backend.rows) == rig.cells[1] == pytest.approx(100, abs=20)
    assert rig.pool.in_flight == 0


@pytest.mark.parametrize("schedule", [None, Constant(500.0)])
def test_every_row_in_flight_ends_in_an_outcome(schedule: Constant | None) -> None:
    """Slow, then down, then cut off: sent = ok + error + timeout + dropped, and numbers without gaps."""

    async def main(clock: VirtualClock) -> tuple[Rig, Snapshot]:
        policy = PoolPolicy(workers=3, schedule=schedule, rows_in_flight=4, op_timeout=1.0)
        batch = BatchPolicy(size=2, timeout=0, capacity=6, retry_budget=0.1)
        rig = Rig(clock, "writer", policy, batch, 0.01)
        tasks = [asyncio.ensure_future(rig.pool.run()), asyncio.ensure_future(rig.writer.run())]
        await asyncio.sleep(1.0)
        rig.backend.down = True
        await asyncio.sleep(2.0)
        rig.backend.down = False
        rig.backend.frozen_until = clock.now() + 1e6
        await asyncio.sleep(2.0)
        assert rig.pool.in_flight <= 3 * 5  # rows sent, and one that waits for room per worker
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        rig.writer.abandon()
        return rig, rig.recorder.snapshot()

    rig, snapshot = virtual.run(main)
    accepted = rig.cells[0]
    for outcome in ("ok", "error", "timeout", "dropped"):
        assert outcomes(snapshot, outcome) > 0
    errors = sum(v for k, v in snapshot.counters.items() if k[0] == "soakd_op_errors_total")
    assert errors == outcomes(snapshot, "error") + outcomes(snapshot, "timeout")
    # Beyond the accepted rows there are turns that were dropped or gave up waiting for room.
    assert sum(outcomes(snapshot, name) for name in ("ok", "error", "timeout", "dropped")) >= accepted
    assert sum(rig.workload._seqs) == accepted
    assert rig.pool.in_flight == rig.pool.active == 0


@pytest.mark.parametrize(
    "shape",
    [Ramp(0.0, 2000.0, 10.0), Sine(1000.0, 1000.0, 2.0), Burst(0.0, 5000.0, 5.0, 1.0)],
    ids=lambda shape: type(shape).__name__,
)
def test_a_rate_that_changes_is_met_at_every_moment(shape: Shape) -> None:
    """1000 per second on average in each of them; nothing is late and nothing is early."""
    _, snapshot = loaded(PoolPolicy(workers=50, schedule=Shaped(shape)), 10.0)
    assert outcomes(snapshot, "ok") == pytest.approx(10_000, abs=1)
    assert histogram(snapshot, "soakd_schedule_lag_seconds").max < 1e-6


def test_a_schedule_without_any_further_arrival_can_be_stopped() -> None:
    """After a ramp down to nothing the workers sleep, and end at once when told."""
    rig, snapshot = loaded(PoolPolicy(workers=5, schedule=Shaped(Ramp(100.0, 0.0, 2.0))), 3 * 3600.0)
    assert outcomes(snapshot, "ok") == 100
    assert rig.pool.active == 0


def test_a_change_of_pace_takes_effect_at_once_in_both_directions() -> None:
    """100 per second, closed with 2 of 10 workers at 1 ms each, then 500 per second."""

    async def change(rig: Rig) -> None:
        await asyncio.sleep(2.0)
        assert (rig.pool.active, rig.pool.target_rate) == (10, 100.0)
        await rig.pool.change(Pace(2, None))
        assert (rig.pool.active, rig.pool.target_rate) == (2, 0.0)
        await asyncio.sleep(2.0)
        await rig.pool.change(Pace(10, Shaped(Ramp(500.0, 500.0, 1.0))))
        assert (rig.pool.active, rig.pool.target_rate) == (10, 500.0)

    _, snapshot = loaded(PoolPolicy(workers=10, schedule=Constant(100.0)), 6.0, meanwhile=change)
    assert outcomes(snapshot, "ok") == pytest.approx(200 + 4000 + 1000, abs=12)
    assert outcomes(snapshot, "dropped") == 0
    assert histogram(snapshot, "soakd_schedule_lag_seconds").max < 1e-6


def test_what_was_due_and_not_taken_before_a_change_is_counted() -> None:
    """One worker at 100 ms can do 10 of 100 per second; the rest is not carried into the next phase."""

    async def change(rig: Rig) -> None:
        await asyncio.sleep(2.0)
        await rig.pool.change(Pace(1, Constant(5.0)))

    policy = PoolPolicy(workers=1, schedule=Constant(100.0), max_backlog=60.0)
    rig, snapshot = loaded(policy, 4.0, takes=0.1, meanwhile=change)
    dropped = snapshot.counters["soakd_ops_dropped_total", "reader", "stopping"]
    assert dropped == pytest.approx(200 - 20, abs=2)
    assert outcomes(snapshot, "ok") + dropped == pytest.approx(200 + 10, abs=2)
    assert rig.pool.active == 0


def test_workers_without_work_have_their_rows_settled_and_end_at_the_stop() -> None:
    async def change(rig: Rig) -> None:
        await asyncio.sleep(1.0)
        await rig.pool.change(Pace(0, None))
        await asyncio.sleep(1.0)
        assert (rig.pool.active, rig.pool.in_flight, rig.writer.depth) == (0, 0, 0)
        written = len(rig.backend.rows)
        await asyncio.sleep(1.0)
        assert len(rig.backend.rows) == written > 0

    policy = PoolPolicy(workers=5, rows_in_flight=10)
    rig, _ = loaded(policy, 4.0, pool="writer", meanwhile=change)
    assert rig.cells[1] == rig.cells[0] == len(rig.backend.rows)


def test_a_pool_may_begin_with_another_pace_than_its_policy_says() -> None:
    _, snapshot = loaded(PoolPolicy(workers=10, pace=Pace(2, None)), 1.0)
    assert outcomes(snapshot, "ok") == pytest.approx(2000, rel=0.01)


def test_a_stopped_pool_does_not_change_any_more() -> None:
    async def change(rig: Rig) -> None:
        rig.pool.stop()
        await rig.pool.change(Pace(5, Constant(1000.0)))

    _, snapshot = loaded(PoolPolicy(workers=5, schedule=Constant(1.0)), 5.0, meanwhile=change)
    assert outcomes(snapshot, "ok") <= 1


@pytest.mark.parametrize("kind", [Constant, Poisson])
def test_what_was_due_is_what_has_ended_and_what_is_under_way(kind: type[Constant] | type[Poisson]) -> None:
    """To the last turn, however random the arrivals are: none is late at the end."""
    seen: list[tuple[float, float]] = []

    async def look(rig: Rig) -> None:
        for _ in range(40):
            await asyncio.sleep(0.2513)  # no turn is due at that very moment
            counted = rig.recorder.snapshot()
            seen.append((rig.pool.due, outcomes(counted, "ok") + rig.pool.in_flight))

    loaded(PoolPolicy(workers=50, schedule=kind(100.0)), 10.2, meanwhile=look)
    assert [due for due, _ in seen] == [ended for _, ended in seen]
    assert seen[-1][0] == pytest.approx(1000, rel=0.1)


def test_what_is_due_and_has_no_worker_yet_counts_as_on_average() -> None:
    """500/s of 1000/s are answered: after 8 s nobody has drawn the last 4000 turns, but they are due."""
    seen: list[float] = []

    async def look(rig: Rig) -> None:
        for _ in range(8):
            await asyncio.sleep(1.0)
            seen.append(rig.pool.due)
        await rig.pool.change(Pace(5, Constant(10.0)))
        seen.append(rig.pool.due)
        await asyncio.sleep(1.0)
        seen.append(rig.pool.due)

    rig, snapshot = loaded(
        PoolPolicy(workers=5, schedule=Constant(1000.0), max_backlog=100.0), 10.0, takes=0.010, meanwhile=look
    )
    assert seen == pytest.approx([*range(1000, 9000, 1000), 8000, 8010], abs=2)
    ended = outcomes(snapshot, "ok") + outcomes(snapshot, "dropped")
    assert rig.pool.due == ended == pytest.approx(8020, abs=2)


@pytest.mark.parametrize(
    "shape", [Ramp(100, 0, 6), Burst(1, 400, 7, 1), Sine(100, 100, 8), steps((100, 0, 50), 3)]
)
def test_what_comes_while_all_workers_are_held_up_is_the_integral_of_the_rate(shape: Shape) -> None:
    seen: list[tuple[float, float]] = []

    async def freeze(rig: Rig) -> None:
        for second in range(1, 10):
            await asyncio.sleep(1.0)
            seen.append((rig.pool.due, shape.total(second)))
            if second == 1:
                rig.backend.frozen_until = rig.clock.now() + 5.0

    loaded(PoolPolicy(workers=2, schedule=Shaped(shape), max_backlog=100.0), 10.0, meanwhile=freeze)
    assert [due for due, _ in seen] == pytest.approx([total for _, total in seen], abs=2)


def test_a_schedule_without_workers_asks_all_the_same() -> None:
    async def look(rig: Rig) -> None:
        await rig.pool.change(Pace(0, Constant(100.0)))
        await asyncio.sleep(2.0)
        assert rig.pool.due == pytest.approx(200, abs=1)

    rig, snapshot = loaded(PoolPolicy(workers=5), 3.0, meanwhile=look)
    assert rig.pool.due == snapshot.counters["soakd_ops_dropped_total", "reader", "stopping"]


def test_what_comes_while_the_loop_stands_still_is_due_and_dropped_at_the_stop() -> None:
    """Workers sleep until their turns, of which each has one, and are woken by the stop."""

    async def stall(rig: Rig) -> None:
        await asyncio.sleep(1.0)
        rig.clock.time += 1.0
        assert rig.pool.due == pytest.approx(2000, abs=1)
        rig.pool.stop()

    rig, snapshot = loaded(PoolPolicy(workers=50, schedule=Constant(1000.0)), 5.0, meanwhile=stall)
    assert rig.pool.due == pytest.approx(2000, abs=1)
    assert outcomes(snapshot, "ok") + outcomes(snapshot, "dropped") == rig.pool.due


def test_a_closed_loop_has_nothing_due() -> None:
    rig, _ = loaded(PoolPolicy(workers=2), 1.0)
    assert rig.pool.due == 0


def test_nothing_becomes_due_after_the_stop() -> None:
    """All workers are busy when it comes, and stay so for a while."""

    async def freeze(rig: Rig) -> None:
        await asyncio.sleep(1.5)
        rig.backend.frozen_until = rig.clock.now() + 5.0

    rig, snapshot = loaded(PoolPolicy(workers=5, schedule=Constant(100.0)), 2.0, meanwhile=freeze)
    assert rig.pool.due == outcomes(snapshot, "ok") + outcomes(snapshot, "dropped")
    assert rig.pool.due == pytest.approx(200, abs=1)
