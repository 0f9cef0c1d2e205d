"""Taking samples beside the load: when one counts, when it is too old, when to leave a collector alone.

Nothing here keeps time by itself: somebody calls `Sampler.sample` at each interval.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from daemon.clock import Clock
from daemon.errors import SoakdError
from daemon.record.snapshot import Snapshot

FAILURES = 3  # in a row, after which a collector is switched off
PAUSE = 60.0  # s until a collector that was switched off is tried again; doubled each time
PAUSE_CAP = 600.0  # s
FRESH = 3  # intervals for which a sample is the present


class Notify(Protocol):
    """Who is told what a collector or its target is up to."""

    def __call__(self, event: str, **facts: object) -> None:
        """Take note of an event with its facts."""
        ...


class Collector(Protocol):
    """Takes samples of one thing.

    Attributes:
        name: value of the label `collector`.
    """

    name: str

    async def collect(self) -> Snapshot:
        """Return the present figures, counters and histograms cumulative; any exception is a failed sample.

        It is cancelled when it takes too long. Work that blocks belongs into a thread.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds; never raises."""
        ...


class Sampler:
    """One collector, the last good sample of it, and what it costs.

    A collector that fails `FAILURES` times in a row is switched off, and tried again after pauses.
    An outage of the target is not held against it: then it is tried each time.
    """

    def __init__(
        self,
        collector: Collector,
        *,
        interval: float,
        limit: float,
        clock: Clock,
        notify: Notify,
        target_up: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            collector: what takes the samples.
            interval: time between two calls of `sample`, s.
            limit: longest time that a sample may take, s.
            clock: monotonic time and time of day.
            notify: told when the collector is switched off, and on again.
            target_up: whether the database answers, as far as the load can tell.
        """
        self._collector = collector
        self._interval = interval
        self._limit = limit
        self._clock = clock
        self._notify = notify
        self._target_up = target_up
        self._runs = {"ok": 0, "error": 0, "skipped": 0}
        self._seconds = 0.0
        self._failures = 0
        self._pause = PAUSE
        self._retry_at: float | None = None  # while it is switched off
        self._last = Snapshot()
        self._taken: tuple[float, float] | None = None  # of the last good sample: monotonic, time of day

    @property
    def name(self) -> str:
        """The collector's name."""
        return self._collector.name

    async def sample(self) -> None:
        """Take a sample, unless the collector is switched off; one at a time."""
        if not self._target_up():
            self._forgive()
        if self._retry_at is not None and self._clock.now() < self._retry_at:
            self._runs["skipped"] += 1
            return
        began = self._clock.now()
        reason = None
        try:
            async with asyncio.timeout(self._limit):
                self._last = await self._collector.collect()
        except TimeoutError:
            reason = f"no answer within {self._limit:g} s"
        except SoakdError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - the boundary: a collector must not harm the run
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        self._seconds += self._clock.now() - began
        if reason is None:
            self._succeeded()
        else:
            self._failed(reason)

    def snapshot(self) -> Snapshot:
        """Return the last good sample, and the collector's own figures.

        The gauges of a sample that is older than `FRESH` intervals are left out: they are not the
        present any more. Its counters stay, as those of a scrape that sees nothing new.
        """
        name = self._collector.name
        result = Snapshot(
            dict(self._last.counters),
            {("soakd_sampler_enabled", name): float(self._retry_at is None)},
            self._last.histograms,
        )
        for outcome, count in self._runs.items():
            result.counters["soakd_sampler_runs_total", name, outcome] = count
        result.counters["soakd_sampler_seconds_total", name] = self._seconds
        if self._taken is not None:
            monotonic, wall = self._taken
            result.gauges["soakd_sampler_last_success_timestamp_seconds", name] = wall
            if self._clock.now() - monotonic <= FRESH * self._interval:
                result.gauges.update(self._last.gauges)
                result.shared.update(self._last.shared)
        return result

    async def close(self) -> None:
        """Have the collector give back what it holds."""
        await self._collector.close()

    def _succeeded(self) -> None:
        self._runs["ok"] += 1
        self._taken = (self._clock.now(), self._clock.wall())
        if self._retry_at is not None:
            self._notify("sampler.on", collector=self.name)
        self._forgive()

    def _failed(self, reason: str) -> None:
        self._runs["error"] += 1
        if not self._target_up():
            return
        self._failures += 1
        if self._failures < FAILURES:
            return
        if self._retry_at is None:
            self._notify("sampler.off", collector=self.name, reason=reason, retry_seconds=self._pause)
        self._retry_at = self._clock.now() + self._pause
        self._pause = min(PAUSE_CAP, 2 * self._pause)

    def _forgive(self) -> None:
        self._failures = 0
        self._pause = PAUSE
        self._retry_at = None
