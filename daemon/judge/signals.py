"""Every signal that a threshold can be about: its name, its kind, and how it is made of figures.

docs/thresholds.md has the table for people. A signal is made either of what happened in a span of time, or
of levels: present values, looked at once a second, of which max, min or mean is taken.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Literal, NamedTuple

from daemon.errors import ERROR_CLASSES
from daemon.judge.levels import LEVELS, Level, violations
from daemon.judge.quantity import Kind
from daemon.judge.reading import DUE, Pattern, Span, share
from daemon.ops import POOLS

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
STATISTICS = (*QUANTILES, "max", "mean")
TIMES = {
    "response": "soakd_op_response_seconds",
    "service": "soakd_op_service_seconds",
    "queue_wait": "soakd_op_queue_wait_seconds",
}
Aggregate = Literal["max", "min", "mean"]
AGGREGATES: tuple[Aggregate, ...] = ("max", "min", "mean")
OPS = "soakd_ops_total"
RAN = ("ok", "rejected", "error", "timeout")
FAILED = ("error", "timeout")
ANSWERED = ("ok", "rejected")


class Signal(NamedTuple):
    """One figure that is computed again and again: either over a span, or a level of the moment.

    Attributes:
        name: as thresholds call it.
        kind: what its values are.
        over: makes it from a span; None where there is nothing to make it of.
        level: makes its present value, of which `aggregate` is taken over the looks of a span.
        aggregate: how the values of a level are put together.
        histogram: the histograms that it is made of, if it is.
    """

    name: str
    kind: Kind
    over: Callable[[Span], float | None] | None = None
    level: Level | None = None
    aggregate: Aggregate | None = None
    histogram: Pattern | None = None


@cache
def known() -> Mapping[str, Signal]:
    """Return all signals by name, but for those of single operations."""
    made = (*_times(), *_rates(), *_shares(), *_counts(), *_levels())
    return {signal.name: signal for signal in made}


@cache
def of_operation(op: str) -> Mapping[str, Signal]:
    """Return the signals of one operation by name."""
    made = [
        _rate(f"op.{op}.rate", (OPS, "", op), ("ok",)),
        _share(f"op.{op}.errors", (OPS, "", op), FAILED, RAN),
        *(
            signal
            for name, metric in TIMES.items()
            for signal in _statistics(f"op.{op}.{name}", (metric, "", op))
        ),
    ]
    return {signal.name: signal for signal in made}


def operation_of(name: str) -> str | None:
    """Return the operation that a signal's name is about, or None."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 and parts[0] == "op" else None


def find(name: str) -> Signal | None:
    """Return a signal, or None when there is none of that name."""
    op = operation_of(name)
    return (known() if op is None else of_operation(op)).get(name)


def _times() -> Iterator[Signal]:
    for pool in POOLS:
        for name, metric in TIMES.items():
            yield from _statistics(f"{name}.{pool}", (metric, pool))
        yield from _statistics(f"lag.{pool}", ("soakd_schedule_lag_seconds", pool))
    yield from _statistics("flush", ("soakd_flush_seconds",))
    yield from _statistics("commit", ("soakd_commit_seconds",))


def _statistics(name: str, pattern: Pattern) -> Iterator[Signal]:
    for statistic in STATISTICS:
        over = partial(_statistic, pattern=pattern, statistic=statistic)
        yield Signal(f"{name}.{statistic}", "seconds", over, histogram=pattern)


def _statistic(span: Span, pattern: Pattern, statistic: str) -> float | None:
    values = span.histogram(pattern)
    if not values.count:
        return None
    if statistic in QUANTILES:
        return values.quantile(QUANTILES[statistic])
    return values.max if statistic == "max" else values.mean


def _rates() -> Iterator[Signal]:
    for pool in POOLS:
        yield _rate(f"rate.{pool}", (OPS, pool), ANSWERED)
    yield _rate("rate.total", (OPS,), ANSWERED)
    yield _rate("rate.rows", ("soakd_rows_total", "committed"))


def _rate(name: str, pattern: Pattern, among: Sequence[str] = ()) -> Signal:
    return Signal(name, "rate", lambda span: span.rate(*pattern, among=among))


def _shares() -> Iterator[Signal]:
    for pool in POOLS:
        yield _share(f"errors.{pool}.rate", (OPS, pool), FAILED, RAN)
        yield Signal(f"target.{pool}", "share", partial(_of_target, pool=pool))
    yield _share("errors.rate", (OPS,), FAILED, RAN)
    for name, part in (("dropped", ("dropped",)), ("rejected", ("rejected",)), ("success", ("ok",))):
        yield _share(f"{name}.rate", (OPS,), part, ())
    yield _share("pg.cache_hit", ("soakd_pg_blocks_total",), ("hit",), ())
    yield Signal(
        "generator.limited",
        "share",
        lambda span: share(span.rate("soakd_generator_limited_seconds_total"), span.engines),
    )


def _share(name: str, pattern: Pattern, part: Sequence[str], whole: Sequence[str]) -> Signal:
    return Signal(
        name,
        "share",
        lambda span: share(span.count(*pattern, among=part), span.count(*pattern, among=whole)),
    )


def _of_target(span: Span, pool: str) -> float | None:
    return share(span.count(OPS, pool, among=ANSWERED), span.count(DUE, pool))


def _counts() -> Iterator[Signal]:
    for error_class in ERROR_CLASSES:
        yield _count(f"errors.{error_class}.count", ("soakd_op_errors_total", "", "", error_class))
    for name, outcomes in (("errors", FAILED), ("dropped", ("dropped",)), ("rejected", ("rejected",))):
        yield _count(f"{name}.count", (OPS,), outcomes)
    yield _count("retries.count", ("soakd_retries_total",))
    yield _count("queue_full.count", ("soakd_queue_full_total",))
    yield _count("engine.restarts", ("soakd_engine_restarts_total",))
    yield _count("pg.deadlocks", ("soakd_pg_deadlocks_total",))
    yield Signal("invariants.violations", "count", level=violations, aggregate="max")


def _count(name: str, pattern: Pattern, among: Sequence[str] = ()) -> Signal:
    return Signal(name, "count", lambda span: span.count(*pattern, among=among))


def _levels() -> Iterator[Signal]:
    for name, (kind, level) in LEVELS.items():
        for aggregate in AGGREGATES:
            yield Signal(f"{name}.{aggregate}", kind, level=level, aggregate=aggregate)
