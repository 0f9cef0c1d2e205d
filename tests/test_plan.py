"""From settings to the plans of shards: shares that add up, options that the backends take."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.backends import factory
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.load.messages import EnginePlan
from daemon.load.schedule import Constant, Poisson
from daemon.workloads.base import Identity

TARGETS = ["sqlite:///a.db", "postgresql://u@h/d", "null://"]


def settings(target: str = "null://", **sections: Any) -> Settings:
    """Return settings."""
    return Settings.model_validate({"target": target, **sections})


def plans(given: Settings, epoch: int = 0) -> list[EnginePlan]:
    """Return the plan of every shard."""
    return [plan.engine_plan(given, Identity(5, shard, epoch), 42, ()) for shard in range(given.shards)]


@given(total=st.integers(0, 10**7), shards=st.integers(1, 200))
def test_shares_add_up_and_differ_by_one_at_most(total: int, shards: int) -> None:
    shares = [plan.share(total, shard, shards) for shard in range(shards)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@given(
    shards=st.integers(1, 5),
    writers=st.integers(5, 40),
    readers=st.integers(5, 40),
    queue=st.integers(100, 9999),
)
def test_workers_and_queue_of_the_shards_add_up(shards: int, writers: int, readers: int, queue: int) -> None:
    made = plans(
        settings(
            shards=shards,
            pools={"writers": writers, "readers": readers},
            batch={"queue_size": queue, "size": 10},
        )
    )
    assert sum(one.pools["writer"].workers for one in made) == writers
    assert sum(one.pools["reader"].workers for one in made) == readers
    assert sum(one.batch.capacity for one in made) == queue
    assert min(one.pools["writer"].workers for one in made) >= 1


def test_a_shards_queue_holds_a_batch_at_least() -> None:
    """Else a batch could never fill."""
    made = plans(settings(shards=4, batch={"queue_size": 100, "size": 100}))
    assert [one.batch.capacity for one in made] == [100] * 4


@pytest.mark.parametrize(("arrivals", "kind"), [("constant", Constant), ("poisson", Poisson)])
def test_the_rates_of_the_shards_add_up(arrivals: str, kind: type) -> None:
    made = plans(settings(shards=3, pools={"write_rate": 100, "read_rate": 10, "arrivals": arrivals}))
    for pool, rate in (("writer", 100.0), ("reader", 10.0)):
        schedules = [one.pools[pool].schedule for one in made]  # type: ignore[index]
        assert {type(schedule) for schedule in schedules} == {kind}
        assert sum(schedule.rate(0.0) for schedule in schedules if schedule) == pytest.approx(rate)


def test_the_constant_arrivals_of_the_shards_interleave() -> None:
    """Together they are those of one shard alone."""
    made = plans(settings(shards=3, pools={"write_rate": 30}))
    alone = plans(settings(pools={"write_rate": 30}))[0].pools["writer"].schedule
    assert alone
    times = []
    for one in made:
        schedule = one.pools["writer"].schedule
        assert schedule
        arrivals = schedule.arrivals(Random(1))
        times += [next(arrivals) for _ in range(10)]
    reference = alone.arrivals(Random(1))
    assert sorted(times) == pytest.approx([next(reference) for _ in range(30)])


def test_without_rates_the_loops_are_closed() -> None:
    one = plans(settings())[0]
    assert [policy.schedule for policy in one.pools.values()] == [None, None]


def test_settings_arrive_where_they_count() -> None:
    given = settings(
        pools={
            "write_think_time": "1ms", "read_think_time": "2ms", "max_backlog": "3s", "op_timeout": "4s"
        },
        batch={
            "size": 7, "timeout": "5ms", "on_full": "drop", "drain_timeout": "6s",
            "retry": {"initial": "7ms", "cap": "8s", "budget": "9s"},
        },
        events={
            "message_size": 10, "services": 11, "keys": "zipf", "limit": 12, "window": "13s",
            "retain_rows": 14, "retain_bytes": "4MiB",
        },
    )  # fmt: skip
    one = plans(given)[0]
    writer, reader = one.pools["writer"], one.pools["reader"]
    assert (writer.think_time, reader.think_time) == (0.001, 0.002)
    assert (writer.max_backlog, writer.op_timeout) == (reader.max_backlog, reader.op_timeout) == (3, 4)
    assert (writer.full_drops, reader.full_drops) == (True, False)
    assert (one.batch.size, one.batch.timeout, one.drain_timeout) == (7, 0.005, 6)
    assert (one.batch.retry_initial, one.batch.retry_cap, one.batch.retry_budget) == (0.007, 8, 9)
    name, options = one.workload
    assert name == "events"
    assert options["weights"] == {"by_key": 70, "newest": 20, "by_service": 9, "level_counts": 1, "search": 0}
    del options["weights"]  # type: ignore[attr-defined]
    assert options == {
        "message_size": 10, "services": 11, "keys": "zipf", "limit": 12, "window": 13, "retain": 14
    }  # fmt: skip


def test_lives_and_shards_draw_differently_and_repeatably() -> None:
    given = settings(shards=2)
    seeds = {one.seed for epoch in (0, 1) for one in plans(given, epoch)}
    assert len(seeds) == 4
    assert [one.seed for one in plans(given)] == [one.seed for one in plans(given)]


def test_only_postgresql_gets_more_than_one_flusher() -> None:
    """SQLite has one writer; more flushers would only queue up behind it."""
    flushers = {
        target: plans(settings(target, batch={"flushers": 4}))[0].batch.flushers for target in TARGETS
    }
    assert flushers == {TARGETS[0]: 1, TARGETS[1]: 4, TARGETS[2]: 1}


def test_only_one_engine_of_a_run_pins_a_reader() -> None:
    """One is enough to starve the checkpoints, and nothing else of soakd's may."""
    given = settings(TARGETS[0], shards=2, sqlite={"pinned_reader": "60s"})
    assert [one.backend[1]["pinned_reader"] for one in plans(given)] == [60, 0]
    _, options = plan.backend_options(given, writers=1, readers=1, role="control")
    assert options["pinned_reader"] == 0


