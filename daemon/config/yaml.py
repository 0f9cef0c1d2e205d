"""Read a YAML file of settings, keeping the line of every key and refusing what would be guessed.

YAML as most libraries read it has surprises: `on` is true, `1:30` is 90 and a key given twice
silently wins the second time. Here scalars follow YAML 1.2 and a repeated key is an error.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from yaml.scanner import ScannerError

from daemon.errors import UsageError

MAX_FILE_SIZE = 2**20
"""Most bytes that are read of a file: a configuration of a megabyte is some other file."""
MAX_OPEN = 50
"""Most brackets and braces that may be open at once."""
MAX_VALUES = 100_000
"""Most values that a file may stand for, what an alias repeats counted each time."""

T = TypeVar("T")


class Entry(NamedTuple):
    """One value of a file: its dotted key, the value, and where it stands as `file:line`."""

    key: str
    value: Any
    place: str


class Loader(yaml.SafeLoader):
    """Scalars as in the YAML 1.2 core schema; anything else stays text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """Take a bracket or a brace, for which PyYAML takes time by the square of how many are open."""
        if self.flow_level == MAX_OPEN:
            problem = f"more than {MAX_OPEN} nested brackets and braces"
            raise ScannerError(None, None, problem, self.get_mark())
        super().fetch_flow_collection_start(token)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]+$"), list("-+0123456789")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)


Lines = Mapping[tuple[str | int, ...], int]
"""The line of every value of a document, by the keys and numbers that lead to it."""


def read_document(path: Path, setting: str) -> tuple[Any, Lines]:
    """Return what a file holds, lists and all, and where; `setting` is what named it, for messages.

    Raises:
        UsageError: it cannot be read, is not YAML, or gives a key twice.
    """

    def made(loader: Loader, root: yaml.Node) -> list[tuple[Any, Lines]]:
        lines = dict(_lines(root, path, ()))
        return [(loader.construct_object(root, deep=True), lines)]

    return next(iter(compose(path, setting, made)), ({}, {}))


def _lines(
    node: yaml.Node, path: Path, place: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield (*place, number), item.start_mark.line + 1
            yield from _lines(item, path, (*place, number))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _key(key_node, path)
            if key in seen:
                raise UsageError(_twice(path, line, key, seen[key]))
            seen[key] = line
            yield (*place, key), line
            yield from _lines(value_node, path, (*place, key))


def _key(node: yaml.Node, path: Path) -> str:
    """Return the text of a key as it stands: `null` is a name here, not nothing."""
    if not isinstance(node, yaml.ScalarNode):
        raise UsageError(f"{path}:{node.start_mark.line + 1}: a key must be a plain word")
    return str(node.value)


def _twice(path: Path, line: int, key: str, first: int) -> str:
    return f"{path}:{line}: {key} is given twice, first on line {first}; keep one of them"


def read_yaml(path: Path, is_group: Callable[[str], bool]) -> list[Entry]:
    """Return the values of a file, in its order.

    Args:
        path: the file.
        is_group: tells whether a dotted name is a group of settings, to be looked into.

    Raises:
        UsageError: it cannot be read, is not YAML or not a mapping, or gives a key twice; the
            message begins with file and line.
    """
    return compose(path, "--config", lambda loader, root: list(_walk(loader, root, path, "", is_group)))


def compose(path: Path, setting: str, use: Callable[["Loader", yaml.Node], list[T]]) -> list[T]:
    """Return what a function makes of the tree of a file; nothing of an empty file.

    Args:
        path: the file.
        setting: what named it, for messages.
        use: takes the loader, which makes values of nodes, and the root.

    Raises:
        UsageError: it cannot be read or is not YAML; the message begins with file and line.
    """
    text = read_text(path, setting)
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        if root is None:
            return []
        if _values(root, {}) > MAX_VALUES:
            raise UsageError(f"{path}: more than {MAX_VALUES:,} values, aliases repeated; check {setting}")
        return use(loader, root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UsageError(f"{path}: not YAML text; check {setting}") from None


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for; `known` are those of other nodes."""
    if id(node) not in known:
        known[id(node)] = 1  # for what contains itself, which is refused later
        inner: Iterable[yaml.Node] = ()
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            inner = chain.from_iterable(node.value)
        known[id(node)] += sum(_values(one, known) for one in inner)
    return known[id(node)]


def read_text(path: Path, setting: str) -> bytes:
    """Return what a file of settings or scripts holds.

    Raises:
        UsageError: it cannot be read, or is larger than 1 MiB.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; check {setting}") from None
    if len(text) > MAX_FILE_SIZE:
        raise UsageError(f"{path}: larger than 1 MiB, so some other file; check {setting}")
    return text


def _walk(
    loader: Loader, node: yaml.Node, path: Path, prefix: str, is_group: Callable[[str], bool]
) -> Iterator[Entry]:
    place = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        if prefix == "" and not _is_null(node):
            raise UsageError(f"{place}: a configuration is made of lines such as `duration: 10s`")
        # `pools:` with nothing but comments below it is an empty group
        if not _is_null(node):
            yield Entry(prefix.rstrip("."), loader.construct_object(node, deep=True), place)
        return
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = prefix + _key(key_node, path)
        if key in seen:
            raise UsageError(_twice(path, line, key, seen[key]))
        seen[key] = line
        if is_group(key):
            yield from _walk(loader, value_node, path, f"{key}.", is_group)
        else:
            value = loader.construct_object(value_node, deep=True)
            yield Entry(key, value, f"{path}:{line}")


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")
