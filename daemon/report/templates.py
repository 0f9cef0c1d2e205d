"""The report as a page or as a text: templates filled in with the same words."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from daemon.report import charts, steps
from daemon.report.content import Report
from daemon.report.words import Table, names

FOLDER = Path(__file__).parent


def as_html(report: Report) -> str:
    """Return one page that needs nothing but itself: no scripts, no fonts, no network.

    It is some hundred KB long whatever the length of the run, since charts have 500 points per line at most.
    """
    over_time = charts.over_time(report.record)
    drawn = {"over_time": over_time, "distributions": charts.distributions(report)}
    return filled("page.html.j2", names(report) | drawn)


def as_markdown(report: Report) -> str:
    """Return the same as Markdown; for the charts there is a table of some twenty stretches."""
    return tidied(filled("page.md.j2", names(report) | {"over_time": steps.over_time(report)}))


def filled(template: str, words: Mapping[str, Any]) -> str:
    """Return a template with its names filled in; pages escape what they are given."""
    return _environment(html=template.endswith(".html.j2")).get_template(template).render(words)


def tidied(text: str) -> str:
    """Return Markdown without the blank lines that a template leaves."""
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def table(it: Table) -> str:
    """Return a table as Markdown, with a blank line after it."""
    rule = ["---:" if head.startswith(" ") else "---" for head in it.heads]
    lines = [[head.strip() for head in it.heads], rule, *([cell(one) for one in row] for row in it.rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def code(text: str) -> Markup:
    """Return a text as HTML, with what stands in backquotes as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def cell(text: str) -> str:
    """Return a text as it can stand in a table of Markdown."""
    plain = " ".join(str(text).split())
    for sign in "\\|<>*_`":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=html,  # noqa: S701 - Markdown has its own escapes: the filter `cell`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"code": code, "cell": cell, "table": table}
    return made
