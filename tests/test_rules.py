"""What Prometheus is told: targets that are there, rules about metrics that exist, alerts that are tested."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from daemon.errors import ERROR_CLASSES
from daemon.ops import OUTCOMES, POOLS
from daemon.record.catalog import DROP_REASONS, METRICS, PHASES, ROW_OUTCOMES
from daemon.record.catalog_samples import HOST, POSTGRES, SAMPLERS, SQLITE
from daemon.record.metric import Metric
from tests.each import for_each
from tests.stack import ROOT, RULE_TESTS, RULES, compose, rule_tests, rules

CATALOGUE: Mapping[str, Metric] = {**METRICS, **SAMPLERS, **POSTGRES, **SQLITE, **HOST}
DEPLOY = ROOT / "deploy"
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
SERVICES: Mapping[str, dict[str, Any]] = compose()["services"]
EVERY_RULE = list(rules())
RECORDED = {rule["record"] for rule in EVERY_RULE if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in EVERY_RULE if "alert" in rule}
CASES = list(rule_tests())
RUNBOOKS = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(DEPLOY / "examples").glob("*.yml")]

# What a label can be, where the metric's own sentence does not list it.
VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("soakd_ops_total", "outcome"): OUTCOMES,
    ("soakd_rows_total", "outcome"): ROW_OUTCOMES,
    ("soakd_ops_dropped_total", "reason"): DROP_REASONS,
    ("soakd_run_phase", "phase"): PHASES,
    ("soakd_op_errors_total", "class"): ERROR_CLASSES,
}
TARGET_LABELS = {"job", "instance"}
OF_COUNTERS = {"rate", "increase", "irate", "resets"}
SELECTOR = re.compile(
    r"(?:\b(?P<function>\w+)\s*\(\s*)?"
    r"\b(?P<name>soakd_\w+|[a-z_]+:\w+:\w+)(?P<matchers>\{[^}]*\})?(?P<range>\[\w+\])?"
)

every_rule = for_each(EVERY_RULE, lambda rule: rule.get("alert") or rule["record"])
every_alert = pytest.mark.parametrize("alert", ALERTS)


class Selected(NamedTuple):
    """A selector in an expression.

    Attributes:
        name: as it is written.
        metric: the metric that it is a series of; None for a recorded one.
        counter: whether it only ever grows, as the series of a histogram do.
        function: what it is directly inside of, or None.
        matchers: (label, value), one for each value that is named.
        ranged: whether it is a range.
    """

    name: str
    metric: Metric | None
    counter: bool
    function: str | None
    matchers: list[tuple[str, str]]
    ranged: bool


def selected(expression: str) -> Iterator[Selected]:
    """Yield the selectors of soakd's metrics in an expression.

    Raises:
        KeyError: there is no such metric.
    """
    for match in SELECTOR.finditer(expression):
        name = match["name"]
        matchers = [
            (label, value)
            for label, text in re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', match["matchers"] or "")
            for value in text.split("|")
        ]
        metric, counter = (None, False) if name in RECORDED else kind(name)
        yield Selected(name, metric, counter, match["function"], matchers, match["range"] is not None)


def kind(name: str) -> tuple[Metric, bool]:
    """Return the metric that a series belongs to, and whether the series only ever grows.

    Raises:
        KeyError: there is no such metric, or it is a histogram without _bucket, _sum or _count.
    """
    if name in CATALOGUE and CATALOGUE[name].kind != "histogram":
        return CATALOGUE[name], CATALOGUE[name].kind == "counter"
    base, _, suffix = name.rpartition("_")
    if suffix in ("bucket", "sum", "count") and CATALOGUE[base].kind == "histogram":
        return CATALOGUE[base], True
    raise KeyError(name)


def labels_of(metric: Metric, name: str) -> set[str]:
    """Return the labels that a series of a metric has."""
    return {*metric.labels, *TARGET_LABELS, *(["le"] if name.endswith("_bucket") else [])}


@pytest.fixture(scope="module")
def promtool() -> str:
    """The path of promtool."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    return found


