"""Files and folders of the workload `sql`: what they define, and how mistakes are told."""

import re
from pathlib import Path

import pytest

from daemon.config.operations import MOST, read_operations
from daemon.errors import UsageError
from daemon.workloads.sql.commands import Draw, Operation, Run, Set
from daemon.workloads.sql.expression import Constant
from daemon.workloads.sql.generators import Choice, IntRange, ZipfRange

SHOP = """\
# a shop
variables:
  limit: 20
operations:
  newest:
    weight: 3
    sql: SELECT * FROM orders ORDER BY id DESC LIMIT :limit

  buy:
    kind: write
    weight: 0.5
    prepared: false
    parameters:
      customer: {generator: zipf, min: 1, max: 1000, exponent: 1.1}
      item: {generator: int, min: 1, max: 50}
      amount: random(1, 5) * 2
      state: [new, paid]
      factor: 1.5
      note: null
    transaction:
      - INSERT INTO orders (customer, item, amount, state) VALUES (:customer, :item, :amount, :state)
      - |
        UPDATE stock
        SET amount = amount - :amount * :factor
        WHERE item = :item
  sums:
    sql: |
      SELECT 1;

      SELECT :limit;
"""


def write(path: Path, text: str) -> Path:
    """Write a file, and return its path."""
    path.write_text(text)
    return path


def read(path: Path) -> dict[str, Operation]:
    """Return the operations of a path, by name."""
    return {one.name: one for one in read_operations(path, None, {}).operations}


