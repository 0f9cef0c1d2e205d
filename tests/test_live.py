"""The live panel and the progress event: the figures that they show, in a small terminal."""

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from daemon.control.live import LiveState, LiveView, panel
from daemon.judge.profiles import expand
from daemon.judge.rules import RULES
from daemon.judge.state import Fired, State
from daemon.judge.verdict import Judged
from daemon.ops import OpSpec
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Snapshot
from daemon.results.progress import progress_event
from daemon.results.window import Mark, Window, figures

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"))
GAUGES = {
    ("soakd_workers", "writer"): 10.0,
    ("soakd_workers", "reader"): 5.0,
    ("soakd_ops_in_flight", "writer"): 7.0,
    ("soakd_target_ops_per_second", "reader"): 500.0,
    ("soakd_target_ops_per_second", "writer"): 0.0,
    ("soakd_batch_queue_rows",): 2500.0,
    ("soakd_batch_queue_capacity_rows",): 10_000.0,
    ("soakd_target_up",): 1.0,
}


class Load:
    """An engine that answers every write in 2 ms and every read in 20 ms."""

    def __init__(self) -> None:
        self.recorder = OpRecorder(OPS)
        self.committed = 0
        self.gauges = dict(GAUGES)

    def run(self, *, writes: int, reads: int, busy: int = 0, write_time: float = 0.002) -> None:
        self.recorder.rows(0, [0.0] * writes, [0.0] * writes, 0.0, write_time)
        self.recorder.flush("size", "ok", writes, 0.001, 0.001)
        self.committed += writes
        for _ in range(reads):
            self.recorder.ok(1, 0.0, 0.0, 0.0, 0.02)
        for _ in range(busy):
            self.recorder.failure(1, "busy", 0.0, 0.0, 0.0, 0.0)

    def mark(self, at: float) -> Mark:
        merged = Snapshot()
        merged.merge(self.recorder.snapshot())
        merged.gauges.update(self.gauges)
        merged.counters["soakd_rows_total", "accepted"] = self.committed
        merged.counters["soakd_rows_total", "committed"] = self.committed
        return Mark.of(at, merged)


def state(**changes: Any) -> LiveState:
    load = Load()
    begin = load.mark(0.0)
    load.run(writes=3000, reads=1000, busy=12)
    span = figures(begin, load.mark(2.0))
    given = LiveState(
        run_id="20261120120000000",
        workload="events",
        target="sqlite:///soakd.db",
        phase="running",
        elapsed=23.0,
        duration=60.0,
        mark=load.mark(2.0),
        now=span,
        recent=span,
        url="http://127.0.0.1:8080",
    )
    return given._replace(**changes)


def with_gauges(gauges: Mapping[tuple[str, ...], float]) -> LiveState:
    mark = state().mark
    return state(mark=mark._replace(gauges={**mark.gauges, **gauges}))


def shown(given: LiveState, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, height=24, color_system=None, legacy_windows=False)
    console.print(panel(given))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def line_of(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip("│ ").startswith(name)]
    return line.strip("│ ").split()


def test_the_panel_shows_rates_percentiles_and_targets() -> None:
    """Per pool: rate now, rate asked for, total, p50, p95, p99, in flight."""
    text = shown(state())
    assert line_of(text, "writer") == ["writer", "1,500", "–", "3,000", "2.00ms", "2.00ms", "2.00ms", "7"]
    assert line_of(text, "reader") == ["reader", "500", "500", "1,000", "20.0ms", "20.0ms", "20.0ms", "0"]


def test_the_panel_shows_the_state_of_everything_else() -> None:
    """Time, queue, rows, errors by class, target, address."""
    text = shown(state())
    assert "0:00:23" in text
    assert "0:00:37 left" in text
    assert "2,500 of 10,000 rows, 25 %" in text
    assert "3,000 committed, 1,500/s" in text
    assert "busy 12" in text
    assert "up · sqlite:///soakd.db" in text
    assert "http://127.0.0.1:8080/metrics" in text
    assert "running" in text


