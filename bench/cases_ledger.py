"""The case of the workload `ledger`: transfers, run by soakd and as a script of pgbench."""

from bench import postgres, soakd
from bench.figures import Figure, Goal, ratios
from bench.stage import Stage
from daemon.backends.base import POSTGRES
from daemon.workloads.ledger.operations import Statements
from tests.servers import LocalServer

CLIENTS = 20
WALLETS = 10_000  # whose histories leave so much in them that no transfer of a short run is refused
LOAD = (
    *("--workload", "ledger", "--writers", str(CLIENTS), "--readers", "0"),
    *("--set", "ledger.writes.credit=0", "--set", "ledger.writes.debit=0", "--set", "ledger.replays=0"),
    # What one side wrote is thrown away before the other begins, and then the books do not balance.
    *("--set", "invariants.interval=0", "--set", "invariants.final_budget=0"),
)
# The projections are no part of the transaction: they have one look, and the next in an hour.
ALONE = ("--set", "ledger.outbox_consumers=0", "--set", "ledger.poll=1h")
EMPTIED = ("ledger_requests", "ledger_events", "ledger_outbox")
PAYLOAD = '{"event":100001,"kind":"transfer","wallet":5001,"other":5002,"delta":-155}'


def script() -> str:
    """Return the transaction as a script of pgbench: soakd's own statements, with variables in them."""
    sql = Statements.of(POSTGRES)
    key = "(:run || '-0-' || :client_id || '-' || :seq)::text"
    out, into = "-:amount::bigint", ":amount::bigint"
    return f"""\
\\set seq :seq + 1
\\set ts :ts + 1
\\set wallet random(1, :wallets)
\\set other 1 + (:wallet + random(0, :wallets - 2)) % :wallets
\\set amount random(10, 300)
BEGIN;
{_filled(sql.claim, key, "'transfer'", ":wallet", ":other", ":amount", ":ts")};
{_filled(sql.lock, ":wallet", ":other")};
{_filled(sql.move, ":wallet", out, into, ":wallet", ":other")};
{_filled(sql.event, key, "'transfer'", ":wallet", ":other", out, ":ts")} \\gset event_
{_filled(sql.outbox, ":event_id", ":payload", ":ts")};
END;
"""


def _filled(sql: str, *values: str) -> str:
    """Return a statement with values in the place of its parameter marks."""
    first, *rest = sql.split(POSTGRES.placeholder)
    return first + "".join(value + part for value, part in zip(values, rest, strict=True))


def transfers(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """Transfers without what follows them, and with it for information, against pgbench."""
    server = stage.postgres()
    file = stage.folder / "transfer.sql"
    file.write_text(script())
    variables = {"run": 1, "seq": 0, "ts": 1_800_000_000_000_000, "wallets": WALLETS, "payload": PAYLOAD}
    with server.database() as url:
        stage.say(f"{case}: fill")
        soakd.run(url, 0.5, *LOAD, *ALONE, "--scale", str(WALLETS), warmup=0)

        def ours(*more: str) -> float:
            _afresh(server, url)
            return float(soakd.run(url, stage.seconds, *LOAD, *more)["ops"]["transfer"]["rate"])

        def theirs() -> float:
            _afresh(server, url)
            return postgres.pgbench_file(server, url, file, variables, stage.seconds, CLIENTS)

        alone, followed, pgbench = "soakd transfers/s", "with consumers transfers/s", "pgbench transfers/s"
        sides = stage.alternate(case, {alone: lambda: ours(*ALONE), followed: ours, pgbench: theirs})
    against = f"pgbench -M prepared -c {CLIENTS} -j 2, the same statements"
    rows = (
        (f"ledger: transfers, {CLIENTS} writers", alone, goal),
        ("the same with two projections and two consumers", followed, Goal()),
    )
    return [
        Figure(
            case,
            what,
            against,
            wanted,
            ratios(sides[name], sides[pgbench]),
            {one: sides[one] for one in (name, pgbench)},
        )
        for what, name, wanted in rows
    ]


def _afresh(server: LocalServer, url: str) -> None:
    name = postgres.database(url)
    server.execute(f"TRUNCATE {', '.join(map(POSTGRES.table, EMPTIED))}", database=name)
    server.execute(f"VACUUM (ANALYZE) {POSTGRES.table('ledger_wallets')}", database=name)
    server.execute("CHECKPOINT")
