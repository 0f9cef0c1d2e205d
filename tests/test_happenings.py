"""Planned events in virtual time: what is told of them, and of one that the end of its phase cuts off."""

import asyncio
from typing import Any

from daemon.control.happenings import Happenings
from daemon.record.snapshot import Snapshot
from daemon.scenario.model import Event
from tests import virtual
from tests.doubles import ScriptedBackend

RATE = 100.0
OPS = ("soakd_ops_total", "writer", "append", "ok")


class Played:
    """A phase of 5 s with events that each take so long; engines tell their figures only when asked to."""

    def __init__(self, seconds: float, *events: tuple[float, str]) -> None:
        self.told: list[tuple[str, object, float, object]] = []
        self.results: list[dict[str, Any]] = []
        self._clock = virtual.VirtualClock()
        self._began = self._clock.now()
        self._seconds = seconds
        self._figures = Snapshot()
        self._events = [(at, Event(at=at, name=name, sql="SELECT 1")) for at, name in events]
        virtual.run(self._play, self._clock)

    async def _play(self, clock: virtual.VirtualClock) -> None:
        happenings = Happenings(
            make=lambda: ScriptedBackend(clock, seconds=self._seconds),
            kind="postgres",
            look=self._look,
            snapshot=lambda: self._figures,
            clock=clock,
            notify=self._notify,
        )
        playing = asyncio.create_task(happenings.play(self._events, self.results))
        await asyncio.sleep(5)
        playing.cancel()
        await asyncio.wait({playing})

    async def _look(self) -> None:
        count = RATE * (self._clock.now() - self._began)
        self._figures = Snapshot({OPS: count}, {("soakd_workers", "writer"): 1.0})

    def _notify(self, event: str, **facts: object) -> None:
        at = round(self._clock.now() - self._began, 3)
        self.told.append((event, facts["name"], at, facts.get("error")))


def test_the_load_during_a_short_event_is_of_that_time() -> None:
    played = Played(0.1, (2.0, "short"))
    (short,) = played.results
    assert (short["error"], short["seconds"]) == (None, 0.1)
    for when, seconds in (("before", 2.0), ("during", 0.1)):
        assert short[when]["seconds"] == seconds
        assert round(short[when]["pools"]["writer"]["rate"], 6) == RATE
    assert "after" in short


def test_an_event_that_outlasts_its_phase_is_told_with_what_it_did_until_then() -> None:
    played = Played(60.0, (2.0, "long"), (9.0, "late"))
    cut = "the phase was over before it ended: it was cut off"
    assert played.told == [("event.begun", "long", 2.0, None), ("event.ended", "long", 5.0, cut)]
    long, late = played.results
    assert (long["error"], long["seconds"], long["during"]["seconds"]) == (cut, 3.0, 3.0)
    assert "after" not in long
    assert late["error"] == "the phase was over before"
    assert "before" not in late
