"""Judging a run while it goes on: looks, events, figures, verdicts; on a run of a test's own making."""

from typing import Any

import pytest

from daemon.config.settings import Settings
from daemon.control.judging import Judging, thresholds_of
from daemon.control.recording import judged
from daemon.control.run import Run
from daemon.errors import UsageError
from daemon.judge.profiles import PROFILES, expand
from daemon.ops import OpSpec
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Key, Snapshot
from tests.virtual import VirtualClock

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"))


class Played:
    """A run whose only shard counts what the test says, looked at when the test says."""

    def __init__(self, *thresholds: str) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        self.clock = VirtualClock()
        self.run = Run(Settings.model_validate({"target": "null://"}), self.clock, self.note, 1)
        self.recorder = OpRecorder(OPS)
        self.gauges: dict[Key, float] = {("soakd_workers", "writer"): 10.0}
        shard = self.run.shards[0]
        shard.snapshot = lambda: Snapshot(  # type: ignore[method-assign]
            self.recorder.snapshot().counters, dict(self.gauges), self.recorder.snapshot().histograms
        )
        self.judging = Judging(self.run, expand(thresholds), ops=OPS, samples=Snapshot, notify=self.note)
        self.run.measure()

    def note(self, event: str, **facts: object) -> None:
        self.told.append((event, facts))

    def begin(self) -> None:
        """Begin to load and to measure at once."""
        self.judging._look()
        self.judging.measure()

    def second(self, *, writes: int = 100, takes: float = 0.01, errors: int = 0) -> None:
        """Let a second pass in which so much happened."""
        self.recorder.rows(0, [0.0] * writes, [0.0] * writes, 0.0, takes)
        for _ in range(errors):
            self.recorder.failure(0, "busy", 0.0, 0.0, 0.0, 0.0)
        self.clock.time += 1.0
        self.judging._look()

    def end(self) -> None:
        self.run.end_measure("duration")
        self.judging.end()

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.told]


def test_a_threshold_that_fails_and_is_met_again_is_told_both_times() -> None:
    played = Played("response.writer.p50 < 100ms")
    played.begin()
    played.second(takes=0.5)
    played.second(writes=10)
    assert played.events[:1] == ["state.changed"]
    played.second(writes=500)
    assert [event for event in played.events if "threshold" in event] == ["threshold.failed", "threshold.met"]
    facts = dict(played.told)["threshold.failed"]
    assert facts["threshold"] == "response.writer.p50 < 100ms"
    assert facts["value"] == pytest.approx(0.5, rel=0.01)
    assert (facts["limit"], facts["elapsed_seconds"]) == (0.1, 1.0)
    played.end()
    assert played.judging.complaints() == []
    assert not played.judging.failed.is_set()


def test_judgements_tell_the_phase_and_count_their_times_from_the_beginning_of_the_run() -> None:
    """The worst moment of a phase is as long after the beginning as the phase began, and a bit more."""
    played = Played("response.writer.p50 < 100ms")
    began = played.clock.time - 30.0  # the measured part came after a warm-up of 30 s
    played.begin()
    played.second(takes=0.5)
    played.judging.enter("night", expand(["rate.writer > 150"]))
    played.second(writes=100)
    played.second(writes=200)
    run, night = judged(played.judging.parts, began)
    assert (run.name, run.verdict) == ("response.writer.p50 < 100ms", "pass")
    assert run.at == pytest.approx(31.0)
    assert (night.name, night.expression) == ("night: rate.writer > 150", "rate.writer > 150")
    assert night.worst == pytest.approx(100.0)
    assert night.at == pytest.approx(32.0)
    played.judging.leave()
    assert [one.name for one in judged(played.judging.parts, began)] == [run.name, night.name]


