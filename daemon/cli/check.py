"""`soakd check`: find out whether a run could work, without load."""

import asyncio
import json
from typing import Annotated

import typer

from daemon.cli.flags import FLAGS
from daemon.cli.options import with_settings
from daemon.config.sources import Loaded
from daemon.errors import ExitCode, TargetError
from daemon.target import redact

_EXAMPLES = """Examples:

soakd check --target sqlite:///soakd.db

soakd check --config soakd.yaml --target postgresql://user@host/db --json

Exit codes: 0 all is well, 2 the configuration is wrong, 3 the target cannot be used.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(FLAGS)(check))


def check(
    loaded: Loaded,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """Find out whether a run could work: configuration, target, privileges, disk. Changes nothing."""
    from daemon.check.target import check_files, check_target  # noqa: PLC0415 - not needed for --help
    from daemon.clock import SystemClock  # noqa: PLC0415

    settings = loaded.settings
    findings = [check_files(settings), *asyncio.run(check_target(settings, SystemClock()))]
    failed = [finding for finding in findings if finding.state == "fail"]
    shown = redact(settings.target.get_secret_value())
    if as_json:
        data = {"target": shown, "ok": not failed, "checks": [finding._asdict() for finding in findings]}
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

        print_table(("check", "state", shown), findings)
    if failed:
        raise TargetError(failed[0].detail)
    return ExitCode.OK
