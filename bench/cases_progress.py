"""The case of the workload `progress`: merged batches of UPSERTs against single ones."""

from bench import postgres, soakd
from bench.cases_postgres import FILLED, WRITERS
from bench.figures import Figure, Goal, ratios
from bench.stage import Stage
from daemon.backends.base import POSTGRES
from daemon.workloads.progress.tables import COUNTERS, MARKS
from tests.servers import LocalServer

SIZES = {"users": 1000, "challenges": 10, "goals": 50}
# Everything was begun, so that every UPSERT changes a row, as nearly all do that a service makes.
DATA = (
    "--workload", "progress", "--scale", str(SIZES["users"]),
    "--set", f"progress.started={SIZES['goals']}", "--set", "progress.canary=0",
)  # fmt: skip


def upserts(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """Events in merged batches, against the same UPSERT of one row at a time."""
    server = stage.postgres()
    script = stage.folder / "upsert.sql"
    with server.database() as url:
        name = postgres.database(url)
        stage.say(f"{case}: fill")
        soakd.run(url, 0.5, *DATA, "--writers", "0", "--readers", "1", warmup=0)
        for table in (COUNTERS.name, MARKS.name):
            server.execute(f"CREATE TABLE {table}_before AS TABLE {POSTGRES.table(table)}", database=name)

        def ours() -> float:
            _restore(server, name)
            options = ("--writers", str(WRITERS), "--readers", "0", *soakd.FULL_SPEED, *FILLED)
            return float(soakd.run(url, stage.seconds, *DATA, *options)["ops"]["event"]["rate"])

        def theirs() -> float:
            _restore(server, name)
            return postgres.pgbench_upserts(server, url, script, stage.seconds, WRITERS, SIZES)

        sides = stage.alternate(case, {"soakd rows/s": ours, "pgbench rows/s": theirs})
    return [
        Figure(
            case,
            f"PostgreSQL UPSERTs of events, {WRITERS} writers, batch 200, timeout 0, 20 under way each",
            f"pgbench -M prepared -c {WRITERS} -j 2, UPSERT of one row",
            goal,
            ratios(sides["soakd rows/s"], sides["pgbench rows/s"]),
            sides,
        )
    ]


def _restore(server: LocalServer, name: str) -> None:
    """Bring the counters back to what they were, and leave the server nothing to catch up on."""
    for table in (COUNTERS.name, MARKS.name):
        full = POSTGRES.table(table)
        server.execute(f"TRUNCATE {full}", database=name)
        server.execute(f"INSERT INTO {full} TABLE {table}_before", database=name)
        server.execute(f"VACUUM (ANALYZE) {full}", database=name)
    server.execute("CHECKPOINT", database=name)
