"""The load loop: workers that take turns from one schedule and execute what is due."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random

from daemon.backends.base import INFINITY, Backend
from daemon.clock import Clock
from daemon.errors import OpError, Rejected
from daemon.load.batch import Ack, BatchWriter, Stopping
from daemon.load.mix import Mix
from daemon.load.policy import PoolPolicy
from daemon.load.retry import Retries
from daemon.load.turns import SKIP_BLOCK, Pace, Turns
from daemon.ops import PoolName
from daemon.record.recorder import Recorder
from daemon.workloads.base import Workload

LONGEST_SLEEP = 3600.0  # s; who sleeps longer looks at the time again
# A row that a worker has handed over: operation, intended, dispatched, and the future whose settler
# records what became of it. A plain tuple, since it is made for every row.
Sent = tuple[int, float, float, Ack]
ERROR_PAUSE_CAP = 1.0  # s; longest pause of a closed-loop worker while the database is away


class Pool:
    """N workers on one loop, open or closed. Nothing here grows with time."""

    def __init__(
        self,
        name: PoolName,
        policy: PoolPolicy,
        *,
        workload: Workload,
        backend: Backend,
        writers: Sequence[BatchWriter],
        recorder: Recorder,
        clock: Clock,
        seed: str,
        on_refused: Callable[[OpError], None],
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            name: the pool's label.
            policy: how turns are taken.
            workload: what is executed.
            backend: where transactions go.
            writers: where rows go; the first operations of the workload, in this order.
            recorder: where the measurements go.
            clock: monotonic time, the same as the event loop's timers follow.
            seed: all random draws derive from it.
            on_refused: told of each transaction that the database refuses for good.
        """
        self.name = name
        self.policy = policy
        self._executing = 0
        self._patience = policy.op_timeout or INFINITY
        self._workload = workload
        self._backend = backend
        self._writers = writers
        self._recorder = recorder
        rng = Random(f"{seed}/retries")
        self._retries = Retries(policy.retries, backend, recorder, clock, rng, on_refused)
        self._clock = clock
        self._seed = seed
        self._mix = Mix(workload.ops, name, Random(f"{seed}/mix"))
        self._stopping = False
        self._stopped = asyncio.Event()
        self._turns = Turns(
            max_backlog=policy.max_backlog,
            drop=lambda reason: recorder.drop(self._mix.next(), reason),
            clock=clock,
            backend=backend,
            seed=seed,
        )
        self._sleeping: set[Ack] = set()
        self._sent: dict[int, deque[Sent]] = {}  # by worker: its rows under way, oldest first
        self._blocked: dict[int, tuple[float, Ack]] = {}  # by worker: when it began to wait for room
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Load the database until `stop`; returns when every worker has its last answer."""
        self._turns.follow(self.policy.pace or Pace(self.policy.workers, self.policy.schedule))
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
        self._turns.end()
        self._stopped.set()
        self._wake_all()

    async def change(self, pace: Pace) -> None:
        """Work in another way from now on; what was due by then and nobody had come to is dropped."""
        if self._stopping:
            return
        self._wake_all()  # who wakes up finds the new pace: nothing runs before the next await
        await self._turns.leave(pace)

    @property
    def target_rate(self) -> float:
        """Operations per second that are intended now; 0 in a closed loop."""
        return self._turns.rate

    @property
    def due(self) -> float:
        """Operations that its schedules have asked for until now: see `Turns`."""
        return self._turns.due

    @property
    def active(self) -> int:
        """Workers that work."""
        return sum(number < self._turns.pace.workers for number in self._sent)

    @property
    def in_flight(self) -> int:
        """Operations that a worker has taken up and that have not ended."""
        return self._executing + sum(not ack.done() for sent in self._sent.values() for *_, ack in sent)

    async def _worker(self, number: int) -> None:
        rng = Random(f"{self._seed}/{number}")
        sent = self._sent[number] = deque()
        failures = 0
        try:
            while not self._stopping:
                if number >= self._turns.pace.workers:
                    await self._rest(sent)
                    continue
                arrivals = self._turns.arrivals  # None: a closed loop
                intended = self._clock.now() if arrivals is None else await self._turn(arrivals)
                if intended is None:
                    continue
                dispatched = intended if arrivals is None else self._clock.now()
                if await self._execute(number, intended, dispatched, rng, sent):
                    failures = 0
                elif arrivals is None:
                    failures += 1
                    await self._sleep(min(ERROR_PAUSE_CAP, 0.01 * 2.0 ** min(failures, 30)))
                if arrivals is None and self.policy.think_time:
                    await self._sleep(self.policy.think_time)
            while sent:
                await self._settled(sent)
        except asyncio.CancelledError:
            self._abort(sent)
            raise
        finally:
            del self._sent[number]

    def _abort(self, sent: deque[Sent]) -> None:
        for op, _, _, ack in sent:
            if ack.cancelled() or ack.cancel():
                self._recorder.drop(op, "aborted")
            else:
                ack.exception()  # recorded already; looked at, so that nobody complains

    def _wake_all(self) -> None:
        for future in self._sleeping:
            if not future.done():
                future.set_result(None)

    async def _rest(self, sent: deque[Sent]) -> None:
        """Have no work until the pace changes."""
        while sent:
            await self._settled(sent)
        await self._sleep(LONGEST_SLEEP)

    async def _turn(self, arrivals: Iterator[float]) -> float | None:
        """Return the schedule's next intended time once it has come; None when the schedule is over."""
        turns, skipped = self._turns, 0
        while not self._stopping and arrivals is turns.arrivals:
            now = self._clock.now()
            intended = turns.next(arrivals, now)
            if intended > now:
                if await self._reached(intended, arrivals):
                    return intended
                turns.forgo(intended)
                return None
            if not turns.missed(intended, now):
                return intended
            skipped += 1
            if skipped % SKIP_BLOCK == 0:
                await asyncio.sleep(0)
        return None

    async def _leave(self) -> None:
        """At the stop, count the turns that were due by then and that no worker had come to."""
        await self._stopped.wait()
        await self._turns.leave()

    async def _reached(self, intended: float, arrivals: Iterator[float]) -> bool:
        """Sleep until the time has come, never less; False when the schedule was over before."""
        while not self._stopping:
            wait = intended - self._clock.now()
            if wait <= 0:
                return True
            if arrivals is not self._turns.arrivals:
                return False
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

    async def _execute(
        self, worker: int, intended: float, dispatched: float, rng: Random, sent: deque[Sent]
    ) -> bool:
        """Execute one operation and see it recorded.

        A row may be left under way: then the answer is about the rows that had to be waited for.

        Returns:
            False when a closed loop had better pause, for it would spin: there is no database to
            talk to, or no room in a queue whose rows are not waited for.
        """
        op = self._mix.next()
        self._executing += 1
        try:
            if op < len(self._writers):
                if not await self._send(op, worker, intended, dispatched, rng, sent):
                    return False
            else:
                work = self._workload.transaction(op, worker, rng)
                deadline = dispatched + self._patience
                try:
                    timed = await self._backend.transact(work, deadline=deadline)
                except OpError as error:
                    timed = await self._retries.again(work, error, deadline)
                self._recorder.ok(op, intended, dispatched, timed.served, timed.done)
        except Rejected as no:
            served = dispatched if no.served is None else no.served
            self._recorder.rejected(op, intended, dispatched, served, self._clock.now())
        except OpError as error:
            done = self._clock.now()
            served = done if error.served is None else error.served
            self._recorder.failure(op, error.error_class, intended, dispatched, served, done)
            return error.error_class != "connection"
        except Stopping:
            self._recorder.drop(op, "stopping")
        except asyncio.CancelledError:
            self._recorder.drop(op, "aborted")  # cut off by the end of the drain: nobody knows how it ended
            raise
        finally:
            self._executing -= 1
        well = True
        while sent and (len(sent) >= self.policy.rows_in_flight or sent[0][3].done()):
            well &= await self._settled(sent)
        return well

    async def _send(
        self, op: int, worker: int, intended: float, dispatched: float, rng: Random, sent: deque[Sent]
    ) -> bool:
        """Hand a row over as soon as there is room for it; False when it was dropped instead.

        It is made only when there is room: no number is lost.
        """
        writer = self._writers[op]
        queued = dispatched
        if not writer.has_room():
            self._recorder.count("soakd_queue_full_total", "dropped" if self.policy.full_drops else "blocked")
            if self.policy.full_drops:
                self._recorder.drop(op, "queue_full")
                return False
            await self._room(writer, worker, dispatched)
            queued = self._clock.now()
        values = self._workload.row(op, worker, rng)
        ack = writer.accept(values, intended, dispatched, queued)
        sent.append((op, intended, dispatched, ack))
        return True

    async def _room(self, writer: BatchWriter, worker: int, dispatched: float) -> None:
        room = writer.room()
        self._blocked[worker] = (dispatched, room)
        try:
            await room
        except OpError:
            writer.forget(room)
            raise
        finally:
            del self._blocked[worker]
        writer.claim()

    async def _settled(self, sent: deque[Sent]) -> bool:
        """Wait for the end of the oldest row; False when there is no database to talk to."""
        try:
            await sent[0][3]
        except OpError as error:
            return error.error_class != "connection"
        finally:
            if sent[0][3].done() and not sent[0][3].cancelled():
                sent.popleft()
        return True

    async def _expire(self) -> None:
        """Turn answers that are overdue into timeouts: one look at all workers now and then."""
        timeout = self.policy.op_timeout
        if not timeout:
            return
        while True:
            await asyncio.sleep(min(1.0, timeout / 20))
            now = self._clock.now()
            late = OpError("timeout", "no COMMIT within pools.op_timeout")
            for began, room in self._blocked.values():
                if began + timeout <= now and not room.done():
                    room.set_exception(late)
            for sent in self._sent.values():
                for op, intended, dispatched, ack in sent:
                    if dispatched + timeout > now:
                        break
                    if not ack.done():
                        ack.set_exception(late)
                        self._recorder.failure(op, "timeout", intended, dispatched, now, now)


def _wake(future: Ack) -> None:
    if not future.done():
        future.set_result(None)
