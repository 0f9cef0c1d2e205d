"""The report as JUnit XML, which CI systems show: a case for each threshold, and one for the run itself."""

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from daemon.report.content import Report


def as_junit(report: Report) -> str:
    """Return the document. Without thresholds the one case says whether rows were lost or the run cut off."""
    run = report.run
    return text(testsuite(report, f"soakd {run.scenario or run.workload} {run.run_id}"))


def text(root: Element) -> str:
    """Return a document as text."""
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def testsuite(report: Report, name: str) -> Element:
    """Return a run as a test suite of that name."""
    run, rows = report.run, report.record.thresholds
    suite = Element("testsuite", name=name, timestamp=_stamp(report))
    bad = [row for row in rows if not row["ok"]]
    lost = (run.summary or {}).get("rows", {}).get("lost", 0)
    problems = [f"{lost} acknowledged rows are missing"] if lost else []
    problems += ["the run was interrupted"] if run.state == "interrupted" else []
    case = _case(suite, "the run itself", report)
    if problems:
        SubElement(case, "failure", message="; ".join(problems))
    for row in rows:
        case = _case(suite, row["name"], report)
        if not row["ok"]:
            SubElement(case, "failure", message=row["found"] or row["verdict"], type=row["verdict"])
        elif row["verdict"] == "no data":
            SubElement(case, "skipped", message="no data")
    skipped = sum(row["verdict"] == "no data" and bool(row["ok"]) for row in rows)
    counts = {"tests": len(rows) + 1, "failures": len(bad) + bool(problems), "errors": 0, "skipped": skipped}
    for kind, number in counts.items():
        suite.set(kind, str(int(number)))
    suite.set("time", f"{run.seconds:.3f}")
    SubElement(suite, "system-out").text = "\n".join(report.reasons)
    return suite


def _case(suite: Element, name: str, report: Report) -> Element:
    return SubElement(
        suite,
        "testcase",
        classname=f"soakd.{report.run.workload}",
        name=name,
        time=f"{report.run.seconds:.3f}",
    )


def _stamp(report: Report) -> str:
    return datetime.fromtimestamp(report.run.started, UTC).strftime("%Y-%m-%dT%H:%M:%S")
