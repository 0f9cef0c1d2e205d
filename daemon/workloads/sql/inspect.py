"""Looking at the target before a run: what scripts need of it, and whether it knows their statements."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from daemon.backends.base import Backend, Dialect
from daemon.errors import OpError, TargetError, UsageError
from daemon.ops import ScriptTx, Transaction, TxFn, Values
from daemon.workloads.base import Crowd, Identity
from daemon.workloads.sql.commands import Draw, Elif, If, Operation, Run, Set, Sleep
from daemon.workloads.sql.expression import variables
from daemon.workloads.sql.functions import Value
from daemon.workloads.sql.generators import ColumnSample
from daemon.workloads.sql.statement import Statement
from daemon.workloads.sql.workload import AUTOMATIC, Found, Sql

LARGE = 1_000_000
"""Rows from which on a table in PostgreSQL is sampled by its pages, and not read as a whole."""
SPARE = 3  # times as many rows as wanted are looked for on those pages
MOST_SEED = 2**31

# What can be prepared without being run. What else there is may make the tables of what follows.
CHECKED = frozenset({"select", "values", "table", "with", "insert", "update", "delete", "merge", "replace"})


def check_variables(operations: Sequence[Operation], given: Mapping[str, Value]) -> None:
    """See that every variable is set before it is used, as far as that can be told without running.

    Raises:
        UsageError: one is not; with file and line.
    """
    for operation in operations:
        known = {*given, *AUTOMATIC}
        prefixes: tuple[str, ...] = ()
        for command in operation.commands:
            for name in _used(command):
                if name not in known and not name.startswith(prefixes):
                    raise UsageError(
                        f"{operation.place}:{command.line}: nothing sets the variable {name}; "
                        f"write \\set {name} … above, or give it with sql.variables"
                    )
            if isinstance(command, Set | Draw):
                known.add(command.name)
            elif isinstance(command, Run) and command.into is not None:
                prefixes += (command.into,)


def _used(command: object) -> Sequence[str]:
    match command:
        case Set(_, _, tree) | If(_, tree) | Elif(_, tree):
            return sorted(variables(tree))
        case Run():
            return command.statement.names
        case Sleep(_, str() as name, _):
            return (name,)
    return ()


async def look(
    *,
    backend: Backend,
    operations: Sequence[Operation],
    variables: Mapping[str, Value],
    seed: int,
    crowd: Crowd,
) -> Mapping[str, Found]:
    """Return what operations need to know of a target, having checked their statements there.

    Args:
        backend: an open one; nothing in it is changed.
        operations: what will be run.
        variables: those that are given.
        seed: of the run; it decides which rows are sampled, too.
        crowd: the workers of the run.

    Returns:
        What is found, as the argument `found` of `Sql`.

    Raises:
        UsageError: a table or column is missing, or a statement is not understood; with file and line.
        TargetError: the target does not answer.
    """
    wanted = {column: place for operation in operations for column, place in _columns(operation)}
    given = dict(variables)
    if backend.dialect.name == "null":
        samples: dict[ColumnSample, Sequence[Value]] = dict.fromkeys(wanted, (1,))
        found = Found({"scale": 1, **given}, samples, seed, crowd)
    else:
        scale = _place_of_scale(operations) if "scale" not in given else None
        if scale:
            given["scale"] = await _scale(backend, scale)
        for operation in operations:
            for statement in _checkable(operation):
                place = f"{operation.place}:{statement.line}"
                await _ask(backend, place, _check, backend.dialect, statement)
        samples = {
            column: await _values(backend, column, place, seed % MOST_SEED)
            for column, place in wanted.items()
        }
        found = Found(given, samples, seed, crowd)
    _try(operations, backend.dialect, found)
    return {"found": found}


def _try(operations: Sequence[Operation], dialect: Dialect, found: Found) -> None:
    """Compile the operations, as each engine will, to find what is wrong before there are any."""
    Sql(
        identity=Identity(0, 0, 0),
        dialect=dialect,
        operations=operations,
        variables=found.variables,
        found=found,
        wall=float,
        workers=0,
        existing=(),
        rng=Random(0),
        under_way=1,
    )


def _columns(operation: Operation) -> Iterator[tuple[ColumnSample, str]]:
    for command in operation.commands:
        if isinstance(command, Draw) and isinstance(command.generator, ColumnSample):
            yield command.generator, f"{operation.place}:{command.line}"


def _place_of_scale(operations: Sequence[Operation]) -> str | None:
    """Return where the variable scale is first used without being set there."""
    for operation in operations:
        for command in operation.commands:
            if "scale" in _used(command):
                return f"{operation.place}:{command.line}"
            if isinstance(command, Set | Draw) and command.name == "scale":
                break
    return None


def _checkable(operation: Operation) -> Iterator[Statement]:
    for command in operation.commands:
        if isinstance(command, Run) and not command.statement.control:
            if command.statement.words[0] not in CHECKED:
                return
            yield command.statement


async def _ask(backend: Backend, place: str, fn: TxFn, *args: object) -> Any:  # noqa: ANN401 - whatever fn returns
    """Read, each question in a transaction of its own."""
    try:
        return (await backend.transact(Transaction(fn, args, read_only=True, single=True))).result
    except OpError as error:
        if error.error_class in ("other", "constraint"):
            raise UsageError(f"{place}: {error}") from None
        raise TargetError(f"the target does not answer: {error}") from None


async def _check(tx: ScriptTx, dialect: Dialect, statement: Statement) -> None:
    """Have a statement prepared, so that a wrong name or type shows before there is any load."""
    if dialect.name == "sqlite":
        await tx.perform(f"EXPLAIN {statement.text('?')}", (None,) * len(statement.names), keep=False)
        return
    await tx.perform(f"PREPARE soakd_check AS {_numbered(statement)}", (), keep=False)
    await tx.perform("DEALLOCATE soakd_check", (), keep=False)


def _numbered(statement: Statement) -> str:
    marks = [f"${number}" for number in range(1, len(statement.names) + 1)]
    return "".join(part + mark for part, mark in zip(statement.parts, [*marks, ""], strict=True))


async def _scale(backend: Backend, place: str) -> int:
    """Return the scale of pgbench's tables as it finds it itself: the number of branches."""
    try:
        rows = await _ask(backend, place, _rows, "SELECT count(*) FROM pgbench_branches")
    except UsageError as error:
        raise UsageError(
            f"{error}, from which :scale is taken; fill the target (`pgbench -i`, or `soakd seed`), "
            "or give it with sql.variables"
        ) from None
    if not rows[0][0]:
        raise UsageError(f"{place}: pgbench_branches is empty, and :scale the number of its rows")
    return int(rows[0][0])


