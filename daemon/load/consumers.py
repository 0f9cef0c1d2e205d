"""What follows the writes of a workload: consumers, each in a task of its own beside the pools."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from daemon.backends.base import INFINITY, Backend
from daemon.clock import Clock
from daemon.errors import ERROR_CLASSES, OpError
from daemon.load.retry import pause
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Consumer, Progress

STEP_WITHIN = 30.0  # s
FIRST_PAUSE = 0.05  # s, after a failed step; doubled each time,
LONGEST_PAUSE = 1.0  # s, up to this
CATCH_UP_WITHIN = 2.0  # s, at the end, for rows that somebody's transaction keeps from being settled


class Consumers:
    """Runs consumers until they are told to finish and have caught up.

    A step that fails is tried again for ever: it has one effect, and its errors are counted.
    """

    def __init__(self, consumers: Sequence[Consumer], *, backend: Backend, clock: Clock, rng: Random) -> None:
        """Prepare; `run` does the work.

        Args:
            consumers: those of this shard.
            backend: where their steps run.
            clock: monotonic time, and the time of day for the age of rows.
            rng: draws pauses.
        """
        self._consumers = consumers
        self._backend = backend
        self._clock = clock
        self._rng = rng
        self._finish = asyncio.Event()
        self._give_up = INFINITY
        self._rows = dict.fromkeys((one.name for one in consumers), 0)
        self._errors: Counter[tuple[str, str]] = Counter()
        self._last: dict[str, Progress] = {}

    async def run(self) -> None:
        """Follow until `finish`, and then to where the writes have come."""
        async with asyncio.TaskGroup() as tasks:
            for consumer in self._consumers:
                tasks.create_task(self._follow(consumer), name=f"consumer-{consumer.name}")

    def finish(self) -> None:
        """Catch up, and end."""
        self._give_up = self._clock.now() + CATCH_UP_WITHIN
        self._finish.set()

    def add_to(self, snapshot: Snapshot) -> None:
        """Put the present figures into a snapshot."""
        for name, rows in self._rows.items():
            snapshot.counters["soakd_consumer_rows_total", name] = rows
            for error_class in ERROR_CLASSES:
                errors = self._errors[name, error_class]
                snapshot.counters["soakd_consumer_errors_total", name, error_class] = errors
        for name, progress in self._last.items():
            age = 0.0 if progress.oldest is None else max(0.0, self._clock.wall() - progress.oldest)
            snapshot.gauges["soakd_consumer_lag_rows", name] = progress.behind
            snapshot.gauges["soakd_consumer_lag_seconds", name] = age

    async def _follow(self, consumer: Consumer) -> None:
        failures = 0
        while True:
            wait = consumer.pause
            complete = self._finish.is_set()  # only a step that begins now sees all that was written
            try:
                timed = await self._backend.transact(consumer.step, deadline=self._clock.now() + STEP_WITHIN)
            except OpError as error:
                self._errors[consumer.name, error.error_class] += 1
                wait = pause(failures, FIRST_PAUSE, LONGEST_PAUSE, self._rng)
                failures += 1
            else:
                failures = 0
                progress: Progress = timed.result
                self._last[consumer.name] = progress
                self._rows[consumer.name] += progress.rows
                if progress.more:
                    continue
                if complete and (not progress.behind or self._clock.now() > self._give_up):
                    return
            await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        """Wait; not longer than until `finish`, unless that was long ago."""
        if self._finish.is_set():
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._finish.wait()
        except TimeoutError:
            return
