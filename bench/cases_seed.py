r"""The case of `soakd seed`: data of the workload `marketplace`, against `psql \copy` of the same rows."""

from pathlib import Path

from bench import postgres, soakd
from bench.figures import Figure, Goal, ratios
from bench.stage import Stage
from daemon.backends.base import POSTGRES
from daemon.config.settings import Settings
from daemon.workloads.data import Fill
from daemon.workloads.marketplace import data, tables

MINTS = 20_000  # so that neither side is all start
SEED = 0
SECONDS = 15.0  # s that both sides together take for them about


def fills() -> list[Fill]:
    """Return the rows of each table, in the order in which soakd loads them."""
    settings = Settings().marketplace.model_dump()
    return list(data.fills(MINTS, SEED, {name: settings[name] for name in data.SHAPE}))


def script(folder: Path) -> str:
    r"""Write the rows into files, and return what has psql do with them all that soakd does.

    That is tables, `\copy` of each, indexes, statistics; the time of each `\copy` is told.
    """
    created = tables.schema(POSTGRES).tables
    copies, after = [], []
    for fill in fills():
        name = fill.table.name
        file, columns = folder / f"{name}.tsv", ", ".join(column for column, _ in fill.table.columns)
        with file.open("w", encoding="utf-8") as out:
            for number in range(fill.chunks):
                out.writelines(map(postgres.line, fill.chunk(number, SEED)))
        copies.append(f"\\copy {POSTGRES.table(name)} ({columns}) from '{file}'")
        after += [*created[name][1:], *POSTGRES.loaded(fill.table)]
    before = ["CREATE SCHEMA soakd", *(statements[0] for statements in created.values())]
    parts = [
        *(f"{sql};" for sql in before),
        "\\timing on",
        *copies,
        "\\timing off",
        *(f"{a};" for a in after),
    ]
    return "\n".join(parts) + "\n"


def seed(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    r"""The whole command `soakd seed`, against all that psql does for it and against its `\copy` alone."""
    server = stage.postgres()
    stage.say(f"{case}: files")
    rows = sum(fill.rows for fill in fills())
    file = stage.folder / "market.sql"
    file.write_text(script(stage.folder), encoding="utf-8")
    copying: list[float] = []

    def ours() -> float:
        with server.database() as url:
            server.execute("CHECKPOINT")
            options = ("--workload", "marketplace", "--scale", str(MINTS), "--seed", str(SEED))
            return rows / soakd.seed_seconds(url, *options)

    def theirs() -> float:
        with server.database() as url:
            server.execute("CHECKPOINT")
            whole, copies = postgres.script_seconds(server, url, file)
            copying.append(rows / copies)
            return rows / whole

    sides = stage.alternate(case, {"soakd rows/s": ours, "psql rows/s": theirs})
    for data_file in stage.folder.glob("*.tsv"):
        data_file.unlink()
    loaded = f"PostgreSQL: `soakd seed` of marketplace, {rows:,} rows, from start to end"
    mine = sides["soakd rows/s"]
    return [
        Figure(
            case,
            loaded,
            "psql: tables, \\copy of the same rows, indexes, statistics",
            goal,
            ratios(mine, sides["psql rows/s"]),
            sides,
        ),
        Figure(
            case,
            "the same",
            "psql \\copy alone, into tables without indexes",
            Goal(),
            ratios(mine, copying),
            {"soakd rows/s": mine, "copy rows/s": copying},
        ),
    ]
