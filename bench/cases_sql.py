"""The cases of the workload `sql`: pgbench's own scripts, run by soakd and by pgbench."""

from bench import postgres, soakd
from bench.figures import Figure, Goal, ratios
from bench.stage import Stage

CLIENTS = 20
SCALE = 20  # × 100 000 accounts; as many branches as clients, or these would mostly wait for one another


def script(stage: Stage, case: str, name: str, goal: Goal) -> list[Figure]:
    """One of pgbench's built-in scripts, against pgbench with the same script, clients and tables."""
    server = stage.postgres()
    pool, other = ("--readers", "--writers") if name == "select-only" else ("--writers", "--readers")
    with server.database() as url:
        stage.say(f"{case}: fill")
        postgres.fill_pgbench(server, url, SCALE)

        def afresh() -> None:
            server.execute("TRUNCATE pgbench_history", database=postgres.database(url))
            server.execute("CHECKPOINT")

        def ours() -> float:
            afresh()
            options = ("--workload", "sql", "--set", f"sql.script={name}", pool, str(CLIENTS), other, "0")
            return float(soakd.run(url, stage.seconds, *options)["ops"][name]["rate"])

        def theirs() -> float:
            afresh()
            return postgres.pgbench_script(server, url, name, stage.seconds, CLIENTS)

        sides = stage.alternate(case, {"soakd tps": ours, "pgbench tps": theirs})
    return [
        Figure(
            case,
            f"pgbench's script {name}, {CLIENTS} clients",
            f"pgbench -b {name} -M prepared -c {CLIENTS} -j 2",
            goal,
            ratios(sides["soakd tps"], sides["pgbench tps"]),
            sides,
        )
    ]
