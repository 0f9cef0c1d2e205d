"""Scenario files: what they may say, how mistakes are told, and what is made of them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from daemon.__main__ import main
from daemon.config.sources import load_settings
from daemon.control import plan
from daemon.control.judging import thresholds_of
from daemon.errors import UsageError
from daemon.load.schedule import Shaped, ShapedPoisson
from daemon.load.shapes import Flat, Ramp
from daemon.ops import OpSpec
from daemon.scenario.layer import settings_of
from daemon.scenario.model import Scenario
from daemon.scenario.programme import Programme, programme
from daemon.scenario.read import SHIPPED, find, read, shipped

OPS = (OpSpec("append", "writer"), OpSpec("by_key", "reader"))
HEAD = "description: A test.\nphases:\n"
PHASE = "  - name: one\n    duration: 10s\n"
every_shipped = pytest.mark.parametrize("name", shipped())


def made(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return read(file).scenario


def followed(tmp_path: Path, text: str, scale: float = 1.0) -> Programme:
    return programme("mine", made(tmp_path, text), scale)


RAMP = "    write:\n      ramp:\n        from: 0\n"
STAGES = "    read:\n      stages:\n        - {for: 5s, constant: 1}\n        - {for: 5s, ramp: 3}\n"
BOTH = "    events:\n      - {at: 1s, name: both, sql: SELECT 1, shell: ls}\n"
LATE = "    events:\n      - {at: 10s, name: late, sql: SELECT 1}\n"


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ("    writes: 5\n", 5, "there is no field phases[0].writes; did you mean writers?"),
        ("    write: fast\n", 5, "phases[0].write: 'fast' is no schedule; write closed, a number per second"),
        ("    write: -5\n", 5, "greater than or equal to"),
        ("    write: 1000000000\n", 5, "less than or equal to 10000000"),
        ("    write: {}\n", 5, "a schedule has exactly one of constant, poisson, ramp"),
        ("    write: {constant: 5, poisson: 5}\n", 5, "not constant and poisson"),
        (RAMP, 6, "to is missing"),
        (f"{RAMP}        two: 9\n", 8, "there is no field phases[0].write.ramp.two; did you mean to?"),
        ("    write:\n      sine: {mean: 5, amplitude: 6, period: 1s}\n", 6, "a rate cannot be negative"),
        ("    read:\n      burst: {base: 1, peak: 6, every: 1s, length: 1s}\n", 6, "length must be shorter"),
        (STAGES, 8, "phases[0].read.stages[1].ramp"),
        ("    thresholds: [errors.rat < 1%]\n", 5, "column 1: there is no signal errors.rat; did you mean"),
        (LATE, 3, "event late comes when the phase is over"),
        (BOTH, 6, "an event has either sql or shell"),
        ("    events: [{at: 0s, name: a}]\n", 5, "an event has either sql or shell"),
        ("    events: [{at: 0s, name: a, sql: x, timeout: 1s}]\n", 5, "timeout is about shell"),
        ("    write: {poisson: -1}\n", 5, "-1 is not valid; it should be greater than or equal to 0.000001"),
        ("    writers: many\n", 5, "phases[0].writers"),
        ("    duration: 5s\n", 5, "duration is given twice, first on line 4"),
        (PHASE, 1, "two phases are called one"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, lines: str, line: int, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(tmp_path, HEAD + PHASE + lines)
    (told,) = [one for one in str(caught.value).splitlines() if says in one]
    assert told.startswith(f"{tmp_path}/mine.yaml:{line}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "description is missing"),
        ("- description: x\n", "mine.yaml:1: this should be fields with their values"),
        ("description: x\nphases: {name: a}\n", "mine.yaml:2: phases: should be a list"),
        ("description: x\nphases: [one]\n", "phases[0]: 'one' is not valid; it should be fields with"),
        ("description: x\nphases: [{name: A b}]\n", "'A b' is not valid; it should be of lower-case letters"),
        ("description: ''\nphases: []\n", "mine.yaml:1: description: there is nothing in it"),
        ("description: x\nphases: []\n", "mine.yaml:2: phases: there is nothing in it; give one at least"),
        ("description: x\nscenarios: [smoke]\n", "is a suite of scenarios; run it with `soakd suite"),
        ("[1, 2]", "mine.yaml:1"),
        ("description: x\nphases: {\n", "not valid YAML"),
    ],
)
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        made(tmp_path, text)


def test_names_lead_to_shipped_ones_and_paths_to_files(tmp_path: Path) -> None:
    assert find("sustained").name == "sustained"
    with pytest.raises(UsageError, match="did you mean sustained"):
        find("sustaned")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        find(str(tmp_path / "none.yaml"))


def test_a_phase_becomes_shapes_and_all_durations_are_scaled(tmp_path: Path) -> None:
    text = (
        HEAD
        + """  - name: one
    duration: 100s
    writers: 4
    write: {ramp: {from: 0, to: 100}}
    read: {poisson: 50}
    thresholds: ["errors.rate < 1% for 10s after 20s"]
    events: [{at: 30s, name: late, sql: SELECT 2}, {at: 5s, name: early, sql: SELECT 1}]
  - name: two
    duration: 60s
    write:
      stages:
        - {for: 20s, constant: 10}
        - {for: 10s, steps: {rates: [1, 2]}}
        - {for: 1s, ramp: {from: 5, to: 0, in: 4s}}
    read: closed
