"""What the operations of the workload `marketplace` do: their statements, and the trade."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.errors import OpError, Rejected
from daemon.ops import Tx, Values
from daemon.workloads.marketplace.tables import statement

FAR = 1 << 62
"""Comes after every number: where the first page of what is listed from the newest on begins."""

_PAGE = "WHERE id < ? ORDER BY id DESC LIMIT ?"
READS: Mapping[str, str] = {
    "list_mints_50": f"SELECT id, hash, title, owner, supply, ts FROM {{mints}} {_PAGE}",
    "list_mints_500": f"SELECT id, hash, title, owner, supply, ts FROM {{mints}} {_PAGE}",
    "mint_by_hash": "SELECT id, title, owner, supply, ts FROM {mints} WHERE hash = ?",
    "sell_offers": f"SELECT id, mint, address, quantity, price, ts FROM {{sell_offers}} {_PAGE}",
    "buy_offers": f"SELECT id, mint, address, quantity, price, ts FROM {{buy_offers}} {_PAGE}",
    "invoices": f"SELECT id, mint, buyer, seller, quantity, price, status, ts FROM {{invoices}} {_PAGE}",
    "address_balance": (
        "SELECT mint, quantity FROM {balances} WHERE address = ? AND mint >= ? ORDER BY mint LIMIT ?"
    ),
    "statistics": (
        "SELECT (SELECT count(*) FROM {mints}), (SELECT count(*) FROM {sell_offers}), "
        "(SELECT count(*) FROM {buy_offers}), (SELECT count(*) FROM {invoices}), "
        "(SELECT count(*) FROM {balances}), (SELECT CAST(sum(funds) AS bigint) FROM {addresses})"
    ),
    "mint_sell_offers": (
        "SELECT id, address, quantity, price, ts FROM {sell_offers} "
        "WHERE mint = ? AND id < ? ORDER BY id DESC LIMIT ?"
    ),
    "balances_by_mint": (
        "SELECT mint, count(*), CAST(sum(quantity) AS bigint), max(quantity) FROM {balances} "
        "WHERE mint >= ? GROUP BY mint ORDER BY mint LIMIT ?"
    ),
}
"""The ten queries by name. Lists go on where the page before has ended, so inserts shift no page."""

_NEW_OFFER = "(mint, address, quantity, price, ts) VALUES (?, ?, ?, ?, ?) RETURNING id"
_NEW_INVOICE = (
    "INSERT INTO {invoices} (mint, buyer, seller, quantity, price, status, ts) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
INSERTS: Mapping[str, str] = {
    "sell_offer": f"INSERT INTO {{sell_offers}} {_NEW_OFFER}",
    "buy_offer": f"INSERT INTO {{buy_offers}} {_NEW_OFFER}",
    "invoice": _NEW_INVOICE,
}
"""The writes that are one row each, by name."""


class Deal(NamedTuple):
    """Tokens of a mint against money, between two addresses that both hold some of it.

    Attributes:
        mint: whose tokens.
        buyer: pays.
        seller: gives tokens.
        quantity: how many, > 0.
        price: of one of them, cents.
    """

    mint: int
    buyer: str
    seller: str
    quantity: int
    price: int


class Trading(NamedTuple):
    """The statements of a trade in the words of a database."""

    lock_funds: str
    lock_tokens: str
    move_funds: str
    move_tokens: str
    invoice: str

    @classmethod
    def of(cls, dialect: Dialect) -> "Trading":
        """Return those of a dialect."""
        made = partial(statement, dialect)
        lock = f"ORDER BY address{dialect.for_update}"
        return cls(
            lock_funds=made(f"SELECT address, funds FROM {{addresses}} WHERE address IN (?, ?) {lock}"),
            lock_tokens=made(
                f"SELECT address, quantity FROM {{balances}} WHERE mint = ? AND address IN (?, ?) {lock}"
            ),
            move_funds=made(
                "UPDATE {addresses} SET funds = funds + CASE address WHEN ? THEN ? ELSE ? END "
                "WHERE address IN (?, ?) RETURNING funds"
            ),
            move_tokens=made(
                "UPDATE {balances} SET quantity = quantity + CASE address WHEN ? THEN ? ELSE ? END "
                "WHERE mint = ? AND address IN (?, ?) RETURNING quantity"
            ),
            invoice=made(_NEW_INVOICE),
        )


async def trade(tx: Tx, sql: Trading, deal: Deal, ts: int) -> int:
    """Move tokens one way and money the other, and return the number of the paid invoice.

    Everybody locks money before tokens, and the address that comes first before the other, so that
    no two wait for each other.

    Raises:
        OpError: the database refused, or something that was loaded is not there.
        Rejected: the buyer lacks the money, or the seller the tokens.
    """
    mint, buyer, seller, quantity, price = deal
    cost = quantity * price
    if _of(buyer, await tx.execute(sql.lock_funds, (buyer, seller))) < cost:
        raise Rejected("insufficient funds")
    if _of(seller, await tx.execute(sql.lock_tokens, (mint, buyer, seller))) < quantity:
        raise Rejected("insufficient tokens")
    _both(await tx.execute(sql.move_funds, (buyer, -cost, cost, buyer, seller)))
    _both(await tx.execute(sql.move_tokens, (buyer, quantity, -quantity, mint, buyer, seller)))
    invoice: int = (await tx.execute(sql.invoice, (*deal, "paid", ts)))[0][0]
    return invoice


async def nothing(tx: Tx, sql: Trading, deal: Deal, ts: int) -> None:  # noqa: ARG001 - as `trade`
    """Stand in for `trade` on a target that stores nothing."""
    await tx.execute(sql.lock_funds, (deal.buyer, deal.seller))


def _of(address: str, rows: Sequence[Values]) -> int:
    """Return what an address has, of the rows of two."""
    _both(rows)
    has: int = next(amount for owner, amount in rows if owner == address)
    return has


def _both(rows: Sequence[Values]) -> None:
    if len(rows) != 2:
        raise OpError("other", f"{len(rows)} of the 2 balances are there; load the data anew with --clean")
