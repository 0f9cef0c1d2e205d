"""The shape of the code: imports point one way, modules and functions stay small, nothing prints."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tests.each import for_each

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "daemon"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_MODULE = 350  # lines
MAX_FUNCTION = 60  # lines, signature and docstring included
MEDIAN_MODULE = 150
MEDIAN_FUNCTION = 10

# Lowest first. A part is a module or a package of daemon/; it may import itself and what stands
# in lower layers. Parts that share a line do not know each other, those of OPEN layers may.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"", "clock", "errors", "units", "ops", "target", "log"}),
    frozenset({"record"}),
    frozenset({"backends"}),
    frozenset({"workloads"}),
    frozenset({"ledger", "stretches", "schema", "seeds"}),
    frozenset({"load"}),
    frozenset({"observe", "results"}),
    frozenset({"judge"}),
    frozenset({"history"}),
    frozenset({"report"}),
    frozenset({"config"}),
    frozenset({"scenario"}),
    frozenset({"control", "check", "top", "lab"}),
    frozenset({"cli", "__main__"}),
)
OPEN = (0, 4, 12, 13)
FIRST_WITH_SETTINGS = 10  # everything below takes keyword arguments

# Who may import a library: one place to look when it changes.
LIBRARIES = {
    "apscheduler": {"control"},
    "apsw": {"backends", "check"},
    "bcrypt": {"observe"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "prometheus_client": {"observe", "top"},
    "psycopg": {"backends", "check", "observe"},
    "psycopg_pool": {"observe"},
    "pydantic": {"config", "scenario"},
    "pydantic_settings": {"config"},
    "rich": {"control", "results", "cli", "top"},
    "sqlite3": {"history"},
    "sqlite_utils": {"history", "cli"},
    "starlette": {"observe"},
    "structlog": {"log"},
    "typer": {"cli"},
    "uvicorn": {"observe"},
    "yaml": {"config"},
}


every_module = for_each(MODULES, lambda path: str(path.relative_to(PACKAGE)))


@cache
def tree(path: Path) -> ast.Module:
    """Return the parsed module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def part(path: Path) -> str:
    """Return the module's name, or that of its package, as the table of layers has it."""
    inner = path.relative_to(PACKAGE)
    return inner.parts[0].removesuffix(".py").replace("__init__", "")


def layer(name: str) -> int:
    """Return the number of a part's layer."""
    return next(number for number, parts in enumerate(LAYERS) if name in parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full names that a module imports anywhere in it: `daemon.load.batch`, `apsw`."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if file_of(full) else node.module


@cache
def file_of(module: str) -> Path | None:
    """Return the file of a module of this project, or None."""
    base = ROOT.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield all functions of a module, nested ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, without decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


@every_module
def test_every_module_has_a_place_in_the_table_of_layers(path: Path) -> None:
    """A new part is placed on purpose."""
    assert any(part(path) in parts for parts in LAYERS), f"{part(path)}: add it to LAYERS where it belongs"


@every_module
def test_imports_point_downwards(path: Path) -> None:
    me = part(path)
    for module in imports(path):
        file = file_of(module)
        if file is None or not file.is_relative_to(PACKAGE):
            continue
        other = part(file)
        same_layer = layer(other) == layer(me) and (other == me or layer(me) in OPEN)
        assert layer(other) < layer(me) or same_layer, f"{me} must not import {module}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also within a package."""
    graph = {
        path: {file for module in imports(path) if (file := file_of(module))} - {path} for path in MODULES
    }
    order = list(TopologicalSorter(graph).static_order())
    assert set(MODULES) <= set(order)


@every_module
def test_only_the_control_plane_sees_the_settings(path: Path) -> None:
    """Below it everything takes plain keyword arguments, and can be used without a configuration."""
    if layer(part(path)) < FIRST_WITH_SETTINGS:
        assert not [module for module in imports(path) if module.startswith("daemon.config")]


@every_module
def test_a_library_is_imported_where_the_table_says(path: Path) -> None:
    for module in imports(path):
        allowed = LIBRARIES.get(module.partition(".")[0])
        assert allowed is None or part(path) in allowed, f"{part(path)} must not import {module}"


@every_module
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE


@every_module
def test_no_function_is_long(path: Path) -> None:
    long = [f"{node.name}: {length(node)} lines" for node in functions(path) if length(node) > MAX_FUNCTION]
    assert not long


def test_most_modules_and_functions_are_short() -> None:
    modules = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES)
    lengths = sorted(length(node) for path in MODULES for node in functions(path))
    assert modules[len(modules) // 2] <= MEDIAN_MODULE
    assert lengths[len(lengths) // 2] <= MEDIAN_FUNCTION


@every_module
def test_no_function_hands_unnamed_keyword_arguments_on(path: Path) -> None:
    """What a function takes can be read off its signature."""
    for function in functions(path):
        kwargs = function.args.kwarg
        if kwargs is None:
            continue
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            for keyword in call.keywords:
                handed_on = keyword.arg is None and isinstance(keyword.value, ast.Name)
                assert not (handed_on and ast.unparse(keyword.value) == kwargs.arg), function.name


@every_module
def test_only_the_command_line_prints(path: Path) -> None:
    if part(path) in {"cli", "__main__"}:
        return
    called = {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    assert "print" not in called


@every_module
def test_the_docstring_says_what_the_module_is_for(path: Path) -> None:
    first = (ast.get_docstring(tree(path)) or "").partition("\n")[0]
    assert first.endswith((".", ":", "?"))
    assert len(first) >= 15


@every_module
def test_nothing_is_left_undone(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    left = ("TODO", "FIXME", "XXX", "NotImplementedError", "pragma: no cover")
    assert not [word for word in left if word in source]
