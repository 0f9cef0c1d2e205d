"""How full the queue is, as a bar for terminals."""

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daemon.results import readable

WIDTH = 30  # columns of a bar
FULL = 0.9  # share of the queue from which its bar is red
BUSY = 0.8  # and yellow


def queue_bar(rows: int, capacity: int) -> Table:
    """Return a bar, and beside it what it means; `capacity` is more than 0."""
    share = rows / capacity
    style = "red" if share >= FULL else "yellow" if share >= BUSY else "green"
    line = Table.grid(padding=(0, 2))
    bar = ProgressBar(
        total=capacity,
        completed=min(rows, capacity),
        width=WIDTH,
        complete_style=style,
        finished_style=style,
    )
    line.add_row(
        bar, Text(f"{readable.count(rows)} of {readable.count(capacity)} rows, {readable.percent(share)}")
    )
    return line