def checked(*command: str | Path) -> None:
    """Run a command that must succeed; what it says is in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- configuration


def test_prometheus_takes_the_configuration(promtool: str) -> None:
    checked(promtool, "check", "config", DEPLOY / "prometheus.yml")


def test_prometheus_takes_the_configuration_of_the_example(promtool: str, tmp_path: Path) -> None:
    """The secrets that it names are only there when it runs; here they are empty files."""
    text = (DEPLOY / "examples" / "prometheus-tls.yml").read_text()
    for name in ("metrics-cert", "metrics-password"):
        (tmp_path / name).touch()
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/run/secrets", str(tmp_path)))
    (tmp_path / "rules").symlink_to(DEPLOY / "rules")
    checked(promtool, "check", "config", config)
    secrets = compose(DEPLOY / "examples" / "tls.yml")["services"]["prometheus"]["secrets"]
    assert {f"/run/secrets/{name}" for name in secrets} == set(re.findall(r"/run/secrets/[\w-]+", text))


def test_prometheus_asks_every_soakd_where_it_listens() -> None:
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    assert jobs["soakd"]["static_configs"] == [{"targets": ["soakd:8080"], "labels": {"instance": "soakd"}}]
    (looked_up,) = jobs["soakd"]["dns_sd_configs"]
    assert (looked_up["names"], looked_up["type"], looked_up["port"]) == (["soakd-sqlite"], "A", 8080)
    for name in ("soakd", "soakd-sqlite"):
        assert SERVICES[name]["ports"][0].endswith(":8080")
        assert "monitoring" in SERVICES[name]["networks"]
    assert "monitoring" in SERVICES["prometheus"]["networks"]
    assert set(jobs) == {"soakd", "prometheus"}


def test_prometheus_asks_as_often_as_the_dashboards_expect() -> None:
    assert PROMETHEUS["global"]["scrape_interval"] == "5s"


def test_prometheus_finds_configuration_and_rules_where_they_are_mounted() -> None:
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["prometheus"]["volumes"])
    config = mounts["./deploy/prometheus.yml"]
    assert f"--config.file={config}" in SERVICES["prometheus"]["command"]
    (pattern,) = PROMETHEUS["rule_files"]
    assert str(Path(config).parent / Path(pattern).parent) == mounts["./deploy/rules"]
    assert set(DEPLOY.glob(pattern)) == set(RULES)


# ---- rules


def test_prometheus_takes_the_rules(promtool: str) -> None:
    checked(promtool, "check", "rules", *RULES)


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(promtool: str, path: Path) -> None:
    checked(promtool, "test", "rules", path)


@every_rule
def test_a_rule_uses_metrics_that_exist(rule: dict[str, Any]) -> None:
    found = list(selected(rule["expr"]))
    assert found or rule["alert"] == "SoakdDown"


@every_rule
def test_a_rule_uses_a_metric_as_what_it_is(rule: dict[str, Any]) -> None:
    """The rate of a gauge is nonsense, and a counter by itself says how long soakd has been running."""
    for one in selected(rule["expr"]):
        if one.counter:
            assert one.ranged, one.name
            assert one.function in OF_COUNTERS, one.name
        else:
            assert one.function not in OF_COUNTERS, one.name
            assert not one.ranged or one.function in {"min_over_time", "max_over_time", "predict_linear"}


@every_rule
def test_a_rule_uses_labels_that_the_metrics_have(rule: dict[str, Any]) -> None:
    known = set(TARGET_LABELS)
    for one in selected(rule["expr"]):
        if one.metric is None:
            known |= set(one.name.partition(":")[0].split("_"))
            continue
        known |= labels_of(one.metric, one.name)
        assert {label for label, _ in one.matchers} <= labels_of(one.metric, one.name), one.name
    for group in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", rule["expr"]):
        assert {label.strip() for label in group.split(",")} <= known, group


@every_rule
def test_a_rule_asks_for_values_that_can_be(rule: dict[str, Any]) -> None:
    """A misspelt value selects nothing, and nothing is said about it."""
    for one in selected(rule["expr"]):
        for label, value in one.matchers:
            if label == "pool":
                assert value in POOLS
            elif one.metric is not None:
                possible = VALUES.get((one.name, label)) or re.findall(r"\w+", one.metric.help)
                assert value in possible, (one.name, label, value)


@for_each(sorted(RECORDED))
def test_a_recorded_name_says_which_labels_are_left(name: str) -> None:
    """`instance_pool:soakd_ops:rate1m` has `instance` and `pool`, and the expression keeps just these."""
    rule = next(rule for rule in EVERY_RULE if rule.get("record") == name)
    level = name.partition(":")[0].split("_")
    kept = re.findall(r"\bby\s*\(([^)]*)\)", rule["expr"])
    for group in kept:
        assert {label.strip() for label in group.split(",")} - {"le"} == set(level) - {"le"}
    for one in selected(rule["expr"]):
        if not kept and one.metric is not None:
            assert not one.metric.labels


# ---- alerts


@every_alert
def test_an_alert_says_what_how_bad_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{alert.lower()}"


def runbooks() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each section of docs/alerts.md."""
    _, *sections = re.split(r"^## ", RUNBOOKS, flags=re.MULTILINE)
    for section in sections:
        name, _, text = section.partition("\n")
        yield name, text


def test_there_is_a_runbook_for_every_alert_and_for_no_other() -> None:
    assert [name for name, _ in runbooks()] == list(ALERTS)


@every_alert
def test_the_runbook_agrees_with_the_alert(alert: str) -> None:
    text = " ".join(dict(runbooks())[alert].split())
    rule = ALERTS[alert]
    assert text.startswith(f"*{rule['labels']['severity']}* · {rule['annotations']['description']} - ")


@every_alert
def test_an_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    expected = [
        bool(check["exp_alerts"])
        for case in CASES
        for check in case.get("alert_rule_test", [])
        if check["alertname"] == alert
    ]
    assert set(expected) == {True, False}


@for_each(sorted(RECORDED))
def test_a_recorded_name_is_tested_or_is_part_of_one_that_is(record: str) -> None:
    asked = {
        expression
        for case in CASES
        for check in case.get("promql_expr_test", [])
        for expression in re.findall(r"[a-z_]+:\w+:\w+", check["expr"])
    }
    parts = {
        name
        for rule in EVERY_RULE
        if rule.get("record") in asked
        for name in re.findall(r"[a-z_]+:\w+:\w+", rule["expr"])
    }
    assert record in asked | parts


def test_the_cases_are_about_series_that_soakd_has() -> None:
    """With invented labels a case would prove nothing."""
    for case in CASES:
        for given in case["input_series"]:
            name, _, rest = given["series"].partition("{")
            labels = set(re.findall(r'(\w+)="', rest))
            if name == "up":
                assert labels == TARGET_LABELS
                continue
            metric, _ = kind(name)
            assert labels | {"job"} == labels_of(metric, name), given["series"]


# ---- documents


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_name_series_that_exist(page: Path) -> None:
    for name in set(re.findall(r"\bsoakd_[a-z_]+(?:_[a-z]+)*\b", page.read_text(encoding="utf-8"))):
        if re.search(r"_(total|seconds|bytes|ratio|up|limited|info|rows|bucket|count)$", name):
            assert name in CATALOGUE or kind(name)
