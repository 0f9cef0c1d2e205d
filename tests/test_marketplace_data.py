"""The data of the workload `marketplace`: the same for a seed, and consistent in itself."""

import hashlib
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.settings import Settings
from daemon.ops import Values
from daemon.workloads.marketplace.data import DATA, SHAPE, Market, fills, mint_hash
from daemon.workloads.marketplace.tables import TABLES

Tables = dict[str, list[Values]]

# Of 50 mints of the default shape. Whoever changes the data raises the version of the tables as
# well, or targets would be taken to hold what they do not.
DIGEST_OF_SEED_0 = "5a8b88ae"
DEFAULTS = {name: getattr(Settings().marketplace, name) for name in SHAPE}


def made(scale: int, seed: int, **shape: Any) -> Tables:
    """Return the rows of every table."""
    return {
        fill.table.name: [row for number in range(fill.chunks) for row in fill.chunk(number, seed)]
        for fill in fills(scale, seed, {**DEFAULTS, **shape})
    }


def digest(tables: Tables) -> str:
    """Return a number that any change of any value changes."""
    return hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:8]


def test_a_seed_makes_the_same_data_for_ever() -> None:
    assert digest(made(50, 0)) == DIGEST_OF_SEED_0


def test_another_seed_makes_other_data() -> None:
    assert len({digest(made(50, seed)) for seed in range(5)}) == 5


def test_the_volumes_are_those_of_the_settings() -> None:
    rows = {fill.table.name: fill.rows for fill in fills(1000, 0, DEFAULTS)}
    assert rows == {
        "addresses": 500,
        "mints": 1000,
        "balances": 20_000,
        "sell_offers": 5000,
        "buy_offers": 5000,
        "invoices": 5000,
    }
    assert DATA.shape == SHAPE
    assert DATA.default == 1000


@settings(max_examples=30, deadline=None)
@given(
    scale=st.integers(1, 30),
    seed=st.integers(0, 2**63 - 1),
    offers=st.integers(2, 7),
    invoices=st.integers(1, 5),
    balances=st.integers(2, 9),
    people=st.integers(9, 40),
)
def test_the_tables_agree_with_each_other(
    scale: int, seed: int, offers: int, invoices: int, balances: int, people: int
) -> None:
    tables = made(
        scale,
        seed,
        offers_per_mint=offers,
        invoices_per_mint=invoices,
        balances_per_mint=balances,
        addresses=people,
    )
    names = {row[0] for row in tables["addresses"]}
    assert len(names) == people
    assert all(opening == funds > 0 for _, opening, funds in tables["addresses"])
    held: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for mint, address, opening, quantity in tables["balances"]:
        assert opening == quantity > 0
        assert address in names
        held[mint][address] = quantity
    assert [len(held[mint]) for mint in range(1, scale + 1)] == [balances] * scale
    for mint, hashed, _, owner, supply, _ in tables["mints"]:
        assert supply == sum(held[mint].values())
        assert owner in held[mint]
        assert hashed == mint_hash(mint)
    for kind, each in (("sell_offers", -(-offers // 2)), ("buy_offers", offers // 2)):
        assert Counter(row[1] for row in tables[kind]) == dict.fromkeys(range(1, scale + 1), each)
        assert {row[2] for row in tables[kind]} <= names
    for _, mint, buyer, seller, *_ in tables["invoices"]:
        assert buyer != seller
        assert seller in held[mint]
    for name in ("mints", "sell_offers", "buy_offers", "invoices"):
        assert [row[0] for row in tables[name]] == list(range(1, len(tables[name]) + 1))


@settings(max_examples=50, deadline=None)
@given(scale=st.integers(1, 30), balances=st.integers(2, 9), people=st.integers(9, 40))
def test_it_is_known_without_looking_who_holds_what(scale: int, balances: int, people: int) -> None:
    size = Market(scale, 2, 1, balances, people)
    tables = made(scale, 0, balances_per_mint=balances, addresses=people)
    names = [row[0] for row in tables["addresses"]]
    by_address: defaultdict[str, list[int]] = defaultdict(list)
    for mint, address, *_ in tables["balances"]:
        by_address[address].append(mint)
    assert size.holders == len(by_address)
    for number in range(size.holders):
        mints = [size.held_mint(number, n) for n in range(size.held(number))]
        assert mints == by_address[names[number]]
    for mint in range(1, scale + 1):
        assert all(mint in by_address[names[size.holder(mint, n)]] for n in range(balances))


@pytest.mark.parametrize("table", ["sell_offers", "buy_offers", "invoices"])
def test_what_is_drawn_is_spread_over_its_range(table: str) -> None:
    columns = [name for name, _ in next(one for one in TABLES if one.name == table).columns]
    rows = [dict(zip(columns, row, strict=True)) for row in made(1000, 3)[table]]
    quantity, price = ([row[name] for row in rows] for name in ("quantity", "price"))
    counts = Counter(quantity)
    assert counts.keys() == set(range(1, 11))
    assert max(counts.values()) < 1.3 * min(counts.values())
    assert 1 <= min(price) < 20
    assert 9980 < max(price) <= 10_000
