"""Suites: what their files say, how mistakes are told, and what they come to."""

import json
import re
import signal
from pathlib import Path

import jsonschema
import pytest
import yaml

from daemon.__main__ import main
from daemon.control.suite import worst
from daemon.errors import UsageError
from daemon.scenario.read import shipped
from daemon.scenario.suite import SUITES, Suite, read_suite, select, suites

HEAD = "description: A test.\nscenarios:\n"


def made(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEAD + "  - smok\n", 3, "scenario smok: there is no such scenario; did you mean smoke?"),
        (HEAD + "  - none.yaml\n", 3, None),
        (HEAD + "  - smoke\n  - {scenario: smoke, targt: x}\n", 4, "did you mean target?"),
        (
            HEAD + "  - {scenario: smoke, time_scale: 0}\n",
            3,
            "scenarios[0].time_scale: 0 is not valid; it should be greater",
        ),
        (HEAD + "  - smoke\ncooldown: 5s\n", 4, "there is no field cooldown; did you mean cool_down?"),
        (HEAD + "  - smoke\ncool_down: soon\n", 4, "cool_down: 'soon' is not a duration"),
        (
            HEAD + "  - smoke\nreset: [all]\n",
            4,
            "reset[0]: 'all' is not valid; it should be 'tables', 'statistics'",
        ),
        ("description: x\nscenarios: []\n", 2, "scenarios: "),
        ("scenarios: [smoke]\n", 1, "description is missing"),
        (HEAD + "  - {name: a}\n", 3, "scenario is missing"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, text: str, line: int, says: str | None) -> None:
    file = made(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        select([str(file)])
    if says is None:
        assert str(caught.value).startswith(f"{tmp_path}/none.yaml: cannot be read")
        return
    (told,) = [one for one in str(caught.value).splitlines() if says in one]
    assert told.startswith(f"{file}:{line}: ")


def test_a_file_says_what_is_different_for_its_scenarios(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "description: x\nreset: [tables]\nsettings: {batch.size: 9}\nphases: [{name: a, duration: 1h}]\n"
    )
    file = made(
        tmp_path,
        "description: x\ntime_scale: 0.5\ncool_down: 4s\nreset: [checkpoint]\ntarget: sqlite:///a.db\n"
        "settings: {pools: {readers: 3}}\n"
        "scenarios:\n  - own.yaml\n  - {scenario: own.yaml, target: null://, time_scale: 0.1, "
        "settings: {batch: {size: 2}}}\n  - {scenario: smoke, name: quick}\n",
    )
    selection = select([str(file)])
    assert selection.name == "mine"
    assert [part.name for part in selection.parts] == ["own", "own-2", "quick"]
    first, second, quick = selection.parts
    assert (first.scale, second.scale) == (0.5, 0.05)
    assert {key: given.value for key, given in first.found.settings.items()} == {
        "batch.size": 9, "pools.readers": 3, "target": "sqlite:///a.db",
    }  # fmt: skip
    assert {key: given.value for key, given in second.found.settings.items()} == {
        "batch.size": 2, "pools.readers": 3, "target": "null://",
    }  # fmt: skip
    assert second.found.settings["batch.size"].source == f"{file}:9 batch.size"
    assert first.found.scenario.reset == ("tables", "checkpoint")
    assert quick.found.scenario.reset == ("checkpoint",)
    assert selection.seconds == 2 * 2.0 + 0.5 * 3600 + 0.05 * 3600 + 0.5 * 20


def test_a_file_may_be_called_as_something_that_comes_with_soakd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "game").write_text(HEAD + "  - light\n")
    assert [part.name for part in select(["game"]).parts] == ["light"]
    (tmp_path / "smoke").write_text("description: x\nphases: [{name: own, duration: 1s}]\n")
    assert select(["smoke"]).parts[0].found.scenario.phases[0].name == "own"


def test_names_are_those_of_a_suite_or_of_scenarios() -> None:
    assert [part.name for part in select(["game"]).parts] == [
        "game-baseline", "game-normal", "game-peak", "game-stress", "game-endurance",
    ]  # fmt: skip
    assert [part.name for part in select(["smoke", "light", "smoke"]).parts] == ["smoke", "light", "smoke-2"]
    assert select(["smoke"]).parts[0].found.scenario.reset == ("checkpoint",)
    with pytest.raises(
        UsageError, match="soakd suite games: there is no such suite or scenario; did you mean game"
    ):
        select(["games"])
    with pytest.raises(UsageError, match="soakd suite game: a suite stands alone"):
        select(["smoke", "game"])


@pytest.mark.parametrize("name", suites())
def test_a_shipped_suite_is_what_the_schema_says(name: str) -> None:
    text = yaml.safe_load((SUITES / f"{name}.yaml").read_text())
    jsonschema.validate(text, Suite.model_json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**text, "surprise": 1}, Suite.model_json_schema())
    assert {part.found.name for part in read_suite(SUITES / f"{name}.yaml").parts} <= set(shipped())
    assert name not in shipped()


def test_the_suite_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "scenarios.md").read_text(encoding="utf-8")
    (text,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "\nscenarios:" in block
    ]
    assert Suite.model_validate(yaml.safe_load(text)).scenarios


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 4, 0], 4),
        ([4, 2], 2),
        ([4, 3, 2], 3),
        ([3, 128 + signal.SIGINT], 130),
        ([130, 1], 1),
        ([1, 5, 4], 5),
    ],
)
def test_the_worst_exit_code_is_that_of_the_suite(codes: list[int], code: int) -> None:
    assert worst(codes) == code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("smoke --time-scale 0", "--time-scale 0 must be above 0"),
        ("smoke --cool-down soon", "--cool-down: 'soon' is not a duration"),
        ("smoke --report out.pdf", "--report out.pdf: end its name in one of .html"),
        ("smoke --report none/out.html", "report none/out.html: there is no folder /"),
        ("smoke --no-history --report out.html", "--report is made from the history"),
        ("smoke --set summary=x.json", "summary: each scenario would write it anew"),
        ("smoke --set duration=5s", "the scenario smoke has durations of its own"),
        ("light smoke --threshold op.none.rate>1", "light: threshold 'op.none.rate > 1'"),
        ("shell.yaml", "shell.yaml:5: event hook runs a shell command; read it, and give --allow-shell"),
    ],
)
def test_what_a_suite_cannot_be_run_with_is_refused_before_any_load(
    words: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shell.yaml").write_text(
        "description: x\nphases:\n  - name: a\n    duration: 1s\n"
        "    events: [{at: 0s, name: hook, shell: ls}]\n"
    )
    assert main(["suite", "--target", "null://", *words.split()]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "soakd-history.db").exists()


def test_suites_are_listed_shown_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "--suites", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == suites()
    assert listed[suites().index("levels")]["scenarios"] == ["levels-write", "levels-read", "levels-combined"]
    assert main(["scenarios", "--suites"]) == 0
    assert all(name in capsys.readouterr().out for name in ("levels",))
    assert main(["scenarios", "--show", "game"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["scenarios"][0] == "game-baseline"
    assert main(["scenarios", "--suites", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Suite"
