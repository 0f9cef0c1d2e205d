"""The commented YAML file that `soakd config init` writes: every setting, at its default."""

import json
import re
import textwrap
from collections.abc import Iterator

from daemon.config.reference import Group, Setting, reference

_HEAD = """\
# Configuration of soakd. Use it with: soakd run --config FILE
#
# Stronger than this file, in this order: flags (--writers 20, --set pools.writers=20),
# environment variables (SOAKD_POOLS__WRITERS=20), and files in SOAKD_SECRETS_DIR or
# /run/secrets (soakd_postgres__password). Keep passwords in those, not here.
# Every key below has its default value and may be left out.
"""
_WIDTH = 100
# What YAML reads as plain text, whatever reads it: no quotes needed.
_PLAIN = re.compile(r"[A-Za-z][\w./+-]*|\d+(\.\d+)?(us|ms|s|m|h|d|KiB|MiB|GiB)|\d+(\.\d+)?")
_RESERVED = frozenset({"true", "false", "null", "on", "off", "yes", "no", "y", "n"})


def render_template() -> str:
    """Return the text of the file; read back, it gives the defaults."""
    return _HEAD + "".join(f"{line}\n" for entry in reference().values() for line in _lines(entry))


def _lines(entry: Setting | Group) -> Iterator[str]:
    *groups, name = entry.key.split(".")
    indent = "  " * len(groups)
    comment = entry.description
    if isinstance(entry, Setting):
        comment += f" {entry.expects[0].upper()}{entry.expects[1:]}."
    if not groups:
        yield ""
    for line in textwrap.wrap(comment, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"
    # a group called null would be read as "nothing" by stricter readers of YAML
    shown = json.dumps(name) if name in _RESERVED else name
    yield f"{indent}{shown}:" if isinstance(entry, Group) else f"{indent}{shown}: {_value(entry)}"


def _value(setting: Setting) -> str:
    if setting.default is None:
        return "null"
    text = setting.default
    if setting.boolean or (_PLAIN.fullmatch(text) and text.lower() not in _RESERVED):
        return text
    return json.dumps(text)
