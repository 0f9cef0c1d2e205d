"""The results: as a table on the screen, and as a JSON file."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import postgres
from bench.figures import Figure, Status, as_json, verdict
from bench.stage import Stage
from daemon import __version__
from daemon.results.environment import environment

STYLES: dict[Status, str] = {
    "aim": "green",
    "reached": "green",
    "missed": "bold red",
    "reported": "dim",
    "absent": "yellow",
}
FEW = 20  # values of a side that are shown as their median


def table(figures: Sequence[Figure]) -> Table:
    """Return the table of ratios, with the absolute numbers beside it."""
    drawn = Table(title="soakd, measured side by side", show_lines=False, pad_edge=False)
    for heading in (
        "case",
        "against",
        "median",
        "spread",
        "must",
        "aim",
        "verdict",
        "absolute, for information",
    ):
        drawn.add_column(
            heading, overflow="fold", justify="right" if heading in {"median", "spread"} else "left"
        )
    for figure in figures:
        goal, judged = figure.goal, verdict(figure)
        drawn.add_row(
            figure.what,
            figure.against,
            goal.show(figure.value),
            spread(figure),
            goal.bound(goal.must),
            goal.bound(goal.aim),
            Text(judged.text, STYLES[judged.status]),
            absolute(figure),
        )
    return drawn


def spread(figure: Figure) -> str:
    """Return the smallest and largest value; nothing when there is but one."""
    if len(figure.values) < 2:
        return ""
    return f"{figure.goal.show(min(figure.values))} … {figure.goal.show(max(figure.values))}"


def absolute(figure: Figure) -> str:
    """Return the medians of the absolute numbers."""
    return ", ".join(
        f"{name} {compact(median(values))}"
        for name, values in figure.sides.items()
        if name != "samples" and values
    )


def compact(value: float) -> str:
    """Return a number with three digits, thousands as k."""
    return f"{value / 1000:.3g}k" if value >= 10_000 else f"{value:.3g}"


def machine(stage: Stage) -> dict[str, Any]:
    """Return what the figures were measured on and with."""
    import apsw  # noqa: PLC0415 - after the command line is understood

    version = stage.server.execute("SHOW server_version")[0][0] if stage.server else None
    return {
        **environment(sqlite_version=apsw.sqlite_lib_version(), server_version=version),
        "server_conditions": postgres.conditions(stage.server) if stage.server else None,
        "kernel": platform.release(),
        "load_average": list(os.getloadavg()),
        "soakd": __version__,
    }


def host_kind() -> str:
    """Return what kind of machine this is, for a file's name; nothing that names the machine."""
    return f"{platform.system()}-{platform.machine()}-{os.cpu_count()}cores".lower()


def document(
    figures: Sequence[Figure], facts: dict[str, Any], stage: Stage, started: datetime
) -> dict[str, Any]:
    """Return everything that is known about this run of the bench, as JSON data."""
    return {
        "started_at": started.isoformat(timespec="seconds"),
        "machine": facts,
        "rounds": stage.rounds,
        "seconds": stage.seconds,
        "memory_seconds": stage.memory_seconds,
        "figures": [as_json(figure) for figure in figures],
    }


def save(found: dict[str, Any], folder: Path, started: datetime) -> Path:
    """Write the results to a file of their own; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{started:%Y%m%dT%H%M%SZ}-{host_kind()}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def show(figures: Sequence[Figure], facts: dict[str, Any], console: Console) -> None:
    """Print the table and the machine."""
    console.print(table(figures))
    server = f", PostgreSQL {facts['server']} ({facts['server_conditions']})" if facts["server"] else ""
    memory = f"{facts['memory_bytes'] / 2**30:.0f} GiB" if facts["memory_bytes"] else "memory unknown"
    console.print(
        f"{facts['cpu']}, {facts['usable_cores']} cores, {memory}, kernel {facts['kernel']}, "
        f"{facts['python']}, SQLite {facts['sqlite']}{server}, soakd {facts['soakd']}; "
        f"load average at the start {facts['load_average'][0]:.1f}",
        style="dim",
        highlight=False,
    )
