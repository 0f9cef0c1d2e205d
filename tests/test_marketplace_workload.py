"""The workload `marketplace`: keys drawn per operation, pages that do not shift, trades that lose nothing."""

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from daemon.backends.base import NULL, SQLITE, Dialect
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import OpError, Rejected
from daemon.load.mix import Mix
from daemon.ops import Transaction, Tx
from daemon.workloads import registry
from daemon.workloads.base import Identity
from daemon.workloads.marketplace.data import addresses
from daemon.workloads.marketplace.operations import FAR, INSERTS, READS, Deal, Trading, trade
from daemon.workloads.marketplace.workload import WRITES, Marketplace
from tests.marketplace_rig import MINTS, SHAPE, Place, Rig, place
from tests.test_backend_contract import null_backend

__all__ = ["place"]  # a fixture


def offline(scale: int = 1000, dialect: Dialect = SQLITE, **marketplace: Any) -> Marketplace:
    """Return a workload without a target."""
    settings = Settings.model_validate(
        {"workload": "marketplace", "data": {"scale": scale}, "marketplace": marketplace}
    )
    made = registry.create(
        "marketplace",
        plan.workload_options(settings),
        identity=Identity(7, 0, 0),
        dialect=dialect,
        workers=3,
        existing=(),
        wall=lambda: 1_800_000_000.0,
        rng=Random(1),
    )
    assert isinstance(made, Marketplace)
    return made


def number(workload: Marketplace, name: str) -> int:
    """Return the number of an operation."""
    return [spec.name for spec in workload.ops].index(name)


def asked(workload: Marketplace, name: str, times: int, seed: int = 1) -> list[tuple[Any, ...]]:
    """Return the parameters of the next reads of a kind."""
    rng = Random(seed)
    return [workload.transaction(number(workload, name), 0, rng).args[1] for _ in range(times)]


def test_the_operations_are_the_ten_queries_and_four_writes() -> None:
    workload = offline()
    assert [(spec.name, spec.pool) for spec in workload.ops] == [
        *((name, "writer") for name in ("sell_offer", "buy_offer", "invoice", "trade")),
        *((name, "reader") for name in READS),
    ]
    assert len(READS) == 10
    assert sum(spec.weight for spec in workload.ops if spec.pool == "reader") == 100


def test_keys_are_drawn_for_every_operation() -> None:
    workload = offline()
    for name in READS:
        if name != "statistics":
            least = {"list_mints_500": 2, "list_mints_50": 20}.get(name, 60)
            assert len(set(asked(workload, name, 2000))) >= least, name
    assert len({params[0] for params in asked(workload, "address_balance", 9000)}) == 500
    hot = Counter(params[0] for params in asked(offline(keys="zipf"), "mint_sell_offers", 2000))
    assert hot.most_common(1)[0][0] == 1
    assert hot[1] > 100


def test_a_seed_repeats_the_keys_and_another_one_does_not() -> None:
    def draw(seed: int) -> list[Any]:
        workload, rng = offline(), Random(seed)
        return [
            workload.transaction(op, 0, rng).args[1:] for op in range(len(workload.ops)) for _ in range(9)
        ]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_pages_of_a_list_cover_it_without_overlap() -> None:
    """The first one begins with what is newest, the others where the page before ended."""
    starts = sorted({params[0] for params in asked(offline(scale=120), "list_mints_50", 500)})
    assert starts == [21, 71, FAR]


def test_every_operation_runs_every_write_affects_rows_and_every_read_finds_some(place: Place) -> None:
    async def check(rig: Rig) -> None:
        workload, rng = rig.workload, Random(1)
        for name in READS:
            for _ in range(60):
                work = workload.transaction(number(workload, name), 0, rng)
                assert (await rig.backend.transact(work)).result, (name, work.args)
        written = dict(zip(WRITES, ("sell_offers", "buy_offers", "invoices", "invoices"), strict=True))
        for name, table in written.items():
            before = (await rig.sql(f"SELECT count(*) FROM {{{table}}}"))[0][0]
            held = await rig.sql("SELECT mint, address, quantity FROM {balances} ORDER BY mint, address")
            work = workload.transaction(number(workload, name), 0, rng)
            assert (await rig.backend.transact(work)).result
            assert (await rig.sql(f"SELECT count(*) FROM {{{table}}}"))[0][0] == before + 1
            now = await rig.sql("SELECT mint, address, quantity FROM {balances} ORDER BY mint, address")
            assert len(set(now) - set(held)) == (2 if name == "trade" else 0)
        newest = await rig.sql("SELECT status FROM {invoices} ORDER BY id DESC LIMIT 2")
        assert newest == [("paid",), ("pending",)]

    place.run(check)


