"""The text of /metrics: one collector over the merged snapshot of all shards."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from daemon.errors import ERROR_CLASSES, TRANSIENT, UsageError
from daemon.ops import OUTCOMES, POOLS, OpSpec
from daemon.record.catalog import (
    CACHE_EVENTS,
    CHECKPOINT_MODES,
    CHECKPOINT_RESULTS,
    CONNECTION_STATES,
    DROP_REASONS,
    FLUSH_OUTCOMES,
    FLUSH_REASONS,
    METRICS,
    OUTAGES,
    PHASES,
    QUEUE_FULL_ACTIONS,
    ROW_OUTCOMES,
)
from daemon.record.catalog_samples import SQLITE
from daemon.record.histogram import ROWS, Histogram
from daemon.record.snapshot import Key, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UTILIZATION = "soakd_batch_queue_utilization_ratio"

Labelled = dict[tuple[str, ...], float]


class SnapshotCollector:
    """Turns a snapshot into Prometheus families, in the catalogue's order.

    Figures whose name is not in the catalogue are left out; families without a figure too.
    Lines: bounded by the closed label sets, whatever the length of the run.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        bounds: Sequence[float],
        row_bounds: Sequence[float],
        wanted: Collection[str],
    ) -> None:
        """Prepare.

        Args:
            snapshot: the merged figures of all shards.
            bounds: bucket bounds of the latency histograms, s, ascending.
            row_bounds: bucket bounds of the histograms that count rows, ascending.
            wanted: names of metrics.
        """
        self._wanted = wanted
        self._snapshot = snapshot
        self._bounds = (bounds, _edges(bounds))
        self._row_bounds = (row_bounds, _edges(row_bounds))

    def collect(self) -> Iterable[Metric]:
        """Yield every family that has a value."""
        counters = _by_name(self._snapshot.counters)
        gauges = _by_name(self._snapshot.gauges | self._snapshot.shared)
        gauges[UTILIZATION] = {(): utilization(self._snapshot)}
        histograms: dict[str, dict[tuple[str, ...], Histogram]] = defaultdict(dict)
        for key, histogram in self._snapshot.histograms.items():
            histograms[key[0]][key[1:]] = histogram
        for name, metric in METRICS.items():
            if name not in self._wanted:
                continue
            if metric.kind == "counter" and name in counters:
                yield _counter(name, metric.help, metric.labels, counters[name])
            elif metric.kind == "gauge" and name in gauges:
                yield _gauge(name, metric.help, metric.labels, gauges[name])
            elif metric.kind == "histogram" and name in histograms:
                yield self._histogram(name, metric.help, metric.labels, histograms[name])

    def _histogram(
        self, name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], Histogram]
    ) -> Metric:
        family = HistogramMetricFamily(name, text, labels=labels)
        for label_values, histogram in values.items():
            bounds, edges = self._row_bounds if histogram.layout == ROWS else self._bounds
            buckets: list[tuple[str, float]] = list(zip(edges, histogram.cumulative(bounds), strict=True))
            buckets.append(("+Inf", histogram.count))
            family.add_metric(label_values, buckets, histogram.sum)
        return family


def render(
    snapshot: Snapshot, *, bounds: Sequence[float], row_bounds: Sequence[float], names: Collection[str] = ()
) -> bytes:
    """Return the figures in Prometheus' text format 0.0.4.

    Args:
        snapshot: the merged figures of all shards, on top of `zeros`.
        bounds: bucket bounds of the latency histograms, s, ascending.
        row_bounds: bucket bounds of the histograms that count rows, ascending.
        names: of the metrics that are wanted, or of their series; none: all.

    Raises:
        UsageError: there is no metric of a name.
    """
    wanted = {_metric(name) for name in names} or METRICS.keys()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(snapshot, bounds=bounds, row_bounds=row_bounds, wanted=wanted))
    return generate_latest(registry)


def _metric(name: str) -> str:
    """Return the metric that a series belongs to: of `…_bucket`, for instance, the histogram."""
    base, _, end = name.rpartition("_")
    if name in METRICS:
        return name
    if end in ("bucket", "sum", "count") and base in METRICS and METRICS[base].kind == "histogram":
        return base
    shown = ascii(name[:100]).strip("'\"")  # it goes to a terminal
    raise UsageError(f"name[]={shown}: there is no such metric; /metrics without name[] has all of them")


def utilization(snapshot: Snapshot) -> float:
    """Return the share of the batch queue that is in use, 0 to 1; 0 where there is no queue."""
    capacity = snapshot.gauges.get(("soakd_batch_queue_capacity_rows",), 0.0)
    return snapshot.gauges.get(("soakd_batch_queue_rows",), 0.0) / capacity if capacity else 0.0