"""
    )
    one, two = followed(tmp_path, text, 0.1).steps
    assert (one.seconds, two.seconds) == (10.0, 6.0)
    assert one.pools["writer"].shape == Ramp(0, 100, 10.0)
    assert one.pools["reader"].shape == Flat(50)
    (threshold,) = one.thresholds
    assert (threshold.lasting, threshold.after) == (1.0, 2.0)
    assert [(at, event.name) for at, event in one.events] == [(0.5, "early"), (3.0, "late")]
    stages = two.pools["writer"].shape
    assert stages is not None
    assert [stages.rate(t) for t in (0.0, 1.9, 2.2, 2.7, 3.0, 3.2)] == pytest.approx([10, 10, 1, 2, 5, 2.5])
    assert two.pools["reader"].shape is None


def test_shards_share_workers_and_schedules_and_latecomers_go_on(tmp_path: Path) -> None:
    text = (
        HEAD
        + "  - {name: one, duration: 100s, writers: 5, "
        + "write: {ramp: {from: 0, to: 100}}, read: {poisson: 5}}\n"
    )
    (step,) = followed(tmp_path, text).steps
    paces = [step.paces({"writer": 20, "reader": 3}, shard, 2) for shard in range(2)]
    assert [pace["writer"].workers for pace in paces] == [3, 2]
    assert [pace["reader"].workers for pace in paces] == [2, 1]
    assert isinstance(paces[0]["writer"].schedule, Shaped)
    assert isinstance(paces[0]["reader"].schedule, ShapedPoisson)
    late = step.paces({"writer": 2, "reader": 3}, 0, 1, 50.0)["writer"]
    assert late.workers == 2
    assert late.schedule is not None
    assert late.schedule.rate(0) == 50.0


def test_what_was_due_is_known_at_any_moment(tmp_path: Path) -> None:
    text = (
        HEAD
        + "  - {name: a, duration: 10s, write: 10, read: 5}\n"
        + "  - {name: b, duration: 10s, write: 20, read: closed}\n"
    )
    made_of = followed(tmp_path, text)
    assert [made_of.due("writer", t) for t in (0, 5, 15, 20, 99)] == [0, 50, 200, 300, 300]
    assert (made_of.due("reader", 10), made_of.due("reader", 11)) == (50, None)


def layered(tmp_path: Path, text: str, **overrides: Any) -> Any:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return load_settings(
        beneath=settings_of(read(file), 0.5), environ=overrides, default_secrets=tmp_path / "none"
    ).settings


def test_a_scenario_makes_settings_that_variables_override(tmp_path: Path) -> None:
    text = (
        "settings: {pools: {readers: 7}, batch.size: 20, sqlite: {synchronous: full}}\n"
        "warmup: 4s\nreset: [tables]\nthresholds: [errors.rate < 1% after 4s]\n"
        + HEAD
        + "  - {name: a, duration: 10s, writers: 3}\n  - {name: b, duration: 10s, writers: 30, readers: 2}\n"
    )
    settings = layered(tmp_path, text, SOAKD_SQLITE__SYNCHRONOUS="normal")
    assert (settings.duration, settings.warmup, settings.clean) == (10.0, 2.0, True)
    assert (settings.pools.writers, settings.pools.readers, settings.batch.size) == (30, 7, 20)
    assert settings.sqlite.synchronous == "normal"
    assert settings.thresholds == ("errors.rate < 1% after 2s",)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("duration: 5s", "mine.yaml:1 duration: is no setting of a scenario; it is the sum of the phases'"),
        ("pools: {write_rate: 5}", "pools.write_rate: is no setting of a scenario; give the phases"),
        ("pools: {writer: 5}", "there is no setting 'pools.writer'; did you mean pools.writers"),
        ("batch: {size: many}", "mine.yaml:1 batch.size: 'many' is not valid; write a whole number"),
    ],
)  # fmt: skip
def test_settings_of_a_scenario_are_checked_as_all_are(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        layered(tmp_path, f"settings: {{{setting}}}\n" + HEAD + PHASE)
    assert says in str(caught.value)


@every_shipped
@pytest.mark.parametrize("target", ["sqlite:///x.db", "postgresql://u@h/db"])
def test_a_shipped_scenario_fits_every_target(name: str, target: str, tmp_path: Path) -> None:
    """At a hundredth of its length too; its thresholds can be judged, its rates are numbers."""
    found = find(name)
    for scale in (1.0, 0.01):
        made_of = programme(found.name, found.scenario, scale)
        layer = settings_of(found, scale)
        settings = load_settings(
            beneath=layer, environ={"SOAKD_TARGET": target}, default_secrets=tmp_path / "none"
        ).settings
        assert settings.duration == pytest.approx(made_of.seconds)
        thresholds_of(settings, OPS, made_of)
        for step in made_of.steps:
            for course in step.pools.values():
                assert course.shape is None or math.isfinite(course.shape.total(step.seconds))


UNFIT = """description: x
thresholds: [profile:progress, pg.cache_hit > 99%]
settings: {pools: {writers: 0}}
phases:
  - name: one
    duration: 10s
    thresholds:
      - op.by_key.rate > 1
      - op.transfer.service.p95 < 50ms
