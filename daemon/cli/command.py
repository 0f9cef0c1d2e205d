"""One command from its arguments to its exit code, with one line for each failure."""

import os
import sys
from collections.abc import Sequence

from daemon.cli.streams import open_streams, unwritten
from daemon.errors import ExitCode, SoakdError


def command(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code; what went wrong is told on stderr, line by line.

    The code says how the command went, whether or not somebody read its output to the end.

    Args:
        arguments: the command line without the program's name.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    open_streams()
    code = _guarded(list(arguments))
    problem = unwritten()
    if problem is not None:
        _complain(f"standard output was not taken ({problem}); make room there, or send it elsewhere")
        return code or ExitCode.USAGE
    return code


def _guarded(given: Sequence[str]) -> int:
    try:
        return _run(given)
    except SoakdError as error:
        _complain(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last boundary: a bug must not end in a page of traceback
        _confess(error)
        return ExitCode.BUG


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["health"] and (answer := _quick_health(arguments[1:])) is not None:
        return answer
    # Imported here so that a bug while importing is caught as well.
    import typer  # noqa: PLC0415

    from daemon.cli.app import COMMANDS, build_app  # noqa: PLC0415

    try:
        code = build_app()(args=arguments, prog_name="soakd", standalone_mode=False)
    except typer.TyperException as error:
        asked = f"soakd {arguments[0]}" if arguments and arguments[0] in COMMANDS else "soakd"
        text = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
        if text:  # empty when nothing was asked for, and the help has been shown
            _complain(f"{text[:1].lower()}{text[1:]}; see `{asked} --help`")
        return ExitCode.USAGE
    except typer.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else ExitCode.OK


def _quick_health(arguments: Sequence[str]) -> int | None:
    """Do a plain `soakd health` without the command line's libraries; None leaves it to them."""
    from daemon.cli import probe  # noqa: PLC0415

    question = probe.simple_question(arguments, os.environ)
    if question is None:
        return None
    line, well = probe.report(question)
    print(line, file=sys.stdout if well else sys.stderr)
    return ExitCode.OK if well else ExitCode.BUG


def _complain(message: str) -> None:
    for line in message.splitlines() or ["failed without saying why"]:
        print(f"soakd: error: {line}", file=sys.stderr)  # noqa: T201 - the command line is where text is printed


def _confess(error: Exception) -> None:
    from daemon.target import redact  # noqa: PLC0415

    detail = redact(" ".join(f"{type(error).__name__}: {error}".split()))
    _complain(
        f"this is a bug in soakd ({detail[:300]}); run it again with SOAKD_DEBUG=1 and report what it prints"
    )
    if os.environ.get("SOAKD_DEBUG") == "1":
        import traceback  # noqa: PLC0415

        sys.stderr.write(redact("".join(traceback.format_exception(error))))
