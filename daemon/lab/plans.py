"""How a database executes a statement, and which index it lacks for it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from daemon.backends.base import INFINITY, Backend
from daemon.clock import Clock
from daemon.errors import OpError
from daemon.lab.indexes import Missing, Scan, missing_indexes, scans_of_sqlite
from daemon.lab.watch import Call
from daemon.ops import Transaction, Tx

EXPLAINED = ("SELECT", "WITH", "VALUES", "TABLE")


class Plan(NamedTuple):
    """How a statement is executed.

    Attributes:
        statement: its text.
        parameters: its values, as Python writes them.
        lines: what the database says of it.
        missing: indexes that it lacks.
    """

    statement: str
    parameters: Sequence[str]
    lines: Sequence[str]
    missing: Sequence[Missing]


async def explain(backend: Backend, clock: Clock, calls: Sequence[Call], patience: float) -> list[Plan]:
    """Return the plans of the statements of one transaction, of each text once.

    In PostgreSQL each is executed again, with the same values.

    Args:
        backend: the target, open.
        clock: monotonic time.
        calls: the statements.
        patience: time for each, s; what takes longer is explained without being executed.
    """
    reads = {call.sql: call for call in calls if call.sql.lstrip("( \n\t").upper().startswith(EXPLAINED)}
    return [await _explain(backend, clock, call, patience) for call in reads.values()]


async def _explain(backend: Backend, clock: Clock, call: Call, patience: float) -> Plan:
    values = [repr(value) for value in call.params]
    if backend.dialect.name == "sqlite":
        ways = [(_sqlite, patience)]
    else:
        ways = [(_analyze, patience), (_plan, INFINITY)]
    lines: Sequence[str] = ()
    for way, seconds in ways:
        try:
            work = Transaction(way, (call,))
            lines, scans = (await backend.transact(work, deadline=clock.now() + seconds)).result
            look = Transaction(missing_indexes, (backend.dialect, scans))
            missing = (await backend.transact(look)).result
            return Plan(call.sql, values, lines, missing)
        except OpError as error:
            lines = [f"no plan: {error}"]
    return Plan(call.sql, values, lines, ())


async def _analyze(tx: Tx, call: Call) -> tuple[list[str], list[Scan]]:
    return await _postgres(tx, call, "ANALYZE, BUFFERS")


async def _plan(tx: Tx, call: Call) -> tuple[list[str], list[Scan]]:
    return await _postgres(tx, call, "COSTS")


async def _postgres(tx: Tx, call: Call, options: str) -> tuple[list[str], list[Scan]]:
    rows = await tx.execute(f"EXPLAIN ({options}) {call.sql}", call.params)
    described = (await tx.execute(f"EXPLAIN ({options}, VERBOSE, FORMAT JSON) {call.sql}", call.params))[0][0]
    tree = json.loads(described) if isinstance(described, str) else described
    return [str(row[0]) for row in rows], list(_scans(tree[0]["Plan"]))


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    """Yield the tables that a plan reads to throw most of it away."""
    # Without ANALYZE nobody has counted; then it may be so.
    wasteful = node.get("Rows Removed by Filter", 1) > node.get("Actual Rows", 0)
    if "Filter" in node and "Relation Name" in node and wasteful:
        conditions = [node[name] for name in ("Filter", "Index Cond", "Recheck Cond") if name in node]
        yield Scan(f'"{node["Schema"]}"."{node["Relation Name"]}"', " AND ".join(conditions))
    for child in node.get("Plans", ()):
        yield from _scans(child)


async def _sqlite(tx: Tx, call: Call) -> tuple[list[str], list[Scan]]:
    rows = await tx.execute(f"EXPLAIN QUERY PLAN {call.sql}", call.params)
    depths: dict[int, int] = {0: -1}
    lines = []
    for number, parent, _, detail in rows:
        depths[number] = depths.get(parent, -1) + 1
        lines.append("  " * depths[number] + str(detail))
    return lines, scans_of_sqlite(call.sql, [str(row[3]) for row in rows])
