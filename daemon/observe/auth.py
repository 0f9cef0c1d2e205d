"""Who may read /metrics: basic authentication against a bcrypt hash or a secret."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import re
from pathlib import Path

import bcrypt

from daemon.errors import UsageError

_BCRYPT = re.compile(rb"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")
_LONGEST_FILE = 4096  # bytes of a password file; anything longer is some other file


class BasicAuth:
    """Checks `Authorization` headers in constant time.

    A bcrypt check takes tens of milliseconds on purpose, so it runs in a thread, one at a time
    (a flood of guesses costs one core at most), and the last good credential is remembered as
    a keyed digest: a scraper pays once. Memory: one digest.
    """

    def __init__(
        self, *, username: str, password_hash: bytes | None = None, password: str | None = None
    ) -> None:
        """Prepare with either a bcrypt hash or a password.

        Raises:
            UsageError: both or neither are given, or the hash is not one of bcrypt.
        """
        if (password_hash is None) == (password is None):
            raise UsageError("http: give either password_hash or password_file")
        if password_hash is not None and not _BCRYPT.fullmatch(password_hash):
            raise UsageError(
                "http.password_hash, or the hash in http.password_file: not a bcrypt hash; "
                "make one with: htpasswd -nBC 10 '' | tr -d ':'"
            )
        self._username = username.encode()
        self._hash = password_hash
        self._key = os.urandom(32)
        self._good = b"" if password is None else self._digest(self._username, password.encode())
        self._checking = asyncio.Lock()

    async def accepts(self, header: str | None) -> bool:
        """Return whether an `Authorization` header (None: there was none) opens the door."""
        credential = _parse(header)
        if credential is None:
            return False
        digest = self._digest(*credential)
        if hmac.compare_digest(digest, self._good):
            return True
        if self._hash is None:
            return False
        async with self._checking:
            if hmac.compare_digest(digest, self._good):  # checked for another request meanwhile
                return True
            matches = await asyncio.to_thread(_matches, credential[1], self._hash)
        # Both halves are always looked at: the time taken does not tell which one was wrong.
        if not (hmac.compare_digest(credential[0], self._username) & matches):
            return False
        self._good = digest
        return True

    def _digest(self, username: bytes, password: bytes) -> bytes:
        return hmac.digest(self._key, hashlib.sha256(username).digest() + password, "sha256")


def guard(username: str, password_hash: str | None, password_file: Path | None) -> BasicAuth | None:
    """Return what lets in those who know the password; None when there is none to know.

    Raises:
        UsageError: the hash is not one of bcrypt, or the file cannot be used.
    """
    if password_hash:
        return BasicAuth(username=username, password_hash=password_hash.encode())
    if password_file:
        hashed, password = read_password_file(password_file)
        return BasicAuth(username=username, password_hash=hashed, password=password)
    return None


def read_password_file(path: Path) -> tuple[bytes | None, str | None]:
    """Return (bcrypt hash, None) or (None, password) from the first line of a file.

    Raises:
        UsageError: it cannot be read, is empty, or holds more than a password.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"http.password_file {path}: {error.strerror}; check path and permissions") from None
    secret = content.strip(b"\r\n")
    if not secret or len(content) > _LONGEST_FILE or b"\n" in secret:
        raise UsageError(f"http.password_file {path}: expected one line, the password or its bcrypt hash")
    if secret.startswith(b"$2"):
        return secret, None
    try:
        return None, secret.decode()
    except UnicodeDecodeError:
        raise UsageError(f"http.password_file {path}: not UTF-8 text") from None


def _parse(header: str | None) -> tuple[bytes, bytes] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):  # the latter for characters beyond ASCII
        return None
    return (username, password) if colon else None


def _matches(password: bytes, password_hash: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, password_hash)
    except ValueError:  # longer than the 72 bytes of bcrypt, or with a NUL
        return False
