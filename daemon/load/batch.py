"""Gathering rows into transactions, and acknowledging them after COMMIT, never before."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, NamedTuple

from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.errors import OpError
from daemon.load.merge import Write, writing
from daemon.load.retry import pause
from daemon.ops import Table, Timed, Values
from daemon.record.account import ABANDONED, ACCEPTED, COMMITTED, FAILED, IN_DOUBT, Cells
from daemon.record.recorder import Recorder

Reason = Literal["size", "timeout", "group", "drain"]
Ack = asyncio.Future[None]
Item = tuple[Values, float, float, Ack, float]  # values, intended, dispatched, ack, queued


class BatchPolicy(NamedTuple):
    """When a batch is written, and what happens when it cannot be.

    Attributes:
        size: rows that trigger a flush, and the most in one batch.
        timeout: s the oldest row may wait for more; 0 flushes whatever waits (group commit).
        capacity: rows that may wait.
        flushers: batches written at the same time.
        retry_initial: first pause before another try, s; doubled each time, with jitter.
        retry_cap: longest pause, s.
        retry_budget: time after which the rows of a failing batch are given up, s.
    """

    size: int
    timeout: float
    capacity: int
    flushers: int = 1
    retry_initial: float = 0.01
    retry_cap: float = 1.0
    retry_budget: float = 120.0


class Stopping(Exception):  # noqa: N818 - a state, not an error
    """The row was not accepted because the run is ending."""


class BatchWriter:
    """A bounded queue of rows for one table, and the tasks that write it.

    Bounds: `policy.capacity` rows wait and `policy.flushers × policy.size` are being written.
    All methods are called on one event loop, so nothing can come between a test and the act
    that follows it.
    """

    def __init__(
        self,
        *,
        op: int,
        table: Table,
        policy: BatchPolicy,
        backend: Backend,
        recorder: Recorder,
        cells: Cells,
        clock: Clock,
        rng: Random,
        on_failed: Callable[[Values, OpError], None],
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            op: number of the operation that the rows are recorded as.
            table: where the rows go; if it merges them, they begin with run, shard, worker and seq.
            policy: size, timeout and bounds.
            backend: what writes them.
            recorder: where the measurements go.
            cells: the counters of accepted and settled rows.
            clock: monotonic time.
            rng: jitter.
            on_failed: told of each row that is given up, with the reason.
        """
        self._op = op
        self._table = table
        self._policy = policy
        self._backend = backend
        self._recorder = recorder
        self._cells = cells
        self._clock = clock
        self._rng = rng
        self._on_failed = on_failed
        self._queue: deque[Item] = deque()
        self._waiting: deque[Ack] = deque()  # writers that wait for room, first come first served
        self._promised = 0  # room given to writers that have not come back for it yet
        self._idle: deque[Ack] = deque()  # flushers with nothing to do
        self._writing = 0
        self._closing = False
        self._loop = asyncio.get_running_loop()

    @property
    def depth(self) -> int:
        """Rows that wait in the queue."""
        return len(self._queue)

    @property
    def policy(self) -> BatchPolicy:
        """The bounds in force."""
        return self._policy

    def has_room(self) -> bool:
        """Say whether a row can be accepted now: nobody waits for room, and there is some.

        Raises:
            Stopping: the writer is closing.
        """
        if self._closing:
            raise Stopping
        return not self._waiting and len(self._queue) + self._promised < self._policy.capacity

    def room(self) -> Ack:
        """Return a future that is done when there is room; `claim` must follow at once.

        It fails with `Stopping` when the writer closes first.
        """
        future = self._loop.create_future()
        self._waiting.append(future)
        return future

    def forget(self, room: Ack) -> None:
        """Wait for room no longer."""
        if room in self._waiting:
            self._waiting.remove(room)

    def claim(self) -> None:
        """Take the room that `room` promised, for the row that is accepted next.

        Raises:
            Stopping: the writer was closed in between.
        """
        self._promised -= 1
        if self._closing:
            raise Stopping

    def accept(self, values: Values, intended: float, dispatched: float, queued: float) -> Ack:
        """Accept a row; there must be room: `has_room` or `claim`, and no await since.

        Args:
            values: the row.
            intended: when it was due, s.
            dispatched: when a worker took it up, s.
            queued: now, s; later than `dispatched` if the worker had to wait for room.

        Returns:
            A future that is done once the row is committed; it fails with `OpError` when the
            row is given up. Either way the outcome has been recorded by then.
        """
        self._cells[ACCEPTED] += 1
        ack = self._loop.create_future()
        queue = self._queue
        queue.append((values, intended, dispatched, ack, queued))
        # The first row starts the timeout, a full batch ends it; rows between change nothing.
        if self._idle and (len(queue) == 1 or len(queue) >= self._policy.size):
            _resolve(self._idle.popleft())
        return ack

    async def run(self) -> None:
        """Write until `close` was called and the queue is empty."""
        async with asyncio.TaskGroup() as tasks:
            for n in range(self._policy.flushers):
                write = writing(self._table, n, self._backend)
                tasks.create_task(self._flusher(write), name=f"flusher-{n}")

    def close(self) -> None:
        """Accept nothing more, turn waiting writers away, and write what was accepted."""
        self._closing = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(Stopping())
        self._waiting.clear()
        while self._idle:
            _resolve(self._idle.popleft())

    def abandon(self) -> int:
        """Give up everything that is not settled, after `run` was cancelled; return the number of rows."""
        left = len(self._queue) + self._writing
        self._cells[ABANDONED] += left
        self._cells[IN_DOUBT] += self._writing
        for item in self._queue:
            item[3].cancel()
        self._queue.clear()
        self._writing = 0
        return left

    async def _flusher(self, write: Write) -> None:
        while True:
            taken = await self._take()
            if taken is None:
                return
            batch, reason = taken
            self._writing += len(batch)
            await self._write(write, batch, reason, in_doubt=False)

    async def _take(self) -> tuple[list[Item], Reason] | None:
        """Wait for a batch that is due; None when there will be no more."""
        while True:
            reason, wait = self._due()
            if reason is not None:
                return self._pop(reason), reason
            if self._closing:
                return None
            await self._sleep(wait)

    def _due(self) -> tuple[Reason | None, float | None]:
        """Return why a batch is due now, or else how long until one is (None: until a row comes)."""
        waiting = len(self._queue)
        if not waiting:
            return None, None
        if waiting >= self._policy.size:
            return "size", None
        if self._closing:
            return "drain", None
        if self._policy.timeout == 0:
            return "group", None
        wait = self._queue[0][4] + self._policy.timeout - self._clock.now()
        return ("timeout", None) if wait <= 0 else (None, wait)

    def _pop(self, reason: Reason) -> list[Item]:
        queue = self._queue
        rows = min(len(queue), self._policy.size)
        if reason == "group":  # idle flushers get their part: else they would stay idle for ever
            rows = min(rows, -(-len(queue) // (1 + len(self._idle))))
        batch = [queue.popleft() for _ in range(rows)]
        room = self._policy.capacity - len(queue) - self._promised
        while room > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._promised += 1
                room -= 1
        # What is left may be a batch of its own, for another flusher.
        if self._idle and queue:
            _resolve(self._idle.popleft())
        return batch

    async def _sleep(self, wait: float | None) -> None:
        wake = self._loop.create_future()
        self._idle.append(wake)
        timer = None if wait is None else self._loop.call_later(wait, _resolve, wake)
        try:
            await wake
        finally:
            if timer is not None:
                timer.cancel()
                # Woken by the timer, the future still stands among the idle ones.
                if wake in self._idle:
                    self._idle.remove(wake)

    async def _write(self, write: Write, batch: Sequence[Item], reason: Reason, *, in_doubt: bool) -> None:
        """Write a batch, trying again while the failure may pass; split it when it cannot.

        Once a COMMIT got no answer, further tries skip the rows that are there; merged rows are
        there all or none, so then the batch is not split.
        """
        rows = [item[0] for item in batch]
        give_up = self._clock.now() + self._policy.retry_budget
        attempt = 0
        while True:
            begun = self._clock.now()
            try:
                timed = await write(rows, again=in_doubt)
            except OpError as error:
                self._recorder.flush(reason, "error", len(rows), 0.0, 0.0)
                in_doubt |= error.in_doubt
                whole = in_doubt and self._table.merge is not None
                if not error.transient and not whole:
                    await self._isolate(write, batch, reason, error, in_doubt=in_doubt)
                    return
                if not error.transient or self._clock.now() >= give_up:
                    self._fail(batch, error, in_doubt=in_doubt)
                    return
                self._recorder.count("soakd_retries_total", error.error_class)
                policy = self._policy
                await asyncio.sleep(pause(attempt, policy.retry_initial, policy.retry_cap, self._rng))
                attempt += 1
            else:
                self._recorder.flush(reason, "ok", len(rows), timed.done - begun, timed.commit)
                self._acknowledge(batch, timed)
                return

    async def _isolate(
        self, write: Write, batch: Sequence[Item], reason: Reason, error: OpError, *, in_doubt: bool
    ) -> None:
        """Halve a batch that the database refuses until the bad row stands alone."""
        if len(batch) == 1:
            self._fail(batch, error, in_doubt=in_doubt)
            self._on_failed(batch[0][0], error)
            return
        middle = len(batch) // 2
        await self._write(write, batch[:middle], reason, in_doubt=in_doubt)
        await self._write(write, batch[middle:], reason, in_doubt=in_doubt)

    def _acknowledge(self, batch: Sequence[Item], timed: Timed) -> None:
        self._cells[COMMITTED] += len(batch)
        self._writing -= len(batch)
        _, intended, dispatched, acks, _ = zip(*batch, strict=True)
        late = [ack.done() for ack in acks]
        if any(late):  # those writers have gone away with a timeout, which is what was recorded
            kept = [item for item, gone in zip(batch, late, strict=True) if not gone]
            intended = tuple(item[1] for item in kept)
            dispatched = tuple(item[2] for item in kept)
            acks = tuple(item[3] for item in kept)
        if intended:
            self._recorder.rows(self._op, intended, dispatched, timed.served, timed.done)
        for ack in acks:
            ack.set_result(None)

    def _fail(self, batch: Sequence[Item], error: OpError, *, in_doubt: bool) -> None:
        self._cells[FAILED] += len(batch)
        if in_doubt:
            self._cells[IN_DOUBT] += len(batch)
        self._writing -= len(batch)
        done = self._clock.now()
        served = done if error.served is None else error.served
        for _, intended, dispatched, ack, _ in batch:
            if not ack.done():
                self._recorder.failure(self._op, error.error_class, intended, dispatched, served, done)
                ack.set_exception(error)


def _resolve(future: Ack) -> None:
    if not future.done():
        future.set_result(None)
