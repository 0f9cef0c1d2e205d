"""How soon readers see what was accepted: rows that are sent beside the load, and looked for."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from daemon.backends.base import INFINITY, Backend
from daemon.clock import Clock
from daemon.errors import OpError
from daemon.load.batch import BatchWriter, Stopping
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Canary

GIVE_UP = 60.0  # s, for a row to be seen while the load runs
GIVE_UP_AT_END = 2.0  # s, when everything that was accepted has been written or given up
FIRST_LOOK = 0.001  # s between two looks at first, and then
RESOLUTION = 0.05  # this share of the time that has passed: what is measured is right to that


class Canaries:
    """Sends a row at a time, of each kind, and looks for it until it is seen; until `finish`.

    A look that fails is made again: during an outage a row is waited for like any other.
    """

    def __init__(
        self,
        canaries: Sequence[Canary],
        *,
        writers: Sequence[BatchWriter],
        backend: Backend,
        clock: Clock,
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            canaries: those of this shard.
            writers: where the rows go, by the number of the operation.
            backend: where readers look.
            clock: monotonic time.
        """
        self._canaries = canaries
        self._writers = writers
        self._backend = backend
        self._clock = clock
        self._finish = asyncio.Event()
        self._latest = INFINITY  # the clock's time after which nothing is looked for
        self._visible = Histogram()
        self._lost = 0

    async def run(self) -> None:
        """Send and look until `finish`, or until no rows are accepted any more."""
        async with asyncio.TaskGroup() as tasks:
            for number, canary in enumerate(self._canaries):
                tasks.create_task(self._follow(canary), name=f"canary-{number}")

    def finish(self) -> None:
        """Look for the last rows, and end."""
        self._latest = self._clock.now() + GIVE_UP_AT_END
        self._finish.set()

    def add_to(self, snapshot: Snapshot) -> None:
        """Put the present figures into a snapshot, if there is a canary."""
        if self._canaries:
            snapshot.histograms["soakd_canary_visible_seconds",] = self._visible
            snapshot.counters["soakd_canaries_lost_total",] = self._lost

    async def _follow(self, canary: Canary) -> None:
        number = 0
        while not self._finish.is_set():
            number += 1
            try:
                accepted = await self._send(canary, number)
            except Stopping:
                return
            await self._look(canary, number, accepted)
            await self._rest(canary.interval)

    async def _send(self, canary: Canary, number: int) -> float:
        """Hand a row over as soon as there is room; return when it was accepted.

        Raises:
            Stopping: nothing is accepted any more.
        """
        writer = self._writers[canary.op]
        if not writer.has_room():
            room = writer.room()
            try:
                await room
            except asyncio.CancelledError:
                writer.forget(room)
                raise
            writer.claim()
        now = self._clock.now()
        # Given up at once, since readers tell what became of it: so it is accounted for, but it is
        # no operation, which would count for the rate.
        writer.accept(canary.row(number), now, now, now).cancel()
        return now

    async def _look(self, canary: Canary, number: int, accepted: float) -> None:
        while True:
            until = min(accepted + GIVE_UP, self._latest)
            with suppress(OpError):
                timed = await self._backend.transact(canary.look, deadline=until)
                if timed.result >= number:
                    self._visible.add(max(0.0, timed.done - accepted))
                    return
            now = self._clock.now()
            if now >= until:
                self._lost += 1
                return
            await asyncio.sleep(max(FIRST_LOOK, RESOLUTION * (now - accepted)))

    async def _rest(self, seconds: float) -> None:
        """Wait; not longer than until `finish`."""
        try:
            async with asyncio.timeout(seconds):
                await self._finish.wait()
        except TimeoutError:
            return