async def _values(backend: Backend, column: ColumnSample, place: str, seed: int) -> Sequence[Value]:
    rows = await _ask(backend, place, _sample, backend.dialect, column, seed)
    if not rows:
        raise UsageError(f"{place}: {column.table}.{column.column} holds no values to draw from")
    return [value for (value,) in rows]


async def _sample(tx: ScriptTx, dialect: Dialect, generator: ColumnSample, seed: int) -> list[Values]:
    """Return values of a column, the same for the same rows in the same order: every n-th one.

    A large table in PostgreSQL is not read as a whole; whole pages of it are, also by the seed.
    """
    table, column, most, _ = generator
    value = f"{column}::text" if dialect.name == "postgres" else column
    if dialect.name == "postgres" and (rows := await _estimate(tx, table)) > LARGE:
        percent = min(100.0, 100.0 * SPARE * most / rows)
        return await tx.execute(
            f"SELECT {value} FROM {table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE ({seed}) "
            f"WHERE {column} IS NOT NULL LIMIT {most}"
        )
    count = (await tx.execute(f"SELECT count({column}) FROM {table}"))[0][0]
    step = max(1, -(-count // most))
    return await tx.execute(
        f"SELECT value FROM (SELECT {value} AS value, row_number() OVER () AS number FROM {table} "
        f"WHERE {column} IS NOT NULL) AS numbered WHERE number % {step} = {seed % step}"
    )


async def _estimate(tx: ScriptTx, table: str) -> int:
    """Return about how many rows a table holds; 0 for what has no pages of its own, such as a view."""
    rows = await tx.execute(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'm', 'p')",
        (table,),
    )
    return int(rows[0][0]) if rows else 0


async def _rows(tx: ScriptTx, sql: str) -> list[Values]:
    return await tx.execute(sql)
