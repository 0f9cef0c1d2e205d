"""Writes the dashboards for Grafana from the code: `make dashboards`."""

import json
from collections.abc import Sequence

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import batch, host, overview, postgresql, sqlite, workload
from dashboards.page import build
from dashboards.panels import Page
from dashboards.reading import FOLDER

PAGES: Sequence[Page] = (overview.PAGE, batch.PAGE, postgresql.PAGE, sqlite.PAGE, host.PAGE, workload.PAGE)


def text(page: Page) -> str:
    """Return what stands in the file of a dashboard."""
    return json.dumps(build(page), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        (FOLDER / f"{page.name}.json").write_text(text(page), encoding="utf-8")
        print(f"wrote {page.name}.json")


if __name__ == "__main__":
    main()
