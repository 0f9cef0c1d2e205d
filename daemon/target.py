"""The address of the database: which kind it is, and how to show it without its password."""

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from daemon.errors import UsageError

# Up to the LAST @ of the word: a password may hold : / and @ unescaped, and masking too much
# of an address does no harm where masking too little does.
_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:]*:)\S+(?=@)", re.IGNORECASE)
_KEY_PASSWORD = re.compile(
    r"(?P<head>\b(?:ssl)?password\s*=\s*)(?:'(?:\\.|[^'\\])*(?:'|\Z)|[^\s&]+)", re.IGNORECASE | re.DOTALL
)
MASK: Final = "***"
OWN_SETTINGS: Final = {"application_name", "connect_timeout"}  # what would override these in an address
HOW_TO_WRITE: Final = "write sqlite:///file.db, postgresql://user@host:port/db or null://"


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
        UsageError: the scheme is unknown, or there is no file in it. The message holds no
            more of an address that was not understood than its scheme.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        # its text may quote the part with the password
        raise UsageError(f"the target is not an address; {HOW_TO_WRITE}") from None
    if parts.scheme in ("postgresql", "postgres"):
        if any(character.isspace() for character in url):
            # Not shown: a password with a space in it is not one to `redact`.
            raise UsageError("target: there is white space in the address; write it as %20")
        for name in OWN_SETTINGS & parse_qs(parts.query, keep_blank_values=True).keys():
            raise UsageError(f"target: {name} has a setting of its own; write it as postgres.{name}")
        return Target("postgres", url)
    if parts.scheme == "null":
        if url.rstrip("/") != "null:":
            raise UsageError("the target null has no address; write null://, and settings go to null.*")
        return Target("null", url)
    if parts.scheme == "sqlite":
        return Target("sqlite", url, _sqlite_file(url))
    if "://" in url:
        raise UsageError(f"the target has the unknown scheme {parts.scheme!r}; {HOW_TO_WRITE}")
    raise UsageError(f"the target has no scheme such as sqlite://; {HOW_TO_WRITE}")


def _sqlite_file(url: str) -> Path:
    """Return the file of sqlite:///relative.db or sqlite:////absolute.db, the usual spelling."""
    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    if parts.netloc or not path or path.endswith("/") or "\0" in path:
        raise UsageError(
            f"target {redact(url)!r} names no file; write sqlite:///relative.db or sqlite:////absolute/path.db"
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"target {redact(url)!r}: nothing may follow the file; settings go to sqlite.*, "
            "and a ? or # in a file's name is written %3F or %23"
        )
    if path == ":memory:":
        raise UsageError(
            f"target {redact(url)!r}: a run needs a file, write sqlite:///file.db; or use null://"
        )
    return Path(path)


def shown(url: str) -> str:
    """Return a target address without its password; one that is no address, without anything."""
    head, mark, rest = url.partition("://")
    if mark and head != "sqlite" and any(character.isspace() for character in rest):
        return f"{head}://{MASK}"  # a password with a space in it is not one to `redact`
    return redact(url)


def redact(text: str) -> str:
    """Return the text with the passwords of URLs and of key=value pairs masked."""
    if "@" not in text and "=" not in text:  # each pattern needs one; a summary has thousands of texts
        return text
    masked = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _KEY_PASSWORD.sub(rf"\g<head>{MASK}", masked)
