"""Signals: made from snapshots as the supervisor has them, over the last seconds and over the whole run."""

from collections.abc import Iterable

import pytest

from daemon.judge.meter import Meter, Sample, Wanted
from daemon.judge.signals import find, known
from daemon.observe.metrics import zeros
from daemon.ops import OpSpec
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Key, Snapshot

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"), OpSpec("newest", "reader"))


class Watched:
    """A run that is looked at once a second, and what its engine, server and host have counted."""

    def __init__(self, names: Iterable[str], *, after: float = 0.0) -> None:
        signals = [find(name) for name in names]
        assert all(signals)
        self.meter = Meter([Wanted(signal, after) for signal in signals if signal])
        self.recorder = OpRecorder(OPS)
        self.counters: dict[Key, float] = {}
        self.gauges: dict[Key, float] = {}
        self.time = -1.0
        self.sample = self.look()

    def look(self) -> Sample:
        """Let a second pass, and look."""
        self.time += 1
        merged = zeros(OPS, 2, "null")
        merged.merge(self.recorder.snapshot())
        merged.merge(Snapshot(self.counters, self.gauges))
        self.sample = self.meter.look(self.time, 1000 + self.time, merged)
        return self.sample

    def write(self, rows: int, seconds: float = 0.01) -> None:
        """Answer so many writes, each after so long."""
        self.recorder.rows(0, [0.0] * rows, [0.0] * rows, 0.0, seconds)

    def read(self, op: int, seconds: float, *, waited: float = 0.0) -> None:
        """Answer a read."""
        self.recorder.ok(op, 0.0, 0.0, waited, waited + seconds)


def test_every_signal_has_a_name_a_kind_and_one_way_to_be_made() -> None:
    for name, signal in known().items():
        assert signal.name == name
        assert (signal.over is None) == (signal.level is not None) == (signal.aggregate is not None)


def test_every_signal_can_be_asked_of_a_run_in_which_nothing_has_happened_yet() -> None:
    """Counts and rates are 0 then; times, shares and what is not sampled are not there."""
    watched = Watched([*known(), "op.append.rate", "op.append.errors", "op.append.service.p99"])
    sample = watched.look()
    for values in (sample.recent[0.0], sample.whole[0.0]):
        assert values["rate.writer"] == values["errors.count"] == values["op.append.rate"] == 0
        for name in ("response.writer.p99", "errors.rate", "pg.cache_hit", "host.cpu.max", "target.writer"):
            assert values[name] is None
        assert values["op.append.service.p99"] is values["op.append.errors"] is None


def test_times_and_rates_are_of_the_last_ten_seconds_and_of_the_whole() -> None:
    names = ["response.writer.p99", "response.writer.max", "service.reader.mean", "rate.writer", "rate.total"]
    watched = Watched(names)
    for _ in range(20):
        watched.write(100, 1.0)
        watched.read(1, 0.01, waited=0.02)
        watched.look()
    for _ in range(20):
        watched.write(200, 0.01)
        watched.look()
    sample = watched.sample
    assert sample.recent[0.0]["rate.writer"] == pytest.approx(200)
    assert sample.whole[0.0]["rate.writer"] == pytest.approx(150)
    assert sample.whole[0.0]["rate.total"] == pytest.approx(150.5)
    assert sample.recent[0.0]["response.writer.p99"] == pytest.approx(0.01, rel=0.01)
    assert sample.whole[0.0]["response.writer.p99"] == pytest.approx(1.0, rel=0.01)
    assert sample.whole[0.0]["response.writer.max"] == pytest.approx(1.0, rel=0.01)
    assert sample.whole[0.0]["service.reader.mean"] == pytest.approx(0.01)
    assert sample.recent[0.0]["service.reader.mean"] is None


def test_what_was_before_after_is_left_out() -> None:
    watched = Watched(["response.writer.max", "rate.writer", "queue.utilization.max"], after=5.0)
    watched.gauges |= {("soakd_batch_queue_rows",): 90.0, ("soakd_batch_queue_capacity_rows",): 100.0}
    for _ in range(5):
        watched.write(1000, 1.0)
        watched.look()
    early = watched.sample
    assert early.elapsed == 5.0  # the base of what follows: nothing has happened since
    assert early.whole[5.0]["rate.writer"] is None
    watched.gauges["soakd_batch_queue_rows",] = 10.0
    for _ in range(5):
        watched.write(10, 0.01)
        watched.look()
    late = watched.sample
    assert late.whole[5.0]["rate.writer"] == pytest.approx(10)
    assert late.whole[5.0]["response.writer.max"] == pytest.approx(0.01, rel=0.01)
    assert late.recent[5.0] == late.whole[5.0]  # though ten seconds reach back to what was before