def test_eighty_columns_and_twenty_four_lines_are_enough() -> None:
    """With every line that can appear, and large numbers."""
    load = Load()
    load.run(writes=3000, reads=10, busy=3)
    load.recorder.drop(1, "backlog")
    load.recorder.count("soakd_engine_restarts_total", "0")
    load.gauges["soakd_generator_limited", "0"] = 1.0
    load.gauges["soakd_target_up",] = 0.0
    mark = load.mark(1.0)
    counters = {**mark.counters, ("soakd_ops_total", "writer", "append", "ok"): 98_765_432_109.0}
    judged = [
        Judged(threshold, value=1.5, worst=2.0, worst_at=5.0, violated_since=1.0, seen=True)
        for threshold in expand(["response.writer.p999 < 123ms", "profile:events"])
    ]
    text = shown(
        state(
            mark=mark._replace(counters=counters),
            target="postgresql://soakd:***@db.example.org:5432/soakd",
            state=State("overloaded", fired=(Fired(RULES[0], 0.999),)),
            judged=judged,
        )
    )
    assert len(text.splitlines()) <= 23
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert "in flight" in text
    for expected in (
        "6 of 6 failed",
        "overloaded · queue 99.9 % (limit 90 %)",
        "98,765 M",
        "does not answer",
        "generator limited",
        "1 died",
        "1 that were due",
    ):
        assert expected in text


def test_nothing_moves_while_figures_grow() -> None:
    """The columns of a quiet second are those of a busy one."""
    quiet, busy = shown(state(now=None, recent=None)), shown(state())
    assert [line.index("p99") for text in (quiet, busy) for line in text.splitlines() if "p99" in line] == [
        shown(state()).splitlines()[4].index("p99")
    ] * 2
    assert len(quiet.splitlines()) == len(busy.splitlines())


def test_a_run_without_an_end_shows_only_how_long_it_has_been_going() -> None:
    text = shown(state(duration=0.0, elapsed=200_000.0))
    assert "2d 7:33:20 since the beginning" in text
    assert "left" not in text


def test_before_the_load_there_is_a_panel_without_figures() -> None:
    """Nothing is claimed that is not known: neither a rate of 0 nor a target that is down."""
    text = shown(
        state(
            phase="preparing", mark=Mark.of(0.0, Snapshot()), now=None, recent=None, elapsed=0.0, duration=0.0
        )
    )
    assert "preparing" in text
    assert "connecting" in text
    assert "0:00:00  waiting for the target" in text
    assert "until stopped" not in text
    assert "queue" not in text


def test_a_target_that_does_not_answer_and_a_limiting_generator_are_named() -> None:
    assert "does not answer" in shown(with_gauges({("soakd_target_up",): 0.0}))
    assert "generator limited" in shown(with_gauges({("soakd_generator_limited", "1"): 1.0}))
    assert "generator limited" not in shown(state())


def test_the_state_and_the_thresholds_have_a_line_each() -> None:
    assert line_of(shown(state()), "state") == ["state", "healthy"]
    assert "thresholds" not in shown(state())
    met = [Judged(threshold, value=0.0, seen=True) for threshold in expand(["errors.rate < 1%"])]
    assert "all 1 met so far" in shown(state(judged=met))
    assert "state " not in shown(state(phase="preparing"))


def test_an_address_with_brackets_is_not_taken_for_markup() -> None:
    assert "postgresql://u:***@[::1]:5432/x" in shown(state(target="postgresql://u:***@[::1]:5432/x"))


def test_the_view_draws_on_a_terminal_with_log_lines_above_and_leaves_nothing_behind() -> None:
    """A log line does not tear the panel, and the summary that follows starts on a clean screen."""
    screen = io.StringIO()
    console = Console(file=screen, width=80, height=24, force_terminal=True, color_system=None)
    with LiveView(console) as view:
        view.update(state())
        view.stream.write("a warning [::1] [red]\n")
        view.update(state(elapsed=24.0))
    drawn = screen.getvalue()
    assert "0:00:24" in drawn
    assert "a warning [::1] [red]" in drawn
    assert drawn.index("a warning") > drawn.index("0:00:23")
    assert drawn.endswith("\x1b[2K")  # the last thing done is to erase a line


