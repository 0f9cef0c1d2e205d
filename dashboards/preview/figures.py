"""The figures of a dashboard: what its queries give for the time that is shown."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from dashboards.reading import Document, filled
from tests.prometheus import Prometheus, Series

SCRAPES = 5  # s, as in the provisioning of the data source


class Shown(NamedTuple):
    """The time that the dashboards show, as Unix time in s, and who knows the figures.

    Attributes:
        server: has watched the run.
        begin: of the shown time.
        end: of the shown time.
        chosen: value of each variable that the reader chooses.
    """

    server: Prometheus
    begin: float
    end: float
    chosen: Mapping[str, str] = {}

    def opened(self, document: Document) -> "Shown":
        """Return the same time with the variables as they are when a dashboard is opened."""
        variables = document["templating"]["list"]
        return self._replace(
            chosen={
                variable["name"]: variable["current"]["value"][0].replace("$__all", ".+")
                for variable in variables
                if "current" in variable
            }
        )

    def target(self, target: Document) -> list[Series]:
        """Return what a query of a panel gives."""
        return self.query(target["expr"], instant=target["instant"])

    def query(self, expr: str, *, instant: bool = False) -> list[Series]:
        """Return what a query gives, with the intervals that Grafana would choose."""
        intervals = {
            "__interval": f"{SCRAPES}s",
            "__rate_interval": f"{4 * SCRAPES}s",
            "__range": f"{self.end - self.begin:.0f}s",
        }
        query = filled(expr, {**self.chosen, **intervals})
        if instant:
            return self.server.at(query, self.end)
        return self.server.between(query, self.begin, self.end, SCRAPES)


def name(legend: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series: a legend with the values of its labels."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)
