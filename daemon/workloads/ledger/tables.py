"""The tables of the workload `ledger`. Amounts are whole units of a currency."""

from daemon.backends.base import Dialect
from daemon.ops import Table
from daemon.workloads.base import Schema

VERSION = 1
MOST_OUTBOX_CONSUMERS = 16

WALLETS = Table(
    "ledger_wallets",
    (("id", "bigint"), ("opening", "bigint"), ("balance", "bigint"), ("version", "bigint")),
    ("id",),
)
# A request whose key is here has had its effect.
REQUESTS = Table(
    "ledger_requests",
    (
        ("key", "text"),
        ("kind", "text"),
        ("wallet", "bigint"),
        ("other", "bigint"),
        ("amount", "bigint"),
        ("ts", "bigint"),  # microseconds since the Unix epoch, here and below
    ),
    ("key",),
)
# What happened, in the order (tx, id): `delta` to the wallet, and the opposite to the other one, if
# there is one (a transfer); 0 stands for none.
EVENTS = Table(
    "ledger_events",
    (
        ("tx", "bigint"),
        ("id", "serial"),
        ("request", "text"),
        ("kind", "text"),
        ("wallet", "bigint"),
        ("other", "bigint"),
        ("delta", "bigint"),
        ("ts", "bigint"),
    ),
    ("tx", "id"),
)
# What others are to be told, in the order (tx, id).
OUTBOX = Table(
    "ledger_outbox",
    (("tx", "bigint"), ("id", "serial"), ("event", "bigint"), ("payload", "json"), ("ts", "bigint")),
    ("tx", "id"),
)
# How far each consumer has come in its stream.
POSITIONS = Table(
    "ledger_positions",
    (("consumer", "text"), ("tx", "bigint"), ("id", "bigint"), ("consumed", "bigint")),
    ("consumer",),
)
# The read model: a projection of the events.
BALANCES = Table(
    "ledger_balances", (("wallet", "bigint"), ("balance", "bigint"), ("operations", "bigint")), ("wallet",)
)
# The ledger proper: a projection of the events to one line per wallet that they touch.
ENTRIES = Table(
    "ledger_entries",
    (("wallet", "bigint"), ("event", "bigint"), ("amount", "bigint"), ("ts", "bigint")),
    ("wallet", "event"),
)
TABLES = (WALLETS, REQUESTS, EVENTS, OUTBOX, POSITIONS, BALANCES, ENTRIES)
NAMES = {table.name.removeprefix("ledger_"): table.name for table in TABLES}

READ_MODEL, LEDGER = "read_model", "ledger"
"""The consumers of the events; those of the outbox are called `outbox_1` and so on."""


def outbox_consumer(number: int) -> str:
    """Return the name of a consumer of the outbox, from 1."""
    return f"outbox_{number}"


def schema(dialect: Dialect) -> Schema:
    """Return all tables; their primary keys are all the indexes that the operations need."""
    return Schema(VERSION, {table.name: (dialect.create_table(table),) for table in TABLES})


def statement(dialect: Dialect, template: str) -> str:
    """Fill a statement in: `{wallets}` and so on become the tables, `?` the parameter mark."""
    return dialect.sql(template, **NAMES)