def test_all_pages_of_a_list_hold_every_row_once(place: Place) -> None:
    async def check(rig: Rig) -> None:
        workload, found = rig.workload, {}
        for name, column in (("sell_offers", 0), ("invoices", 0), ("address_balance", 0)):
            rng, pages = Random(2), {}
            for _ in range(600):
                work = workload.transaction(number(workload, name), 0, rng)
                pages[work.args[1]] = [
                    (work.args[1][0] if name == "address_balance" else "", row[column])
                    for row in (await rig.backend.transact(work)).result
                ]
            found[name] = Counter(row for rows in pages.values() for row in rows)
            assert set(found[name].values()) == {1}, name
        assert len(found["sell_offers"]) == MINTS * SHAPE["offers_per_mint"] // 2
        assert len(found["invoices"]) == MINTS * SHAPE["invoices_per_mint"]
        assert len(found["address_balance"]) == MINTS * SHAPE["balances_per_mint"]

    settings = place.settings.marketplace.model_copy(update={"limit": 3})
    Place(place.settings.model_copy(update={"marketplace": settings})).run(check)


async def holders(rig: Rig, mint: int) -> tuple[str, str]:
    """Return two holders of a mint, the one that comes first before the other."""
    rows = await rig.sql(f"SELECT address FROM {{balances}} WHERE mint = {mint} ORDER BY address LIMIT 2")
    return rows[0][0], rows[1][0]


async def everything(rig: Rig) -> list[Any]:
    """Return what trades change."""
    return [
        await rig.sql("SELECT address, funds FROM {addresses} ORDER BY address"),
        await rig.sql("SELECT mint, address, quantity FROM {balances} ORDER BY mint, address"),
        await rig.sql("SELECT count(*) FROM {invoices}"),
    ]


def test_a_trade_moves_tokens_and_money(place: Place) -> None:
    async def check(rig: Rig) -> None:
        buyer, seller = await holders(rig, 3)
        before = await everything(rig)
        deal = Deal(3, buyer, seller, 5, 70)
        await rig.backend.transact(Transaction(trade, (Trading.of(rig.backend.dialect), deal, 1), False))
        now = await everything(rig)
        changed = dict(set(now[0]) - set(before[0]))
        was = dict(before[0])
        assert {name: funds - was[name] for name, funds in changed.items()} == {buyer: -350, seller: 350}
        held = {(m, a): q for m, a, q in before[1]}
        moved = {(m, a): q - held[m, a] for m, a, q in set(now[1]) - set(before[1])}
        assert moved == {(3, buyer): 5, (3, seller): -5}
        assert await rig.violated() == {}

    place.run(check)


@pytest.mark.parametrize(
    ("quantity", "price", "words"),
    [(1, 10**9, "insufficient funds"), (10**6, 0, "insufficient tokens")],
)
def test_who_lacks_the_means_is_rejected_and_nothing_is_left_behind(
    place: Place, quantity: int, price: int, words: str
) -> None:
    async def check(rig: Rig) -> None:
        before = await everything(rig)
        deal = Deal(3, *await holders(rig, 3), quantity, price)
        with pytest.raises(Rejected, match=words):
            await rig.backend.transact(Transaction(trade, (Trading.of(rig.backend.dialect), deal, 1), False))
        assert await everything(rig) == before

    place.run(check)


@pytest.mark.parametrize("lost", ["addresses", "balances"])
def test_a_row_that_is_not_there_is_an_error_and_no_success(place: Place, lost: str) -> None:
    async def check(rig: Rig) -> None:
        deal = Deal(3, *await holders(rig, 3), 1, 1)
        await rig.sql(f"DELETE FROM {{{lost}}} WHERE address = '{deal.buyer}'")
        with pytest.raises(OpError, match="balances are there"):
            await rig.backend.transact(Transaction(trade, (Trading.of(rig.backend.dialect), deal, 1), False))

    place.run(check)


