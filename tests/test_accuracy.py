"""Known latencies go in at the null backend and must come out in the percentiles, over 10^6 values."""

import asyncio
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.backends.null import Latency, NullBackend, draw
from daemon.load.policy import PoolPolicy
from daemon.load.pool import Pool
from daemon.ops import OpSpec
from daemon.record.histogram import Histogram
from daemon.record.recorder import OpRecorder
from daemon.workloads.base import Identity
from daemon.workloads.events import Events
from tests import virtual
from tests.virtual import VirtualClock

VALUES = 1_000_000
OPS = 20_000  # through all of the load, whose loop takes most of the time
MEAN, STDDEV, SHAPE = 0.010, 0.002, 2.5
SERVICE = ("soakd_op_service_seconds", "reader", "by_key")
QUANTILES = (0.5, 0.95, 0.99, 0.999)


every_latency = pytest.mark.parametrize("latency", ["constant", "normal", "pareto"])


@every_latency
def test_known_latencies_are_reported_within_one_percent(latency: Latency) -> None:
    """The percentiles of a million of the backend's service times."""
    recorder = OpRecorder([OpSpec("by_key", "reader")])
    seconds = _drawn(latency, VALUES)
    for number, value in enumerate(seconds.tolist()):
        begin = 0.001 * number
        recorder.ok(0, begin, begin, begin, begin + value)
    _reports(recorder.snapshot().histograms[SERVICE], seconds)


@every_latency
def test_a_load_reports_the_latencies_that_the_backend_has_taken(latency: Latency) -> None:
    service = virtual.run(lambda clock: _load(clock, latency))
    assert service.count >= OPS
    _reports(service, _drawn(latency, service.count))


def _drawn(latency: Latency, count: int) -> NDArray[np.float64]:
    """Return the service times that a backend with this seed takes one after the other, s."""
    rng = Random(5)
    return np.array([draw(latency, MEAN, STDDEV, SHAPE, rng) for _ in range(count)])


def _reports(service: Histogram, truth: NDArray[np.float64]) -> None:
    assert service.count == len(truth)
    assert service.quantiles(QUANTILES) == pytest.approx(
        np.percentile(truth, [100 * q for q in QUANTILES], method="inverted_cdf"), rel=0.01
    )
    assert service.mean == pytest.approx(truth.mean(), rel=1e-6)
    assert service.max == pytest.approx(truth.max(), rel=1e-6)


async def _load(clock: VirtualClock, latency: Latency) -> Histogram:
    backend = NullBackend(latency=latency, mean=MEAN, stddev=STDDEV, shape=SHAPE, clock=clock, rng=Random(5))
    workload = Events(
        identity=Identity(1, 0, 0),
        dialect=backend.dialect,
        workers=0,
        message_size=1,
        services=1,
        keys="uniform",
        limit=1,
        window=1,
        weights={"by_key": 1, "newest": 0, "by_service": 0, "level_counts": 0, "search": 0},
        existing=(),
        wall=clock.wall,
        rng=Random(1),
    )
    recorder = OpRecorder(workload.ops)
    pool = Pool(
        "reader",
        PoolPolicy(workers=200, timer_resolution=0.0),
        workload=workload,
        backend=backend,
        writers=(),
        recorder=recorder,
        clock=clock,
        seed="3",
        on_refused=lambda _: None,
    )
    task = asyncio.ensure_future(pool.run())
    await asyncio.sleep(OPS * MEAN / 200 * 1.005)
    pool.stop()
    await task
    return recorder.snapshot().histograms[SERVICE]
