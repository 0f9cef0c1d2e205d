"""The workload `ledger`: one effect per request, no deadlocks unprovoked, consumers that miss nothing."""

import asyncio
from collections import Counter
from random import Random
from typing import Any

import psycopg
import pytest

from daemon.backends.base import NULL
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import OpError, Rejected
from daemon.load.retry import Retries
from daemon.ops import Transaction
from daemon.record.recorder import OpRecorder
from daemon.workloads import registry
from daemon.workloads.base import Identity, Progress
from daemon.workloads.ledger.operations import Request, Statements, credit, debit, transfer
from daemon.workloads.ledger.workload import RECENT, Ledger
from tests.ledger_rig import HISTORY, WALLETS, Place, Rig, on_postgres, place
from tests.test_backend_contract import null_backend

__all__ = ["on_postgres", "place"]  # fixtures

WRITES = ("credit", "debit", "transfer", "replay")
READS = ("balance", "history", "request")


def offline(seed: int = 1, **ledger: Any) -> tuple[Ledger, Random]:
    """Return a workload without a target, and a generator."""
    settings = Settings.model_validate({"workload": "ledger", "ledger": ledger})
    made = registry.create(
        "ledger",
        {**plan.workload_options(settings), "scale": 100},
        identity=Identity(7, 0, 0),
        dialect=NULL,
        workers=3,
        existing=(),
        wall=lambda: 1_800_000_000.0,
        rng=Random(1),
    )
    assert isinstance(made, Ledger)
    return made, Random(seed)


def requests(workload: Ledger, op: int, rng: Random, number: int) -> list[Request]:
    """Return the next requests of a kind."""
    return [workload.transaction(op, n % 3, rng).args[1] for n in range(number)]


def test_the_operations_and_their_weights() -> None:
    workload, _ = offline(replays=0.2, writes={"credit": 50, "debit": 30, "transfer": 20})
    assert [(spec.name, spec.pool) for spec in workload.ops] == [
        *((name, "writer") for name in WRITES),
        *((name, "reader") for name in READS),
    ]
    weights = {spec.name: spec.weight for spec in workload.ops if spec.pool == "writer"}
    assert weights["replay"] / sum(weights.values()) == pytest.approx(0.2)
    assert [weights[name] for name in WRITES[:3]] == [50, 30, 20]


def test_requests_have_keys_of_their_own_and_amounts_in_their_range() -> None:
    workload, rng = offline()
    for op, (kind, low, high) in enumerate((("credit", 10, 500), ("debit", 10, 200), ("transfer", 10, 300))):
        made = requests(workload, op, rng, 3000)
        assert {one.kind for one in made} == {kind}
        assert (min(one.amount for one in made), max(one.amount for one in made)) == (low, high)
        assert {one.wallet for one in made} == set(range(1, 101))
        assert len({one.key for one in made}) == 3000
        assert all(one.wallet != one.other for one in made)
        assert {one.other for one in made} == (set(range(1, 101)) if kind == "transfer" else {0})
    other_life = registry.create(
        "ledger", {**plan.workload_options(Settings(workload="ledger")), "scale": 100},
        identity=Identity(7, 0, 1), dialect=NULL, workers=3, existing=(), wall=lambda: 0.0, rng=Random(1),
    )  # fmt: skip
    assert isinstance(other_life, Ledger)
    keys = {one.key for one in requests(other_life, 0, Random(1), 100)}
    assert not keys & {one.key for one in requests(offline()[0], 0, Random(1), 100)}


