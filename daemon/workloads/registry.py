"""The workloads by name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from daemon.backends.base import Backend, Dialect
from daemon.workloads.base import Canary, Consumer, Crowd, Identity, Invariant, Stretch, Workload
from daemon.workloads.data import Data
from daemon.workloads.events import Events
from daemon.workloads.events import consumers as events_consumers
from daemon.workloads.events import look as events_look
from daemon.workloads.events_invariants import invariants as events_invariants
from daemon.workloads.game.data import DATA as GAME
from daemon.workloads.game.invariants import invariants as game_invariants
from daemon.workloads.game.workload import Game
from daemon.workloads.ledger.consumers import consumers as ledger_consumers
from daemon.workloads.ledger.data import DATA
from daemon.workloads.ledger.invariants import invariants as ledger_invariants
from daemon.workloads.ledger.workload import Ledger
from daemon.workloads.marketplace.data import DATA as MARKETPLACE
from daemon.workloads.marketplace.invariants import invariants as marketplace_invariants
from daemon.workloads.marketplace.workload import Marketplace
from daemon.workloads.progress.data import DATA as PROGRESS
from daemon.workloads.progress.invariants import invariants as progress_invariants
from daemon.workloads.progress.workload import Progress
from daemon.workloads.progress.workload import canaries as progress_canaries
from daemon.workloads.sql.inspect import look as sql_look
from daemon.workloads.sql.pgbench import DATA as PGBENCH
from daemon.workloads.sql.workload import Sql


def _nothing(**_: object) -> Sequence[Any]:
    return ()


async def _nothing_found(**_: object) -> Mapping[str, Any]:
    return {}


class Kind(NamedTuple):
    """What there is to know of a workload before it is made.

    Attributes:
        make: its class; the keyword arguments are those of `create` and its own settings.
        writes_rows: it has tables that rows are batched into.
        writes_directly: it has operations of the pool `writer` that are transactions, and not
            rows: then every writer needs a connection.
        consumers: makes what follows the writes; the keyword arguments are `dialect`, `wall` and
            its own settings. Each runs in one shard.
        canaries: makes what finds out how soon rows are seen; the keyword arguments are
            `identity`, `dialect`, `workers` and its own settings. Every shard has its own.
        invariants: makes what must be true of its data; the keyword arguments are `dialect`,
            `under_way` (see `create`) and its own settings.
        look: finds out in the target what it needs to know of that; the keyword arguments are
            `backend`, `seed`, `crowd` and its own settings. Its result are further keyword
            arguments of `make`, plain data. It changes nothing.
        data: what it begins with, or None. Then `scale`, the number of its units, is one of the
            keyword arguments of those above.
    """

    make: Callable[..., Workload]
    writes_rows: bool = True
    writes_directly: bool = False
    consumers: Callable[..., Sequence[Consumer]] = _nothing
    canaries: Callable[..., Sequence[Canary]] = _nothing
    invariants: Callable[..., Sequence[Invariant]] = _nothing
    look: Callable[..., Awaitable[Mapping[str, Any]]] = _nothing_found
    data: Data | None = None


WORKLOADS: Mapping[str, Kind] = {
    "events": Kind(Events, consumers=events_consumers, invariants=events_invariants, look=events_look),
    "game": Kind(Game, writes_rows=False, writes_directly=True, invariants=game_invariants, data=GAME),
    "ledger": Kind(
        Ledger,
        writes_rows=False,
        writes_directly=True,
        consumers=ledger_consumers,
        invariants=ledger_invariants,
        data=DATA,
    ),
    "marketplace": Kind(
        Marketplace,
        writes_rows=False,
        writes_directly=True,
        invariants=marketplace_invariants,
        data=MARKETPLACE,
    ),
    "progress": Kind(Progress, canaries=progress_canaries, invariants=progress_invariants, data=PROGRESS),
    "sql": Kind(Sql, writes_rows=False, writes_directly=True, look=sql_look, data=PGBENCH),
}


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


def canaries(
    name: str, options: Mapping[str, Any], *, identity: Identity, dialect: Dialect, workers: int
) -> Sequence[Canary]:
    """Return the canaries of a shard; without writers, or where nothing is stored, there is none."""
    if dialect.name == "null" or not workers:
        return ()
    return WORKLOADS[name].canaries(identity=identity, dialect=dialect, workers=workers, **options)


def invariants(
    name: str, options: Mapping[str, Any], *, dialect: Dialect, under_way: int = 1
) -> Sequence[Invariant]:
    """Return what must be true of a workload's data."""
    return WORKLOADS[name].invariants(dialect=dialect, under_way=under_way, **options)


async def look(
    name: str, options: Mapping[str, Any], *, backend: Backend, seed: int, crowd: Crowd
) -> Mapping[str, Any]:
    """Return further arguments of a workload, which it finds in the target.

    Args:
        name: of the workload.
        options: its own settings.
        backend: the target, open.
        seed: of the run.
        crowd: the workers of the run.

    Raises:
        UsageError: the target lacks something that the settings name.
        TargetError: the target does not answer.
    """
    return await WORKLOADS[name].look(backend=backend, seed=seed, crowd=crowd, **options)
