"""Ask a running soakd how it is, with the standard library alone.

A container's health check runs every few seconds for months, on the machine that is being
measured: importing the command line's libraries each time would take ten times as long.
"""

import http.client
from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from daemon.errors import UsageError
from daemon.target import redact

TIMEOUT = 3.0  # s, for each step of the question
DEFAULT_URL = "http://127.0.0.1:8080"


class Question:
    """What to ask, and where.

    Attributes:
        url: where soakd listens, without a path.
        ready: ask whether the load is running, not only whether soakd is alive.
        insecure: accept any https certificate.
        username: name for basic authentication.
        password: password for it; None sends none.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        ready: bool = False,
        insecure: bool = False,
        username: str = "soakd",
        password: str | None = None,
    ) -> None:
        self.url = url.rstrip("/") + ("/readyz" if ready else "/healthz")
        self.insecure = insecure
        self.username = username
        self.password = password


def is_configured(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment says where soakd listens, or where that is written."""
    return any(name == "SOAKD_CONFIG" or name.startswith("SOAKD_HTTP__") for name in environ)


def simple_question(arguments: Sequence[str], environ: Mapping[str, str]) -> Question | None:
    """Return what a plain `health` command line asks, or None if more than this has to be looked at."""
    url, ready, insecure = "", False, False
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--ready":
            ready = True
        elif word == "--insecure":
            insecure = True
        elif word == "--url" and rest:
            url = rest.pop(0)
        else:
            return None
    if not url and is_configured(environ):
        return None
    return Question(url or DEFAULT_URL, ready=ready, insecure=insecure)


def ask(question: Question) -> str | None:
    """Return None if the answer is 200, else what is wrong in a few words.

    Raises:
        UsageError: the address is not one.
    """
    connection = _connection(question)
    headers = {}
    if question.password is not None:
        credential = b64encode(f"{question.username}:{question.password}".encode()).decode()
        headers["Authorization"] = f"Basic {credential}"
    try:
        # http.client asks no proxy and follows no redirect
        connection.request("GET", urlsplit(question.url).path, headers=headers)
        answer = connection.getresponse()
        text = answer.read(200).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return f"no answer: {' '.join(str(error).split()) or type(error).__name__}"
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return None
    if answer.status == http.client.UNAUTHORIZED:
        return "the password is needed; give it with --password-file"
    return " ".join(f"{answer.status} {text}".split())


def _connection(question: Question) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(question.url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if not host or scheme not in ("http", "https"):
        raise UsageError(f"--url {redact(question.url)}: not an address; write for example {DEFAULT_URL}")
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    import ssl  # noqa: PLC0415 - not needed for http

    context = ssl.create_default_context()
    if question.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)


def report(question: Question) -> tuple[str, bool]:
    """Ask, and return one line for a person and whether all is well."""
    problem = ask(question)
    return f"soakd: {redact(question.url)}: {problem or 'ok'}", problem is None
