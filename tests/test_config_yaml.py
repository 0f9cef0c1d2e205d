"""Reading YAML: line numbers, no guessing of types, and refusals that name the line."""

from pathlib import Path

import pytest

from daemon.config.yaml import read_yaml
from daemon.errors import UsageError

ALIASES = "\n".join(["a0: &a0 1", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
"""Two to the power of 39 values in a kilobyte."""


def read(tmp_path: Path, text: str | bytes) -> dict[str, tuple[object, int]]:
    """Return key → (value, line) of a text, with `group` and `null` as groups."""
    file = tmp_path / "a.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    entries = read_yaml(file, {"group", "group.inner", "null"}.__contains__)
    return {entry.key: (entry.value, int(entry.place.rpartition(":")[2])) for entry in entries}


def test_every_value_has_its_dotted_key_and_line(tmp_path: Path) -> None:
    """Groups within groups, and a group that is called null."""
    text = "a: 1\ngroup:\n  b: x\n  inner: {c: 2.5}\n\nnull:\n  d: ~\n"
    assert read(tmp_path, text) == {
        "a": (1, 1),
        "group.b": ("x", 3),
        "group.inner.c": (2.5, 4),
        "null.d": (None, 7),
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("1:30", "1:30"),
        ("0100", "0100"),
        ("2026-01-01", "2026-01-01"),
        ("12", 12),
        ("-1.5", -1.5),
        ("'12'", "12"),
        ("1e3", "1e3"),
        ("null", None),
        ("", None),
    ],
)
def test_only_what_looks_like_a_number_or_truth_value_is_one(
    tmp_path: Path, written: str, value: object
) -> None:
    """`synchronous_commit: on` must stay the word it is."""
    assert read(tmp_path, f"a: {written}") == {"a": (value, 1)}


@pytest.mark.parametrize("text", ["", "# nothing\n", "group:\n", "---\n"])
def test_an_empty_file_or_group_holds_nothing(tmp_path: Path, text: str) -> None:
    """A group with nothing but comments is a group left at its defaults."""
    assert read(tmp_path, text) == {}


def test_fifty_nested_brackets_are_read(tmp_path: Path) -> None:
    assert str(read(tmp_path, "a: " + "[" * 50 + "]" * 50)["a"][0]).count("[") == 50


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\nb: 2", ":2: not valid YAML"),
        ("a: 1\na: 2", ":2: a is given twice, first on line 1"),
        ("group:\n  x: 1\n  x: 2", ":3: group.x is given twice"),
        ("- 1", ":1: a configuration is made of lines"),
        ("just words", ":1: a configuration is made of lines"),
        ("? [a]\n: 1", ":1: a key must be a plain word"),
        ("a: !!python/name:os.system x", ":1: not valid YAML"),
        ("a: 1\n\tb: 2", ":2: not valid YAML"),
        ("a: &x [*x]", ":1: not valid YAML"),
        ("a: 1\n---\nb: 2", ":2: not valid YAML"),
        (b"\x00\x01\x02", "not YAML text"),
        (b"a: \xff\xfe\xfd", "not YAML text"),
        ("a:\n  " + "[" * 5000, ":2: not valid YAML: more than 50 nested brackets"),
        ("a: " + "[" * 51 + "]" * 51, ":1: not valid YAML: more than 50 nested brackets"),
        (ALIASES, ": more than 100,000 values, aliases repeated"),
        ("- " * 5000, "not YAML text"),
        (b"a: 1\n" + b"#" * 2**20, "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    """With file and line where there is one."""
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/a.yaml:")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    """With the system's reason."""
    with pytest.raises(UsageError, match=r"cannot be read: .*; check --config"):
        read_yaml(tmp_path / name, lambda _: False)