def test_a_terminal_that_is_gone_does_not_end_a_run() -> None:
    class Gone(io.StringIO):
        broken = False

        def write(self, text: str) -> int:
            if self.broken:
                raise OSError(5, "Input/output error")
            return super().write(text)

    screen = Gone()
    with LiveView(Console(file=screen, force_terminal=True)) as view:
        view.update(state())
        screen.broken = True
        view.update(state())
    assert screen.broken


def test_figures_are_the_difference_of_two_marks() -> None:
    """What happened before does not count, however much it was."""
    load = Load()
    load.run(writes=100_000, reads=5, busy=50, write_time=1.0)
    begin = load.mark(10.0)
    load.run(writes=300, reads=100, busy=4)
    span = figures(begin, load.mark(12.0))
    writer, reader = span.pools["writer"], span.pools["reader"]
    assert span.seconds == 2.0
    assert (writer.rate, reader.rate, reader.failing) == (150.0, 50.0, 2.0)
    assert writer.p99 == pytest.approx(0.002, rel=0.01)
    assert reader.p50 == pytest.approx(0.02, rel=0.01)
    assert (span.rows_per_second, span.flushes_per_second) == (150.0, 0.5)
    assert span.errors == {"busy": 4}
    assert (writer.target, reader.target) == (None, 500.0)
    assert (writer.in_flight, writer.workers) == (7, 10)


def test_a_span_without_operations_has_no_percentiles() -> None:
    """0 would be a very good response time."""
    load = Load()
    load.run(writes=10, reads=10)
    idle = figures(load.mark(0.0), load.mark(1.0)).pools["writer"]
    assert (idle.rate, idle.p50, idle.p99, idle.max) == (0.0, None, None, None)


def test_no_time_between_two_marks_means_no_rate() -> None:
    load = Load()
    begin = load.mark(1.0)
    load.run(writes=10, reads=0)
    assert figures(begin, load.mark(1.0)).pools["writer"].rate == 0.0


def test_a_mark_shares_nothing_with_the_snapshot_that_goes_on() -> None:
    """The recorder's histograms are live ones."""
    load = Load()
    load.run(writes=10, reads=0)
    mark = load.mark(0.0)
    load.run(writes=10, reads=0)
    assert mark.response["writer"].count == 10


def test_the_window_looks_back_over_its_span_with_bounded_memory() -> None:
    """Four marks a second for ten minutes: a dozen are kept, and rates follow a change in two seconds."""
    load, window = Load(), Window(10.0)
    assert window.figures(2.0) is None
    for tick in range(2400):
        load.run(writes=25 if tick < 2380 else 50, reads=0)
        window.add(load.mark(tick * 0.25))
    now, recent = window.figures(2.0), window.figures(10.0)
    assert now is not None
    assert recent is not None
    assert len(window._marks) <= 13
    assert now.seconds == pytest.approx(2.0, abs=0.5)
    assert recent.seconds == pytest.approx(10.0, abs=1.0)
    assert now.pools["writer"].rate == pytest.approx(200.0)
    assert recent.pools["writer"].rate == pytest.approx(150.0, rel=0.1)


def test_the_progress_event_has_the_same_figures_as_data() -> None:
    """Seconds and numbers per second, per pool, plain JSON."""
    load = Load()
    begin = load.mark(0.0)
    load.run(writes=3000, reads=1000, busy=12)
    event = progress_event(phase="running", elapsed=23.0, earlier=begin, later=load.mark(2.0))
    assert json.loads(json.dumps(event, allow_nan=False)) == event
    assert event["pools"]["writer"]["rate"] == 1500.0
    assert event["pools"]["writer"]["response"]["p99"] == pytest.approx(0.002, rel=0.01)
    assert event["pools"]["reader"]["target_rate"] == 500.0
    assert event["rows"] == {
        "accepted": 3000,
        "committed": 3000,
        "failed": 0,
        "abandoned": 0,
        "committed_rate": 1500.0,
    }
    assert event["queue"] == {"rows": 2500, "capacity": 10_000, "utilization_ratio": 0.25}
    assert event["errors"] == {"busy": 12}
    assert (event["target_up"], event["generator_limited"]) == (True, False)
    assert (event["phase"], event["elapsed_seconds"], event["interval_seconds"]) == ("running", 23.0, 2.0)
