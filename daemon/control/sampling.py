"""Sampling beside the load: which collectors there are, and a job for each of them."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control.jobs import Jobs
from daemon.observe.sampler import Collector, Notify, Sampler
from daemon.record.snapshot import Snapshot
from daemon.target import parse_target

PATIENCE = 2  # time-outs of a statement that a whole sample may take


class Sampling:
    """Calls each sampler at its interval, from `start` to `close`; a slow one delays no other."""

    def __init__(
        self,
        collectors: Sequence[Collector],
        settings: Settings,
        *,
        clock: Clock,
        notify: Notify,
        target_up: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            collectors: what takes the samples; closed by `close`.
            settings: how often, and how long one may take.
            clock: monotonic time and time of day.
            notify: told when a collector is switched off, and on again.
            target_up: whether the database answers, as far as the load can tell.
        """
        self._interval = settings.samplers.interval
        self._samplers = [
            Sampler(
                collector,
                interval=self._interval,
                limit=PATIENCE * settings.samplers.timeout,
                clock=clock,
                notify=notify,
                target_up=target_up,
            )
            for collector in collectors
        ]
        self._running: dict[str, asyncio.Task[None]] = {}
        self._jobs = Jobs()

    def start(self) -> None:
        """Take the first samples now; returns at once."""
        for sampler in self._samplers:
            self._jobs.every(self._interval, partial(self._begin, sampler), sampler.name, at_once=True)
        self._jobs.start()

    def snapshot(self) -> Snapshot:
        """Return the last samples of all collectors."""
        merged = Snapshot()
        for sampler in self._samplers:
            merged.merge(sampler.snapshot())
        return merged

    async def close(self) -> None:
        """End; samples under way are cut off. Never raises."""
        self._jobs.stop()
        running = set(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for sampler in self._samplers:
            await sampler.close()

    async def _begin(self, sampler: Sampler) -> None:
        """Begin a sample, unless the one before still runs: the job itself must never last."""
        running = self._running.get(sampler.name)
        if running is None or running.done():
            self._running[sampler.name] = asyncio.create_task(sampler.sample())


def make_collectors(settings: Settings, *, clock: Clock, notify: Notify) -> list[Collector]:
    """Return the collectors for a target; none where sampling is off.

    Raises:
        TargetError: the address cannot be read.
    """
    if not settings.samplers.interval:
        return []
    collectors: list[Collector] = []
    if parse_target(settings.target.get_secret_value()).kind == "postgres":
        collectors += _postgres(settings, clock, notify)
    return collectors


def _postgres(settings: Settings, clock: Clock, notify: Notify) -> list[Collector]:
    # Imported only where it is used: a run on SQLite starts without psycopg.
    from daemon.observe.postgres.collector import PostgresCollector  # noqa: PLC0415
    from daemon.observe.postgres.source import Source  # noqa: PLC0415

    server, samplers = settings.postgres, settings.samplers
    source = Source(
        conninfo=settings.target.get_secret_value(),
        password=server.password.get_secret_value() if server.password else None,
        connect_timeout=server.connect_timeout,
        statement_timeout=samplers.timeout,
        lock_timeout=samplers.lock_timeout,
        prepare=server.prepare,
    )
    return [PostgresCollector(source, clock=clock, notify=notify)]