def zeros(ops: Sequence[OpSpec], shards: int, backend: str) -> Snapshot:
    """Return a snapshot with a 0 for every combination of labels that can occur with a kind of backend.

    Merged under the engines' figures it makes every series exist from the first scrape on, so
    that a first error is an increase from 0 and not a series that comes from nowhere. The
    families whose labels only the supervisor knows (build, run) are not in it.
    """
    names = [str(shard) for shard in range(shards)]
    pools = [pool for pool in POOLS if any(spec.pool == pool for spec in ops)]
    made = Snapshot(
        dict.fromkeys(_counter_keys(ops, pools, names), 0.0),
        dict.fromkeys(_gauge_keys(pools, names), 0.0),
        {key: Histogram() for key in _latency_keys(ops, pools, names)}
        | {("soakd_flush_rows",): Histogram(ROWS)},
    )
    if backend == "sqlite":
        made.merge(_sqlite_zeros())
    return made


def _sqlite_zeros() -> Snapshot:
    cache = (("soakd_sqlite_cache_total", pool, event) for pool in POOLS for event in CACHE_EVENTS)
    checkpoints = (
        ("soakd_sqlite_checkpoints_total", mode, result)
        for mode in CHECKPOINT_MODES
        for result in CHECKPOINT_RESULTS
    )
    seconds = (("soakd_sqlite_checkpoint_seconds", mode) for mode in CHECKPOINT_MODES)
    whole = [(name,) for name, metric in SQLITE.items() if metric.kind == "gauge" and not metric.labels]
    return Snapshot(
        dict.fromkeys([*cache, *checkpoints, ("soakd_sqlite_reads_held_seconds_total",)], 0.0),
        {("soakd_sqlite_cache_bytes", pool): 0.0 for pool in POOLS},
        {key: Histogram() for key in [*seconds, ("soakd_sqlite_busy_wait_seconds",)]},
        dict.fromkeys([*whole, *(("soakd_sqlite_pages", state) for state in ("used", "free"))], 0.0),
    )


def _counter_keys(ops: Sequence[OpSpec], pools: Sequence[str], shards: Sequence[str]) -> Iterable[Key]:
    for spec in ops:
        yield from (("soakd_ops_total", spec.pool, spec.name, outcome) for outcome in OUTCOMES)
        yield from (("soakd_op_errors_total", spec.pool, spec.name, name) for name in ERROR_CLASSES)
    yield from (("soakd_ops_dropped_total", pool, reason) for pool in pools for reason in DROP_REASONS)
    yield from (("soakd_ops_due_total", pool) for pool in pools)
    yield from (("soakd_rows_total", outcome) for outcome in ROW_OUTCOMES)
    yield ("soakd_rows_in_doubt_total",)
    yield from ((name,) for name in OUTAGES)
    yield from (
        ("soakd_flushes_total", reason, outcome) for reason in FLUSH_REASONS for outcome in FLUSH_OUTCOMES
    )
    yield from (("soakd_queue_full_total", action) for action in QUEUE_FULL_ACTIONS)
    yield from (("soakd_retries_total", name) for name in ERROR_CLASSES if name in TRANSIENT)
    for shard in shards:
        yield ("soakd_engine_restarts_total", shard)
        yield ("soakd_engine_gap_seconds_total", shard)
        yield ("soakd_generator_limited_seconds_total", shard)


def _gauge_keys(pools: Sequence[str], shards: Sequence[str]) -> Iterable[Key]:
    for pool in pools:
        yield ("soakd_ops_in_flight", pool)
        yield ("soakd_workers", pool)
        yield ("soakd_target_ops_per_second", pool)
        yield from (("soakd_pool_connections", pool, state) for state in CONNECTION_STATES)
    for shard in shards:
        yield ("soakd_engine_cpu_ratio", shard)
        yield ("soakd_engine_rss_bytes", shard)
        yield ("soakd_generator_limited", shard)
    yield from (("soakd_run_phase", phase) for phase in PHASES)
    yield ("soakd_batch_queue_rows",)
    yield ("soakd_batch_queue_capacity_rows",)
    yield ("soakd_batch_size_limit_rows",)
    yield ("soakd_batch_timeout_seconds",)
    yield ("soakd_supervisor_rss_bytes",)
    yield ("soakd_target_up",)


def _latency_keys(ops: Sequence[OpSpec], pools: Sequence[str], shards: Sequence[str]) -> Iterable[Key]:
    for spec in ops:
        yield ("soakd_op_response_seconds", spec.pool, spec.name)
        yield ("soakd_op_service_seconds", spec.pool, spec.name)
        yield ("soakd_op_queue_wait_seconds", spec.pool, spec.name)
    yield from (("soakd_schedule_lag_seconds", pool) for pool in pools)
    yield from (("soakd_event_loop_lag_seconds", shard) for shard in shards)
    yield ("soakd_flush_seconds",)
    yield ("soakd_commit_seconds",)


def _counter(name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _edges(bounds: Sequence[float]) -> list[str]:
    return [floatToGoString(bound) for bound in bounds]  # type: ignore[no-untyped-call]


def _by_name(values: Mapping[Key, float]) -> dict[str, Labelled]:
    grouped: dict[str, Labelled] = defaultdict(dict)
    for key, value in values.items():
        grouped[key[0]][key[1:]] = value
    return grouped