def test_operations_have_signals_of_their_own() -> None:
    watched = Watched(
        ["op.newest.service.p50", "op.newest.rate", "op.by_key.errors", "op.by_key.queue_wait.max"]
    )
    for _ in range(3):
        watched.read(2, 0.5)
        watched.read(1, 0.01, waited=0.25)
    watched.recorder.failure(1, "busy", 0.0, 0.0, 0.0, 0.0)
    values = watched.look().whole[0.0]
    assert values["op.newest.service.p50"] == pytest.approx(0.5, rel=0.01)
    assert values["op.newest.rate"] == 3.0
    assert values["op.by_key.errors"] == 0.25
    assert values["op.by_key.queue_wait.max"] == pytest.approx(0.25, rel=0.01)


def test_errors_are_by_what_ran_and_drops_by_what_was_due() -> None:
    names = [
        "errors.rate", "errors.writer.rate", "errors.reader.rate", "errors.count", "errors.busy.count",
        "errors.timeout.count", "errors.deadlock.count", "dropped.rate", "dropped.count", "rejected.rate",
        "success.rate",
    ]  # fmt: skip
    watched = Watched(names)
    watched.write(5)
    watched.recorder.failure(1, "busy", 0.0, 0.0, 0.0, 0.0)
    watched.recorder.failure(1, "timeout", 0.0, 0.0, 0.0, 0.0)
    watched.recorder.rejected(1, 0.0, 0.0, 0.0, 0.1)
    watched.recorder.drop(1, "backlog")
    watched.recorder.drop(1, "backlog")
    assert watched.look().recent[0.0] == {
        "errors.rate": 2 / 8, "errors.writer.rate": 0, "errors.reader.rate": 2 / 3, "errors.count": 2,
        "errors.busy.count": 1, "errors.timeout.count": 1, "errors.deadlock.count": 0, "dropped.rate": 0.2,
        "dropped.count": 2, "rejected.rate": 0.1, "success.rate": 0.5,
    }  # fmt: skip


def test_levels_are_looked_at_again_and_again() -> None:
    watched = Watched([f"queue.utilization.{name}" for name in ("max", "min", "mean")])
    watched.gauges["soakd_batch_queue_capacity_rows",] = 100.0
    for rows in [90.0, *[20.0] * 10, 40.0]:
        watched.gauges["soakd_batch_queue_rows",] = rows
        watched.look()
    recent, whole = watched.sample.recent[0.0], watched.sample.whole[0.0]
    assert (recent["queue.utilization.max"], recent["queue.utilization.min"]) == (0.4, 0.2)
    assert (whole["queue.utilization.max"], whole["queue.utilization.min"]) == (0.9, 0.2)
    assert whole["queue.utilization.mean"] == pytest.approx((0.9 + 10 * 0.2 + 0.4) / 12)


def test_pools_are_in_use_as_their_connections_are() -> None:
    watched = Watched(["pool.usage.max", "pool.writer.usage.max", "pool.reader.usage.max"])
    watched.gauges |= {
        ("soakd_pool_connections", "writer", "busy"): 1.0,
        ("soakd_pool_connections", "writer", "idle"): 3.0,
        ("soakd_pool_connections", "reader", "busy"): 3.0,
        ("soakd_pool_connections", "reader", "idle"): 1.0,
        ("soakd_pool_connections", "reader", "waiting"): 7.0,
    }
    assert watched.look().recent[0.0] == {
        "pool.usage.max": 0.75,
        "pool.writer.usage.max": 0.25,
        "pool.reader.usage.max": 0.75,
    }