def test_a_file_of_definitions(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.yaml", SHOP)
    found = read_operations(path, None, {"limit": 5, "more": "x"})
    assert found.variables == {"limit": 5, "more": "x"}  # what is set from outside goes first
    newest, buy, sums = found.operations
    assert newest._replace(commands=()) == Operation("newest", "read", 3.0, (), False, "", True, str(path))
    assert buy._replace(commands=()) == Operation("buy", "write", 0.5, (), True, "", False, str(path))
    assert sums._replace(commands=()) == Operation("sums", "read", 1.0, (), False, "", True, str(path))
    draws = [one for one in buy.commands if isinstance(one, Draw | Set)]
    assert [(one.name, one.line) for one in draws] == [
        ("customer", 14), ("item", 15), ("amount", 16), ("state", 17), ("factor", 18), ("note", 19),
    ]  # fmt: skip
    assert [one.generator for one in draws if isinstance(one, Draw)] == [
        ZipfRange(1, 1000, 1.1), IntRange(1, 50), Choice(("new", "paid")),
    ]  # fmt: skip
    assert [one.expression for one in draws if isinstance(one, Set)][1:] == [Constant(1.5), Constant(None)]
    assert [(one.line, one.statement.names) for one in buy.commands if isinstance(one, Run)] == [
        (21, ("customer", "item", "amount", "state")),
        (23, ("amount", "factor", "item")),
    ]
    assert [one.line for one in sums.commands] == [28, 30]


def test_a_script_is_an_operation_of_its_name(tmp_path: Path) -> None:
    found = read(write(tmp_path / "by-id.sql", "\\set a 1\nSELECT :a;"))
    assert list(found) == ["by-id"]
    assert found["by-id"].kind == "read"


def test_a_folder_holds_scripts_and_definitions(tmp_path: Path) -> None:
    """A script that a definition names is that operation, and none of its own; other files do not count."""
    write(tmp_path / "b.sql", "SELECT 1;")
    write(tmp_path / "named.sql", "\\set x :y\nUPDATE t SET a = :x;")
    write(tmp_path / "a.yml", "operations: {often: {script: named.sql, weight: 9, parameters: {y: 5}}}")
    write(tmp_path / "readme.txt", "not SQL")
    found = read(tmp_path)
    assert {name: one.weight for name, one in found.items()} == {"often": 9.0, "b": 1.0}
    assert found["often"].place == str(tmp_path / "named.sql")


@pytest.mark.parametrize(
    ("name", "kind", "whole"),
    [("tpcb-like", "write", True), ("simple-update", "write", True), ("select-only", "read", False)],
)
def test_the_scripts_of_pgbench_are_built_in(name: str, kind: str, whole: bool) -> None:  # noqa: FBT001
    (found,) = read_operations(None, name, {}).operations
    assert (found.name, found.kind, found.whole) == (name, kind, whole)


OPERATION = "operations:\n  a:\n    sql: SELECT 1\n"
PARAMETERS = OPERATION + "    parameters:\n"
INT = PARAMETERS + "      b:\n        generator: int\n"
AT = "operations.a.parameters.b"

WRONG = {
    "": "f.yaml: there are no operations in it",
    "- a": "f.yaml:1: the file: input should be",
    f"foo: 1\n{OPERATION}": "f.yaml:1: there is no foo; there are operations,",
    "variables: {}": "f.yaml:1: operations is missing",
    "operations:\n  a:\n    sqll: SELECT 1": "f.yaml:3: there is no operations.a.sqll; did you mean sql?",
    "operations:\n  a: 5": "f.yaml:2: operations.a: input should be",
    "operations:\n  a:\n    weight: 1": "f.yaml:2: a: give one of sql, transaction and script",
    f"{OPERATION}    script: b.sql": "f.yaml:2: a: give one of sql, transaction and script",
    "operations:\n  a b:\n    sql: SELECT 1": "'a b' cannot be an operation's name",
    f"{OPERATION}  a:\n    sql: SELECT 2": "f.yaml:4: a is given twice, first on line 2",
    f"{OPERATION}    weight: -1": "f.yaml:4: operations.a.weight: input should be greater",
    f"{OPERATION}    weight: many": "f.yaml:4: operations.a.weight: input should be a valid number",
    f"{OPERATION}    kind: reed": "f.yaml:4: operations.a.kind: input should be 'read' or 'write'",
    f"{OPERATION}    prepared: yes": "f.yaml:4: operations.a.prepared: input should be a valid boolean",
    f"{OPERATION}    weight: 0": "every operation has weight 0; give at least one",
    "operations:\n  a:\n    sql: |\n\n      SELECT 1;\n      SELECT ';": "f.yaml:6: this ' is never closed",
    "operations:\n  a:\n    sql: SELECT :b": "f.yaml:3: nothing sets the variable b; write \\set b … above",
    "operations:\n  a:\n    sql: \\shell ls": "f.yaml:3: \\shell is not supported",
    "operations:\n  a:\n    transaction: [SELECT 1, COMMIT]": "f.yaml:3: a: transaction begins",
    "operations:\n  a:\n    transaction: BEGIN; SELECT 1; END;": "f.yaml:3: a: transaction begins",
    f"{OPERATION}    parameters: {{1a: 5}}": "f.yaml:4: 1a: write a name of letters",
    f"{PARAMETERS}      b: paid(1)": "f.yaml:5: b: there is no function paid",
    f"{PARAMETERS}      b: paid": "if it is a fixed text, write [paid]",
    f"{PARAMETERS}      b: {{generator: ints}}": "f.yaml:5: there is no generator ints; did you mean int?",
    f"{PARAMETERS}      b:\n        min: 1": "f.yaml:5: generator is missing; there are int, zipf,",
    f"{INT}        min: 1": f"f.yaml:5: {AT}.max is missing",
    f"{INT}        min: x\n        max: 2": f"f.yaml:7: {AT}.min: input should be a valid integer",
    f"{INT}        minn: 1\n        max: 2\n        min: 1": f"f.yaml:7: there is no {AT}.minn; did you mean",
    f"{INT}        min: 2\n        max: 1": "f.yaml:5: b: min and max must be",
    f"{PARAMETERS}      b: [[1]]": f"f.yaml:5: {AT}",
    f"{PARAMETERS}      b: []": "f.yaml:5: b: values must be 1 to",
    "operations:\n  a:\n    script: no.sql": "no.sql: cannot be read: No such file or directory; check",
    "operations: {a: {sql: SELECT 1}": "f.yaml:1: not valid YAML",
    "variables: {a: [1]}\noperations: {a: {sql: SELECT 1}}": "f.yaml:1: variables.a",
    "variables: {a-b: 1}\noperations: {a: {sql: SELECT 1}}": "f.yaml:1: a-b: write a name of letters",
}


@pytest.mark.parametrize(("text", "line"), WRONG.items())
def test_a_mistake_is_told_in_one_line_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UsageError, match=re.escape(line)) as caught:
        read(write(tmp_path / "f.yaml", text))
    assert "\n" not in str(caught.value)


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    binary = tmp_path / "b.sql"
    binary.write_bytes(b"SELECT \xff;")
    for path, line in (
        (tmp_path / "none.sql", "none.sql: cannot be read: No such file or directory; check sql.path"),
        (empty, "there is no .sql and no .yaml file in this folder; check sql.path"),
        (binary, "b.sql: not UTF-8 text; check sql.path"),
        (None, "name a script, a YAML file or a folder with sql.path"),
    ):
        with pytest.raises(UsageError, match=re.escape(line)):
            read_operations(path, None, {})


def test_a_name_is_given_once(tmp_path: Path) -> None:
    write(tmp_path / "a.sql", "SELECT 1;")
    write(tmp_path / "x.yaml", "operations: {a: {sql: SELECT 1}}")
    with pytest.raises(UsageError, match=r"a\.sql: there is an operation a already, in .*x\.yaml"):
        read(tmp_path)


def test_there_are_not_more_operations_than_labels_are_good_for(tmp_path: Path) -> None:
    lines = "".join(f"  o{n}: {{sql: SELECT 1}}\n" for n in range(MOST + 1))
    with pytest.raises(UsageError, match="201 operations are more than 200"):
        read(write(tmp_path / "many.yaml", f"operations:\n{lines}"))
