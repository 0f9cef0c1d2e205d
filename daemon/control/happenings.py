"""The planned events of a phase: statements and commands at their times, and what they did to the load."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.control.shell import run_shell
from daemon.errors import OpError, TargetError
from daemon.observe.sampler import Notify
from daemon.ops import Transaction, query
from daemon.record.snapshot import Snapshot
from daemon.results.window import Mark, figures
from daemon.scenario.model import Event

TOO_LATE = "the phase was over before"
CUT_OFF = "the phase was over before it ended: it was cut off"
AROUND = 10.0  # s before and after an event that it is compared with


class Happenings:
    """Runs the events of phases, each at its time, whatever the others do."""

    def __init__(
        self,
        *,
        make: Callable[[], Backend],
        kind: str,
        look: Callable[[], Awaitable[object]],
        snapshot: Callable[[], Snapshot],
        clock: Clock,
        notify: Notify,
    ) -> None:
        """Prepare.

        Args:
            make: makes a backend of the target.
            kind: of the target; events that are meant for another one are left out.
            look: has the engines tell their present figures; else they are up to a quarter of a second old.
            snapshot: gives the figures of the load.
            clock: monotonic time.
            notify: told when an event begins and ends.
        """
        self._make = make
        self._kind = kind
        self._look = look
        self._snapshot = snapshot
        self._clock = clock
        self._notify = notify

    async def play(self, events: Sequence[tuple[float, Event]], results: list[dict[str, Any]]) -> None:
        """Run events at their times from now on, s; what came of each is added to `results`."""
        began = self._clock.now()
        async with asyncio.TaskGroup() as tasks:
            for at, event in events:
                if event.target in (None, self._kind) and (event.shell or self._kind != "null"):
                    result = {"name": event.name, "at_seconds": at, **_what(event), "error": TOO_LATE}
                    results.append(result)
                    tasks.create_task(self._play(event, began + at, result), name=event.name)

    async def _play(self, event: Event, due: float, result: dict[str, Any]) -> None:
        await self._sleep(due - AROUND)
        before = await self._looked()
        await self._sleep(due)
        begun = await self._looked()
        self._notify("event.begun", name=event.name, **_what(event))
        result |= {"before": _impact(before, begun), "error": CUT_OFF}
        try:
            result |= await self._run(event)
        finally:  # the phase may be over before; what the event did until then is told all the same
            result["seconds"] = round(self._clock.now() - begun.at, 3)
            result["during"] = _impact(begun, self._mark())
            told = {name: result[name] for name in ("error", "exit_code") if name in result}
            self._notify("event.ended", name=event.name, duration_seconds=result["seconds"], **told)
        ended = await self._looked()
        result["during"] = _impact(begun, ended)
        try:
            await self._sleep(ended.at + AROUND)
        finally:  # the phase may be over before
            result["after"] = _impact(ended, self._mark())

    async def _run(self, event: Event) -> dict[str, Any]:
        """Return how an event went: why it failed, or None, and the exit code of a command."""
        if event.shell is not None:
            return (await run_shell(event.shell, event.timeout))._asdict()
        return {"error": await self._execute(event.sql or "")}

    async def _execute(self, sql: str) -> str | None:
        """Return why the statement failed, or None."""
        backend = self._make()
        try:
            await backend.open()
            await backend.transact(Transaction(query, (sql, ()), read_only=False, single=True))
        except (OpError, TargetError) as error:
            return str(error)
        finally:
            await backend.close()
        return None

    async def _sleep(self, until: float) -> None:
        await asyncio.sleep(max(0.0, until - self._clock.now()))

    async def _looked(self) -> Mark:
        await self._look()
        return self._mark()

    def _mark(self) -> Mark:
        return Mark.of(self._clock.now(), self._snapshot())


def _what(event: Event) -> dict[str, str]:
    return {"shell": event.shell} if event.shell is not None else {"sql": event.sql or ""}


def _impact(earlier: Mark, later: Mark) -> dict[str, Any]:
    """Return rate and p99 of each pool in a span, and how long that was."""
    span = figures(earlier, later)
    pools = {name: {"rate": pool.rate, "p99": pool.p99, "max": pool.max} for name, pool in span.pools.items()}
    return {"seconds": round(span.seconds, 3), "pools": pools}
