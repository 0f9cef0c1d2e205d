"""The report of a suite as a page, a text, data, a table or JUnit XML."""

import csv
import io
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import orjson

from daemon.report import charts, data, junit, templates
from daemon.report.figures import OUTCOMES, Figures
from daemon.report.suite import PartReport, SuiteReport
from daemon.report.suite_words import QUANTILES, anchors, change, suite_names

VERSION = 1
OWN_SCHEMA = Path(__file__).with_name("suite.schema.json")
COLUMNS = (
    "number", "name", "scenario", "verdict", "exit_code", "run_id", "target", "pool", *OUTCOMES, "rate",
    "target_rate", "p50", "p95", "p99", "max", "service_p99",
)  # fmt: skip


def as_html(report: SuiteReport) -> str:
    """Return one page that needs nothing but itself; some hundred KB, whatever the length of the suite."""
    drawn = {
        "over_time": charts.over_time(report.record) if report.record else [],
        "ranges": list(charts.ranges([(part.name, part.report) for part in report.parts if part.report])),
        "anchors": anchors(report),
    }
    return templates.filled("suite.html.j2", suite_names(report) | drawn)


def as_markdown(report: SuiteReport) -> str:
    """Return the same as Markdown, without charts."""
    return templates.tidied(templates.filled("suite.md.j2", suite_names(report)))


def as_json(report: SuiteReport) -> str:
    """Return it as JSON text; `schema` says what is in it."""
    suite = report.suite
    found = {
        "suite_report_version": VERSION,
        "suite_id": suite.suite_id,
        "suite": suite.name,
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "soakd_version": suite.soakd_version,
        "started": suite.started,
        "ended": suite.ended,
        "stop_reason": suite.stop_reason,
        "scenarios": [_part(part) for part in report.parts],
    }
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def schema() -> str:
    """Return the JSON Schema of `as_json`, with that of a run's report in it."""
    own: dict[str, Any] = orjson.loads(OWN_SCHEMA.read_bytes())
    own["$defs"] = {"report": {"$id": "soakd:report", **orjson.loads(data.SCHEMA.read_bytes())}}
    return orjson.dumps(own, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_csv(report: SuiteReport) -> str:
    """Return a line for each scenario and pool, times in s; one without a run has one line."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, part in enumerate(report.parts, 1):
        run = part.part.run
        own = {
            "number": number,
            "name": part.name,
            "scenario": part.part.scenario,
            "verdict": part.verdict,
            "exit_code": part.part.exit_code,
            "run_id": run.run_id if run else None,
            "target": part.part.target,
        }
        for pool in (part.report.pools if part.report else None) or (None,):
            writer.writerow(own if pool is None else own | _line(pool))
    return out.getvalue()


def as_junit(report: SuiteReport) -> str:
    """Return a test suite for each scenario; where no threshold tells why it failed there is an error."""
    root = Element("testsuites", name=f"soakd suite {report.suite.name} {report.suite.suite_id}")
    for part in report.parts:
        suite = junit.testsuite(part.report, part.name) if part.report else _unmade(part)
        problem = part.part.problem
        if part.report and problem and part.verdict == "failed" and suite.get("failures") == "0":
            case = SubElement(suite, "testcase", classname="soakd.suite", name="exit code", time="0")
            SubElement(case, "error", message=problem)
            suite.set("tests", str(int(suite.get("tests", "0")) + 1))
            suite.set("errors", "1")
        root.append(suite)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    return junit.text(root)


def _unmade(part: PartReport) -> Element:
    """Return the suite of a scenario that has no run."""
    suite = Element("testsuite", name=part.name, tests="1", failures="0", time="0")
    case = SubElement(suite, "testcase", classname="soakd.suite", name=part.name, time="0")
    if part.verdict == "failed":
        SubElement(case, "error", message=part.part.problem or f"exit code {part.part.exit_code}")
    elif part.verdict != "passed":
        SubElement(case, "skipped", message=part.verdict)
    suite.set("errors", str(int(part.verdict == "failed")))
    suite.set("skipped", str(int(part.verdict not in ("failed", "passed"))))
    return suite


def _part(part: PartReport) -> dict[str, Any]:
    return {
        "name": part.name,
        "scenario": part.part.scenario,
        "target": part.part.target,
        "verdict": part.verdict,
        "exit_code": part.part.exit_code,
        "problem": part.part.problem,
        "change": change(part) or None,
        "report": data.as_data(part.report) if part.report else None,
    }


def _line(pool: Figures) -> dict[str, Any]:
    response = pool.times.get("response")
    return {
        "pool": pool.name,
        **pool.outcomes,
        "rate": pool.rate,
        "target_rate": pool.target,
        **{f"p{round(q * 100)}": pool.quantile("response", q) for q in QUANTILES},
        "max": response.max if response else None,
        "service_p99": pool.quantile("service", 0.99),
    }
