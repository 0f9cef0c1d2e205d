"""The tables of the workload `marketplace`. Money is in cents, tokens are counted in whole ones."""

from collections.abc import Mapping, Sequence

from daemon.backends.base import Dialect
from daemon.ops import Table
from daemon.workloads.base import Schema

VERSION = 1

# A kind of token. `supply` of them exist, shared out among the mint's balances.
MINTS = Table(
    "mints",
    (
        ("id", "bigint"),
        ("hash", "text"),
        ("title", "text"),
        ("owner", "text"),
        ("supply", "bigint"),
        ("ts", "bigint"),  # microseconds since the Unix epoch, as all times here
    ),
    ("id",),
)
_OFFER = (
    ("id", "serial"),
    ("mint", "bigint"),
    ("address", "text"),
    ("quantity", "bigint"),
    ("price", "bigint"),  # of one token
    ("ts", "bigint"),
)
SELL_OFFERS = Table("sell_offers", _OFFER, ("id",))
BUY_OFFERS = Table("buy_offers", _OFFER, ("id",))
# A `paid` one that is no part of the loaded data has moved its tokens and its money.
INVOICES = Table(
    "invoices",
    (
        ("id", "serial"),
        ("mint", "bigint"),
        ("buyer", "text"),
        ("seller", "text"),
        ("quantity", "bigint"),
        ("price", "bigint"),
        ("status", "text"),  # pending, paid
        ("ts", "bigint"),
    ),
    ("id",),
)
# Tokens of a mint that an address holds; `opening` is what it held when the data was loaded.
BALANCES = Table(
    "balances",
    (("mint", "bigint"), ("address", "text"), ("opening", "bigint"), ("quantity", "bigint")),
    ("mint", "address"),
)
# Money of an address; `opening` is what it had when the data was loaded.
ADDRESSES = Table(
    "addresses", (("address", "text"), ("opening", "bigint"), ("funds", "bigint")), ("address",)
)
TABLES = (MINTS, ADDRESSES, BALANCES, SELL_OFFERS, BUY_OFFERS, INVOICES)
INDEXES: Mapping[Table, Sequence[Sequence[str]]] = {
    MINTS: [("hash",)],
    BALANCES: [("address", "mint")],
    SELL_OFFERS: [("mint", "id")],
    INVOICES: [("mint", "id")],
}


def schema(dialect: Dialect) -> Schema:
    """Return all tables, and an index for each way in which rows are looked for."""
    return Schema(
        VERSION,
        {
            table.name: (
                dialect.create_table(table),
                *(dialect.create_index(table, *columns) for columns in INDEXES.get(table, ())),
            )
            for table in TABLES
        },
    )


def statement(dialect: Dialect, template: str) -> str:
    """Fill a statement in: `{mints}` and so on become the tables, `?` the parameter mark."""
    return dialect.sql(template, **{table.name: table.name for table in TABLES})
