"""Thresholds that a run could never have figures for, found out before it."""

from collections.abc import Collection
from typing import NamedTuple

from daemon.judge.grammar import Threshold, check_operations

_OF_BACKENDS = {"pg": "postgres", "sqlite": "sqlite"}
_SAMPLED = ("pg", "host")


class Conditions(NamedTuple):
    """What a run is made of, as far as signals depend on it.

    Attributes:
        backend: kind of the target.
        sampled: whether database and host are sampled.
        ops: the operations of the workload.
        pools: those with workers.
        paced: those with a schedule.
    """

    backend: str
    sampled: bool
    ops: Collection[str]
    pools: Collection[str]
    paced: Collection[str]


def objection(threshold: Threshold, run: Conditions) -> str | None:
    """Return why there will be nothing to judge, and what to do; None where there may be something.

    What is optional may well have nothing, but its operation must exist all the same.

    Raises:
        BadThreshold: the workload has no such operation.
    """
    check_operations(threshold, run.ops)
    why = _missing(threshold.signal.split("."), run)
    if why is None or threshold.optional:
        return None
    return f"threshold {str(threshold)!r}: {why}; leave it out, or write `optional` behind it"


def _missing(name: list[str], run: Conditions) -> str | None:
    family = name[0]
    backend = _OF_BACKENDS.get(family)
    if backend is not None and backend != run.backend:
        return f"{family} has figures of {backend} targets only, and this one is {run.backend}"
    if family in _SAMPLED and not run.sampled:
        return "samplers.interval is 0, so that nothing is sampled"
    pool = next((part for part in name[1:] if part in ("writer", "reader")), None)
    if pool is not None and pool not in run.pools:
        return f"there are no {pool}s"
    if family == "target" and pool not in run.paced:
        return f"the {pool}s have no target rate"
    return None
