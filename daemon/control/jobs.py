"""What the supervisor does at intervals: the only module that knows APScheduler."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler


class Jobs:
    """Calls functions at intervals, each never twice at once, on the running event loop.

    A late call is made up for once, however many were missed.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(
        self, seconds: float, call: Callable[[], Awaitable[None]], name: str, *, first: float | None = None
    ) -> None:
        """Call a coroutine function every so many seconds, first after `first` seconds, or one interval."""
        self._scheduler.add_job(call, "interval", seconds=seconds, id=name, name=name)
        if first is not None:
            self._scheduler.modify_job(name, next_run_time=datetime.now(UTC) + timedelta(seconds=first))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; calls under way are cancelled. May be called without `start`."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
