"""The summary of a run as a table for a terminal of 80 columns."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from daemon.ops import OUTCOMES
from daemon.results import readable
from daemon.units import format_duration

Json = Mapping[str, Any]

# What stands above a column, its heading, and a width that leaves air between usual figures.
_COLUMNS = (
    ("", "operation", 9),
    ("", "ok", 9),
    ("", "errors", 6),
    ("", "ok/s", 8),
    ("response", "p50", 8),
    ("", "p95", 6),
    ("", "p99", 6),
    ("", "max", 6),
    ("service", "p99", 7),
)
ALL_BUSY = 0.9  # share of the workers under way from which they are what limits the rate


def summary_table(summary: Json) -> RenderableType:
    """Return what `build_summary` gave, as something that rich can print."""
    verdicts = list(verdict_lines(summary))
    parts: list[RenderableType] = [
        _title(summary),
        Text(),
        _ops(summary),
        Text(),
        _grid(chain(_facts(summary), _judgement(summary)), "dim"),
    ]
    if verdicts:
        parts += [Text(), _grid((("!", line) for line in verdicts), "bold yellow")]
    return Group(*parts)


def verdict_lines(summary: Json) -> Iterator[str]:
    """Yield what a reader must know before trusting the figures: one line for each."""
    for name, pool in summary["pools"].items():
        if pool["target_met"] is False:
            yield _target_line(name, pool)
        if pool["dropped"]:
            reasons = readable.listing(pool["dropped_by_reason"])
            yield f"{name}: {readable.count(pool['dropped'])} operations were due and never ran ({reasons})"
    rows = summary["rows"]
    if rows["accepted"] != rows["committed"] + rows["failed"] + rows["abandoned"]:
        yield "rows do not add up: accepted is not committed + failed + abandoned"
    if rows["failed"] or rows["abandoned"]:
        yield (
            f"{readable.count(rows['failed'] + rows['abandoned'])} accepted rows were not written "
            f"({readable.count(rows['failed'])} failed, {readable.count(rows['abandoned'])} abandoned)"
        )
    if rows["in_doubt"]:
        yield (
            f"{readable.count(rows['in_doubt'])} rows are in doubt: their COMMIT got no answer, "
            "the table may hold them"
        )
    yield from _invariant_lines(summary.get("invariants", {}))
    for engine in summary["engines"]:
        if engine["restarts"]:
            yield (
                f"engine {engine['shard']} died and was replaced {engine['restarts']}×: "
                f"{readable.seconds(engine['gap_seconds'])} without its load"
            )
    if summary["generator_limited"]:
        yield (
            "generator limited: the engine was the bottleneck, so the figures tell more about it than about "
            "the database; use more --shards or ask for less"
        )


def _target_line(name: str, pool: Json) -> str:
    target, achieved = pool["target_rate"], pool["achieved_rate"]
    off = achieved / target - 1
    line = (
        f"{name}: rate target {'missed' if off < 0 else 'exceeded'} by {readable.percent(abs(off))} "
        f"({readable.rate(achieved)}/s of {readable.rate(target)}/s)"
    )
    # Little's law: rate × time under way is the number of workers under way.
    under_way = achieved * ((pool["service"]["mean"] or 0.0) + (pool["queue_wait"]["mean"] or 0.0))
    if off < 0 and under_way > ALL_BUSY * pool["workers"]:
        line += f"; all {pool['workers']} workers were busy: allow more, or shorten their waits"
    return line


def _title(summary: Json) -> Text:
    return Text.assemble(
        ("soakd", "bold"),
        f" run {summary['run_id']} · {summary['workload']} · "
        f"{_length(summary['duration_seconds'])} · {summary['stop_reason']}",
        overflow="fold",
    )


def _grid(lines: Iterable[tuple[str, str]], style: str) -> Table:
    """Return names with their texts beside them; a name is not repeated from line to line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=style, no_wrap=True)
    grid.add_column(overflow="fold")
    previous = None
    for name, text in lines:
        # As Text, for an address like [::1] in a plain string would be read as markup.
        grid.add_row(name if name != previous or name == "!" else "", Text(text))
        previous = name
    return grid


def _ops(summary: Json) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for n, (above, heading, width) in enumerate(_COLUMNS):
        # Only a name is folded where there is too little room, never a figure.
        table.add_column(
            Text(f"{above}\n{heading}"),
            justify="right" if n else "left",
            no_wrap=n > 0,
            overflow="fold",
            min_width=width,
        )
    for name, op in summary["ops"].items():
        if not any(op[outcome] for outcome in OUTCOMES):
            continue  # switched off, mostly
        failed = op["error"] + op["timeout"]
        response = op["response"]
        table.add_row(
            Text(name),
            readable.total(op["ok"]),
            Text(readable.count(failed), style="red" if failed else ""),
            readable.rate(op["rate"]),
            *(readable.seconds(response[column]) for column in ("p50", "p95", "p99", "max")),
            readable.seconds(op["service"]["p99"]),
        )
    return table


