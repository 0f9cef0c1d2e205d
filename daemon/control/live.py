"""The live panel of a run in a terminal."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daemon.judge.quantity import show_value
from daemon.judge.state import State
from daemon.judge.verdict import Judged
from daemon.results import bars, readable
from daemon.results.window import Figures, Mark

WIDTH = 100  # columns that the panel takes at most
# Headings, and widths that hold the usual figures, so that nothing moves while they change.
_POOL_COLUMNS = (
    ("", 6),
    ("now/s", 8),
    ("target/s", 8),
    ("total", 11),
    ("p50", 6),
    ("p95", 6),
    ("p99", 6),
    ("in flight", 9),
)


class LiveState(NamedTuple):
    """What the panel shows; all of it is known to the supervisor.

    Attributes:
        run_id: number of the run.
        workload: its name.
        target: address of the database, without password.
        phase: what the run is doing, as `running`.
        elapsed: time in this phase, s.
        duration: length of this phase, s; 0 when it has no end.
        mark: the newest figures.
        now: the last second or two, for rates; None at the beginning.
        recent: the last ten seconds or so, for percentiles; None at the beginning.
        url: where /metrics is served, without path; empty when it is not.
        state: how the target is.
        judged: the thresholds, and what has become of them so far.
    """

    run_id: str
    workload: str
    target: str
    phase: str
    elapsed: float
    duration: float
    mark: Mark
    now: Figures | None
    recent: Figures | None
    url: str
    state: State = State()
    judged: Sequence[Judged] = ()


def panel(state: LiveState) -> Panel:
    """Return the panel of a state; 80 columns and 24 lines are enough."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(state):
        facts.add_row(name, value)
    return Panel(
        Group(_progress(state), Text(), _pools(state), _caption(state), Text(), facts),
        title=Text.assemble(("soakd", "bold"), f" · run {state.run_id} · {state.workload}"),
        title_align="left",
        subtitle=Text(state.phase, style="bold green" if state.phase == "running" else "bold yellow"),
        subtitle_align="right",
        border_style="dim",
        padding=(1, 2),
        width=WIDTH,
    )


class LiveView:
    """Keeps the panel at the bottom of a terminal, from `with` to its end; then it is taken away.

    It draws only when `update` is called. What is to appear above it goes through `stream`.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self.stream: TextIO = cast("TextIO", FileProxy(console, console.file))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def update(self, state: LiveState) -> None:
        """Draw a state."""
        with suppress(OSError):  # a terminal that is gone does not end a run
            self._live.update(panel(state), refresh=True)


def _progress(state: LiveState) -> RenderableType:
    line = Table.grid(padding=(0, 2))
    elapsed = readable.clock_time(state.elapsed)
    if state.phase == "preparing":
        line.add_row(elapsed, "waiting for the target")
        return line
    if not state.duration:
        line.add_row(Text(f"{elapsed} since the beginning, until stopped"))
        return line
    left = max(0.0, state.duration - state.elapsed)
    bar = ProgressBar(total=state.duration, completed=min(state.elapsed, state.duration), width=bars.WIDTH)
    line.add_row(Text(elapsed), bar, Text(f"{readable.clock_time(left)} left"))
    return line


def _pools(state: LiveState) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for n, (heading, width) in enumerate(_POOL_COLUMNS):
        table.add_column(heading, justify="right" if n else "left", no_wrap=True, min_width=width)
    for name in state.mark.pools:
        now = state.now.pools.get(name) if state.now else None
        recent = state.recent.pools.get(name) if state.recent else None
        gauges = state.mark.gauges
        target = gauges.get(("soakd_target_ops_per_second", name))
        times = (recent.p50, recent.p95, recent.p99) if recent else (None, None, None)
        table.add_row(
            name,
            Text(readable.rate(now.rate) if now else readable.NOTHING, style="bold"),
            readable.rate(target) if target else readable.NOTHING,
            readable.total(state.mark.answered(name)),
            *(readable.seconds(value) for value in times),
            readable.count(gauges.get(("soakd_ops_in_flight", name), 0)),
        )
    return table


def _caption(state: LiveState) -> Text:
    span = f" of the last {state.recent.seconds:.0f} s" if state.recent else ""
    return Text(f"percentiles of response time{span}", style="dim", justify="right")


def _facts(state: LiveState) -> Iterator[tuple[str, RenderableType]]:
    mark = state.mark
    rows, capacity = mark.queue
    if capacity:
        yield "queue", bars.queue_bar(rows, capacity)
        counts = mark.rows
        per_second = readable.rate(state.now.rows_per_second if state.now else 0.0)
        lost = {name: counts[name] for name in ("failed", "abandoned") if counts[name]}
        yield (
            "rows",
            Text(
                f"{readable.count(counts['committed'])} committed, {per_second}/s"
                + (f" · {readable.listing(lost)}" if lost else "")
            ),
        )
    errors = mark.errors
    yield "errors", Text(readable.listing(errors) or "none", style="red" if errors else "")
    dropped = mark.total("soakd_ops_dropped_total")
    yield "dropped", Text(f"{readable.count(dropped)} that were due", "red") if dropped else Text("none")
    yield from _followers(mark)
    yield "target", Text.assemble(_answers(state), f" · {state.target}")
    if state.phase != "preparing":
        yield "state", _state(state.state)
    if state.judged:
        yield "thresholds", _thresholds(state.judged)
    if state.url:
        yield "metrics", Text(f"{state.url}/metrics")
    restarts = mark.total("soakd_engine_restarts_total")
    if restarts:
        yield "engines", Text(f"{readable.count(restarts)} died and were replaced", style="yellow")
    if mark.generator_limited:
        yield (
            "warning",
            Text("generator limited: the engine is the bottleneck, not the database", style="yellow"),
        )


def _followers(mark: Mark) -> Iterator[tuple[str, RenderableType]]:
    """Yield how far consumers are behind, and what the checks of invariants have found."""
    lags = {key[1]: round(lag) for key, lag in mark.gauges.items() if key[0] == "soakd_consumer_lag_rows"}
    if lags:
        behind = {name: lag for name, lag in lags.items() if lag}
        yield "behind", Text(readable.listing(behind) if behind else "none of the consumers")
    found = {key[1]: n for key, n in mark.gauges.items() if key[0] == "soakd_invariant_violations"}
    if found:
        violated = [name for name, n in found.items() if n]
        checks = readable.count(mark.total("soakd_invariant_checks_total"))
        yield (
            "invariants",
            Text(f"violated: {', '.join(violated)}", style="bold red")
            if violated
            else Text(f"{len(found)} hold, {checks} checks"),
        )


def _answers(state: LiveState) -> tuple[str, str]:
    if state.phase == "preparing":
        return "connecting", "yellow"
    return ("up", "green") if state.mark.target_up else ("does not answer", "bold red")


_STYLES = {"healthy": "green", "stressed": "yellow", "overloaded": "bold red"}


def _state(state: State) -> Text:
    """Return the state with the first of its reasons: for all of them there is no room."""
    why = f" · {state.fired[0]}" if state.fired else ""
    return Text.assemble((state.level, _STYLES[state.level]), why)


def _thresholds(judged: Sequence[Judged]) -> Text:
    failed = [one for one in judged if one.failing]
    if not failed:
        return Text(f"all {len(judged)} met so far", style="green")
    threshold, value = failed[0].threshold, show_value(failed[0].threshold.kind, failed[0].value)
    line = f"{len(failed)} of {len(judged)} failed · {threshold}: {value}"
    return Text(line, style="bold red", no_wrap=True, overflow="ellipsis")  # one line, however long
