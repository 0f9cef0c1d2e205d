"""The workloads by name."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from daemon.backends.base import Dialect
from daemon.workloads.base import Identity, Stretch, Workload
from daemon.workloads.events import Events


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
    made: Mapping[str, type[Events]] = {"events": Events}
    return made[name](
        identity=identity,
        dialect=dialect,
        workers=workers,
        existing=existing,
        wall=wall,
        rng=rng,
        under_way=under_way,
        **options,
    )
