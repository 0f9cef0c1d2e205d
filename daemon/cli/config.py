"""`soakd config`: show the settings, their JSON Schema, or a commented file of them."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.flags import FLAGS
from daemon.cli.options import with_settings
from daemon.config.reference import setting_keys, written
from daemon.config.settings import Settings
from daemon.config.sources import Loaded
from daemon.config.template import render_template
from daemon.errors import ExitCode, UsageError

_SHOW_EXAMPLES = """Examples:

soakd config show --config soakd.yaml

SOAKD_POOLS__WRITERS=20 soakd config show --json
"""
_INIT_EXAMPLES = """Examples:

soakd config init

soakd config init - | less
"""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Show, describe or begin a configuration.")
    group.command(epilog=_SHOW_EXAMPLES)(with_settings(FLAGS)(show))
    group.command()(schema)
    group.command(epilog=_INIT_EXAMPLES)(init)
    app.add_typer(group, name="config")


def show(
    loaded: Loaded,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """Show every setting, its value and where the value came from; secrets are masked."""
    public = loaded.settings.public()
    rows = {key: (_value(public, key), loaded.sources[key]) for key in setting_keys()}
    if as_json:
        data = {key: {"value": value, "source": source} for key, (value, source) in rows.items()}
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return ExitCode.OK
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    print_table(
        ("setting", "value", "source"),
        [(key, written(value) or "–", source) for key, (value, source) in rows.items()],
        dim=[source == "default" for _, source in rows.values()],
    )
    return ExitCode.OK


def schema() -> int:
    """Print the JSON Schema of the configuration, for editors and other programs.

    With the header `# yaml-language-server: $schema=soakd.schema.json` in a YAML file, an
    editor completes and checks it.
    """
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False))
    return ExitCode.OK


def init(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="File to write; - for standard output.")
    ] = Path("soakd.yaml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
) -> int:
    """Write a YAML file with every setting at its default, each explained."""
    text = render_template()
    if str(file) == "-":
        sys.stdout.write(text)
        return ExitCode.OK
    try:
        with file.open("w" if force else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise UsageError(f"{file} is there already; give another name, or --force to overwrite it") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot write it: {error.strerror}; give another name") from None
    typer.echo(f"wrote {file}; use it with: soakd run --config {file}")
    return ExitCode.OK


def _value(public: dict[str, Any], key: str) -> object:
    value: Any = public
    for name in key.split("."):
        value = value[name]
    return value
