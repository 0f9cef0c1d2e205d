"""What the supervisor does at intervals: the only module that knows APScheduler."""

from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler


class Jobs:
    """Calls functions at intervals, each never twice at once, on the running event loop.

    A late call is made up for once, however many were missed.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(self, seconds: float, call: Callable[[], Awaitable[None]], name: str) -> None:
        """Call a coroutine function every so many seconds, first after one interval."""
        self._scheduler.add_job(call, "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; calls under way are cancelled. May be called without `start`."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
