"""`soakd top`: what a running soakd measures, in a terminal."""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.address import CONFIG_HELP, INSECURE_HELP, URL_HELP, USER_HELP, question
from daemon.cli.probe import METRICS, NoAnswerError, Question, get
from daemon.errors import ExitCode, TargetError, UsageError
from daemon.target import redact
from daemon.units import parse_duration

_EXAMPLES = """Examples:

soakd top

soakd top http://127.0.0.1:8080 --interval 5s

soakd top https://db1:8443 --insecure --password-file ~/.soakd-password

soakd top --once | tee picture.txt

Needs nothing but /metrics, so it works over ssh and through a tunnel. q or Ctrl-C ends it.
"""
_INTERVAL_HELP = "Time between two looks; 1s, and 6s with --once: long enough for a new sample of everything."
_ONCE_HELP = "Print one picture of two looks and end: for scripts, and where there is no terminal."
_FILE_HELP = "File with the password for /metrics."
_MOST = 16 * 2**20  # bytes of a page; soakd's own have some hundred KiB
_SHORTEST = 0.1  # s
_LIVE, _ONCE = "1s", "6s"  # soakd samples the database and the host each 5 s if nothing else is configured


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(top)


def top(
    url: Annotated[str | None, typer.Argument(metavar="URL", help=URL_HELP, show_default=False)] = None,
    *,
    interval: Annotated[str | None, typer.Option(metavar="DURATION", help=_INTERVAL_HELP)] = None,
    once: Annotated[bool, typer.Option("--once", help=_ONCE_HELP)] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help=INSECURE_HELP)] = False,
    username: Annotated[str | None, typer.Option(metavar="NAME", help=USER_HELP)] = None,
    password_file: Annotated[Path | None, typer.Option(metavar="FILE", help=_FILE_HELP)] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help=CONFIG_HELP)] = None,
) -> int:
    """Show what a running soakd measures: load, database and host, redrawn every second."""
    from rich.console import Console  # noqa: PLC0415 - this and the next bring more than --help needs

    from daemon.clock import SystemClock  # noqa: PLC0415
    from daemon.top.keys import Keys  # noqa: PLC0415
    from daemon.top.watch import Watcher  # noqa: PLC0415

    console, clock = Console(highlight=False), SystemClock()
    once = once or not console.is_terminal
    seconds = _seconds(interval or (_ONCE if once else _LIVE))
    asked = question(
        METRICS,
        url=_completed(url) if url else None,
        insecure=insecure,
        username=username,
        password_file=password_file,
        config=config,
    )
    shown = redact(asked.url.removesuffix(METRICS))
    watcher = Watcher(lambda: _fetch(asked, shown), url=shown, clock=clock, console=console)
    keys = Keys(sys.stdin, clock)
    if once:
        watcher.once(seconds, keys)
        return ExitCode.OK
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
    signal.signal(signal.SIGTERM, _end)  # as any other end, so that the terminal gets its state back
    with suppress(KeyboardInterrupt):
        watcher.watch(seconds, keys)
    return ExitCode.OK


def _fetch(asked: Question, shown: str) -> str:
    try:
        return get(asked, most=_MOST)
    except NoAnswerError as error:
        raise TargetError(f"{shown}: {error}") from None


def _completed(url: str) -> str:
    """Return the address as it was meant: with a scheme, and without the path that is added anyway."""
    return (url if "://" in url else f"http://{url}").rstrip("/").removesuffix(METRICS)


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--interval: {error}") from None
    if seconds < _SHORTEST:
        raise UsageError(f"--interval {text}: too short to say anything; write at least 100ms")
    return seconds


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
