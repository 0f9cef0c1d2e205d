"""Thresholds: what can be written, how it is read back, and what it makes of a run."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import ERROR_CLASSES
from daemon.judge.grammar import CLAUSES, BadThreshold, Threshold, check_operations, parse
from daemon.judge.meter import Sample
from daemon.judge.profiles import PROFILES, expand
from daemon.judge.quantity import MOST, Kind
from daemon.judge.rules import RULES
from daemon.judge.signals import AGGREGATES, STATISTICS, find, known, of_operation
from daemon.judge.verdict import COMPARE, Judged, as_json, describe, judge
from daemon.ops import POOLS

THOUSANDTHS = st.integers(0, 10**9).map(lambda n: n / 1000)
VALUES: Mapping[Kind, st.SearchStrategy[str]] = {
    "seconds": st.builds("{}{}".format, st.integers(0, 10**6), st.sampled_from(["us", "ms", "s", "m"])),
    "share": THOUSANDTHS.map(lambda n: f"{n:.3f}%"),
    "rate": THOUSANDTHS.map(lambda n: f"{n:.3f}"),
    "count": st.integers(0, int(MOST)).map(str),
    "bytes": st.builds("{}{}".format, st.integers(0, 10**6), st.sampled_from(["", "B", "KiB", "MB", "GiB"])),
}
DURATIONS = VALUES["seconds"].filter(lambda text: not re.match("0+[a-z]", text))
NAMES = st.sampled_from([*known(), "op.transfer.service.p95", "op.append.rate", "op.by_key.errors"])


@st.composite
def written(draw: st.DrawFn) -> str:
    """A threshold as somebody may write it: blanks and clauses in any order."""
    name = draw(NAMES)
    signal = find(name)
    assert signal
    clauses = draw(st.lists(st.sampled_from(CLAUSES), unique=True))
    words = [f"{word} {draw(DURATIONS)}" if word in ("for", "after") else word for word in clauses]
    blank = st.sampled_from(["", " ", "  "])
    middle = f"{draw(blank)}{draw(st.sampled_from([*COMPARE]))}{draw(blank)}{draw(VALUES[signal.kind])}"
    return " ".join([f"{name}{middle}", *words])


@given(written())
def test_what_is_written_back_is_read_as_the_same(text: str) -> None:
    threshold = parse(text)
    assert parse(str(threshold)) == threshold
    assert str(parse(str(threshold))) == str(threshold)


@given(written())
def test_the_words_of_a_text_are_the_parts_of_the_threshold(text: str) -> None:
    threshold = parse(text)
    words = text.split()
    assert (threshold.abort, threshold.optional) == ("abort" in words, "optional" in words)
    assert (threshold.lasting is not None, threshold.after > 0) == ("for" in words, "after" in words)
    assert text.startswith(threshold.signal)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("response.writer.p99 < 200ms", Threshold("response.writer.p99", "<", 0.2)),
        ("errors.rate<1%", Threshold("errors.rate", "<", 0.01)),
        ("queue.utilization.max < 80 %", Threshold("queue.utilization.max", "<", 0.8)),
        ("rate.writer >= 5000", Threshold("rate.writer", ">=", 5000)),
        ("rate.writer >= 5000/s", Threshold("rate.writer", ">=", 5000)),
        ("op.transfer.service.p95 < 50ms", Threshold("op.transfer.service.p95", "<", 0.05)),
        ("pg.cache_hit > 99%", Threshold("pg.cache_hit", ">", 0.99)),
        ("host.cpu.max < 80%", Threshold("host.cpu.max", "<", 0.8)),
        ("pool.usage.max < 90%", Threshold("pool.usage.max", "<", 0.9)),
        ("invariants.violations == 0", Threshold("invariants.violations", "==", 0)),
        ("engine.rss.max < 1GiB", Threshold("engine.rss.max", "<", 2**30)),
        (
            "lag.reader.p999 <= 1m 30s for 1m after 2m abort",
            Threshold("lag.reader.p999", "<=", 90, 60, 120, abort=True),
        ),
        ("errors.count == 0 optional for 10s", Threshold("errors.count", "==", 0, 10, optional=True)),
    ],
)
def test_a_text_means(text: str, meant: Threshold) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "a signal must stand here; write for example response.writer.p99 < 200ms"),
        ("respons.writer.p99 < 200ms", 1, "did you mean response.writer.p99?"),
        ("  errors.rat < 1%", 3, "did you mean errors.rate?"),
        ("queue.utilization < 80%", 1, "did you mean queue.utilization.m"),
        ("op.transfer.servise.p95 < 1ms", 1, "did you mean op.transfer.service.p95?"),
        ("zebra < 1", 1, "docs/thresholds.md"),
        ("errors.rate 1%", 13, "one of < <= > >= == != must stand here"),
        ("errors.rate = 1%", 13, "one of < <= > >= == != must stand here"),
        ("errors.rate <", 14, "errors.rate < 1%"),
        ("errors.rate < few", 15, "errors.rate < 1%"),
        ("errors.rate < -1%", 15, "a value must stand here"),
        ("errors.rate < 1", 15, "'1' is not a percentage; write for example 1%"),
        ("errors.rate < 1ms", 15, "not a percentage"),
        ("response.writer.p99 < 200", 23, "'200' is not a duration; write for example 200ms"),
        ("response.writer.p99 < 5%", 23, "not a duration"),
        ("rate.writer > 1..5", 15, "not a number per second"),
        ("rate.writer > 5000%", 15, "not a number per second"),
        ("errors.count < 1e6", 16, "not a number"),
        ("errors.count < 2000000000000", 16, "not a number"),
        ("engine.rss.max < 1parsec", 18, "not a size"),
        ("errors.rate < 1% form 1m", 18, "'form' is none of for, after, abort, optional"),
        ("errors.rate < 1% abort abort", 24, "abort is given twice"),
        ("errors.rate < 1% for", 21, "a duration must follow for, such as for 1m"),
        ("errors.rate < 1% for 60", 22, "has no unit"),
        ("errors.rate < 1% after 0", 24, "after 0 says nothing; leave it out"),
        ("errors.rate < 1% for ever", 22, "a duration must follow for"),
    ],
)
def test_a_mistake_is_told_with_its_column(text: str, column: int, says: str) -> None:
    with pytest.raises(BadThreshold) as caught:
        parse(text)
    told = str(caught.value)
    assert told.startswith(f"threshold {text!r}, column {column}: "), told
    assert says in told


@given(st.text(max_size=40))
def test_no_text_at_all_is_more_than_a_mistake(text: str) -> None:
    try:
        assert parse(str(parse(text)))
    except BadThreshold as error:
        assert "column" in str(error)  # noqa: PT017 - either is right


def test_an_operation_must_be_one_of_the_workload() -> None:
    ops = ("append", "by_key")
    check_operations(parse("op.append.response.p99 < 1s"), ops)
    check_operations(parse("errors.rate < 1%"), ops)
    with pytest.raises(
        BadThreshold, match=r"column 4: the workload has no operation apend; did you mean append"
    ):
        check_operations(parse("op.apend.response.p99 < 1s"), ops)
    with pytest.raises(BadThreshold, match="it has append, by_key"):
        check_operations(parse("op.transfer.rate > 1"), ops)


def test_profiles_hold_thresholds_and_come_together_with_others() -> None:
    for name, lines in PROFILES.items():
        assert [str(threshold) for threshold in expand([f"profile:{name}"])] == list(lines)
    both = expand(["errors.rate < 1%", "profile:progress", "errors.rate<1.0%", "rate.reader > 5"])
    assert [threshold.signal for threshold in both] == [
        "errors.rate", "response.reader.p95", "response.writer.p95", "rate.reader",
    ]  # fmt: skip
    with pytest.raises(BadThreshold, match=r"column 9: no such profile; did you mean profile:game"):
        expand(["profile:gane"])
    with pytest.raises(BadThreshold, match="there are events, game, progress"):
        expand(["profile:xyz"])


def fold(text: str, *looks: tuple[float, float | None, float | None]) -> Judged:
    """Judge (elapsed, value of the last seconds, value of the whole run)."""
    threshold = parse(text)
    judged = Judged(threshold)
    for elapsed, recent, whole in looks:
        name = threshold.signal
        judged = judge(
            judged, Sample(elapsed, {threshold.after: {name: recent}}, {threshold.after: {name: whole}})
        )
    return judged


def test_without_for_the_whole_run_decides_and_the_worst_moment_is_told() -> None:
    judged = fold("response.writer.p99 < 200ms", (1, 0.1, 0.1), (2, 0.9, 0.3), (3, 0.1, 0.15))
    assert (judged.verdict, judged.ok) == ("pass", True)
    assert (judged.value, judged.worst, judged.worst_at) == (0.15, 0.9, 2)
    assert describe(judged) == "150ms, at worst 900ms after 2 s"
    failed = fold("response.writer.p99 < 200ms", (1, 0.1, 0.1), (2, 0.9, 0.3), (3, 0.9, 0.4))
    assert (failed.verdict, failed.ok, failed.violated_since) == ("fail", False, 2)


def test_with_for_only_a_violation_without_a_break_counts_and_it_stays_failed() -> None:
    looks = [(float(n), 0.5 if n != 5 else 0.0, None) for n in range(10)]
    assert fold("errors.rate < 1% for 5s", *looks).verdict == "pass"
    assert fold("errors.rate < 1% for 5s", *looks, (10.0, 0.5, None)).verdict == "pass"
    failed = fold("errors.rate < 1% for 5s", *looks, (11.0, 0.5, None), (12.0, 0.0, None))
    assert (failed.verdict, failed.failed_at, failed.violated_since) == ("fail", 11.0, None)


def test_what_ends_a_run_stays_failed_with_the_figures_that_it_had_then() -> None:
    """The run goes on for a moment, and drains: that may not make a pass of it."""
    judged = fold("target.reader > 95% abort", (1, 1.0, 0.96), (2, 0.9, 0.94), (3, 1.0, 0.97))
    assert (judged.verdict, judged.ok, judged.violated_since, judged.value) == ("fail", False, 2, 0.94)
    lasting = fold("errors.rate < 1% for 1s abort", (1, 0.5, 0), (2, 0.5, 0), (3, 0.0, 0))
    assert (lasting.verdict, lasting.failed_at, lasting.value) == ("fail", 2, 0.5)
    assert describe(judged) == "94 %, at worst 90 % after 2 s"


def test_having_no_answer_for_a_while_does_not_end_a_violation() -> None:
    looks = [(0.0, 2.0, None), (3.0, None, None), (6.0, 2.0, None)]
    assert fold("response.reader.p99 < 1s for 6s", *looks).failed_at == 6.0


def test_what_is_before_after_is_not_looked_at() -> None:
    judged = fold("rate.writer > 100 after 2s", (0, 1, 1), (1, 1, 1), (2, 200, 200), (3, 300, 250))
    assert (judged.verdict, judged.worst, judged.worst_at) == ("pass", 200, 2)


@pytest.mark.parametrize(
    ("text", "ok"), [("pg.cache_hit > 99%", False), ("pg.cache_hit > 99% optional", True)]
)
def test_nothing_to_judge_is_a_failure_unless_it_is_optional(text: str, *, ok: bool) -> None:
    judged = fold(text, (1, None, None), (2, None, None))
    assert (judged.verdict, judged.ok, judged.failing) == ("no data", ok, False)
    assert describe(judged) == "no data"


@pytest.mark.parametrize(
    ("comparison", "worst", "whole", "verdict"),
    [
        ("<", 9, 4, "fail"), ("<=", 9, 4, "pass"), (">", 1, 4, "fail"), (">=", 1, 4, "pass"),
        ("==", 9, 4, "pass"), ("==", 9, 5, "fail"), ("!=", 5, 5, "pass"), ("!=", 5, 4, "fail"),
    ],
)  # fmt: skip
def test_the_worst_value_is_the_one_on_the_wrong_side(
    comparison: str, worst: float, whole: float, verdict: str
) -> None:
    judged = fold(f"errors.count {comparison} 4", (1, 5, 5), (2, 9, 9), (3, 1, whole))
    assert (judged.worst, judged.verdict) == (worst, verdict)


def test_as_data_it_has_everything_in_base_units() -> None:
    data = as_json(fold("response.writer.p99 < 200ms optional", (1, 0.1, 0.1), (2, 0.9, 0.3)))
    assert data == {
        "threshold": "response.writer.p99 < 200ms optional",
        "signal": "response.writer.p99",
        "unit": "seconds",
        "verdict": "fail",
        "ok": False,
        "limit": 0.2,
        "value": 0.3,
        "worst": 0.9,
        "worst_at_seconds": 2,
        "violated_since_seconds": 2,
        "failed_at_seconds": None,
        "optional": True,
        "abort": False,
        "found": "300ms, at worst 900ms after 2 s",
    }


def test_the_page_has_every_signal_and_no_other() -> None:
    """With its placeholders filled in, and every profile."""
    page = (Path(__file__).parent.parent / "docs" / "thresholds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z].*?`) \| `", page.partition("## Signals")[2], re.MULTILINE)
    names = {name for row in rows for pattern in re.findall(r"`(.+?)`", row) for name in filled(pattern)}
    assert names == {*known(), *of_operation("append")}
    assert re.findall(r"^\| `profile:(\w+)`", page, re.MULTILINE) == list(PROFILES)
    assert re.findall(r"^\| `(\w+)` \| (\w+) \| [a-z0-9]", page, re.MULTILINE) == [
        (rule.name, rule.level) for rule in RULES
    ]
    for command in re.findall(r"--threshold '(.+?)'", page):
        assert parse(command)


def filled(pattern: str) -> list[str]:
    """Return the names that a pattern of the page stands for."""
    found = [re.sub(r"\bOP\b", "append", pattern)]
    for word, values in (
        ("POOL", POOLS),
        ("STAT", STATISTICS),
        ("AGG", AGGREGATES),
        ("CLASS", ERROR_CLASSES),
    ):
        found = (
            [name.replace(word, value) for name in found for value in values] if word in pattern else found
        )
    return found
