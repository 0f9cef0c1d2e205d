"""From the settings of a run to the plan of each shard: plain data, nothing started."""

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any

from daemon.backends import factory
from daemon.backends.base import NULL, Backend
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.config.types import scale_units
from daemon.errors import UsageError
from daemon.load.batch import BatchPolicy
from daemon.load.messages import EnginePlan
from daemon.load.policy import PoolPolicy
from daemon.load.schedule import Constant, Poisson, Schedule
from daemon.load.turns import Pace
from daemon.ops import POOLS, OpSpec, PoolName
from daemon.scenario.programme import Programme, Step
from daemon.target import parse_target
from daemon.workloads import registry
from daemon.workloads.base import Identity, Stretch
from daemon.workloads.data import Data, Dataset


def share(total: int, shard: int, shards: int) -> int:
    """Return this shard's part of a whole number; the parts add up to it."""
    return total // shards + (1 if shard < total % shards else 0)


def engine_plan(
    settings: Settings,
    identity: Identity,
    seed: int,
    existing: Sequence[Stretch],
    *,
    found: Mapping[str, Any] = MappingProxyType({}),
    recording: bool = True,
    paces: Mapping[PoolName, Pace] = MappingProxyType({}),
) -> EnginePlan:
    """Return what one life of one shard is to do: its share of workers, rate and queue.

    Args:
        settings: of the run.
        identity: of the shard's life.
        seed: what all draws derive from.
        existing: rows of an earlier run, for a run that only reads.
        found: what else the workload is made of, found in the target.
        recording: False leaves all measuring out.
        paces: what pools begin with instead of what the settings say.
    """
    shard, shards = identity.shard, settings.shards
    return EnginePlan(
        identity=identity,
        seed=f"{seed}/{shard}/{identity.epoch}",
        backend=shard_backend(settings, shard, role=f"{identity.run}/{shard}.{identity.epoch}"),
        workload=(settings.workload, {**workload_options(settings), **found}),
        pools=_pools(settings, shard, paces),
        batch=_batch_policy(settings, shard),
        shards=shards,
        existing=existing,
        drain_timeout=settings.batch.drain_timeout,
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


def fitted(settings: Settings, ops: Sequence[OpSpec], programme: Programme | None = None) -> Settings:
    """Return the settings without the workers of a pool that has no operations.

    Raises:
        UsageError: nobody is left to make load, or such a pool is to keep a rate, in a phase perhaps.
    """
    pools = settings.pools
    idle = {pool for pool in POOLS if not any(one.pool == pool and one.weight for one in ops)}
    for pool, rate, key in (
        ("writer", pools.write_rate, "write_rate"),
        ("reader", pools.read_rate, "read_rate"),
    ):
        if pool in idle and rate is not None:
            raise UsageError(
                f"pools.{key} is {rate:g}, and the workload {settings.workload} has nothing for {pool}s "
                f"here; leave pools.{key} out"
            )
    writers = 0 if "writer" in idle else pools.writers
    readers = 0 if "reader" in idle else pools.readers
    if not writers and not readers:
        busy = "pools.readers" if "writer" in idle else "pools.writers"
        raise UsageError(f"all operations here are for {busy}, which is 0: raise it")
    for step in programme.steps if programme else ():
        _check_step(step, {"writer": writers, "reader": readers}, idle, settings.workload)
    return settings.model_copy(
        update={"pools": pools.model_copy(update={"writers": writers, "readers": readers})}
    )


def _check_step(step: Step, workers: Mapping[PoolName, int], idle: set[PoolName], workload: str) -> None:
    """See that somebody keeps the rates of a step.

    Raises:
        UsageError: one has nobody.
    """
    for pool, course in step.pools.items():
        number = workers[pool] if course.workers is None else min(workers[pool], course.workers)
        if course.shape is not None and not number:
            why = f"the workload {workload} has nothing for them here" if pool in idle else "there are none"
            field = "write" if pool == "writer" else "read"
            raise UsageError(
                f"{step.where}: phase {step.name} has a rate for {pool}s, and {why}; say `{field}: closed`, "
                "or leave it out"
            )


def _pools(settings: Settings, shard: int, paces: Mapping[PoolName, Pace]) -> Mapping[PoolName, PoolPolicy]:
    """Return how the pools of one shard take their turns."""
    shards, pools = settings.shards, settings.pools
    return {
        "writer": PoolPolicy(
            workers=share(pools.writers, shard, shards),
            schedule=schedule(pools.write_rate, pools.arrivals, shard, shards),
            think_time=pools.write_think_time,
            max_backlog=pools.max_backlog,
            op_timeout=pools.op_timeout,
            full_drops=settings.batch.on_full == "drop",
            retries=pools.retries,
            rows_in_flight=pools.rows_in_flight,
            pace=paces.get("writer"),
        ),
        "reader": PoolPolicy(
            workers=share(pools.readers, shard, shards),
            schedule=schedule(pools.read_rate, pools.arrivals, shard, shards),
            think_time=pools.read_think_time,
            max_backlog=pools.max_backlog,
            op_timeout=pools.op_timeout,
            retries=pools.retries,
            pace=paces.get("reader"),
        ),
    }


def schedule(rate: float | None, arrivals: str, shard: int, shards: int) -> Schedule | None:
    """Return the shard's arrivals; None for a closed loop."""
    if rate is None:
        return None
    return (Poisson if arrivals == "poisson" else Constant)(rate, shard, shards)


def workload_options(settings: Settings) -> Mapping[str, Any]:
    """Return the workload's own settings as keyword arguments of its class, and the scale asked for."""
    options: Mapping[str, Any] = getattr(settings, settings.workload).options()
    data = registry.WORKLOADS[settings.workload].data
    if data is None or data.schema:
        return options
    return {**options, "scale": wanted_scale(settings, data) or data.default}


def wanted_scale(settings: Settings, data: Data) -> int | None:
    """Return how many units of data are asked for; None: as many as there are.

    Raises:
        UsageError: they are too few.
    """
    if settings.data.scale is None:
        return None
    units = scale_units(settings.data.scale, data.unit_bytes)
    if units < data.least:
        raise UsageError(
            f"data.scale {settings.data.scale} is {units} {data.unit}, and {settings.workload} needs "
            f"{data.least} at least: raise it"
        )
    return units


def dataset(settings: Settings, data: Data, scale: int) -> Dataset:
    """Return the data that is asked for, at a scale."""
    options = workload_options(settings) if data.shape else {}
    return Dataset(scale, settings.data.seed, {name: options[name] for name in data.shape})


def shard_backend(settings: Settings, shard: int, *, role: str) -> tuple[str, Mapping[str, Any]]:
    """Return the kind of the target, and the arguments of the backend that serves one shard."""
    pools, server = settings.pools, settings.postgres
    writers, readers = (share(n, shard, settings.shards) for n in (pools.writers, pools.readers))
    kind = registry.WORKLOADS[settings.workload]
    return backend_options(
        settings,
        writers=(min(settings.batch.flushers, writers) if kind.writes_rows else 0)
        + (min(server.pool_size or writers, writers) if kind.writes_directly else 0)
        + _consumers(settings, shard),
        readers=min(server.pool_size or readers, readers),
        role=role,
        shard=shard,
    )


def _consumers(settings: Settings, shard: int) -> int:
    """Return how many consumers run in a shard."""
    options = workload_options(settings)
    made = registry.consumers(
        settings.workload, options, dialect=NULL, wall=float, shard=shard, shards=settings.shards
    )
    return len(made)


def backend_options(
    settings: Settings, *, writers: int, readers: int, role: str, shard: int | None = None
) -> tuple[str, Mapping[str, Any]]:
    """Return the kind of the target, and the keyword arguments of its backend's class.

    Args:
        settings: where the target and its options come from.
        writers: connections for writing; one at least is made.
        readers: connections for reading; one at least is made.
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
    return "postgres", {
        "conninfo": target.url,
        "password": server.password.get_secret_value() if server.password else None,
        "writer_connections": max(1, writers),
        "reader_connections": max(1, readers),
        "synchronous_commit": server.synchronous_commit,
        "connect_timeout": server.connect_timeout,
        "statement_timeout": server.statement_timeout,
        "lock_timeout": server.lock_timeout,
        # The server keeps 63 characters; the role is what the sessions of a run are found by.
        "application_name": f"{server.application_name[: 62 - len(role)]} {role}",
        "prepare": server.prepare,
    }


def make_backend(settings: Settings, clock: Clock, writers: int = 1) -> Backend:
    """Return a backend for looking after the target beside the load: one connection for each use."""
    kind, options = backend_options(settings, writers=writers, readers=1, role="control")
    if kind == "sqlite":
        options = {**options, "reader_lanes": 1}
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
