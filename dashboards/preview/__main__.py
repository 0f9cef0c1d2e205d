"""Draws docs/preview anew from a run of some minutes: `make preview`."""

import sys
import tempfile
from pathlib import Path

from dashboards.preview.draw import picture
from dashboards.preview.stage import played
from dashboards.reading import load, names

FOLDER = Path(__file__).parent.parent.parent / "docs" / "preview"
SECONDS = 180.0


def main() -> None:
    """Run, then draw every dashboard."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="soakd-preview-") as folder,
        played(Path(folder), seconds) as shown,
    ):
        for name in names():
            picture(load(name), shown, FOLDER / f"{name}.png")
            print(f"drew docs/preview/{name}.png")


if __name__ == "__main__":
    main()
