"""Healthy, stressed, overloaded: each rule fires when it should, does not when it should not, and lets go."""

from typing import Any

import pytest

from daemon.judge.meter import Meter
from daemon.judge.rules import RULES, Rule
from daemon.judge.state import CALM, HISTOGRAMS, SETTLING, Inputs, PoolInputs, State, as_json, inputs, step
from daemon.observe.metrics import zeros
from daemon.ops import OpSpec
from daemon.record.recorder import OpRecorder
from daemon.record.snapshot import Snapshot

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"))
WELL = PoolInputs(rate=1000.0, met=None, target=0.0, workers=10.0, p95=0.02)
OPEN = WELL._replace(met=1.0, target=1000.0)
CALMLY = Inputs(queue=0.2, queue_full=0.0, errors=0.0, timeouts=0.0, pools={"writer": WELL})


class Watch:
    """A state that is fed the same inputs for as long as one likes, once a second."""

    def __init__(self) -> None:
        self.state = State()
        self.elapsed = 0.0

    def see(self, seconds: float, now: Inputs = CALMLY, *, pool: PoolInputs | None = None) -> str:
        """Look for so long at these inputs; return the level."""
        if pool is not None:
            now = now._replace(pools={"writer": pool})
        for _ in range(round(seconds)):
            self.elapsed += 1
            self.state = step(self.state, self.elapsed, now)
        return self.state.level

    @property
    def rules(self) -> set[str]:
        """The rules that hold."""
        return {fired.rule.name for fired in self.state.fired}


def changed(**changes: Any) -> Inputs:
    pool = {name: changes.pop(name) for name in list(changes) if name in PoolInputs._fields}
    return CALMLY._replace(pools={"writer": WELL._replace(**pool)}, **changes)


CASES = {
    # rule: (beyond its beginning, between beginning and end, beyond its end)
    "queue": (changed(queue=0.91), changed(queue=0.85), changed(queue=0.79)),
    "errors": (changed(errors=0.02), changed(errors=0.007), changed(errors=0.004)),
    "latency": (changed(p95=0.12), changed(p95=0.09), changed(p95=0.03)),
    "latency_rising": (changed(p95=0.05), changed(p95=0.035), changed(p95=0.02)),
    "throughput": (changed(rate=750.0), changed(rate=850.0), changed(rate=950.0)),
    "queue_full": (changed(queue=0.97, queue_full=10.0), changed(queue=0.96, queue_full=0.5), CALMLY),
    "timeouts": (changed(timeouts=0.01), changed(timeouts=0.0005), CALMLY),
    "latency_high": (changed(p95=1.5), changed(p95=0.9), CALMLY),
    "collapse": (changed(rate=400.0), changed(rate=600.0), CALMLY),
}
RULE = {rule.name: rule for rule in RULES}
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def test_every_rule_has_its_case_and_its_advice() -> None:
    assert CASES.keys() == RULE.keys()
    assert all(len(rule.advice) > 40 for rule in RULES)


@every_rule
def test_a_rule_begins_at_its_limit_stays_in_between_and_ends_below(rule: Rule) -> None:
    """And what lies in between never begins it."""
    beyond, between, below = CASES[rule.name]
    watch = Watch()
    watch.see(30)
    watch.see(20, between)
    assert rule.name not in watch.rules or rule.name == "queue_full"
    watch.see(20)
    assert watch.state.level == "healthy" or rule.name == "queue_full"
    watch = Watch()
    watch.see(30)
    watch.see(1, beyond)
    assert rule.name in watch.rules
    assert watch.state.level == max(
        [rule.level, watch.state.level], key=["healthy", "stressed", "overloaded"].index
    )
    watch.see(50, between)
    assert rule.name in watch.rules
    watch.see(1, below)
    assert rule.name not in watch.rules


def test_a_worse_state_begins_at_once_and_a_better_one_after_calm() -> None:
    watch = Watch()
    assert watch.see(30) == "healthy"
    assert watch.see(1, changed(errors=0.02)) == "stressed"
    assert watch.state.since == 31
    assert watch.see(1, changed(timeouts=0.1)) == "overloaded"
    assert watch.see(CALM - 1) == "overloaded"
    assert watch.see(1, changed(timeouts=0.1)) == "overloaded"  # which begins the calm anew
    assert watch.see(CALM) == "overloaded"
    assert watch.see(1) == "healthy"
    assert watch.state.since == watch.elapsed


def test_from_overloaded_it_goes_down_to_what_still_holds() -> None:
    watch = Watch()
    watch.see(30)
    watch.see(5, changed(timeouts=0.1, errors=0.1))
    assert watch.see(CALM + 1, changed(errors=0.1)) == "stressed"


def test_a_run_that_flickers_around_a_limit_does_not_flicker() -> None:
    watch = Watch()
    watch.see(30)
    watch.see(1, changed(queue=0.91))
    levels = {watch.see(1, changed(queue=queue)) for _ in range(30) for queue in (0.89, 0.91, 0.81)}
    assert levels == {"stressed"}


