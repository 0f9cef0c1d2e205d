"""Measuring one query: warm-up, then its iterations, each with keys of its own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.errors import OpError, TargetError
from daemon.lab.watch import Call, Seen, watched
from daemon.ops import Transaction

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(slots=True)
class Measured:
    """What was measured of one query.

    Attributes:
        times: of the iterations that ran to an answer or to their timeout, s.
        rows: that they returned; None where nobody counted them.
        errors: number of failed iterations by class.
        failure: what the database said to the last of them; empty if none failed.
        slowest: the statements of the slowest iteration.
    """

    times: list[float] = field(default_factory=list)
    rows: list[int] | None = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    slowest: Sequence[Call] = ()


async def measure(
    backend: Backend,
    clock: Clock,
    make: Callable[[Random], Transaction],
    *,
    rng: Random,
    warmup: int,
    iterations: int,
    patience: float,
    on_done: Callable[[], None],
) -> Measured:
    """Run a query again and again, one after the other.

    An error that would only repeat itself ends it: a table that is missing stays missing.

    Args:
        backend: the target, open.
        clock: monotonic time.
        make: returns the next iteration; its keys are drawn with the generator.
        rng: draws all keys.
        warmup: iterations before those that are measured.
        iterations: how many are measured.
        patience: time limit of an iteration, s.
        on_done: told of each iteration.

    Raises:
        TargetError: the target is gone.
    """
    found = Measured()
    longest = -1.0
    for number in range(-warmup, iterations):
        work, seen = make(rng), Seen()
        begun = clock.now()
        try:
            timed = await backend.transact(watched(work, seen), deadline=begun + patience)
            took = timed.done - timed.served
        except OpError as error:
            if error.error_class == "connection":
                raise TargetError(f"the target is gone: {error}") from error
            took = clock.now() - begun
            found.errors[error.error_class] = found.errors.get(error.error_class, 0) + 1
            found.failure = str(error)
            found.slowest = found.slowest or seen.calls
            if not error.transient:
                return found
            if error.error_class != "timeout":
                continue
        finally:
            on_done()
        if number < 0:
            continue
        found.times.append(took)
        if seen.rows is None:
            found.rows = None
        elif found.rows is not None:
            found.rows.append(seen.rows)
        if took > longest:
            longest, found.slowest = took, seen.calls
    return found


def figures(times: Sequence[float]) -> dict[str, Any]:
    """Return count, mean, standard deviation, extremes and percentiles; without times only the count.

    A percentile is the time that so many did not exceed: one that was measured, none in between.
    """
    if not times:
        return {"count": 0}
    ordered, count = sorted(times), len(times)
    mean = math.fsum(ordered) / count
    spread = math.fsum((time - mean) ** 2 for time in ordered) / max(1, count - 1)
    return {
        "count": count,
        "mean": mean,
        "stddev": math.sqrt(spread),
        "min": ordered[0],
        **{name: ordered[math.ceil(share * count) - 1] for name, share in QUANTILES.items()},
        "max": ordered[-1],
    }
