"""From the settings of a run to the plan of each shard: plain data, nothing started."""

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any

from daemon.backends import factory
from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.load.batch import BatchPolicy
from daemon.load.messages import EnginePlan
from daemon.load.pool import PoolPolicy
from daemon.load.schedule import Constant, Poisson, Schedule
from daemon.load.turns import Pace
from daemon.ops import PoolName
from daemon.target import parse_target
from daemon.workloads.base import Identity, Stretch


def share(total: int, shard: int, shards: int) -> int:
    """Return this shard's part of a whole number; the parts add up to it."""
    return total // shards + (1 if shard < total % shards else 0)


def engine_plan(
    settings: Settings,
    identity: Identity,
    seed: int,
    existing: Sequence[Stretch],
    *,
    recording: bool = True,
    paces: Mapping[PoolName, Pace] = MappingProxyType({}),
) -> EnginePlan:
    """Return what one life of one shard is to do: its share of workers, rate and queue.

    With `paces` the pools begin with these instead.
    """
    shard, shards, pools, batch = identity.shard, settings.shards, settings.pools, settings.batch
    writers = share(pools.writers, shard, shards)
    readers = share(pools.readers, shard, shards)
    return EnginePlan(
        identity=identity,
        seed=f"{seed}/{shard}/{identity.epoch}",
        backend=backend_options(
            settings,
            writers=writers,
            readers=readers,
            role=f"{identity.run}/{shard}.{identity.epoch}",
            shard=shard,
        ),
        workload=(settings.workload, workload_options(settings)),
        pools={
            "writer": PoolPolicy(
                workers=writers,
                schedule=schedule(pools.write_rate, pools.arrivals, shard, shards),
                think_time=pools.write_think_time,
                max_backlog=pools.max_backlog,
                op_timeout=pools.op_timeout,
                full_drops=batch.on_full == "drop",
                rows_in_flight=pools.rows_in_flight,
                pace=paces.get("writer"),
            ),
            "reader": PoolPolicy(
                workers=readers,
                schedule=schedule(pools.read_rate, pools.arrivals, shard, shards),
                think_time=pools.read_think_time,
                max_backlog=pools.max_backlog,
                op_timeout=pools.op_timeout,
                pace=paces.get("reader"),
            ),
        },
        batch=_batch_policy(settings, shard),
        existing=existing,
        drain_timeout=batch.drain_timeout,
        recording=recording,
    )


def _batch_policy(settings: Settings, shard: int) -> BatchPolicy:
    batch, kind = settings.batch, parse_target(settings.target.get_secret_value()).kind
    return BatchPolicy(
        size=batch.size,
        timeout=batch.timeout,
        capacity=max(batch.size, share(batch.queue_size, shard, settings.shards)),
        flushers=batch.flushers if kind == "postgres" else 1,
        retry_initial=batch.retry.initial,
        retry_cap=batch.retry.cap,
        retry_budget=batch.retry.budget,
    )


def schedule(rate: float | None, arrivals: str, shard: int, shards: int) -> Schedule | None:
    """Return the shard's arrivals; None for a closed loop."""
    if rate is None:
        return None
    return (Poisson if arrivals == "poisson" else Constant)(rate, shard, shards)


def workload_options(settings: Settings) -> Mapping[str, Any]:
    """Return the workload's own settings as the keyword arguments of its class."""
    events = settings.events
    return {
        "message_size": events.message_size,
        "services": events.services,
        "keys": events.keys,
        "limit": events.limit,
        "window": events.window,
        "weights": events.reads.model_dump(),
    }


def backend_options(
    settings: Settings, *, writers: int, readers: int, role: str, shard: int | None = None
) -> tuple[str, Mapping[str, Any]]:
    """Return the kind of the target, and the keyword arguments of its backend's class.

    Args:
        settings: where the target and its options come from.
        writers: writers that the backend serves.
        readers: readers that the backend serves.
        role: what the connections are for, shown in `pg_stat_activity`.
        shard: number of the engine that it is for, the first of which holds `sqlite.pinned_reader`; None:
            the supervisor.
    """
    target = parse_target(settings.target.get_secret_value())
    if target.kind == "sqlite":
        lite = settings.sqlite
        return "sqlite", {
            **lite.model_dump(exclude={"one_processor"}),
            "path": target.path,
            "pinned_reader": lite.pinned_reader if shard == 0 else 0.0,
            "processor": shard if lite.one_processor else None,
        }
    if target.kind == "null":
        return "null", settings.null.model_dump()
    server = settings.postgres
    readers = max(1, readers)
    return "postgres", {
        "conninfo": target.url,
        "password": server.password.get_secret_value() if server.password else None,
        "writer_connections": min(settings.batch.flushers, max(1, writers)),
        "reader_connections": min(server.pool_size or readers, readers),
        "synchronous_commit": server.synchronous_commit,
        "connect_timeout": server.connect_timeout,
        "statement_timeout": server.statement_timeout,
        "lock_timeout": server.lock_timeout,
        # The server keeps 63 characters; the role is what the sessions of a run are found by.
        "application_name": f"{server.application_name[: 62 - len(role)]} {role}",
        "prepare": server.prepare,
    }


def make_backend(settings: Settings, clock: Clock) -> Backend:
    """Return a backend for looking after the target beside the load: one connection for each use."""
    kind, options = backend_options(settings, writers=1, readers=1, role="control")
    if kind == "sqlite":
        options = {**options, "reader_lanes": 1}
    if kind == "postgres":
        options = {**options, "writer_connections": 1}
    return factory.create(kind, options, clock, Random(0), lambda _event, _facts: None)


def durability(settings: Settings) -> str:
    """Return in words what an acknowledged row is safe from."""
    kind = parse_target(settings.target.get_secret_value()).kind
    if kind == "null":
        return "none: the null backend stores nothing"
    if kind == "sqlite":
        return _SQLITE_DURABILITY[settings.sqlite.synchronous]
    return _POSTGRES_DURABILITY[settings.postgres.synchronous_commit]


_SQLITE_DURABILITY = {
    "normal": "synchronous=NORMAL: survives a crash of the process; a power cut may lose the last commits",
    "full": "synchronous=FULL: every commit is flushed to the disk before it is acknowledged",
}
_POSTGRES_DURABILITY = {
    "on": "synchronous_commit=on: every commit is in the server's WAL on disk, and on synchronous standbys",
    "local": "synchronous_commit=local: every commit is in the server's WAL on its own disk",
    "off": "synchronous_commit=off: a crash of the server may lose the last commits",
}
