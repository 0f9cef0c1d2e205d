"""What has changed between two reports: told apart from chance, and from other conditions."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import UsageError
from daemon.lab.compare import compare, comparison_rows, condition_lines, read_base
from daemon.lab.measure import Measured
from daemon.lab.report import KIND, VERSION, query_report


def report(queries: dict[str, list[float]], **facts: Any) -> dict[str, Any]:
    """Return a report of queries with these times."""
    return {
        "report": KIND,
        "version": VERSION,
        "workload": "marketplace",
        "dataset": {"scale": 1000},
        **facts,
        "queries": {
            name: query_report(Measured(times=times, rows=[5] * len(times)), 0.1)
            for name, times in queries.items()
        },
    }


STEADY = [0.010, 0.011, 0.009, 0.010] * 25


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        (STEADY, "same"),
        ([time * 1.05 for time in STEADY], "same"),  # sure, and too little to matter
        ([time * 1.5 for time in STEADY], "slower"),
        ([time / 2 for time in STEADY], "faster"),
        ([*STEADY[:-1], 0.5], "same"),  # one that was unlucky
        ([], "unknown"),
    ],
)
def test_a_change_is_one_that_is_sure_and_large_enough(times: list[float], verdict: str) -> None:
    found = compare(report({"q": STEADY}), report({"q": times}))["queries"]["q"]
    assert found["verdict"] == verdict


def test_rows_show_both_sides_and_what_has_turned_slow() -> None:
    before = report({"a": STEADY, "b": STEADY, "c": STEADY})
    now = report({"a": [time * 20 for time in STEADY], "b": STEADY, "d": STEADY})
    rows = {row[0]: row for row in comparison_rows(compare(before, now))}
    assert rows["a"][1:4] == ["10.0ms", "200ms", "+1900%"]
    assert rows["a"][-2:] == ["slower", "is slow now"]
    assert rows["b"][-2:] == ["same", ""]
    assert (rows["c"][-2], rows["d"][-2]) == ("gone", "new")
    back = {row[0]: row for row in comparison_rows(compare(now, before))}
    assert back["a"][-2:] == ["faster", "was slow"]


def test_other_conditions_are_told() -> None:
    same = compare(report({"q": STEADY}), report({"q": STEADY}))
    assert condition_lines(same) == []
    other = compare(report({"q": STEADY}), report({"q": STEADY}, dataset={"scale": 9}, writers=3))
    assert condition_lines(other) == [
        "not the same dataset: scale 1000 before, scale 9 now",
        "not the same writers: None before, 3 now",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "is not JSON"),
        ("[]", "is no report of `soakd query-test`"),
        ('{"run_id": 1}', "is no report of `soakd query-test`"),
        (json.dumps({"report": KIND, "version": 99}), "is a report of version 99, this soakd reads 1"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_compared_with_is_told(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "base.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_base(path)
    assert words in str(caught.value)
