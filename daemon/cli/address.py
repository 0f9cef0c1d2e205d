"""Where a running soakd listens, and how to get in: from the command line or the configuration."""

import os
from pathlib import Path

from daemon.cli.probe import DEFAULT_URL, Question, is_configured
from daemon.errors import UsageError

URL_HELP = "Where soakd listens; else the configuration says it."
INSECURE_HELP = "Accept any https certificate."
USER_HELP = "Name for basic authentication."
CONFIG_HELP = "YAML file of settings (also SOAKD_CONFIG)."


def question(
    path: str,
    *,
    url: str | None,
    insecure: bool,
    username: str | None,
    password_file: Path | None,
    config: Path | None,
) -> Question:
    """Return what to ask, with what was not given taken from the configuration.

    Raises:
        UsageError: the configuration or the password file cannot be read.
    """
    if url is None and (config or is_configured(os.environ)):
        from daemon.config.sources import load_settings  # noqa: PLC0415 - slow, and often not needed

        http = load_settings(config=config).settings.http
        host, port = http.address
        # It is this machine's own certificate, made out to another name than 127.0.0.1.
        url, insecure = f"{'https' if http.tls_cert else 'http'}://{_reachable(host)}:{port}", True
        username, password_file = username or http.username, password_file or http.password_file
    return Question(
        url or DEFAULT_URL,
        path=path,
        insecure=insecure,
        username=username or "soakd",
        password=_password(password_file) if password_file else None,
    )


def _reachable(host: str) -> str:
    """Return an address that reaches who listens on `host`, as it stands in a URL."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is looked up, not bound
    host = everywhere.get(host, host)
    return f"[{host}]" if ":" in host else host


def _password(file: Path) -> str | None:
    try:
        secret = file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"--password-file {file}: {why}; check path and permissions") from None
    # A hash cannot be presented as a password; without one the answer says what is missing.
    return None if secret.startswith("$2") else secret
