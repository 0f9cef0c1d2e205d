"""What the settings of the workload `sql` name: built-in scripts, files and folders."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from daemon.config.definitions import SETTING, Definitions, read_definitions, read_script
from daemon.errors import UsageError
from daemon.workloads.sql.commands import Operation
from daemon.workloads.sql.functions import Value
from daemon.workloads.sql.inspect import check_variables
from daemon.workloads.sql.script import operation, parse_script

MOST = 200
"""Operations of a run: each is a label value with histograms of its own."""
SCRIPTS, DEFINITIONS = (".sql",), (".yaml", ".yml")


class Operations(NamedTuple):
    """All operations of a run.

    Attributes:
        operations: in the order of their names in a folder, or of a file.
        variables: with which clients begin.
    """

    operations: Sequence[Operation]
    variables: Mapping[str, Value]


def read_operations(path: Path | None, builtin: str | None, variables: Mapping[str, Value]) -> Operations:
    """Return the operations that the settings name.

    Args:
        path: a script, a YAML file, or a folder of both; or None.
        builtin: a built-in script, if there is no path.
        variables: from the settings; they go before those of files.

    Raises:
        UsageError: there is nothing to run, or something cannot be run; with file and line.
    """
    if path is None and builtin is None:
        raise UsageError(
            "the workload sql has nothing to run: name a script, a YAML file or a folder with sql.path, "
            "or a built-in script with sql.script"
        )
    found = _builtin(builtin) if path is None else _read(path)
    given = {**found.variables, **variables}
    _check_names(found.operations)
    if not found.operations:
        raise UsageError(f"{path}: there are no operations in it")
    if not any(one.weight for one in found.operations):
        raise UsageError(f"{path}: every operation has weight 0; give at least one a weight above 0")
    check_variables(found.operations, given)
    return Operations(found.operations, given)


def _builtin(name: str | None) -> Definitions:
    place = f"{name}.sql"
    text = (files("daemon.workloads.sql") / "scripts" / place).read_text(encoding="utf-8")
    return Definitions([operation(str(name), parse_script(text, place), place)], {}, ())


def _read(path: Path) -> Definitions:
    if not path.is_dir():
        if path.suffix in DEFINITIONS:
            return read_definitions(path)
        return Definitions([operation(path.stem, read_script(path), str(path))], {}, ())
    inside = sorted(one for one in path.iterdir() if one.suffix in SCRIPTS + DEFINITIONS and one.is_file())
    parts = [read_definitions(one) for one in inside if one.suffix in DEFINITIONS]
    named = {script.resolve() for part in parts for script in part.scripts}
    parts += [_read(one) for one in inside if one.suffix in SCRIPTS and one.resolve() not in named]
    if not parts:
        raise UsageError(f"{path}: there is no .sql and no .yaml file in this folder; check {SETTING}")
    variables = {name: value for part in parts for name, value in part.variables.items()}
    return Definitions([one for part in parts for one in part.operations], variables, ())


def _check_names(operations: Sequence[Operation]) -> None:
    if len(operations) > MOST:
        raise UsageError(f"{len(operations)} operations are more than {MOST}; take a part of them")
    seen: dict[str, str] = {}
    for one in operations:
        if one.name in seen:
            raise UsageError(
                f"{one.place}: there is an operation {one.name} already, in {seen[one.name]}; rename one"
            )
        seen[one.name] = one.place
