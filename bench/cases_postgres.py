"""The cases on PostgreSQL."""

from collections.abc import Mapping, Sequence

from bench import postgres, soakd
from bench.figures import Figure, Goal, ratios
from bench.stage import BenchError, Stage
from tests.servers import LocalServer

WRITERS, READERS = 50, 20
# Writers that wait for one row at a time never have more than 50 rows to put into a batch of 200.
FILLED = ("--rows-in-flight", "20", "--flushers", "4")
COPY_ROWS = 300_000
SCALE = 5  # × 100 000 rows of pgbench_accounts


def rows(stage: Stage, case: str, inserts: Goal, copies: Goal) -> list[Figure]:
    r"""Rows in batches, against single INSERTs of pgbench and against `psql \copy`."""
    return _rows(stage, case, stage.postgres(), "", inserts, copies)


def rows_in_memory(stage: Stage, case: str) -> list[Figure]:
    """The same where a flush of the WAL does not wait for a disk, for information."""
    stage.postgres()  # the reason why there is none, if so
    if not postgres.MEMORY.is_dir():
        raise BenchError(f"there is no {postgres.MEMORY} to put the data into")
    with postgres.server(postgres.MEMORY) as (server, why):
        if server is None:
            raise BenchError(why)
        return _rows(stage, case, server, ", WAL in memory", Goal(), Goal())


def _rows(
    stage: Stage, case: str, server: LocalServer, where: str, inserts: Goal, copies: Goal
) -> list[Figure]:
    script, data = stage.folder / "insert.sql", stage.folder / "rows.tsv"
    postgres.write_copy_file(data, WRITERS, COPY_ROWS)
    with server.database() as url:
        name = postgres.database(url)
        soakd.run(url, 0.5, "--writers", "1", "--readers", "0", warmup=0)  # makes the table

        def ours(*more: str) -> float:
            postgres.empty(server, name)
            options = ("--writers", str(WRITERS), "--readers", "0", *soakd.FULL_SPEED, *more)
            return soakd.rows_per_second(soakd.run(url, stage.seconds, *options))

        def pgbench() -> float:
            postgres.empty(server, name)
            return postgres.pgbench_inserts(server, url, script, stage.seconds, WRITERS)

        def copy() -> float:
            postgres.empty(server, name)
            return COPY_ROWS / postgres.copy_seconds(server, url, data)

        sides = stage.alternate(
            case,
            {
                "soakd rows/s": lambda: ours(*FILLED),
                "one at a time rows/s": ours,
                "pgbench rows/s": pgbench,
                "copy rows/s": copy,
            },
        )
    data.unlink()
    filled = f"PostgreSQL rows, {WRITERS} writers, batch 200, timeout 0, 20 rows under way each{where}"
    single = "the same with 1 row under way each, so 50 in a batch"
    pgbench_is = f"pgbench -M prepared -c {WRITERS} -j 2, INSERT of the same row"
    copy_is = "psql \\copy of the same rows"
    return [
        _figure(case, filled, pgbench_is, inserts, sides, "soakd rows/s", "pgbench rows/s"),
        _figure(case, "the same", copy_is, copies, sides, "soakd rows/s", "copy rows/s"),
        _figure(case, single, pgbench_is, Goal(), sides, "one at a time rows/s", "pgbench rows/s"),
        _figure(case, single, copy_is, Goal(), sides, "one at a time rows/s", "copy rows/s"),
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
    one = f"PostgreSQL point reads, {READERS} readers"
    two = "the same with --shards 2"
    return [
        _figure(case, one, against, goal, sides, "soakd reads/s", "pgbench reads/s"),
        _figure(case, two, against, Goal(), sides, "2 shards reads/s", "pgbench reads/s"),
    ]


def _figure(
    case: str,
    what: str,
    against: str,
    goal: Goal,
    sides: Mapping[str, Sequence[float]],
    ours: str,
    theirs: str,
) -> Figure:
    return Figure(
        case,
        what,
        against,
        goal,
        ratios(sides[ours], sides[theirs]),
        {name: sides[name] for name in (ours, theirs)},
    )
