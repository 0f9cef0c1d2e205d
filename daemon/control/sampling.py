"""Sampling beside the load: which collectors there are, and a job for each of them."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from daemon.clock import Clock
from daemon.control.jobs import Jobs
from daemon.control.run import Run
from daemon.observe.fsync import temporary_folder
from daemon.observe.host import HostCollector
from daemon.observe.sampler import Collector, Notify, Sampler
from daemon.record.snapshot import Snapshot
from daemon.target import parse_target

APART = 0.2  # s between the samples of two collectors, so that neither waits for the other
PATIENCE = 2  # time-outs of a statement that a whole sample may take


class Sampling:
    """Calls each sampler at its interval, from `start` to `close`; a slow one delays no other."""

    def __init__(
        self,
        collectors: Sequence[Collector],
        *,
        interval: float,
        timeout: float,
        clock: Clock,
        notify: Notify,
        target_up: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            collectors: what takes the samples; closed by `close`.
            interval: time between two samples of a collector, s.
            timeout: longest time of a statement, s; a sample may take `PATIENCE` times that.
            clock: monotonic time and time of day.
            notify: told when a collector is switched off, and on again.
            target_up: whether the database answers, as far as the load can tell.
        """
        self._interval = interval
        self._samplers = [
            Sampler(
                collector,
                interval=interval,
                limit=PATIENCE * timeout,
                clock=clock,
                notify=notify,
                target_up=target_up,
            )
            for collector in collectors
        ]
        self._running: dict[str, asyncio.Task[None]] = {}
        self._jobs = Jobs()

    def start(self) -> None:
        """Take the first samples now, one shortly after the other; returns at once."""
        apart = min(APART, self._interval / max(1, len(self._samplers)))
        for number, sampler in enumerate(self._samplers):
            begin = partial(self._begin, sampler)
            self._jobs.every(self._interval, begin, sampler.name, first=number * apart)
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


def make_collectors(run: Run, notify: Notify) -> list[Collector]:
    """Return the collectors for a run; none where sampling is off.

    Raises:
        TargetError: the address of the target cannot be read.
    """
    if not run.settings.samplers.interval:
        return []
    target = parse_target(run.settings.target.get_secret_value())
    folder = target.path.absolute().parent if target.path else _own_folder()
    collectors: list[Collector] = [HostCollector(folder=folder, engines=run.engine_pids, clock=run.clock)]
    if target.kind == "postgres":
        collectors += _postgres(run, notify)
    return collectors


def _own_folder() -> Path:
    """Return a folder of the generator's own disk, which is looked at where the database is elsewhere."""
    try:
        return temporary_folder()
    except OSError:  # somebody else's, or read-only: the probe says so, the figures of the disk remain
        return Path(tempfile.gettempdir())


def _postgres(run: Run, notify: Notify) -> list[Collector]:
    # Imported only where it is used: a run on SQLite starts without psycopg.
    from daemon.observe.postgres.collector import PostgresCollector  # noqa: PLC0415
    from daemon.observe.postgres.source import Source  # noqa: PLC0415
    from daemon.observe.postgres.statements import StatementsCollector  # noqa: PLC0415

    server, samplers, clock = run.settings.postgres, run.settings.samplers, run.clock
    source = Source(
        conninfo=run.settings.target.get_secret_value(),
        password=server.password.get_secret_value() if server.password else None,
        connect_timeout=server.connect_timeout,
        statement_timeout=samplers.timeout,
        lock_timeout=samplers.lock_timeout,
        prepare=server.prepare,
    )
    found: list[Collector] = [
        PostgresCollector(source, clock=clock, notify=notify, see_settings=run.see_settings)
    ]
    if samplers.statements:
        found.append(
            StatementsCollector(source, clock=clock, top=samplers.statements, see_texts=run.see_texts)
        )
    return found
