"""`soakd workloads`: what there is to put on a database, and what belongs to it."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from daemon.cli.options import with_settings
from daemon.config.sources import Loaded
from daemon.control.workloads import Description, describe
from daemon.errors import ExitCode
from daemon.workloads.registry import WORKLOADS

_EXAMPLES = """Examples:

soakd workloads

soakd workloads ledger

soakd workloads events --set events.reads.search=5 --set events.retain_rows=1000000

soakd workloads sql --set sql.script=tpcb-like --json
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(with_settings(())(workloads))


def workloads(
    loaded: Loaded,
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show everything about one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")] = False,
) -> int:
    """List the workloads with their operations, settings, tables, consumers and invariants."""
    found = [describe(loaded.settings, one) for one in ([name] if name else WORKLOADS)]
    if as_json:
        shown: Any = [one._asdict() for one in found]
        typer.echo(json.dumps(shown[0] if name else shown, indent=2, ensure_ascii=False))
    elif name:
        _show(found[0])
    else:
        _list(found)
    return ExitCode.OK


def _list(found: Sequence[Description]) -> None:
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    print_table(
        ("workload", "what it is", "writes", "reads", "tables", "consumers", "invariants", "data"),
        [
            [
                one.name,
                one.about,
                _names(one, "writer") or ("yours" if one.missing else ""),
                _names(one, "reader"),
                *(str(len(part)) for part in (one.tables, one.consumers, one.invariants)),
                f"{one.data['default']} {one.data['unit']}" if one.data else "none",
            ]
            for one in found
        ],
    )
    typer.echo("\nsoakd workloads NAME shows everything about one")


def _names(one: Description, pool: str) -> str:
    return ", ".join(op["name"] for op in one.ops if op["pool"] == pool)


def _show(one: Description) -> None:
    from daemon.cli.tables import print_table  # noqa: PLC0415 - rich is not needed for JSON

    def section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        typer.echo(f"\n{title}: {'' if rows else 'none'}".rstrip(" "))
        if rows:
            print_table(header, rows)

    typer.echo(f"{one.name}: {one.about}")
    if one.missing:
        typer.echo(one.missing)
    section(
        "operations",
        ("name", "pool", "share", "what it does"),
        [[op["name"], op["pool"], f"{op['share']:.1%}", op["about"]] for op in one.ops],
    )
    section(
        "settings",
        ("key", "default", "takes", "what for"),
        [[s["key"], s["default"] or "–", s["takes"], s["about"]] for s in one.settings],
    )
    section("tables", ("name",), [[table["name"]] for table in one.tables])
    if one.seeded:
        section("tables that soakd seed makes", ("name",), [[table["name"]] for table in one.seeded])
    section("consumers", ("name",), [[name] for name in one.consumers])
    section("invariants", ("name", "what must be true"), [[i["name"], i["about"]] for i in one.invariants])
    if one.data:
        number = (
            f"{one.data['default']} {one.data['unit']} unless told otherwise, {one.data['least']} at least"
        )
        typer.echo(f"\ndata: {number}, about {one.data['unit_bytes']} bytes each")
    else:
        typer.echo("\ndata: none, it begins with empty tables")