def test_the_last_look_is_at_what_the_measured_part_ended_with() -> None:
    played = Played("rate.writer > 150")
    played.begin()
    for _ in range(5):
        played.second(writes=200)
    played.clock.time += 5.0
    played.end()
    played.recorder.rows(0, [0.0] * 10_000, [0.0] * 10_000, 0.0, 0.01)  # the drain
    assert played.judging.complaints() == ["threshold rate.writer > 150: 100/s"]
    played.judging.end()
    assert played.judging.judged[0].value == pytest.approx(100.0)


def test_what_the_warm_up_did_is_in_no_value() -> None:
    played = Played("errors.rate < 1%", "errors.count == 0")
    played.judging._look()
    played.second(errors=50)
    played.run.measure()
    played.judging.measure()
    played.second()
    played.end()
    assert played.judging.complaints() == []
    assert played.events == ["state.changed"]  # which is told from the first look on


def test_figures_and_summary_tell_the_same() -> None:
    played = Played(
        "errors.rate < 1%", "rate.writer > 1", "errors.rate < 1% after 1h", "pg.cache_hit > 1% optional"
    )
    played.begin()
    played.second(errors=50)
    gauges = played.judging.snapshot().gauges
    assert gauges == {
        ("soakd_state",): 1.0,
        ("soakd_threshold_ok", "errors.rate < 1%"): 0.0,
        ("soakd_threshold_ok", "rate.writer > 1"): 1.0,
        ("soakd_threshold_ok", "errors.rate < 1% after 1h"): 1.0,  # not judged yet
        ("soakd_threshold_ok", "pg.cache_hit > 1% optional"): 1.0,
    }
    played.end()
    assert played.judging.snapshot().gauges["soakd_threshold_ok", "errors.rate < 1% after 1h"] == 0.0
    summary = played.judging.summary()
    assert [judged["verdict"] for judged in summary["thresholds"]] == ["fail", "pass", "no data", "no data"]
    assert [judged["ok"] for judged in summary["thresholds"]] == [False, True, False, True]
    state = summary["state"]
    assert (state["level"], state["healthy_seconds"], state["stressed_seconds"]) == ("stressed", 1.0, 0.0)
    assert [(change["was"], change["level"]) for change in state["changes"]] == [("healthy", "stressed")]
    assert len(played.judging.complaints()) == 2


def test_abort_asks_for_the_end() -> None:
    played = Played("errors.count < 100 abort", "errors.count < 10")
    played.begin()
    played.second(errors=50)
    assert not played.judging.failed.is_set()
    played.second(errors=50)
    assert played.judging.failed.is_set()


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"target": "null://", **values})


@pytest.mark.parametrize(
    ("text", "values", "says"),
    [
        ("op.apend.rate > 1", {}, "did you mean append"),
        ("op.apend.rate > 1 optional", {}, "did you mean append"),
        ("pg.deadlocks == 0", {}, "postgres targets only"),
        ("sqlite.wal.max < 1GiB", {}, "sqlite targets only"),
        ("host.cpu.mean < 80%", {"samplers": {"interval": 0}}, "samplers.interval is 0"),
        ("response.reader.p99 < 1s", {"pools": {"readers": 0}}, "there are no readers"),
        ("pool.reader.usage.max < 90%", {"pools": {"readers": 0}}, "there are no readers"),
        ("target.reader > 99%", {"pools": {"write_rate": 5}}, "the readers have no target rate"),
    ],
)
def test_what_can_never_be_judged_is_refused_unless_it_is_optional(
    text: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        thresholds_of(settings(thresholds=[text], **values), OPS)
    if "append" not in says:
        assert thresholds_of(settings(thresholds=[f"{text} optional"], **values), OPS)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("target", ["null://", "sqlite:///x.db", "postgresql://u@h/db"])
def test_a_profile_fits_every_target(name: str, target: str) -> None:
    found = thresholds_of(settings(target=target, thresholds=f"profile:{name}"), OPS)
    assert len(found) == len(PROFILES[name])


def test_times_of_thresholds_are_edges_of_histograms() -> None:
    played = Played("response.writer.p99 < 123ms", "errors.rate < 1%", "commit.max < 7ms for 1m")
    assert played.judging.edges == [0.123, 0.007]
