"""`soakd health`: ask a running soakd how it is, for container health checks."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.probe import DEFAULT_URL, Question, is_configured, report
from daemon.errors import ExitCode, UsageError

_EXAMPLES = """Examples:

soakd health

soakd health --ready --url https://127.0.0.1:8443 --insecure --password-file /run/secrets/metrics
"""
_URL_HELP = "Where soakd listens; else the configuration says it."
_USER_HELP = "Name for basic authentication."
_FILE_HELP = "File with the password; /readyz needs it, /healthz does not."
_CONFIG_HELP = "YAML file of settings (also SOAKD_CONFIG)."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(health)


def health(
    *,
    url: Annotated[str | None, typer.Option(metavar="URL", help=_URL_HELP)] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether the load is running.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any https certificate.")] = False,
    username: Annotated[str | None, typer.Option(metavar="NAME", help=_USER_HELP)] = None,
    password_file: Annotated[Path | None, typer.Option(metavar="FILE", help=_FILE_HELP)] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help=_CONFIG_HELP)] = None,
) -> int:
    """Ask a running soakd how it is: exit code 0 for well, 1 for not well or no answer within 3 s."""
    if url is None and (config or is_configured(os.environ)):
        from daemon.config.sources import load_settings  # noqa: PLC0415 - slow, and often not needed

        http = load_settings(config=config).settings.http
        host, port = http.address
        # It is this container's own certificate, made out to another name than 127.0.0.1.
        url, insecure = f"{'https' if http.tls_cert else 'http'}://{_reachable(host)}:{port}", True
        username, password_file = username or http.username, password_file or http.password_file
    question = Question(
        url or DEFAULT_URL,
        ready=ready,
        insecure=insecure,
        username=username or "soakd",
        password=_password(password_file) if password_file else None,
    )
    line, well = report(question)
    typer.echo(line, file=sys.stdout if well else sys.stderr)
    return ExitCode.OK if well else ExitCode.BUG


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