def test_a_start_is_not_a_collapse() -> None:
    """While the first seconds fill nothing is compared, in a closed loop and in an open one."""
    watch = Watch()
    for second in range(1, round(SETTLING)):
        pools = {
            "writer": WELL._replace(rate=100.0 * second),
            "reader": OPEN._replace(rate=1.0, met=0.1),
        }
        assert watch.see(1, CALMLY._replace(pools=pools)) == "healthy"


def test_a_load_that_is_changed_on_purpose_is_not_a_collapse() -> None:
    watch = Watch()
    watch.see(60)
    assert watch.see(40, pool=WELL._replace(workers=1.0, rate=100.0, p95=0.09)) == "healthy"
    assert watch.see(40, pool=OPEN._replace(target=50.0, rate=50.0)) == "healthy"
    watch.see(40, pool=OPEN._replace(target=500.0, rate=500.0))
    assert watch.see(1, pool=OPEN._replace(target=500.0, rate=200.0, met=0.4)) == "overloaded"
    assert watch.rules == {"throughput", "collapse"}


def test_what_is_usual_follows_slowly_and_not_in_bad_moments() -> None:
    watch = Watch()
    watch.see(30)
    watch.see(600, changed(rate=700.0))
    assert watch.state.usual["writer"].rate == 1000.0
    watch = Watch()
    watch.see(30)
    watch.see(600, changed(rate=900.0))
    assert watch.state.usual["writer"].rate == pytest.approx(900.0, rel=0.01)


def test_a_rise_of_fast_answers_is_of_no_interest() -> None:
    watch = Watch()
    watch.see(30, pool=WELL._replace(p95=0.0001))
    assert watch.see(30, pool=WELL._replace(p95=0.005)) == "healthy"


def test_what_is_not_known_fires_nothing() -> None:
    nothing = Inputs(None, None, None, None, {"writer": PoolInputs(None, None, 0.0, 5.0, None)})
    watch = Watch()
    assert watch.see(30, nothing) == "healthy"
    assert set(watch.state.values.values()) == {None, 0.0}


def test_an_outage_is_seen_though_nothing_answers() -> None:
    watch = Watch()
    watch.see(30)
    assert watch.see(1, changed(rate=0.0, p95=None)) == "overloaded"
    assert watch.rules == {"throughput", "collapse"}


def test_the_worse_pool_counts() -> None:
    watch = Watch()
    pools = {"writer": WELL, "reader": WELL._replace(p95=0.5)}
    watch.see(1, CALMLY._replace(pools=pools))
    assert watch.state.values["latency"] == 0.5


def test_as_data_it_shows_inputs_and_advice() -> None:
    watch = Watch()
    watch.see(30)
    watch.see(1, changed(errors=0.02))
    data = as_json(watch.state)
    assert (data["level"], data["since_seconds"]) == ("stressed", 31)
    assert data["inputs"].keys() == RULE.keys()
    assert data["inputs"]["errors"] == 0.02
    (rule,) = data["rules"]
    assert (rule["rule"], rule["value"], rule["begins"], rule["ends"]) == ("errors", 0.02, 0.01, 0.005)
    assert str(watch.state.fired[0]) == "errors 2 % (limit 1 %)"


def test_inputs_come_from_what_the_engines_have_counted() -> None:
    recorder = OpRecorder(OPS)
    meter = Meter([], further=HISTOGRAMS)
    gauges = {
        ("soakd_workers", "writer"): 10.0, ("soakd_workers", "reader"): 0.0,
        ("soakd_target_ops_per_second", "writer"): 100.0,
        ("soakd_batch_queue_rows",): 30.0, ("soakd_batch_queue_capacity_rows",): 40.0,
    }  # fmt: skip
    for second in range(5):
        merged = zeros(OPS, 1, "null")
        merged.merge(recorder.snapshot())
        merged.merge(Snapshot({("soakd_ops_due_total", "writer"): 100.0 * second}, gauges))
        meter.look(float(second), float(second), merged)
        recorder.rows(0, [0.0] * 90, [0.0] * 90, 0.0, 0.05)
        recorder.failure(0, "busy", 0.0, 0.0, 0.0, 0.0)
        recorder.failure(0, "timeout", 0.0, 0.0, 0.0, 9.0)
        recorder.count("soakd_queue_full_total", "blocked")
    seen = inputs(meter.newest, meter.recent)
    assert (seen.queue, seen.queue_full) == (0.75, 1.0)
    assert (seen.errors, seen.timeouts) == pytest.approx((2 / 92, 1 / 92))
    assert seen.pools.keys() == {"writer"}
    writer = seen.pools["writer"]
    assert (writer.rate, writer.met, writer.target, writer.workers) == (90.0, 0.9, 100.0, 10.0)
    assert writer.p95 == pytest.approx(0.05, rel=0.01)