def test_counters_of_the_server_count_from_when_they_are_first_seen_and_over_a_restart() -> None:
    watched = Watched(["pg.cache_hit", "pg.deadlocks"])
    watched.counters |= {
        ("soakd_pg_blocks_total", "hit"): 1e9, ("soakd_pg_blocks_total", "read"): 1e9,
        ("soakd_pg_deadlocks_total",): 7.0,
    }  # fmt: skip
    assert watched.look().whole[0.0] == {"pg.cache_hit": None, "pg.deadlocks": 0}
    watched.counters["soakd_pg_blocks_total", "hit"] += 90
    watched.counters["soakd_pg_blocks_total", "read"] += 10
    watched.counters["soakd_pg_deadlocks_total",] += 1
    assert watched.look().whole[0.0] == {"pg.cache_hit": 0.9, "pg.deadlocks": 1}
    watched.counters |= {
        ("soakd_pg_blocks_total", "hit"): 0.0, ("soakd_pg_blocks_total", "read"): 100.0,
        ("soakd_pg_deadlocks_total",): 2.0,
    }  # fmt: skip
    assert watched.look().whole[0.0] == {"pg.cache_hit": 0.45, "pg.deadlocks": 3}


def test_the_host_is_busy_when_it_neither_idles_nor_waits_for_a_disk() -> None:
    watched = Watched(["host.cpu.mean", "host.steal.max", "host.memory.max", "host.disk.max"])
    watched.gauges |= {
        ("soakd_host_memory_bytes", "total"): 4e9, ("soakd_host_memory_bytes", "available"): 1e9,
        ("soakd_host_disk_size_bytes",): 100.0, ("soakd_host_disk_free_bytes",): 80.0,
    }  # fmt: skip
    times = {"user": 0.6, "system": 0.1, "idle": 1.0, "iowait": 0.2, "steal": 0.1}
    for _ in range(12):
        for mode, seconds in times.items():
            key = ("soakd_host_cpu_seconds_total", mode)
            watched.counters[key] = watched.counters.get(key, 5000.0) + seconds
        watched.look()
    values = watched.sample.recent[0.0]
    assert values["host.cpu.mean"] == pytest.approx(0.4)
    assert values["host.steal.max"] == pytest.approx(0.05)
    assert values["host.memory.max"] == 0.75
    assert values["host.disk.max"] == pytest.approx(0.2)


def test_answers_are_compared_with_what_was_due_and_not_with_a_rate() -> None:
    """Of random arrivals there may be fewer than their rate says; all that came are answered here."""
    watched = Watched(["target.writer", "target.reader"])
    for due in (40, 60, 100):
        watched.gauges["soakd_target_ops_per_second", "writer"] = 100.0
        watched.counters["soakd_ops_due_total", "writer"] = (
            watched.counters.get(("soakd_ops_due_total", "writer"), 0.0) + due
        )
        watched.write(due // 2)
        watched.look()
    assert watched.sample.whole[0.0]["target.writer"] == 0.5
    assert watched.sample.whole[0.0]["target.reader"] is None


def test_what_invariants_find_is_added_up() -> None:
    watched = Watched(["invariants.violations"])
    assert watched.look().whole[0.0]["invariants.violations"] is None
    watched.gauges |= {
        ("soakd_invariant_violations", "sum"): 2.0,
        ("soakd_invariant_violations", "outbox"): 1.0,
    }
    assert watched.look().whole[0.0]["invariants.violations"] == 3


def test_the_generator_is_limited_for_a_share_of_the_time_of_all_engines() -> None:
    watched = Watched(["generator.limited", "engine.restarts", "engine.cpu.max", "engine.rss.max"])
    watched.counters |= {
        ("soakd_generator_limited_seconds_total", "0"): 1.0,
        ("soakd_engine_restarts_total", "1"): 2.0,
    }
    watched.gauges |= {("soakd_engine_cpu_ratio", "0"): 0.9, ("soakd_engine_cpu_ratio", "1"): 0.2}
    watched.gauges |= {("soakd_engine_rss_bytes", "0"): 5e7, ("soakd_engine_rss_bytes", "1"): 6e7}
    watched.look()
    assert watched.look().recent[0.0] == {
        "generator.limited": 0.25, "engine.restarts": 2, "engine.cpu.max": 0.9, "engine.rss.max": 1.1e8,
    }  # fmt: skip


def test_memory_does_not_grow_with_the_run() -> None:
    watched = Watched(["response.writer.p99", "queue.utilization.max", "target.writer"])
    for _ in range(100):
        watched.look()
    assert len(watched.meter._ring) <= 12
    assert len(watched.meter._parts) == 1