async def trades(rig: Rig, workers: int, each: int, *, scarce: bool = False) -> Counter[str]:
    """Have workers write at the same time and return the outcomes; nothing is tried again."""
    outcomes: Counter[str] = Counter()
    workload = rig.workload
    if scarce:
        await rig.sql("UPDATE {addresses} SET funds = 2000, opening = 2000")

    async def worker(seed: int) -> None:
        rng = Random(seed)
        mix = Mix(workload.ops, "writer", rng)
        for _ in range(each):
            try:
                await rig.backend.transact(workload.transaction(mix.next(), seed, rng))
            except Rejected:
                outcomes["rejected"] += 1
            else:
                outcomes["done"] += 1

    await asyncio.gather(*(worker(n) for n in range(workers)))
    return outcomes


def test_many_trade_at_once_without_deadlocks_and_nothing_is_lost(place: Place) -> None:
    async def check(rig: Rig) -> None:
        outcomes = await trades(rig, 20, 25)
        assert outcomes["done"] > 400
        assert await rig.violated() == {}

    only = place.settings.marketplace.writes.model_copy(
        update={"sell_offer": 0, "buy_offer": 0, "invoice": 0}
    )
    settings = place.settings.marketplace.model_copy(update={"writes": only})
    Place(place.settings.model_copy(update={"marketplace": settings})).run(check, writers=20)


def test_where_money_is_scarce_trades_are_rejected_and_nobody_gets_into_debt(place: Place) -> None:
    async def check(rig: Rig) -> None:
        outcomes = await trades(rig, 20, 20, scarce=True)
        assert outcomes["rejected"] > 20
        assert outcomes["done"] > 100
        assert await rig.violated() == {}

    place.run(check, writers=20)


def test_no_operation_but_the_statistics_scans_a_table(place: Place) -> None:
    async def explain(tx: Tx, sql: str, values: Any) -> str:
        if "%s" not in sql:
            return "\n".join(str(row[3]) for row in await tx.execute(f"EXPLAIN QUERY PLAN {sql}", values))
        await tx.execute("SET LOCAL enable_seqscan = off")  # the tables are tiny
        return "\n".join(str(row[0]) for row in await tx.execute(f"EXPLAIN {sql}", values))

    async def check(rig: Rig) -> None:
        workload, sql = rig.workload, Trading.of(rig.backend.dialect)
        asked: dict[str, tuple[Any, ...]] = {
            sql.lock_funds: ("a", "b"),
            sql.lock_tokens: (1, "a", "b"),
            sql.move_funds: ("a", -1, 1, "a", "b"),
            sql.move_tokens: ("a", 1, -1, 1, "a", "b"),
        }
        for name in READS:
            if name != "statistics":
                statement, params = workload.transaction(number(workload, name), 0, Random(1)).args
                asked[statement] = params
        for one, values in asked.items():
            work = Transaction(explain, (one, values), read_only=False)
            described: str = (await rig.backend.transact(work)).result
            assert not [word for word in ("Seq Scan", "SCAN ", "TEMP B-TREE") if word in described], (
                one,
                described,
            )

    place.run(check)


def test_on_the_null_target_everything_runs() -> None:
    async def check() -> None:
        backend, rng = null_backend(), Random(1)
        workload = offline(dialect=NULL)
        for op in range(len(workload.ops)):
            await backend.transact(workload.transaction(op, 0, rng))

    asyncio.run(check())


def test_names_are_those_of_the_settings() -> None:
    section = Settings().marketplace
    assert section.writes.model_dump().keys() == set(WRITES) == {*INSERTS, "trade"}
    assert section.reads.model_dump().keys() == READS.keys()
    assert len(set(addresses(500))) == 500


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reads": dict.fromkeys(READS, 0)}, "marketplace.reads: all weights are 0"),
        ({"writes": dict.fromkeys(WRITES, 0)}, "marketplace.writes: all weights are 0"),
        ({"balances_per_mint": 30, "addresses": 20}, "lower the one or raise the other"),
        ({"offers_per_mint": 1}, "offers_per_mint"),
        ({"keys": "gaussian"}, "keys"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings.model_validate({"marketplace": settings})
