"""Reads dashboards back from their files: the panels and queries that Grafana will find there."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent.parent / "deploy" / "grafana" / "dashboards"
OUTLINE = "panels"  # the name of the text in a picture that has what it shows
_VARIABLE = re.compile(r"\$(\w+)")

Document = dict[str, Any]


class Target(NamedTuple):
    """One query of a panel.

    Attributes:
        panel: title of the panel.
        ref: name of the query in it.
        expr: PromQL with variables.
        legend: name of its series, with `{{label}}`.
        instant: asked for the present moment only.
    """

    panel: str
    ref: str
    expr: str
    legend: str
    instant: bool


def load(name: str) -> Document:
    """Return the dashboard of a file, named without its ending."""
    document: Document = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def names() -> list[str]:
    """Return the files, without their endings."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def rows(document: Document) -> Iterator[tuple[Document, list[Document]]]:
    """Yield each heading and the panels under it, those of folded rows too."""
    heading: Document = {}
    inside: list[Document] = []
    for panel in document["panels"]:
        if panel["type"] != "row":
            inside.append(panel)
            continue
        if heading:
            yield heading, inside
        heading, inside = panel, list(panel["panels"])
    yield heading, inside


def panels(document: Document) -> list[Document]:
    """Return all panels but the headings."""
    return [panel for _, inside in rows(document) for panel in inside]


def targets(document: Document) -> list[Target]:
    """Return the queries of all panels."""
    return [
        Target(
            panel["title"],
            target["refId"],
            target["expr"],
            target["legendFormat"],
            bool(target.get("instant")),
        )
        for panel in panels(document)
        for target in panel["targets"]
    ]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """Return a query with its variables replaced.

    Args:
        expr: the query.
        values: of the variables, named without `$`.

    Raises:
        KeyError: a variable has no value.
    """
    return _VARIABLE.sub(lambda match: values[match[1]], expr)


def outline(document: Document) -> str:
    """Return what a picture of a dashboard has to show: the titles and units of all panels."""
    return json.dumps(
        [(panel["title"], panel["fieldConfig"]["defaults"]["unit"]) for panel in panels(document)]
    )
