"""Tables on standard output: fitted to a terminal, and never cut off in a pipe."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 500
"""Columns when nobody's terminal limits them."""

STYLES = {
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "slow": "bold red",
    "faster": "green",
    "slower": "bold red",
}


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, dim: Sequence[bool] = ()) -> None:
    """Print rows under a header.

    Args:
        header: names of the columns.
        rows: their cells; the words of `STYLES` are coloured.
        dim: for each row whether to step it back; may be left out.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for number, row in enumerate(rows):
        faint = number < len(dim) and dim[number]
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row), style="dim" if faint else "")
    console.print(table)
