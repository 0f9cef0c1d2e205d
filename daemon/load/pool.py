"""The load loop: workers that take turns from one schedule and execute what is due."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from daemon.backends.base import INFINITY, Backend
from daemon.clock import Clock
from daemon.errors import OpError, Rejected
from daemon.load.batch import Ack, BatchWriter, Stopping
from daemon.load.schedule import Schedule
from daemon.ops import OpSpec, Outcome, PoolName, Row, Transaction
from daemon.record.recorder import Recorder
from daemon.workloads.base import Workload

MIX_BLOCK = 512  # operations drawn at a time
SKIP_BLOCK = 1000  # missed turns counted before other tasks get the loop
LONGEST_SLEEP = 3600.0  # s; who sleeps longer looks at the time again
ERROR_PAUSE_CAP = 1.0  # s; longest pause of a closed-loop worker while the database is away


class PoolPolicy(NamedTuple):
    """How a pool takes its turns.

    Attributes:
        workers: concurrent workers.
        schedule: intended times (open loop), or None: each worker goes on as soon as it has
            its answer (closed loop).
        think_time: pause after each operation of a closed loop, s.
        max_backlog: a turn later than this is dropped and counted, s.
        op_timeout: an operation without an answer by then is a timeout, s; 0: never.
        full_drops: drop a row that meets a full queue instead of waiting for room.
        timer_resolution: what the event loop rounds its timers to, s; 0 for a virtual clock.
    """

    workers: int
    schedule: Schedule | None = None
    think_time: float = 0.0
    max_backlog: float = 10.0
    op_timeout: float = 0.0
    full_drops: bool = False
    timer_resolution: float = 0.001


class Mix:
    """Draws operation numbers in proportion to their weights, a block at a time."""

    def __init__(self, ops: Sequence[OpSpec], pool: PoolName, rng: Random) -> None:
        chosen = [(i, spec.weight) for i, spec in enumerate(ops) if spec.pool == pool and spec.weight > 0]
        self._numbers = [i for i, _ in chosen]
        self._weights = [weight for _, weight in chosen]
        self._rng = rng
        self._block: list[int] = []

    def next(self) -> int:
        """Return the number of the next operation."""
        if not self._block:
            self._block = self._rng.choices(self._numbers, self._weights, k=MIX_BLOCK)
        return self._block.pop()


class Pool:
    """N workers on one loop, open or closed. Nothing here grows with time."""

    def __init__(
        self,
        name: PoolName,
        policy: PoolPolicy,
        *,
        workload: Workload,
        backend: Backend,
        writers: Mapping[str, BatchWriter],
        recorder: Recorder,
        clock: Clock,
        seed: str,
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            name: the pool's label.
            policy: how turns are taken.
            workload: what is executed.
            backend: where transactions go.
            writers: where rows go, by table name.
            recorder: where the measurements go.
            clock: monotonic time, the same as the event loop's timers follow.
            seed: all random draws derive from it.
        """
        self.name = name
        self.policy = policy
        self.in_flight = 0
        self.active = 0
        self._workload = workload
        self._backend = backend
        self._writers = writers
        self._recorder = recorder
        self._clock = clock
        self._seed = seed
        self._mix = Mix(workload.ops, name, Random(f"{seed}/mix"))
        self._stopping = False
        self._stopped = asyncio.Event()
        self._start = 0.0
        self._arrivals: Iterator[float] | None = None
        self._sleeping: set[Ack] = set()
        self._awaited: dict[int, tuple[float, Ack]] = {}  # by worker: when it gives up, on what
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Load the database until `stop`; returns when every worker has its last answer."""
        self._start = self._clock.now()
        schedule = self.policy.schedule
        if schedule:
            self._arrivals = schedule.arrivals(Random(f"{self._seed}/arrivals"))
        async with asyncio.TaskGroup() as tasks:
            sweep = tasks.create_task(self._expire(), name=f"{self.name}-timeouts")
            tasks.create_task(self._leave(), name=f"{self.name}-left")
            workers = [
                tasks.create_task(self._worker(n), name=f"{self.name}-{n}")
                for n in range(self.policy.workers)
            ]
            await asyncio.gather(*workers)
            sweep.cancel()

    def stop(self) -> None:
        """Take no further turn; sleeping workers end at once."""
        self._stopping = True
        self._stopped.set()
        for future in self._sleeping:
            if not future.done():
                future.set_result(None)

    @property
    def target_rate(self) -> float:
        """Operations per second that are intended now; 0 in a closed loop."""
        schedule = self.policy.schedule
        return schedule.rate(self._clock.now() - self._start) if schedule else 0.0

    async def _worker(self, number: int) -> None:
        rng = Random(f"{self._seed}/{number}")
        failures = 0
        self.active += 1
        try:
            while (intended := await self._turn()) is not None:
                if await self._execute(number, intended, rng):
                    failures = 0
                elif self._arrivals is None:
                    # A closed loop would spin while the database is away.
                    failures += 1
                    await self._sleep(min(ERROR_PAUSE_CAP, 0.01 * 2.0 ** min(failures, 30)))
                if self._arrivals is None and self.policy.think_time:
                    await self._sleep(self.policy.think_time)
        finally:
            self.active -= 1

    async def _turn(self) -> float | None:
        """Return the intended time of the next operation once it has come; None at the end."""
        if self._arrivals is None:
            return None if self._stopping else self._clock.now()
        skipped = 0
        while not self._stopping:
            intended = self._start + next(self._arrivals)
            now = self._clock.now()
            if intended > now:
                return intended if await self._reached(intended) else None
            reason = self._missed(intended, now)
            if reason is None:
                return intended
            self._recorder.drop(self._mix.next(), reason)
            skipped += 1
            if skipped % SKIP_BLOCK == 0:
                await asyncio.sleep(0)
        return None

    async def _leave(self) -> None:
        """At the stop, count the turns that were due by then and that no worker had come to."""
        await self._stopped.wait()
        now = self._clock.now() - self._start
        for left, offset in enumerate(self._arrivals or ()):
            if offset > now:
                return
            self._recorder.drop(self._mix.next(), "stopping")
            if left % SKIP_BLOCK == 0:
                await asyncio.sleep(0)

    def _missed(self, intended: float, now: float) -> str | None:
        """Return why a turn is not worth taking any more: after an outage there is no burst."""
        if now - intended > self.policy.max_backlog:
            return "backlog"
        end = self._backend.outage_end
        return "outage" if intended < end <= now else None

    async def _reached(self, intended: float) -> bool:
        """Sleep until the time has come, never less; False when the pool was stopped before."""
        while not self._stopping:
            wait = intended - self._clock.now()
            if wait <= 0:
                return True
            await self._sleep(wait)
        return False

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or return early when the pool is stopped."""
        if self._stopping:
            return
        tick = self.policy.timer_resolution
        wake = self._loop.create_future()
        seconds = min(seconds, LONGEST_SLEEP)
        delay = math.ceil(seconds / tick) * tick if tick else seconds
        timer = self._loop.call_later(delay, _wake, wake)
        self._sleeping.add(wake)
        try:
            await wake
        finally:
            timer.cancel()
            self._sleeping.discard(wake)

    async def _execute(self, worker: int, intended: float, rng: Random) -> bool:
        """Execute one operation and see it recorded; False when there is no database to talk to."""
        dispatched = self._clock.now()
        op = self._mix.next()
        work = self._workload.make(op, worker, rng)
        self.in_flight += 1
        try:
            if isinstance(work, Row):
                await self._submit(op, worker, work, intended, dispatched)
            else:
                await self._transact(op, work, intended, dispatched)
        except OpError as error:
            self._failed(op, error, intended, dispatched)
            return error.error_class != "connection"
        except Stopping:
            self._unaccepted(op, work, "stopping")
        except asyncio.CancelledError:
            self._recorder.drop(op, "aborted")  # cut off by the end of the drain: nobody knows how it ended
            raise
        finally:
            self.in_flight -= 1
        return True

    async def _transact(self, op: int, work: Transaction, intended: float, dispatched: float) -> None:
        timeout = self.policy.op_timeout
        try:
            timed = await self._backend.transact(work, deadline=dispatched + timeout if timeout else INFINITY)
        except Rejected:
            self._recorder.op(op, "rejected", intended, dispatched, dispatched, self._clock.now())
        else:
            self._recorder.op(op, "ok", intended, dispatched, timed.served, timed.done)

    async def _submit(self, op: int, worker: int, row: Row, intended: float, dispatched: float) -> None:
        """Hand a row over and wait for its COMMIT; the batch writer records it."""
        writer = self._writers[row.table.name]
        give_up = dispatched + self.policy.op_timeout
        ack = writer.offer(row.values, intended, dispatched)
        if ack is None:
            self._recorder.count("soakd_queue_full_total", "dropped" if self.policy.full_drops else "blocked")
            if self.policy.full_drops:
                self._unaccepted(op, row, "queue_full")
                return
            room = writer.room()
            self._awaited[worker] = (give_up, room)
            try:
                await room
            except OpError:
                writer.forget(room)
                self._workload.unused(row)
                raise
            ack = writer.claim(row.values, intended, dispatched)
        self._awaited[worker] = (give_up, ack)
        await ack

    def _unaccepted(self, op: int, work: Row | Transaction, reason: str) -> None:
        if isinstance(work, Row):
            self._workload.unused(work)
        self._recorder.drop(op, reason)

    def _failed(self, op: int, error: OpError, intended: float, dispatched: float) -> None:
        done = self._clock.now()
        self._recorder.error(op, error.error_class)
        outcome: Outcome = "timeout" if error.error_class == "timeout" else "error"
        served = done if error.served is None else error.served
        self._recorder.op(op, outcome, intended, dispatched, served, done)

    async def _expire(self) -> None:
        """Turn answers that are overdue into timeouts: one look at all workers now and then."""
        if not self.policy.op_timeout:
            return
        while True:
            await asyncio.sleep(min(1.0, self.policy.op_timeout / 20))
            now = self._clock.now()
            for give_up, awaited in self._awaited.values():
                if give_up <= now and not awaited.done():
                    awaited.set_exception(OpError("timeout", "no COMMIT within pools.op_timeout"))


def _wake(future: Ack) -> None:
    if not future.done():
        future.set_result(None)
