"""The summary of a run: its measured part as plain JSON data, every time in seconds."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from daemon.ops import OUTCOMES, POOLS, OpSpec
from daemon.record.histogram import Histogram
from daemon.record.snapshot import Key, Snapshot

Json = dict[str, Any]

STATISTICS = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))
RATE_TOLERANCE = 0.01  # share of the target rate by which a met target may be missed


class PoolPlan(NamedTuple):
    """What a pool was asked to do.

    Attributes:
        workers: concurrent workers over all shards.
        target_rate: operations per second to offer (open loop); None in a closed loop.
        arrivals: `constant` or `poisson`, for an open loop.
    """

    workers: int
    target_rate: float | None = None
    arrivals: str = "constant"


class RunFacts(NamedTuple):
    """What a summary says about a run besides its figures.

    Attributes:
        run_id: its number.
        soakd_version: what made it.
        target: address of the database, without password.
        workload: name.
        config: the resolved settings, without secrets.
        started_at: beginning of the measured part, s since the epoch.
        duration: length of the measured part, s.
        stop_reason: why it ended.
        durability: in words, what an acknowledged row is safe from.
        generator_limited: the engine was the bottleneck for a good part of the time.
        environment: versions and machine.
    """

    run_id: str
    soakd_version: str
    target: str
    workload: str
    config: Mapping[str, Any]
    started_at: float
    duration: float
    stop_reason: str
    durability: str
    generator_limited: bool
    environment: Mapping[str, Any]


def build_summary(
    *,
    facts: RunFacts,
    snapshot: Snapshot,
    timely: Snapshot,
    ops: Sequence[OpSpec],
    pools: Mapping[str, PoolPlan],
    rows: Mapping[str, int],
) -> Json:
    """Return the summary: of the measured part, but for `rows`, which are those of the whole run.

    An operation of the warm-up is in no figure, its row is in the books all the same: so there may
    be more rows committed than operations or rows in batches. Percentiles are of response time
    unless they stand under another name; those of nothing are None.

    Args:
        facts: what there is to say besides figures.
        snapshot: what was counted from the end of the warm-up to the end of the drain.
        timely: what of that was counted when the measured part ended; the rates are made from it,
            because the time of the drain is not in `facts.duration`.
        ops: the operations of the workload.
        pools: what each pool was asked to do; those without workers are left out.
        rows: accepted, committed, failed, abandoned and in_doubt, over the whole run.
    """
    ran = {pool: pools[pool] for pool in POOLS if pool in pools and pools[pool].workers}
    duration = facts.duration
    return {
        "run_id": facts.run_id,
        "soakd_version": facts.soakd_version,
        "target": facts.target,
        "workload": facts.workload,
        "config": dict(facts.config),
        "started_at": datetime.fromtimestamp(facts.started_at, UTC).isoformat(timespec="milliseconds"),
        "duration_seconds": duration,
        "stop_reason": facts.stop_reason,
        "ops": {spec.name: _op(spec, snapshot, timely, duration) for spec in ops if spec.pool in ran},
        "pools": {name: pool_summary(name, plan, snapshot, timely, duration) for name, plan in ran.items()},
        "schedule_lag": {
            name: statistics(snapshot.histograms.get(("soakd_schedule_lag_seconds", name))) for name in ran
        },
        "rows": {name: int(rows.get(name, 0)) for name in _ROWS},
        "flushes": _flushes(snapshot),
        "retries": _by_last_label(snapshot, "soakd_retries_total"),
        "consumers": _consumers(snapshot),
        "canaries": _canaries(snapshot),
        "engines": _engines(snapshot),
        "durability": facts.durability,
        "generator_limited": facts.generator_limited,
        "environment": dict(facts.environment),
    }


def statistics(histogram: Histogram | None) -> Json:
    """Return count, percentiles, max and mean; all but the count are None when there is nothing."""
    names = [name for name, _ in STATISTICS]
    if histogram is None or not histogram.count:
        return {"count": 0, **dict.fromkeys([*names, "max", "mean"])}
    values = histogram.quantiles([q for _, q in STATISTICS])
    return {
        "count": histogram.count,
        **dict(zip(names, values, strict=True)),
        "max": histogram.max,
        "mean": histogram.mean,
    }


_ROWS = ("accepted", "committed", "failed", "abandoned", "in_doubt")


def _op(spec: OpSpec, snapshot: Snapshot, timely: Snapshot, duration: float) -> Json:
    """Return what became of one operation."""
    labels = (spec.pool, spec.name)
    outcomes = _outcomes(snapshot, *labels)
    histograms = snapshot.histograms
    return {
        "pool": spec.pool,
        **outcomes,
        "rate": _rate(_outcomes(timely, *labels)["ok"], duration),
        "errors": _by_last_label(snapshot, "soakd_op_errors_total", *labels),
        "response": statistics(histograms.get(("soakd_op_response_seconds", *labels))),
        "service": statistics(histograms.get(("soakd_op_service_seconds", *labels))),
        "queue_wait": statistics(histograms.get(("soakd_op_queue_wait_seconds", *labels))),
    }


def pool_summary(name: str, plan: PoolPlan, snapshot: Snapshot, timely: Snapshot, duration: float) -> Json:
    """Return what became of all operations of a pool, and of its target rate; see `build_summary`."""
    outcomes = _outcomes(snapshot, name)
    in_time = _outcomes(timely, name)
    answered = in_time["ok"] + in_time["rejected"]

    def pooled(metric: str) -> Json:
        return statistics(snapshot.pooled(lambda key: key[:2] == (metric, name)))

    return {
        "workers": plan.workers,
        "loop": "closed" if plan.target_rate is None else "open",
        "arrivals": None if plan.target_rate is None else plan.arrivals,
        "target_rate": plan.target_rate,
        "achieved_rate": _rate(answered, duration),
        "target_met": None if plan.target_rate is None else target_met(plan, answered, duration),
        **outcomes,
        "dropped_by_reason": _by_last_label(snapshot, "soakd_ops_dropped_total", name),
        "response": pooled("soakd_op_response_seconds"),
        "service": pooled("soakd_op_service_seconds"),
        "queue_wait": pooled("soakd_op_queue_wait_seconds"),
    }


def target_met(plan: PoolPlan, answered: int, duration: float) -> bool:
    """Return whether an open loop was answered at its target rate, within 1 % and one operation.

    The number of Poisson arrivals varies by its square root of itself: three times that is
    allowed for.
    """
    wanted = (plan.target_rate or 0.0) * duration
    chance = 3 * math.sqrt(wanted) if plan.arrivals == "poisson" else 0.0
    return abs(answered - wanted) <= RATE_TOLERANCE * wanted + 1 + chance


def _flushes(snapshot: Snapshot) -> Json:
    """Return how rows were gathered and written."""
    by_reason: dict[str, dict[str, int]] = {}
    for key, value in snapshot.counters.items():
        if key[0] == "soakd_flushes_total" and value:
            by_reason.setdefault(key[1], {"ok": 0, "error": 0})[key[2]] = round(value)
    return {
        "ok": sum(outcomes["ok"] for outcomes in by_reason.values()),
        "error": sum(outcomes["error"] for outcomes in by_reason.values()),
        "by_reason": by_reason,
        "rows": statistics(snapshot.histograms.get(("soakd_flush_rows",))),
        "seconds": statistics(snapshot.histograms.get(("soakd_flush_seconds",))),
        "commit": statistics(snapshot.histograms.get(("soakd_commit_seconds",))),
        "retries": _by_last_label(snapshot, "soakd_retries_total"),
        "queue_full": _by_last_label(snapshot, "soakd_queue_full_total"),
    }


def _consumers(snapshot: Snapshot) -> Json:
    """Return how far the consumers have come: at the end of the drain, for they catch up in it."""
    names = [key[1] for key in snapshot.counters if key[0] == "soakd_consumer_rows_total"]
    return {
        name: {
            "rows": round(snapshot.counters["soakd_consumer_rows_total", name]),
            "errors": _by_last_label(snapshot, "soakd_consumer_errors_total", name),
            "lag_rows": round(snapshot.gauges.get(("soakd_consumer_lag_rows", name), 0)),
            "lag_seconds": snapshot.gauges.get(("soakd_consumer_lag_seconds", name), 0.0),
        }
        for name in names
    }


def _canaries(snapshot: Snapshot) -> Json:
    """Return how soon readers saw what was accepted; empty where nobody looked."""
    visible = snapshot.histograms.get(("soakd_canary_visible_seconds",))
    if visible is None:
        return {}
    lost = snapshot.counters.get(("soakd_canaries_lost_total",), 0)
    return {"visible": statistics(visible), "lost": round(lost)}


def _engines(snapshot: Snapshot) -> list[Json]:
    """Return how each shard's process did."""
    shards = sorted(
        {key[1] for key in snapshot.histograms if key[0] == "soakd_event_loop_lag_seconds"}, key=int
    )
    return [
        {
            "shard": int(shard),
            "restarts": round(snapshot.counters.get(("soakd_engine_restarts_total", shard), 0)),
            "gap_seconds": snapshot.counters.get(("soakd_engine_gap_seconds_total", shard), 0.0),
            "limited_seconds": snapshot.counters.get(("soakd_generator_limited_seconds_total", shard), 0.0),
            "loop_lag": statistics(snapshot.histograms["soakd_event_loop_lag_seconds", shard]),
        }
        for shard in shards
    ]


def _outcomes(snapshot: Snapshot, *labels: str) -> dict[str, int]:
    """Return the number of operations by outcome."""
    counts = dict.fromkeys(OUTCOMES, 0)
    for key, value in snapshot.counters.items():
        if key[0] == "soakd_ops_total" and key[1 : 1 + len(labels)] == labels:
            counts[key[3]] += round(value)  # type: ignore[index]  # a label value is one of the outcomes
    return {str(outcome): n for outcome, n in counts.items()}


def _by_last_label(snapshot: Snapshot, *prefix: str) -> dict[str, int]:
    """Return counters, except zeros, by their last label value, the largest first."""
    totals: dict[str, int] = {}
    for key, value in snapshot.counters.items():
        if _begins(key, prefix) and value:
            totals[key[-1]] = totals.get(key[-1], 0) + round(value)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _begins(key: Key, prefix: tuple[str, ...]) -> bool:
    return key[: len(prefix)] == prefix


def _rate(count: int, duration: float) -> float:
    return count / duration if duration > 0 else 0.0