def _facts(summary: Json) -> Iterator[tuple[str, str]]:
    yield "target", summary["target"]
    for name, pool in summary["pools"].items():
        yield name, _pool_line(pool)
    if summary["rows"]["accepted"]:
        yield "rows", _rows_line(summary["rows"])
        warmup = summary["config"].get("warmup", "0")
        if warmup != "0":
            yield "rows", f"with the warm-up of {warmup}, which all other figures leave out"
    if summary["flushes"]["ok"] or summary["flushes"]["error"]:
        yield from _flush_lines(summary["flushes"])
    for name, op in summary["ops"].items():
        if op["errors"]:
            yield "errors", f"{name}: {readable.listing(op['errors'])}"
    for name, op in summary["ops"].items():
        if op["rejected"]:
            yield "rejected", f"{name}: {readable.count(op['rejected'])}"
    yield from _beside(summary)
    yield "durability", summary["durability"]


def _beside(summary: Json) -> Iterator[tuple[str, str]]:
    """Yield what went on beside the operations."""
    if summary["retries"] and not summary["flushes"]["error"]:  # else told with the batches
        yield "retries", readable.listing(summary["retries"])
    for name, consumer in summary["consumers"].items():
        yield "consumers", _consumer_line(name, consumer)
    if summary.get("canaries"):
        yield "canaries", _canary_line(summary["canaries"])
    if summary.get("invariants"):
        yield "invariants", _invariants_line(summary["invariants"])


def _consumer_line(name: str, consumer: Json) -> str:
    behind = f"{readable.count(consumer['lag_rows'])} behind" if consumer["lag_rows"] else "caught up"
    errors = f" · failed steps: {readable.listing(consumer['errors'])}" if consumer["errors"] else ""
    return f"{name}: {readable.count(consumer['rows'])} rows, {behind}{errors}"


def _canary_line(canaries: Json) -> str:
    visible = canaries["visible"]
    lost = f" · {readable.count(canaries['lost'])} never seen" if canaries["lost"] else ""
    if not visible["count"]:
        return f"none was seen{lost}"
    times = " · ".join(f"{name} {readable.seconds(visible[name])}" for name in ("p50", "p99", "max"))
    return f"{readable.count(visible['count'])} seen by a reader, from being accepted: {times}{lost}"


def _invariant_lines(invariants: Json) -> Iterator[str]:
    for name, one in invariants.items():
        if one["violations"]:
            yield f"invariant {name} is violated: {one['violations'][0]}"
        elif one["final"] != "ok":
            yield f"invariant {name}: no complete check at the end ({one['final'] or 'left out'})"


def _invariants_line(invariants: Json) -> str:
    checks = sum(sum(one["checks"].values()) for one in invariants.values())
    held = sum(one["final"] == "ok" and not one["violations"] for one in invariants.values())
    return f"{held} of {len(invariants)} hold, checked completely at the end; {readable.count(checks)} checks"


def _judgement(summary: Json) -> Iterator[tuple[str, str]]:
    if "state" in summary:
        yield "state", _state_line(summary["state"])
    for judged in summary.get("thresholds", ()):
        yield "thresholds", f"{judged['verdict']}: {judged['threshold']} ({judged['found']})"


def _state_line(state: Json) -> str:
    """Return for how long the target was in each state, and what was the matter at last."""
    spent = {level: state[f"{level}_seconds"] for level in ("healthy", "stressed", "overloaded")}
    line = " · ".join(f"{level} {seconds:.0f} s" for level, seconds in spent.items() if seconds)
    last = ", ".join(rule["rule"] for rule in state["rules"])
    return f"{line}; at the end {state['level']}{f' by {last}' if last else ''}"


def _rows_line(rows: Json) -> str:
    accepted, committed, failed, abandoned = (
        readable.count(rows[name]) for name in ("accepted", "committed", "failed", "abandoned")
    )
    return f"{accepted} accepted = {committed} committed + {failed} failed + {abandoned} abandoned"


def _pool_line(pool: Json) -> str:
    workers = f"{readable.count(pool['workers'])} workers"
    achieved = f"{readable.rate(pool['achieved_rate'])}/s"
    if pool["loop"] == "closed":
        return f"closed loop, {workers}: {achieved}"
    target = f"{readable.rate(pool['target_rate'])}/s"
    return f"open loop, {workers}, {pool['arrivals']} arrivals: {achieved} of {target}"


def _flush_lines(flushes: Json) -> Iterator[tuple[str, str]]:
    reasons = {name: sum(outcomes.values()) for name, outcomes in flushes["by_reason"].items()}
    rows = readable.rate(flushes["rows"]["mean"] or 0)
    yield (
        "batches",
        f"{readable.count(flushes['ok'])} of {rows} rows on average, by {readable.listing(reasons)}",
    )
    if flushes["error"]:
        retries = readable.listing(flushes["retries"]) or "none"
        yield "", f"{readable.count(flushes['error'])} failed; tried again: {retries}"
    commit = (f"{name} {readable.seconds(flushes['commit'][name])}" for name in ("p50", "p99", "max"))
    yield "commit", " · ".join(commit)


def _length(duration: float) -> str:
    return f"{duration:.1f} s" if duration < 120 else format_duration(round(duration))
