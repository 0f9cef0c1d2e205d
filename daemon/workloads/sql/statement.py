"""SQL text: where a statement ends, where its variables stand, and whether it only reads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from daemon.errors import UsageError
from daemon.ops import Isolation

MOST_VARIABLES = 255  # in one statement, as in pgbench

READING = frozenset({"select", "values", "table", "show", "with", "explain"})
# A statement that begins by reading may still write, or take locks that a reading connection may not.
WRITING = frozenset({"insert", "update", "delete", "merge", "into", "nextval", "setval"})
CONTROL = {
    "begin": "begin",
    "start": "begin",
    "commit": "commit",
    "end": "commit",
    "rollback": "rollback",
    "abort": "rollback",
}
_FILLING = frozenset({"work", "transaction", "deferred", "immediate", "exclusive"})
_LEVELS: Mapping[tuple[str, ...], Isolation] = {
    (): "",
    # PostgreSQL has no other level below this one
    ("isolation", "level", "read", "uncommitted"): "read committed",
    **{("isolation", "level", *level.split()): level for level in get_args(Isolation) if level},
}

_PIECE = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<block>/\*)
      | (?P<quoted>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*")
      | (?P<position>\$[0-9]+)
      | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
      | (?P<colons>::+)
      | :(?P<variable>[^\W\d]\w*)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<open>\() | (?P<close>\)) | (?P<end>;) | (?P<backslash>\\)
      | (?P<other>\d+ | \s+ | .)""",
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


class Piece(NamedTuple):
    """A part of a script: `text` as it stands, a `variable`, the `end` of a statement, or a `backslash`.

    Attributes:
        kind: which of them.
        text: the characters, or the variable's name.
        start: where it begins in the script.
        word: a keyword or a name, in lower case; empty for other text.
    """

    kind: Literal["text", "variable", "end", "backslash"]
    text: str
    start: int
    word: str = ""


class Statement(NamedTuple):
    """One SQL statement.

    Attributes:
        parts: the text before, between and behind its variables.
        names: the variables, each as often as it stands there.
        line: where it begins.
        words: its first keywords and names, in lower case; as many as `is_control` looks at.
        writes: it may do more than read.
    """

    parts: tuple[str, ...]
    names: tuple[str, ...]
    line: int
    words: tuple[str, ...]
    writes: bool

    def text(self, placeholder: str) -> str:
        """Return the statement with parameter marks; `%` is doubled where these have it."""
        doubled = self.names and "%" in placeholder
        parts = [part.replace("%", "%%") for part in self.parts] if doubled else self.parts
        return placeholder.join(parts)

    @property
    def control(self) -> str | None:
        """`begin`, `commit` or `rollback` for a statement that begins or ends a transaction."""
        first = CONTROL.get(self.words[0])
        saves = first == "rollback" and "to" in self.words[1:3]  # to a savepoint
        return None if saves or "prepared" in self.words[1:2] else first

    @property
    def level(self) -> Isolation | None:
        """The isolation level that a transaction's begin names, "" for none; None if it says more than that.

        A transaction's end that says no more than that it is one has the level "".
        """
        return _LEVELS.get(tuple(word for word in self.words[1:] if word not in _FILLING))


def pieces(text: str, start: int, place: str) -> Iterator[Piece]:
    """Yield the pieces of SQL from a position on; a comment to the end of its line is left out.

    Raises:
        UsageError: something is not closed, or is meant for a program and not for a script.
    """
    depth = 0
    position = start
    while match := _PIECE.match(text, position):
        kind, found, begin = str(match.lastgroup), match[0], position
        position = match.end()
        if kind == "variable":
            yield Piece("variable", match["variable"], begin)
        elif kind == "backslash" or (kind == "end" and depth <= 0):
            yield Piece("backslash" if kind == "backslash" else "end", found, begin)
        elif kind in ("block", "dollar"):
            position = _closed(text, begin, found, place)
            yield Piece("text", text[begin:position], begin)
        elif kind == "position":
            raise UsageError(f"{where(text, begin, place)}: {found}: write a :variable instead of a number")
        elif found in ("'", '"'):
            raise UsageError(f"{where(text, begin, place)}: this {found} is never closed")
        elif kind != "comment":
            depth += (kind == "open") - (kind == "close")
            yield Piece("text", found, begin, found.lower() if kind == "word" else "")


def _closed(text: str, begin: int, opening: str, place: str) -> int:
    """Return where a block comment, which may hold others, or a dollar-quoted text ends."""
    end = (
        text.find(opening, begin + len(opening)) + len(opening) if opening[0] == "$" else _block(text, begin)
    )
    if end < begin + 2 * len(opening):
        raise UsageError(f"{where(text, begin, place)}: this {opening} is never closed")
    return end


def _block(text: str, begin: int) -> int:
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, begin):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return -1


def where(text: str, position: int, place: str) -> str:
    """Return `file:line` of a position."""
    return f"{place}:{line_of(text, position)}"


def line_of(text: str, position: int) -> int:
    """Return the number of the line that a position is on, from 1."""
    return text.count("\n", 0, position) + 1


def statement(found: Sequence[Piece], line: int, place: str) -> Statement | None:
    """Return the statement that some pieces make; None for nothing but space and comments.

    Raises:
        UsageError: it cannot be run here.
    """
    parts, names = [""], []
    for piece in found:
        if piece.kind == "variable":
            names.append(piece.text)
            parts.append("")
        else:
            parts[-1] += piece.text
    words = tuple(piece.word for piece in found if piece.word)
    if not words and not names and not "".join(parts).strip():
        return None
    if not words:
        raise UsageError(f"{place}:{line}: this is not a SQL statement")
    if len(names) > MOST_VARIABLES:
        raise UsageError(f"{place}:{line}: more than {MOST_VARIABLES} variables in one statement")
    if words[0] == "copy" and {"stdin", "stdout"} & set(words):
        raise UsageError(f"{place}:{line}: COPY from or to the client is not supported; use INSERT or SELECT")
    if words[:2] == ("prepare", "transaction"):
        raise UsageError(f"{place}:{line}: PREPARE TRANSACTION is not supported; end it with COMMIT")
    parts[0], parts[-1] = parts[0].lstrip(), parts[-1].rstrip()
    locks = "for" in words and "share" in words
    writes = words[0] not in READING or bool(WRITING & set(words)) or locks
    return Statement(tuple(parts), tuple(names), line, words[:8], writes)
