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
ALIVE, READY, METRICS = "/healthz", "/readyz", "/metrics"


class NoAnswerError(Exception):
    """The answer was not 200, or there was none; the text says in a few words what was wrong."""


class Question:
    """What to ask, and where.

    Attributes:
        url: where soakd listens, without a path.
        path: what to ask for.
        insecure: accept any https certificate.
        username: name for basic authentication.
        password: password for it; None sends none.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        path: str = ALIVE,
        insecure: bool = False,
        username: str = "soakd",
        password: str | None = None,
    ) -> None:
        self.url = url.rstrip("/") + path
        self.insecure = insecure
        self.username = username
        self.password = password


def is_configured(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment says where soakd listens, or where that is written."""
    return any(name == "SOAKD_CONFIG" or name.startswith("SOAKD_HTTP__") for name in environ)


def simple_question(arguments: Sequence[str], environ: Mapping[str, str]) -> Question | None:
    """Return what a plain `health` command line asks, or None if more than this has to be looked at."""
    url, path, insecure = "", ALIVE, False
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--ready":
            path = READY
        elif word == "--insecure":
            insecure = True
        elif word == "--url" and rest:
            url = rest.pop(0)
        else:
            return None
    if not url and is_configured(environ):
        return None
    return Question(url or DEFAULT_URL, path=path, insecure=insecure)


def get(question: Question, *, most: int) -> str:
    """Return the text of the answer, of which at most `most` bytes are read.

    Raises:
        NoAnswerError: it is not 200, or there is none.
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
        text = answer.read(most).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise NoAnswerError(f"no answer: {why}") from None
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return text
    if answer.status == http.client.UNAUTHORIZED:
        raise NoAnswerError("the password is needed; give it with --password-file")
    raise NoAnswerError(" ".join(f"{answer.status} {text[:200]}".split()))


def _connection(question: Question) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(question.url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if not host or scheme not in ("http", "https"):
        raise UsageError(f"{redact(question.url)} is not an address; write for example {DEFAULT_URL}")
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
    problem = ""
    try:
        get(question, most=200)
    except NoAnswerError as error:
        problem = str(error)
    return f"soakd: {redact(question.url)}: {problem or 'ok'}", not problem
