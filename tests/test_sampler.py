"""When a sample counts, when it is too old, and when a collector is left alone: in virtual time."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from daemon.clock import SystemClock
from daemon.control.sampling import Sampling
from daemon.errors import TargetError
from daemon.observe.sampler import Sampler
from daemon.record.snapshot import Snapshot
from tests.virtual import VirtualClock, run

INTERVAL, LIMIT = 5.0, 4.0
Event = tuple[str, dict[str, object]]
ROWS, SIZE, FILE = ("rows",), ("size",), ("file",)


class Scripted:
    """A collector that takes `seconds`, and fails while `fault` is set."""

    name = "scripted"

    def __init__(self) -> None:
        self.seconds = 0.0
        self.fault: Exception | None = None
        self.taken = 0
        self.at_once = 0
        self.most_at_once = 0
        self.closed = 0

    async def collect(self) -> Snapshot:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        self.taken += 1
        number = float(self.taken)
        return Snapshot({ROWS: number}, {SIZE: number}, shared={FILE: number})

    async def close(self) -> None:
        self.closed += 1


class Stand:
    """A sampler with everything it is told, in virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.collector = Scripted()
        self.up = True
        self.events: list[Event] = []
        self.sampler = Sampler(
            self.collector,
            interval=INTERVAL,
            limit=LIMIT,
            clock=clock,
            notify=self.note,
            target_up=lambda: self.up,
        )

    def note(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    async def pass_by(self, times: int) -> None:
        """Call it at so many intervals."""
        for _ in range(times):
            await self.sampler.sample()
            self.clock.time += INTERVAL

    @property
    def runs(self) -> dict[str, float]:
        counters = self.sampler.snapshot().counters
        return {key[2]: n for key, n in counters.items() if key[0] == "soakd_sampler_runs_total"}

    @property
    def enabled(self) -> float:
        return self.sampler.snapshot().gauges["soakd_sampler_enabled", "scripted"]


def on_stand(check: Callable[[Stand], Coroutine[Any, Any, None]]) -> None:
    """Run the check in virtual time."""

    async def main(clock: VirtualClock) -> None:
        await check(Stand(clock))

    run(main)


def test_a_sample_is_exported_with_what_it_cost() -> None:
    """Before the first one there are zeros, and no time of a last success."""

    async def check(stand: Stand) -> None:
        before = stand.sampler.snapshot()
        assert stand.runs == {"ok": 0, "error": 0, "skipped": 0}
        assert before.gauges == {("soakd_sampler_enabled", "scripted"): 1.0}
        stand.collector.seconds = 0.25
        await stand.sampler.sample()
        after = stand.sampler.snapshot()
        assert (after.counters[ROWS], after.gauges[SIZE], after.shared[FILE]) == (1, 1, 1)
        assert after.counters["soakd_sampler_seconds_total", "scripted"] == pytest.approx(0.25)
        stamp = after.gauges["soakd_sampler_last_success_timestamp_seconds", "scripted"]
        assert stamp == stand.clock.wall()
        assert stand.runs == {"ok": 1, "error": 0, "skipped": 0}

    on_stand(check)


def test_gauges_of_an_old_sample_vanish_and_its_counters_stay() -> None:
    """After three intervals it is not the present any more; a counter that is not seen does not go away."""

    async def check(stand: Stand) -> None:
        await stand.sampler.sample()
        stand.clock.time += 3 * INTERVAL
        assert SIZE in stand.sampler.snapshot().gauges
        assert FILE in stand.sampler.snapshot().shared
        stand.clock.time += 0.001
        late = stand.sampler.snapshot()
        assert SIZE not in late.gauges
        assert FILE not in late.shared
        assert late.counters[ROWS] == 1
        assert ("soakd_sampler_last_success_timestamp_seconds", "scripted") in late.gauges

    on_stand(check)


def test_a_sample_that_takes_too_long_is_cut_off() -> None:
    """It is an error, and takes no longer than the limit."""

    async def check(stand: Stand) -> None:
        stand.collector.seconds = 3600
        began = stand.clock.now()
        await stand.sampler.sample()
        assert stand.clock.now() - began == pytest.approx(LIMIT)
        assert stand.runs == {"ok": 0, "error": 1, "skipped": 0}
        assert stand.collector.at_once == 0

    on_stand(check)


def test_a_collector_that_keeps_failing_is_switched_off_and_tried_again_ever_more_seldom() -> None:
    """Three failures in a row; then after 1, 2, 4, 8 and at most 10 minutes. It is said once."""

    async def check(stand: Stand) -> None:
        stand.collector.fault = TargetError("the view is gone")
        await stand.pass_by(2)
        assert (stand.enabled, stand.events) == (1, [])
        await stand.pass_by(1)
        assert stand.enabled == 0
        off = {"collector": "scripted", "reason": "the view is gone", "retry_seconds": 60.0}
        assert stand.events == [("sampler.off", off)]
        tries = []
        for _ in range(int(3600 / INTERVAL)):
            errors = stand.runs["error"]
            at = stand.clock.now()
            await stand.pass_by(1)
            if stand.runs["error"] > errors:
                tries.append(at)
        pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
        assert pauses == [120, 240, 480, 600, 600, 600, 600]
        assert stand.runs["skipped"] == 3600 / INTERVAL - len(tries)
        assert len(stand.events) == 1

    on_stand(check)


def test_a_collector_that_works_again_is_switched_on() -> None:
    """With a clean slate: it takes three failures again to switch it off."""

    async def check(stand: Stand) -> None:
        stand.collector.fault = ValueError("no such column\nDETAIL: more")
        await stand.pass_by(3)
        assert stand.events[0][1]["reason"] == "ValueError: no such column"
        stand.collector.fault = None
        await stand.pass_by(11)
        assert stand.enabled == 0
        await stand.pass_by(1)
        assert (stand.enabled, stand.runs["ok"]) == (1, 1)
        assert stand.events[1:] == [("sampler.on", {"collector": "scripted"})]
        stand.collector.fault = ValueError("again")
        await stand.pass_by(2)
        assert stand.enabled == 1
        await stand.pass_by(1)
        assert (stand.enabled, stand.events[2][1]["retry_seconds"]) == (0, 60.0)

    on_stand(check)


def test_failures_that_do_not_follow_each_other_do_not_add_up() -> None:
    async def check(stand: Stand) -> None:
        for fault in (ValueError("x"), ValueError("x"), None) * 4:
            stand.collector.fault = fault
            await stand.pass_by(1)
        assert stand.enabled == 1
        assert stand.runs == {"ok": 4, "error": 8, "skipped": 0}

    on_stand(check)


def test_an_outage_of_the_target_is_not_held_against_a_collector() -> None:
    """It is tried at each interval, so that it works again as soon as the target does."""

    async def check(stand: Stand) -> None:
        stand.collector.fault = TargetError("connection refused")
        stand.up = False
        await stand.pass_by(100)
        assert (stand.enabled, stand.events) == (1, [])
        assert stand.runs == {"ok": 0, "error": 100, "skipped": 0}
        stand.up, stand.collector.fault = True, None
        await stand.pass_by(1)
        assert stand.runs["ok"] == 1

    on_stand(check)


def test_an_outage_that_was_noticed_late_switches_a_collector_on_again() -> None:
    """It was switched off for what turns out not to be its fault."""

    async def check(stand: Stand) -> None:
        stand.collector.fault = TargetError("no answer")
        await stand.pass_by(3)
        assert stand.enabled == 0
        stand.up = False
        await stand.pass_by(1)
        assert (stand.enabled, stand.runs["skipped"]) == (1, 0)

    on_stand(check)


def test_sampling_calls_each_collector_at_its_interval_and_never_twice_at_once() -> None:
    """A slow one does not delay a fast one; what is under way at the end is cut off, and all is closed."""

    async def main() -> None:
        slow, fast = Scripted(), Scripted()
        slow.name, slow.seconds = "slow", 3600
        sampling = Sampling(
            [slow, fast],
            interval=0.1,
            timeout=1800,
            clock=SystemClock(),
            notify=lambda event, **_: None,
            target_up=lambda: True,
        )
        sampling.start()
        async with asyncio.timeout(20):
            while fast.taken < 5:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert (slow.at_once, slow.most_at_once) == (1, 1)
        merged = sampling.snapshot()
        assert merged.counters["soakd_sampler_runs_total", "scripted", "ok"] == fast.taken
        assert merged.counters["soakd_sampler_runs_total", "slow", "ok"] == 0
        await sampling.close()
        assert (slow.at_once, slow.closed, fast.closed) == (0, 1, 1)
        assert merged.counters[ROWS] == merged.counters["soakd_sampler_runs_total", "scripted", "ok"]

    asyncio.run(main())
