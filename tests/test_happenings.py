"""Planned events in virtual time: what is told of one that the end of its phase cuts off."""

import asyncio
from typing import Any

from daemon.control.happenings import Happenings
from daemon.record.snapshot import Snapshot
from daemon.scenario.model import Event
from tests import virtual
from tests.doubles import ScriptedBackend


def test_an_event_that_outlasts_its_phase_is_told_with_what_it_did_until_then() -> None:
    clock = virtual.VirtualClock()
    told: list[tuple[str, Any, float, Any]] = []
    results: list[dict[str, Any]] = []

    def notify(event: str, **facts: Any) -> None:
        told.append((event, facts["name"], round(clock.now() - began, 3), facts.get("error")))

    async def main(clock: virtual.VirtualClock) -> None:
        happenings = Happenings(
            make=lambda: ScriptedBackend(clock, seconds=60.0),
            kind="postgres",
            snapshot=Snapshot,
            clock=clock,
            notify=notify,
        )
        events = [
            (at, Event(at=at, name=name, sql="SELECT 1")) for at, name in ((2.0, "long"), (9.0, "late"))
        ]
        playing = asyncio.create_task(happenings.play(events, results))
        await asyncio.sleep(5)
        playing.cancel()
        await asyncio.wait({playing})

    began = clock.now()
    virtual.run(main, clock)
    cut = "the phase was over before it ended: it was cut off"
    assert told == [("event.begun", "long", 2.0, None), ("event.ended", "long", 5.0, cut)]
    long, late = results
    assert (long["error"], long["seconds"], long["during"]["seconds"]) == (cut, 3.0, 3.0)
    assert "after" not in long
    assert late["error"] == "the phase was over before"
    assert "before" not in late
