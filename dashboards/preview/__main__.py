"""Draws docs/preview anew from a run of some minutes: `make preview`."""

import signal
import sys
import tempfile
from pathlib import Path

from dashboards.preview.draw import picture
from dashboards.preview.stage import played
from dashboards.reading import load, names

FOLDER = Path(__file__).parent.parent.parent / "docs" / "preview"
SECONDS = 180.0


ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run, then draw every dashboard; told to end before, end what was started."""
    for number in ENDS:
        signal.signal(number, _end)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="soakd-preview-") as folder,
        played(Path(folder), seconds) as shown,
    ):
        for name in names():
            picture(load(name), shown, FOLDER / f"{name}.png")
            print(f"drew docs/preview/{name}.png")


def _end(number: int, _frame: object) -> None:
    for other in ENDS:  # a second one would cut off the cleaning up
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
