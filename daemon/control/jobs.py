"""What the supervisor does at intervals: the only module that knows APScheduler."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

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
        self, seconds: float, call: Callable[[], Awaitable[None]], name: str, *, at_once: bool = False
    ) -> None:
        """Call a coroutine function every so many seconds, first after one interval, or `at_once`."""
        self._scheduler.add_job(call, "interval", seconds=seconds, id=name, name=name)
        if at_once:
            self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; calls under way are cancelled. May be called without `start`."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