def test_engines_on_sqlite_keep_to_a_processor_each_and_the_supervisor_does_not() -> None:
    given = settings(TARGETS[0], shards=2)
    assert [one.backend[1]["processor"] for one in plans(given)] == [0, 1]
    assert plan.backend_options(given, writers=1, readers=1, role="control")[1]["processor"] is None
    free = settings(TARGETS[0], shards=2, sqlite={"one_processor": False})
    assert [one.backend[1]["processor"] for one in plans(free)] == [None, None]


@pytest.mark.parametrize("target", TARGETS)
def test_the_options_of_a_backend_are_what_its_class_takes(target: str) -> None:
    kind, options = plans(settings(target))[0].backend
    made = factory.create(kind, options, SystemClock(), Random(1), lambda event, facts: None)
    assert made.dialect.name == kind
    assert plan.make_backend(settings(target), SystemClock()).dialect.name == kind


def postgres_options(**sections: Any) -> Mapping[str, Any]:
    """Return the options of a PostgreSQL backend."""
    return plans(settings("postgresql://u@h/d", **sections))[0].backend[1]


def test_postgresql_gets_a_connection_per_flusher_and_reader_and_no_more() -> None:
    options = postgres_options(pools={"writers": 10, "readers": 5}, batch={"flushers": 3})
    assert (options["writer_connections"], options["reader_connections"]) == (3, 5)
    options = postgres_options(
        pools={"writers": 2, "readers": 5}, batch={"flushers": 3}, postgres={"pool_size": 4}
    )
    assert (options["writer_connections"], options["reader_connections"]) == (2, 4)


def test_sessions_can_be_told_apart_by_run_shard_and_life() -> None:
    """The end of a run looks for them by this name, however long the part is that the user gave."""
    assert postgres_options()["application_name"] == "soakd 5/0.0"
    long = postgres_options(postgres={"application_name": "x" * 63})["application_name"]
    assert len(long) <= 63
    assert long.endswith(" 5/0.0")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (settings("null://"), "stores nothing"),
        (settings("sqlite:///a.db"), "power cut may lose"),
        (settings("sqlite:///a.db", sqlite={"synchronous": "full"}), "flushed to the disk"),
        (settings("postgresql://h/d"), "synchronous_commit=on"),
        (settings("postgresql://h/d", postgres={"synchronous_commit": "off"}), "may lose the last commits"),
    ],
)
def test_the_durability_that_a_run_had_is_told_in_words(given: Settings, words: str) -> None:
    assert words in plan.durability(given)


@pytest.mark.parametrize(
    ("events", "rows"),
    [
        ({}, 0),
        ({"retain_rows": 5000}, 5000),
        ({"retain_bytes": "42MiB"}, 42 * 2**20 // 420),
        ({"retain_bytes": "42MiB", "message_size": 1000}, 42 * 2**20 // 1300),
        ({"retain_bytes": "42MiB", "retain_rows": 5000}, 5000),
        ({"retain_bytes": "4KiB", "retain_rows": 5000}, 9),
    ],
)
def test_of_two_limits_on_the_events_the_narrower_one_counts(events: dict[str, Any], rows: int) -> None:
    assert plan.workload_options(Settings.model_validate({"events": events}))["retain"] == rows
