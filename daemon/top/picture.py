"""What `soakd top` shows of the load, worked out from two scrapes of /metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from daemon.record.catalog import DROP_REASONS, FLUSH_REASONS, PHASES
from daemon.record.snapshot import Key
from daemon.results import readable
from daemon.results.window import PoolFigures, figures
from daemon.top.buckets import Buckets
from daemon.top.scrape import Scrape
from daemon.top.sections import Line, Section, host, listing, postgres, sqlite
from daemon.top.span import Follow, Span

SAMPLED = {"postgres": postgres, "sqlite": sqlite, "host": host}
"""Collector → what makes its section."""

RATE_SPAN = 2.9
"""Least time that rates are taken over, s: three looks, one of which may be a little early. Engines
report four times a second, out of step with whoever looks, so over one second a rate would be
wrong by a quarter now and then."""


class PoolPicture(NamedTuple):
    """One pool.

    Attributes:
        name: `writer` or `reader`.
        figures: rates and gauges; its percentiles are empty, since they come from buckets here.
        response: response times.
        service: service times.
    """

    name: str
    figures: PoolFigures
    response: Buckets
    service: Buckets


class Picture(NamedTuple):
    """All that is shown.

    Attributes:
        run: number of the run, backend and workload; `–` for what the page does not say.
        phase: what the run is doing; empty if the page does not say.
        seconds: the time that rates are of; 0 while there is one scrape only.
        latest: the time that percentiles are of.
        pools: those that have workers.
        queue: rows that wait, and how many may.
        lines: the rest about the load.
        sections: what was sampled beside it.
    """

    run: tuple[str, str, str]
    phase: str
    seconds: float
    latest: float
    pools: Sequence[PoolPicture]
    queue: tuple[int, int]
    lines: Sequence[Line]
    sections: Sequence[Section]


class Pictures:
    """Makes a picture of each scrape and of those before it. Memory: two scrapes for each follower."""

    def __init__(self) -> None:
        self._latest = Follow()
        self._load = Follow(least=RATE_SPAN)
        self._sampled = {name: Follow(name) for name in SAMPLED}

    def add(self, scrape: Scrape) -> Picture:
        """Return the picture that the newest scrape makes."""
        sampled = {name: follow.add(scrape) for name, follow in self._sampled.items()}
        return picture(self._load.add(scrape), self._latest.add(scrape), sampled)


def picture(load: Span, latest: Span, sampled: Mapping[str, Span]) -> Picture:
    """Return the picture of the load, and of each collector that has samples.

    Args:
        load: the last few seconds, for rates.
        latest: the last interval, for percentiles.
        sampled: collector → the last interval between two of its samples.
    """
    mark = load.later.mark
    counted = figures(load.before(), mark).pools if load.seconds else {}
    nothing = figures(mark, mark).pools
    gauges = mark.gauges
    sections = [make(sampled[name]) for name, make in SAMPLED.items()]
    return Picture(
        run=_run(gauges),
        phase=next((phase for phase in PHASES if gauges.get(("soakd_run_phase", phase))), ""),
        seconds=load.seconds,
        latest=latest.seconds,
        pools=[
            PoolPicture(
                name,
                counted.get(name, nothing[name]),
                latest.buckets("soakd_op_response_seconds", name),
                latest.buckets("soakd_op_service_seconds", name),
            )
            for name in mark.pools
        ],
        queue=mark.queue,
        lines=list(_lines(load, latest)),
        sections=[section for section in sections if section.lines],
    )


def _run(gauges: Mapping[Key, float]) -> tuple[str, str, str]:
    for name, *values in gauges:
        if name == "soakd_run_info":
            number, backend, workload = values
            return number, backend, workload
    return (readable.NOTHING,) * 3


def _lines(load: Span, latest: Span) -> Iterator[Line]:
    mark = load.later.mark
    if mark.queue[1]:
        rows = mark.rows
        lost = {name: rows[name] for name in ("failed", "abandoned") if rows[name]}
        doubt = load.total("soakd_rows_in_doubt_total")
        lost |= {"in doubt": round(doubt)} if doubt else {}
        now = load.rate("soakd_rows_total", "committed")
        text = f"{readable.count(rows['committed'])} committed, {_rate(now)}"
        yield Line("rows", listing([text, readable.listing(lost)]), "red" if lost else "")
        yield Line("flushes", _flushes(load, latest.buckets("soakd_flush_seconds")))
    errors = mark.errors
    now = load.rate("soakd_op_errors_total")
    yield Line("errors", _events(errors, now), "red" if now else "yellow" if errors else "")
    dropped = {
        reason: count
        for reason in DROP_REASONS
        if (count := sum(n for key, n in mark.counters.items() if _drops(key, reason)))
    }
    now = load.rate("soakd_ops_dropped_total")
    yield Line("dropped", _events(dropped, now), "red" if now else "yellow" if dropped else "")
    yield Line("target", "up", "green") if mark.target_up else Line("target", "does not answer", "bold red")
    restarts = mark.total("soakd_engine_restarts_total")
    if restarts:
        yield Line("engines", f"{readable.count(restarts)} died and were replaced", "yellow")
    if mark.generator_limited:
        text = "generator limited: the engine is the bottleneck, not the database"
        yield Line("warning", text, "yellow")
    off = sorted(key[1] for key, on in mark.gauges.items() if key[0] == "soakd_sampler_enabled" and not on)
    if off:
        yield Line("samples", f"switched off because they keep failing: {', '.join(off)}", "yellow")


def _drops(key: Sequence[str], reason: str) -> bool:
    return key[0] == "soakd_ops_dropped_total" and key[2] == reason


def _flushes(load: Span, times: Buckets) -> str:
    """Say how many batches there were, what triggered them, and how large they were."""
    by_reason = load.rates("soakd_flushes_total", 1)
    rows, flushes = load.rate("soakd_rows_total", "committed"), load.rate("soakd_flushes_total")
    each = f"{readable.rate(rows / flushes)} rows each" if rows is not None and flushes else ""
    shown = [f"{name} {_rate(by_reason[name])}" for name in FLUSH_REASONS if name in by_reason]
    p99 = times.quantile(0.99)
    return listing([*shown, each, f"p99 {readable.seconds(p99)}" if p99 else ""]) or "none"


def _events(counts: Mapping[str, float], now: float | None) -> str:
    if not counts:
        return "none"
    return listing([readable.listing(counts), f"now {_rate(now)}" if now else ""])


def _rate(value: float | None) -> str:
    return readable.NOTHING if value is None else f"{readable.rate(value)}/s"
