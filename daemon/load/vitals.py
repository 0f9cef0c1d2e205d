"""How the generator itself is doing: is it the bottleneck?"""

import asyncio
import os
import time
from pathlib import Path

from daemon.clock import Clock
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Snapshot

BEAT = 0.05  # s between two heartbeats
WINDOW = 1.0  # s over which CPU use is judged
BUSY = 0.9  # share of one core from which the event loop's thread is the bottleneck
LATE = 0.02  # s of loop lag from which timers, and so the schedule, are off
PAGE = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """Measures the event loop's lag, and the CPU and memory of this process.

    The generator counts as limiting while its loop thread uses more than `BUSY` of a core, or
    fires its timers more than `LATE` s late: then the figures describe the generator.
    """

    def __init__(self, shard: int, clock: Clock) -> None:
        self._shard = str(shard)
        self._clock = clock
        self._lag = Histogram()
        self._worst = 0.0
        self._mark = (clock.now(), time.process_time(), time.thread_time())
        self._cpu_ratio = 0.0
        self._limited = False
        self._limited_seconds = 0.0

    async def beat(self) -> None:
        """Measure how late timers fire, for ever."""
        while True:
            due = self._clock.now() + BEAT
            await asyncio.sleep(BEAT)
            late = max(0.0, self._clock.now() - due)
            self._lag.add(late)
            self._worst = max(self._worst, late)

    def add_to(self, snapshot: Snapshot) -> None:
        """Put the present figures into a snapshot."""
        self._judge()
        snapshot.histograms["soakd_event_loop_lag_seconds", self._shard] = self._lag
        snapshot.counters["soakd_generator_limited_seconds_total", self._shard] = self._limited_seconds
        snapshot.gauges["soakd_engine_cpu_ratio", self._shard] = self._cpu_ratio
        snapshot.gauges["soakd_engine_rss_bytes", self._shard] = rss_bytes()
        snapshot.gauges["soakd_generator_limited", self._shard] = float(self._limited)

    def _judge(self) -> None:
        now, cpu, loop_cpu = self._clock.now(), time.process_time(), time.thread_time()
        then, cpu_then, loop_then = self._mark
        elapsed = now - then
        if elapsed < WINDOW:
            return
        self._cpu_ratio = (cpu - cpu_then) / elapsed
        self._limited = (loop_cpu - loop_then) / elapsed > BUSY or self._worst > LATE
        if self._limited:
            self._limited_seconds += elapsed
        self._mark = (now, cpu, loop_cpu)
        self._worst = 0.0


def rss_bytes() -> float:
    """Return the resident memory of this process, bytes."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return float(int(statm.read_text().split()[1]) * PAGE)
    import psutil  # noqa: PLC0415 - only where there is no /proc

    return float(psutil.Process().memory_info().rss)
