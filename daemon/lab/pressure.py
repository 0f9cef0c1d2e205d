"""Write load behind the queries: the workload's own writes, as fast as answers come."""

import asyncio
from collections import Counter
from random import Random

from daemon.backends.base import Backend
from daemon.errors import OpError, Rejected
from daemon.load.mix import Mix
from daemon.workloads.base import Workload

PAUSE = 0.1  # s after an error, so that a target that is away is not asked without end


class Pressure:
    """Writers in a closed loop, each with the mix of the workload; nothing is tried again."""

    def __init__(self, backend: Backend, workload: Workload, seed: str) -> None:
        """Prepare.

        Args:
            backend: a target of its own, open.
            workload: with as many workers as there will be writers.
            seed: all draws derive from it.
        """
        self._backend = backend
        self._workload = workload
        self._seed = seed
        self.outcomes: Counter[str] = Counter()

    async def run(self, writers: int) -> None:
        """Write until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(writers):
                tasks.create_task(self._writer(number))

    async def _writer(self, number: int) -> None:
        rng = Random(f"{self._seed}/writer/{number}")
        mix = Mix(self._workload.ops, "writer", rng)
        while True:
            try:
                await self._write(mix.next(), number, rng)
            except Rejected:
                self.outcomes["rejected"] += 1
            except OpError as error:
                self.outcomes[error.error_class] += 1
                await asyncio.sleep(PAUSE)
            else:
                self.outcomes["ok"] += 1

    async def _write(self, op: int, number: int, rng: Random) -> None:
        tables = self._workload.tables
        if op < len(tables):
            row = self._workload.row(op, number, rng)
            await self._backend.write_rows(tables[op], [row], again=False)
        else:
            await self._backend.transact(self._workload.transaction(op, number, rng))
