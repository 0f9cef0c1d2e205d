"""The report of a suite: its numbers are those of its runs, and it tells what became of each scenario."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

from daemon.history.export import copy
from daemon.history.file import open_to_write, reading
from daemon.history.look import Ending, Event, Judgement
from daemon.history.read import find, runs
from daemon.history.retention import delete
from daemon.history.scribe import Scribe
from daemon.history.suites import Book, Plan, find_suite
from daemon.report import forms, suite_forms
from daemon.report.suite import SuiteReport, collect
from daemon.report.suite_words import anchors, comparison
from daemon.results import readable
from tests.past import STARTED, Past, beginning

SUITE = "20260921000000000"
SECONDS = 20


def lived(folder: Path, place: int, slow: float, judgements: tuple[Judgement, ...]) -> None:
    """Write down a run of a suite, which began a minute after the one before."""
    past = Past(seed=place + 1)
    begun = beginning(f"2026092100010000{place}", suite_id=SUITE, place=place, started=STARTED + 60.0 * place)
    with open_to_write(folder / "history.db") as db:
        scribe = Scribe(db, begun, sample_interval=1.0)
        scribe.look(past.look())
        for second in range(1, SECONDS + 1):
            past.at = float(second)
            past.ops("writer", 200, 0.01 * slow * (20 if second == 12 else 1), spread=0.1)
            past.ops("reader", 300, 0.0005 * slow, spread=0.1)
            events = [Event(second - 1.0, "planned", "<index>")] if second == 12 else []
            scribe.look(past.look(), events)
        state = "passed" if all(one.ok for one in judgements) else "failed"
        scribe.finish(Ending(float(SECONDS), "duration", state, {}, past.engine, {}, judgements))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of four: one passed, one failed, one could not be run, one was not."""
    folder = tmp_path_factory.mktemp("suite")
    said: list[str] = []
    book = Book(folder / "history.db", SUITE, said.append)
    names = ("calm", "busy", "nowhere", "late")
    book.begin("four", "0.1.0", STARTED - 5, [Plan(name, "light", "sqlite:///soakd.db") for name in names])
    good = Judgement("a", "errors.rate < 1%", "pass", ok=True, found="0 %")
    bad = Judgement("b", "response.writer.p99 < 20ms", "fail", ok=False, value=0.05, at=11.0, found="50ms")
    lived(folder, 0, 1.0, (good,))
    book.part(0, 0, None)
    lived(folder, 1, 3.0, (good, bad))
    book.part(1, 4, "threshold response.writer.p99 < 20ms: 50ms")
    book.part(2, 3, "cannot be <reached> | here")
    book.end(STARTED + 200, "failure")
    assert not said
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> SuiteReport:
    """The report of that suite."""
    with reading(folder / "history.db") as db:
        kept = find_suite(db, "suite")
        assert kept is not None
        return collect(db, kept)


def test_the_verdict_tells_what_became_of_each_scenario(report: SuiteReport) -> None:
    assert [part.verdict for part in report.parts] == ["passed", "failed", "failed", "not run"]
    assert (report.verdict, report.headline) == ("failed", "Failed")
    assert report.reasons[:4] == [
        "1 of 4 scenarios passed, 2 failed, 1 not run.",
        "It was to end with the first scenario that fails.",
        "busy: response.writer.p99 < 20ms is not met (50ms).",
        "nowhere: cannot be <reached> | here.",
    ]
    assert report.reasons[4].startswith("Worst moment: p99 ")
    assert " in busy at " in report.reasons[4]
    assert report.reasons[4].endswith(": planned event.")


def test_the_scenarios_stand_side_by_side_with_the_numbers_of_their_runs(report: SuiteReport) -> None:
    rows = comparison(report).rows
    busy = report.parts[1]
    writer = busy.pool("writer")
    assert writer is not None
    assert rows[1][:3] == ("busy", "failed", readable.rate(writer.rate))
    assert rows[1][5] == readable.seconds(writer.quantile("response", 0.99))
    assert rows[2] == ("nowhere", "failed", *["–"] * 10)
    lines = list(csv.DictReader(io.StringIO(forms.of_suite(report, "csv"))))
    assert [(line["name"], line["pool"]) for line in lines] == [
        ("calm", "writer"), ("calm", "reader"), ("busy", "writer"), ("busy", "reader"), ("nowhere", ""),
        ("late", ""),
    ]  # fmt: skip
    assert float(lines[2]["p99"]) == writer.quantile("response", 0.99)
    assert [line["exit_code"] for line in lines] == ["0", "0", "4", "4", "3", ""]


def test_all_runs_are_on_one_time_axis(report: SuiteReport) -> None:
    record = report.record
    assert record is not None
    starts = [row["at"] for row in record.pools["writer"]]
    assert starts == sorted(starts)
    assert (starts[0], starts[SECONDS]) == (5_000, 65_000)
    assert [row["at"] for row in record.events if row["kind"] == "planned"] == [16_000, 76_000]
    assert list(dict.fromkeys(row["phase"] for row in record.intervals)) == ["calm", "busy"]
    assert sum(row["ok"] for row in record.pools["writer"]) == 2 * 200 * SECONDS


