"""Short stable names for statements, made from their normalised text."""

import re
from hashlib import blake2s

LONGEST = 48  # characters of a table's name that are shown
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_PARAMETER = re.compile(r"\$\d+")
_TABLE = {
    "insert": re.compile(r"into ([\w.\"]+)"),
    "copy": re.compile(r"copy ([\w.\"]+)"),
    "update": re.compile(r"update (?:only )?([\w.\"]+)"),
    "delete": re.compile(r"from (?:only )?([\w.\"]+)"),
    "merge": re.compile(r"into (?:only )?([\w.\"]+)"),
    "select": re.compile(r"\bfrom (?:only )?([\w.\"]+)"),
    "with": re.compile(r"\bfrom (?:only )?([\w.\"]+)"),
}
# One table is read or changed in many ways, and the table does not tell which.
_MANIFOLD = frozenset({"select", "with", "update", "delete", "merge"})


def statement_name(text: str) -> str:
    """Return a name such as `copy soakd.events` or `select soakd.events #a1b2`.

    It is the same for the same text in every server and version, apart from spaces, comments, the case of
    letters and the numbers of parameters. It holds no values, and nothing but a verb, a table and a hash.
    """
    plain = " ".join(_COMMENT.sub(" ", text).lower().split()).lstrip("(")
    verb = re.match(r"[a-z]+", plain)
    if verb is None:
        return "other"
    table = _TABLE[verb[0]].search(plain) if verb[0] in _TABLE else None
    words = [verb[0]]
    if table:
        words.append(re.sub(r"[^a-z0-9_.]", "", table[1])[:LONGEST])
    if verb[0] in _MANIFOLD:
        words.append(f"#{blake2s(_PARAMETER.sub('?', plain).encode(), digest_size=2).hexdigest()}")
    return " ".join(words)
