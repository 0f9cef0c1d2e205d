"""The forms that a report can take, by name."""

from daemon.report import data, junit, suite_forms, tabular, templates
from daemon.report.content import Report
from daemon.report.form import Form
from daemon.report.suite import SuiteReport


def of_run(report: Report, form: Form) -> str:
    """Return the report of a run."""
    match form:
        case "html":
            return templates.as_html(report)
        case "md":
            return templates.as_markdown(report)
        case "json":
            return data.as_json(report)
        case "csv":
            return tabular.intervals(report.record)
        case "junit":
            return junit.as_junit(report)


def of_suite(report: SuiteReport, form: Form) -> str:
    """Return the report of a suite."""
    match form:
        case "html":
            return suite_forms.as_html(report)
        case "md":
            return suite_forms.as_markdown(report)
        case "json":
            return suite_forms.as_json(report)
        case "csv":
            return suite_forms.as_csv(report)
        case "junit":
            return suite_forms.as_junit(report)