def test_the_page_compares_and_leads_to_each_scenario(report: SuiteReport) -> None:
    page = forms.of_suite(report, "html")
    assert len(page) < 1_000_000
    for anchor in anchors(report):
        assert f'href="{anchor}"' in page
        assert f'id="{anchor[1:]}"' in page
    order = [page.index(f'id="{name}"') for name in ("comparison", "thresholds", "moments", "time", "1-calm")]
    assert order == sorted(order)
    assert page.index("<h1>Failed</h1>") < order[0]
    assert "<script" not in page
    assert "https://" not in page
    assert "&lt;index&gt;" in page
    assert "cannot be &lt;reached&gt; | here" in page
    assert page.count("<circle") == 2 * 2 * 3
    assert f"soakd report {report.parts[0].part.run.run_id}" in page  # type: ignore[union-attr]


def test_markdown_says_the_same(report: SuiteReport) -> None:
    text = forms.of_suite(report, "md")
    assert text.startswith("# soakd suite four: Failed\n")
    row = next(line for line in text.splitlines() if line.startswith("| busy | failed |"))
    assert tuple(cell.strip() for cell in row.split("|")[1:-1]) == comparison(report).rows[1]
    assert r"cannot be \<reached\> \| here" in text


def test_the_json_is_as_its_schema_says(report: SuiteReport) -> None:
    schema = json.loads(suite_forms.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    given = json.loads(forms.of_suite(report, "json"))
    jsonschema.validate(given, schema)
    assert given["scenarios"][1]["report"]["thresholds"][1]["found"] == "50ms"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**given, "surprise": 1}, schema)
    given["scenarios"][1]["report"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, schema)


def test_junit_has_a_suite_for_each_scenario(report: SuiteReport) -> None:
    root = ET.fromstring(forms.of_suite(report, "junit"))  # noqa: S314 - our own text
    assert [suite.get("name") for suite in root] == ["calm", "busy", "nowhere", "late"]
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "7", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    unmade = root.iterfind("testsuite/testcase[@classname='soakd.suite']")
    assert [case.get("name") for case in unmade] == ["nowhere", "late"]
    (error,) = root.iter("error")
    assert error.get("message") == "cannot be <reached> | here"


@pytest.mark.parametrize("name", ["suite", "suite-0", SUITE, "four"])
def test_a_suite_is_found_by_its_names(folder: Path, name: str) -> None:
    with reading(folder / "history.db") as db:
        found = find_suite(db, name)
        assert found is not None
        assert found.suite_id == SUITE
        assert find_suite(db, "suite-1") is None
        assert find_suite(db, "other") is None


def test_a_suite_goes_with_its_runs_and_with_the_last_of_them(folder: Path, tmp_path: Path) -> None:
    with reading(folder / "history.db") as db:
        copy(db, runs(db), tmp_path / "history.db")
    with reading(tmp_path / "history.db") as db:
        delete(db, [find(db, "last").number])
        kept = find_suite(db, "four")
        assert kept is not None
        report = collect(db, kept)
        assert [part.verdict for part in report.parts] == ["passed", "failed", "failed", "not run"]
        assert "There is no run of it" in forms.of_suite(report, "html")
        delete(db, [find(db, "last").number])
        assert find_suite(db, "four") is None
        assert not list(db.query("SELECT * FROM suite_parts"))


def test_a_suite_that_was_killed_is_told_as_interrupted(tmp_path: Path) -> None:
    book = Book(tmp_path / "history.db", SUITE, pytest.fail)
    book.begin("cut", "0.1.0", STARTED, [Plan(name, name, "null://") for name in ("one", "two")])
    with reading(tmp_path / "history.db") as db:
        kept = find_suite(db, "cut")
        assert kept is not None
        assert collect(db, kept).verdict == "running"
        db.execute("UPDATE suites SET owner = ?", ['{"host": "elsewhere", "pid": 1, "born": 0}'])
        kept = find_suite(db, "cut")
        assert kept is not None
        assert collect(db, kept).verdict == "interrupted"


@pytest.mark.parametrize(
    ("codes", "reason", "verdict"),
    [
        ((0, 0), "done", "passed"),
        ((0, 4), "done", "failed"),
        ((0, None), "SIGINT", "stopped"),
        ((0, 130), "SIGINT", "stopped"),
        ((5, 130), "SIGINT", "failed"),
    ],
)
def test_the_verdict_over_a_suite_without_runs_is_that_of_its_exit_codes(
    codes: tuple[int | None, ...], reason: str, verdict: str, tmp_path: Path
) -> None:
    book = Book(tmp_path / "history.db", SUITE, pytest.fail)
    book.begin("some", "0.1.0", STARTED, [Plan(f"n{n}", "light", "null://") for n in range(len(codes))])
    for place, code in enumerate(codes):
        if code is not None:
            book.part(place, code, None)
    book.end(STARTED + 1, reason)
    with reading(tmp_path / "history.db") as db:
        kept = find_suite(db, "some")
        assert kept is not None
        assert collect(db, kept).verdict == verdict


def test_a_history_that_cannot_be_written_is_told_and_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_text("no database at all, but a text that is long enough to be looked at")
    said: list[str] = []
    book = Book(tmp_path / "history.db", SUITE, said.append)
    book.begin("four", "0.1.0", STARTED, [])
    assert len(said) == 1
    assert "history.db" in said[0]
