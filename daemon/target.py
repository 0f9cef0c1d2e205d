"""The address of the database: which kind it is, and how to show it without its password."""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from daemon.errors import UsageError

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+]*://[^\s:/@]*:)(?P<secret>[^\s/]+)(?=@)", re.IGNORECASE)
_KEY_PASSWORD = re.compile(r"(?P<head>\b(?:password|sslpassword)\s*=\s*)(?P<secret>'[^']*'|[^\s&]+)", re.IGNORECASE)
MASK = "***"


class Target(NamedTuple):
    """A database address.

    Attributes:
        kind: `sqlite`, `postgres` or `null`.
        url: the address as given; it may hold a password.
        path: the file of a SQLite target, else None.
    """

    kind: str
    url: str
    path: Path | None = None


def parse_target(url: str) -> Target:
    """Read a target address.

    Raises:
        UsageError: the scheme is unknown, or there is no file in it.
    """
    parts = urlsplit(url)
    if parts.scheme in ("postgresql", "postgres"):
        return Target("postgres", url)
    if parts.scheme == "null":
        return Target("null", url)
    if parts.scheme == "sqlite":
        # sqlite:///relative.db and sqlite:////absolute.db, as elsewhere in the Python world
        path = unquote(parts.path[1:])
        if parts.netloc or not path:
            raise UsageError(
                f"target {redact(url)!r}: write sqlite:///relative.db or sqlite:////absolute/path.db"
            )
        return Target("sqlite", url, Path(path))
    raise UsageError(
        f"target {redact(url)!r}: unknown scheme; write sqlite:///file.db, "
        "postgresql://user@host:port/db or null://"
    )


def redact(text: str) -> str:
    """Return the text with the passwords of URLs and of key=value pairs masked."""
    masked = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _KEY_PASSWORD.sub(rf"\g<head>{MASK}", masked)
