"""Reads what deploys soakd as the tools would: compose files, Dockerfile, .env.example, Prometheus' rules."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
EXAMPLES = sorted(
    path for path in (ROOT / "deploy" / "examples").glob("*.yml") if "services:" in path.read_text()
)
RULES = sorted((ROOT / "deploy" / "rules").glob("*.yml"))
RULE_TESTS = sorted((ROOT / "deploy" / "rules" / "tests").glob("*.yml"))

# $X, ${X}, ${X:-default}, ${X:+instead}, ${X:?complaint}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+?])([^}]*))?\})")


class _Loader(yaml.SafeLoader):
    """YAML with Compose's own tags, which say how a file is laid over another one."""


def _plain(loader: _Loader, node: yaml.Node) -> Any:
    return (
        loader.construct_sequence(node)
        if isinstance(node, yaml.SequenceNode)
        else loader.construct_mapping(node)
        if isinstance(node, yaml.MappingNode)
        else None
    )


for _tag in ("!reset", "!override"):
    _Loader.add_constructor(_tag, _plain)


def substitute(value: Any, env: Mapping[str, str]) -> Any:
    """Put variables into all texts of a value, as Compose does.

    Raises:
        LookupError: a variable that must be set is not.
    """
    if isinstance(value, dict):
        return {key: substitute(inner, env) for key, inner in value.items()}
    if isinstance(value, list):
        return [substitute(inner, env) for inner in value]
    return _VARIABLE.sub(lambda match: _value(match, env), value) if isinstance(value, str) else value


def _value(match: re.Match[str], env: Mapping[str, str]) -> str:
    bare, name, operator, other = match.groups()
    found = env.get(bare or name, "")
    if operator == "+":
        return other if found else ""
    if operator == "?" and not found:
        raise LookupError(f"{name}: {other}")
    return found or (other if operator == "-" else "")


def compose(path: Path = COMPOSE, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a compose file with its variables put in; those that are not given are not set."""
    parsed: dict[str, Any] = substitute(yaml.load(path.read_text(), _Loader), env or {})  # noqa: S506
    return parsed


def _read(path: Path) -> Any:
    """Return what a file of our own holds; with libyaml, for there are thousands of lines of them."""
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def variables(path: Path) -> dict[str, str]:
    """Return the variables that a compose file uses and their defaults, empty for none.

    Raises:
        ValueError: one of them has two defaults.
    """
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        for bare, name, operator, other in _VARIABLE.findall(line.partition(" #")[0]):
            default = other if operator == "-" else found.get(bare or name, "")
            if operator == "-" and found.get(name, default) != default:
                raise ValueError(f"{name} has two defaults: {found[name]!r} and {default!r}")
            found[bare or name] = default
    return found


def documented() -> dict[str, str]:
    """Return the variables of .env.example with the values that stand there."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    matches = (re.fullmatch(r"#([A-Z]\w*)=(.*)", line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


class Instruction(NamedTuple):
    """One instruction of a Dockerfile: stage from 0, name, and what follows it."""

    stage: int
    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The list of an instruction in its exec form."""
        parsed: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return parsed


def dockerfile() -> Iterator[Instruction]:
    """Yield the instructions of the Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stage = -1
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            stage += name == "FROM"
            yield Instruction(stage, name, " ".join(rest.split()))


def rules() -> Iterator[dict[str, Any]]:
    """Yield every recording and alerting rule."""
    for path in RULES:
        for group in _read(path)["groups"]:
            yield from group["rules"]


def rule_tests() -> Iterator[dict[str, Any]]:
    """Yield every test case of the rules."""
    for path in RULE_TESTS:
        yield from _read(path)["tests"]