def test_a_seed_repeats_the_requests_and_another_one_does_not() -> None:
    def draw(seed: int) -> list[Request]:
        workload, rng = offline(seed)
        return [one for op in (0, 1, 2, 3) for one in requests(workload, op, rng, 50)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_a_replay_is_a_recent_request_and_mostly_the_newest() -> None:
    workload, rng = offline()
    made = requests(workload, 0, rng, 1000)
    again = requests(workload, 3, rng, 2000)
    assert set(again) == set(made[-RECENT:])
    counts = Counter(again)
    assert counts.most_common(1)[0][0] == made[-1]


def test_before_there_is_a_request_a_replay_is_a_first_one() -> None:
    workload, rng = offline()
    first, second = requests(workload, 3, rng, 2)
    assert first == second


@pytest.mark.parametrize("isolation", ["read-committed", "repeatable-read", "serializable"])
def test_the_isolation_level_reaches_the_transactions(isolation: str) -> None:
    workload, rng = offline(isolation=isolation)
    work = workload.transaction(0, 0, rng)
    assert work.isolation == isolation.replace("-", " ")
    assert (work.read_only, work.single, work.idempotent) == (False, False, True)


def test_every_operation_runs_every_write_has_an_effect_and_every_read_finds_rows(place: Place) -> None:
    async def check(rig: Rig) -> None:
        workload, rng = rig.workload(), Random(1)
        for name in READS:
            for _ in range(20):
                assert (await rig.backend.transact(workload.transaction(rig.op(name), 0, rng))).result
        events = (await rig.sql("SELECT count(*) FROM {events}"))[0][0]
        for name in ("credit", "transfer", "debit"):
            balances = await rig.sql("SELECT balance, version FROM {wallets} ORDER BY id")
            assert (await rig.backend.transact(workload.transaction(rig.op(name), 0, rng))).result is True
            now = await rig.sql("SELECT balance, version FROM {wallets} ORDER BY id")
            changed = [before[0] - after[0] for before, after in zip(balances, now, strict=True)]
            assert len([one for one in changed if one]) == (2 if name == "transfer" else 1)
            assert (sum(changed) == 0) == (name == "transfer")
            assert sum(after[1] - before[1] for before, after in zip(balances, now, strict=True)) == len(
                [one for one in changed if one]
            )
        assert (await rig.backend.transact(workload.transaction(rig.op("replay"), 0, rng))).result is False
        assert (await rig.sql("SELECT count(*) FROM {events}"))[0][0] == events + 3
        assert (await rig.sql("SELECT count(*) FROM {outbox}"))[0][0] == 3

    place.run(check)


def test_insufficient_funds_are_a_rejection_and_leave_nothing_behind(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        before = await rig.sql("SELECT * FROM {wallets} ORDER BY id")
        too_much = 10**9
        for kind, fn, other in (("debit", debit, 0), ("transfer", transfer, 5)):
            request = Request(f"k-{kind}", kind, 3, other, too_much)
            with pytest.raises(Rejected):
                await rig.backend.transact(Transaction(fn, (sql, request, 1), read_only=False))
        assert await rig.sql("SELECT * FROM {wallets} ORDER BY id") == before
        assert (await rig.sql("SELECT count(*) FROM {requests} WHERE key LIKE 'k-%'"))[0][0] == 0
        # The same key has its effect once there is enough.
        smaller = Request("k-debit", "debit", 3, 0, 1)
        done = await rig.backend.transact(Transaction(debit, (sql, smaller, 1), read_only=False))
        assert done.result is True

    place.run(check)


def test_a_wallet_that_is_not_there_is_an_error_and_no_success(place: Place) -> None:
    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        for fn, other in ((credit, 0), (transfer, 10**6)):
            request = Request("k", "x", 10**6 if not other else 1, other, 1)
            with pytest.raises(OpError, match="wallets are there"):
                await rig.backend.transact(Transaction(fn, (sql, request, 1), read_only=False))

    place.run(check)


async def many(
    rig: Rig, ops: int, *, workers: int = 50, retries: int = 100
) -> tuple[Counter[str], dict[str, float]]:
    """Have workers run operations of the mix at the same time; return outcomes and retries by class."""
    workload, outcomes = rig.workload(workers=workers), Counter[str]()
    recorder = OpRecorder(workload.ops)
    refused: list[OpError] = []
    again = Retries(retries, rig.backend, recorder, SystemClock(), Random(1), refused.append)
    writers = [n for n, spec in enumerate(workload.ops) if spec.pool == "writer"]
    weights = [workload.ops[n].weight for n in writers]

    async def worker(number: int) -> None:
        rng = Random(number)
        for op in rng.choices(writers, weights, k=ops):
            work = workload.transaction(op, number, rng)
            try:
                try:
                    timed = await rig.backend.transact(work)
                except OpError as error:
                    timed = await again.again(work, error, SystemClock().now() + 60)
            except Rejected:
                outcomes["rejected"] += 1
            except OpError as error:
                outcomes[error.error_class] += 1
            else:
                outcomes["done" if timed.result else "again"] += 1

    await asyncio.gather(*(worker(n) for n in range(workers)))
    counters = recorder.snapshot().counters
    return outcomes, {k[1]: v for k, v in counters.items() if k[0] == "soakd_retries_total"}


def test_no_request_has_two_effects_among_fifty_workers_that_replay(place: Place) -> None:
    """Half of the requests are replays, most of them of requests that are still under way."""

    async def check(rig: Rig) -> None:
        outcomes, _ = await many(rig, 30)
        assert outcomes.keys() <= {"done", "again", "rejected"}
        assert outcomes["done"] > 400
        assert outcomes["again"] > 200
        events = await rig.sql("SELECT request FROM {events} WHERE id > " + str(WALLETS * HISTORY))
        assert len(events) == len(set(events)) == outcomes["done"]
        assert (await rig.sql("SELECT count(*) FROM {outbox}"))[0][0] == outcomes["done"]
        await rig.catch_up()
        assert await rig.violated() == {}

    place.run(check, writers=20, replays=0.5)


def test_transfers_between_few_wallets_do_not_deadlock(on_postgres: Place) -> None:
    """In all orders and by many at once: the lower number is locked first."""

    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)

        async def worker(number: int) -> None:
            rng = Random(number)
            for n in range(20):
                wallet, other = rng.sample(range(1, 5), 2)
                request = Request(f"k-{number}-{n}", "transfer", wallet, other, 1)
                await rig.backend.transact(Transaction(transfer, (sql, request, 1), read_only=False))

        await asyncio.gather(*(worker(n) for n in range(20)))

    on_postgres.run(check, writers=20)


def test_deadlocks_can_be_provoked_and_are_tried_again(on_postgres: Place) -> None:
    async def check(rig: Rig) -> None:
        outcomes, retries = await many(rig, 8, workers=8)
        assert retries["deadlock"] > 0
        assert outcomes["done"] > 20
        assert outcomes.keys() <= {"done", "again", "rejected"}
        await rig.catch_up()
        assert await rig.violated() == {}

    writes = on_postgres.settings.ledger.writes.model_copy(update={"credit": 0, "debit": 0})
    on_postgres.run(check, writers=10, provoke_deadlocks=True, writes=writes)


@pytest.mark.parametrize("isolation", ["repeatable-read", "serializable"])
def test_serialization_failures_are_tried_again(on_postgres: Place, isolation: str) -> None:
    async def check(rig: Rig) -> None:
        outcomes, retries = await many(rig, 15, workers=20)
        assert retries["serialization"] > 0
        assert outcomes.keys() <= {"done", "again", "rejected"}
        await rig.catch_up()
        assert await rig.violated() == {}

    on_postgres.run(check, writers=20, isolation=isolation)


def test_sqlite_needs_no_retries(tmp_path: Any, request: pytest.FixtureRequest) -> None:
    from tests.ledger_rig import loaded

    async def check(rig: Rig) -> None:
        outcomes, retries = await many(rig, 15, workers=20, retries=0)
        assert retries == {}
        assert outcomes.keys() <= {"done", "again", "rejected"}

    loaded(f"sqlite:///{tmp_path}/ledger.db").run(check, isolation="serializable", provoke_deadlocks=True)


def test_consumers_bring_the_projections_up_to_date(place: Place) -> None:
    async def check(rig: Rig) -> None:
        outcomes, _ = await many(rig, 30, workers=10)
        consumers = rig.consumers()
        assert list(consumers) == ["read_model", "ledger", "outbox_1", "outbox_2"]
        for consumer in consumers.values():
            progress: Progress = (await rig.backend.transact(consumer.step)).result
            assert progress.rows == outcomes["done"]
            assert (progress.more, progress.behind, progress.oldest) == (False, 0, None)
        balances = await rig.sql("SELECT id, balance, version FROM {wallets} ORDER BY id")
        assert await rig.sql("SELECT wallet, balance, operations FROM {balances} ORDER BY wallet") == balances

    place.run(check)


def test_a_step_is_bounded_and_tells_what_is_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.workloads.ledger.consumers.LIMIT", 7)

    async def check(rig: Rig) -> None:
        before = SystemClock().wall()
        outcomes, _ = await many(rig, 10, workers=3)
        step = rig.consumers()["read_model"].step
        left = outcomes["done"]
        while left > 0:
            progress: Progress = (await rig.backend.transact(step)).result
            assert progress.rows == min(7, left)
            left -= progress.rows
            assert progress.more == (left > 0)
            # Numbers are drawn and committed in slightly different orders.
            assert abs(progress.behind - left) <= 5 if left else progress.behind == 0
            assert (progress.oldest is not None) == (left > 0)
            assert progress.oldest is None or before <= progress.oldest <= SystemClock().wall()

    place.run(check)


def test_what_commits_late_is_not_left_out(on_postgres: Place) -> None:
    """A transaction draws the lower number and commits after another one: the classic way to lose events."""

    async def check(rig: Rig) -> None:
        sql = Statements.of(rig.backend.dialect)
        step = rig.consumers()["read_model"].step
        target = rig.settings.target.get_secret_value()
        async with await psycopg.AsyncConnection.connect(target) as slow:
            await slow.execute(
                "INSERT INTO soakd.ledger_events (tx, request, kind, wallet, other, delta, ts) "
                "VALUES (pg_current_xact_id()::text::bigint, 'slow', 'credit', 1, 0, 5, 1)"
            )
            request = Request("fast", "credit", 2, 0, 7)
            await rig.backend.transact(Transaction(credit, (sql, request, 1), read_only=False))
            waiting: Progress = (await rig.backend.transact(step)).result
            assert (waiting.rows, waiting.behind) == (0, 2), "it waits for the slow one"
            assert waiting.oldest == 1e-6
            await slow.commit()
        processed: Progress = (await rig.backend.transact(step)).result
        assert (processed.rows, processed.behind) == (2, 0)

    on_postgres.run(check)


def test_two_of_the_same_consumer_process_nothing_twice(place: Place) -> None:
    """Two soakd on one target: the position is locked."""

    async def check(rig: Rig) -> None:
        outcomes, _ = await many(rig, 20, workers=10)
        step = rig.consumers()["outbox_1"].step
        found = await asyncio.gather(*(rig.backend.transact(step) for _ in range(8)))
        assert sum(timed.result.rows for timed in found) == outcomes["done"]
        consumed = await rig.sql("SELECT consumed FROM {positions} WHERE consumer = 'outbox_1'")
        assert consumed == [(outcomes["done"],)]

    place.run(check, writers=10)


def test_on_the_null_target_everything_runs() -> None:
    async def check() -> None:
        backend = null_backend()
        workload, rng = offline()
        for op in range(len(workload.ops)):
            await backend.transact(workload.transaction(op, 0, rng))
        made = registry.consumers(
            "ledger", plan.workload_options(Settings(workload="ledger")), dialect=NULL, wall=float,
            shard=0, shards=1,
        )  # fmt: skip
        for consumer in made:
            assert (await backend.transact(consumer.step)).result == Progress(0)

    asyncio.run(check())


def test_each_consumer_runs_in_one_shard() -> None:
    settings = Settings.model_validate({"workload": "ledger", "ledger": {"outbox_consumers": 5}})
    options = plan.workload_options(settings)
    names = [
        one.name
        for shard in range(3)
        for one in registry.consumers("ledger", options, dialect=NULL, wall=float, shard=shard, shards=3)
    ]
    assert sorted(names) == sorted(["read_model", "ledger", *(f"outbox_{n}" for n in range(1, 6))])


@pytest.mark.parametrize("scans", [("Seq Scan", "SCAN ")])
def test_no_operation_scans_a_table(place: Place, scans: tuple[str, ...]) -> None:
    """Every statement that the load runs, and every one of a consumer's step, finds its rows by an index."""

    async def check(rig: Rig) -> None:
        workload = rig.workload()
        follow = rig.consumers()["read_model"].step.args[0]
        params: dict[str, tuple[Any, ...]] = {
            follow.position: ("ledger",),
            follow.batch: (0, 50, 10),
            follow.head: (),
        }
        sql = Statements.of(rig.backend.dialect)
        params |= {sql.take: (1, 1, 1), sql.add: (1, 1), sql.lock: (1, 2), sql.move: (1, -1, 1, 1, 2)}
        for name in READS:
            args = workload.transaction(rig.op(name), 0, Random(1)).args
            params[args[0]] = args[1]

        async def explain(tx: Any, sql: str, values: Any) -> str:
            if rig.backend.dialect.name == "sqlite":
                return "\n".join(str(row[3]) for row in await tx.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            await tx.execute("SET LOCAL enable_seqscan = off")  # the tables are tiny
            return "\n".join(str(row[0]) for row in await tx.execute(f"EXPLAIN {sql}", values))

        for one, values in params.items():
            work = Transaction(explain, (one, values), read_only=False)
            described: str = (await rig.backend.transact(work)).result
            if one != follow.head:  # in SQLite the newest row is found by walking an index backwards
                assert not [word for word in scans if word in described], (one, described)

    place.run(check)
