"""The cases on PostgreSQL."""

from bench import postgres, soakd
from bench.figures import Figure, Goal, ratios
from bench.stage import Stage

WRITERS, READERS = 50, 20
COPY_ROWS = 300_000
SCALE = 5  # × 100 000 rows of pgbench_accounts


def rows(stage: Stage, case: str, inserts: Goal, copies: Goal) -> list[Figure]:
    r"""Rows in batches, against single INSERTs of pgbench and against `psql \copy`."""
    server = stage.postgres()
    script, data = stage.folder / "insert.sql", stage.folder / "rows.tsv"
    postgres.write_copy_file(data, WRITERS, COPY_ROWS)
    options = ("--writers", str(WRITERS), "--readers", "0", *soakd.FULL_SPEED)
    with server.database() as url:
        name = postgres.database(url)
        soakd.run(url, 0.5, "--writers", "1", "--readers", "0", warmup=0)  # makes the table

        def ours() -> float:
            postgres.empty(server, name)
            return soakd.rows_per_second(soakd.run(url, stage.seconds, *options))

        def pgbench() -> float:
            postgres.empty(server, name)
            return postgres.pgbench_inserts(server, url, script, stage.seconds, WRITERS)

        def copy() -> float:
            postgres.empty(server, name)
            return COPY_ROWS / postgres.copy_seconds(server, url, data)

        sides = stage.alternate(case, {"soakd rows/s": ours, "pgbench rows/s": pgbench, "copy rows/s": copy})
    data.unlink()
    what = f"PostgreSQL rows, {WRITERS} writers, batch 200, timeout 0"
    mine = sides["soakd rows/s"]
    return [
        Figure(
            case,
            what,
            f"pgbench -M prepared -c {WRITERS} -j 2, INSERT of the same row",
            inserts,
            ratios(mine, sides["pgbench rows/s"]),
            {name: sides[name] for name in ("soakd rows/s", "pgbench rows/s")},
        ),
        Figure(
            case,
            "the same",
            "psql \\copy of the same rows",
            copies,
            ratios(mine, sides["copy rows/s"]),
            {name: sides[name] for name in ("soakd rows/s", "copy rows/s")},
        ),
    ]


def reads(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """Point reads with one engine, and with two for information, against pgbench."""
    server = stage.postgres()
    with server.database() as url:
        stage.say(f"{case}: fill")
        soakd.run(url, stage.seconds, "--writers", "50", "--readers", "0", *soakd.FULL_SPEED, warmup=0)
        postgres.settle(server, postgres.database(url))
        postgres.fill_pgbench(server, url, SCALE)

        def ours(shards: int) -> float:
            options = ("--writers", "0", "--readers", str(READERS), "--shards", str(shards))
            return soakd.reads_per_second(soakd.run(url, stage.seconds, *options, *soakd.ONLY_BY_KEY))

        sides = stage.alternate(
            case,
            {
                "soakd reads/s": lambda: ours(1),
                "2 shards reads/s": lambda: ours(2),
                "pgbench reads/s": lambda: postgres.pgbench_reads(server, url, stage.seconds, READERS),
            },
        )
    against = f"pgbench -S -M prepared -c {READERS} -j 2"
    theirs = sides["pgbench reads/s"]
    figures = []
    for what, name, wanted in (
        (f"PostgreSQL point reads, {READERS} readers", "soakd reads/s", goal),
        ("the same with --shards 2", "2 shards reads/s", Goal()),
    ):
        shown = {name: sides[name], "pgbench reads/s": theirs}
        figures.append(Figure(case, what, against, wanted, ratios(sides[name], theirs), shown))
    return figures
