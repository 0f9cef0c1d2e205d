"""The workloads by name."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from daemon.backends.base import Dialect
from daemon.workloads.base import Consumer, Identity, Stretch, Workload
from daemon.workloads.events import Events


def _no_consumers(**_: object) -> Sequence[Consumer]:
    return ()


class Kind(NamedTuple):
    """What there is to know of a workload before it is made.

    Attributes:
        make: its class; the keyword arguments are those of `create` and its own settings.
        writes_rows: it has tables that rows are batched into.
        writes_directly: it has operations of the pool `writer` that are transactions, and not
            rows: then every writer needs a connection.
        consumers: makes what follows the writes; the keyword arguments are `dialect`, `wall` and
            its own settings. Each runs in one shard.
    """

    make: Callable[..., Workload]
    writes_rows: bool = True
    writes_directly: bool = False
    consumers: Callable[..., Sequence[Consumer]] = _no_consumers


WORKLOADS: Mapping[str, Kind] = {"events": Kind(Events)}


def create(
    name: str,
    options: Mapping[str, Any],
    *,
    identity: Identity,
    dialect: Dialect,
    workers: int,
    existing: Sequence[Stretch],
    wall: Callable[[], float],
    rng: Random,
    under_way: int = 1,
) -> Workload:
    """Return the named workload for one shard; `options` are its own settings."""
    return WORKLOADS[name].make(
        identity=identity,
        dialect=dialect,
        workers=workers,
        existing=existing,
        wall=wall,
        rng=rng,
        under_way=under_way,
        **options,
    )


def consumers(
    name: str,
    options: Mapping[str, Any],
    *,
    dialect: Dialect,
    wall: Callable[[], float],
    shard: int,
    shards: int,
) -> Sequence[Consumer]:
    """Return the consumers of a workload that run in a shard: each runs in one."""
    return WORKLOADS[name].consumers(dialect=dialect, wall=wall, **options)[shard::shards]