"""


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        ("", ["2: threshold 'pg.cache_hit > 99%': pg has figures of postgres targets only",
              "9: threshold 'op.transfer.service.p95 < 50ms', column 4: the workload has no operation"]),
        ("    write: 5\n", ["5: phase one has a rate for writers, and there are none; say `write: closed`"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_workload_is_told_with_file_and_line(
    phase: str, says: list[str], tmp_path: Path
) -> None:
    settings = layered(tmp_path, UNFIT + phase)
    found = read(tmp_path / "mine.yaml")
    made_of = programme("mine", found.scenario, 0.5, found.places)
    with pytest.raises(UsageError) as caught:
        thresholds_of(plan.fitted(settings, OPS, made_of), OPS, made_of)
    for line, expected in zip(str(caught.value).splitlines(), says, strict=True):
        assert line.startswith(f"{tmp_path}/mine.yaml:{expected}")


def test_a_rate_for_a_pool_that_the_workload_leaves_idle_is_refused(tmp_path: Path) -> None:
    settings = layered(tmp_path, HEAD + PHASE + "    read: 5\n")
    found = read(tmp_path / "mine.yaml")
    made_of = programme("mine", found.scenario, 1.0, found.places)
    with pytest.raises(
        UsageError, match=r"mine.yaml:3: phase one has a rate for readers, and the workload events "
    ):
        plan.fitted(settings, OPS[:1], made_of)


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    given = Scenario.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(given)
    return jsonschema.Draft202012Validator(given)


@every_shipped
def test_a_shipped_scenario_is_what_the_schema_says(
    name: str, schema: jsonschema.Draft202012Validator
) -> None:
    given = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    assert [error.message for error in schema.iter_errors(given)] == []


def test_the_scenario_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "scenarios.md").read_text(encoding="utf-8")
    text, event = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[:2]
    assert followed(tmp_path, HEAD + PHASE.replace("10s", "2m") + event).steps[0].events[0][1].shell
    assert [step.name for step in followed(tmp_path, text).steps] == ["morning", "noon", "evening"]
    kinds = re.findall(r"^\| (`.*`) \|", page, re.MULTILINE)
    for spec in (spec for cell in kinds for spec in re.findall(r"`(.+?)`", cell)):
        assert followed(tmp_path, f"{HEAD}{PHASE}    write: {spec}\n").steps, spec
    assert len(kinds) == 8


def test_the_schema_refuses_what_is_unknown(schema: jsonschema.Draft202012Validator) -> None:
    for phase in (
        {"name": "a", "duration": "1s", "writes": 5},
        {"name": "a", "duration": "1s", "write": "fast"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            schema.validate({"description": "x", "phases": [phase]})


def test_the_command_lists_shows_and_describes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in shipped())
    assert main(["scenarios", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == shipped()
    assert main(["scenarios", "--show", "smoke"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["phases"][0]["name"] == "ramp"
    assert main(["scenarios", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Scenario"
    assert main(["scenarios", "--show", "none"]) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--time-scale 2", "--time-scale is about a scenario"),
        ("--scenario smoke --time-scale 0", "--time-scale 0 must be above 0"),
        ("--scenario smoke --duration 5s", "the scenario smoke has durations of its own"),
        ("--scenario smok", "did you mean smoke?"),
    ],
)
def test_flags_that_do_not_go_with_a_scenario_are_refused(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--target", "null://", *words.split()]) == 2
    assert says in capsys.readouterr().err
