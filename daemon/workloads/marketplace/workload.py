"""The operations of the workload `marketplace` with their keys."""

from collections.abc import Callable, Mapping
from random import Random

from daemon.backends.base import Dialect
from daemon.ops import OpSpec, Transaction, Values, query
from daemon.workloads.base import Schema, WithoutRows
from daemon.workloads.keys import DISTRIBUTIONS, Distribution, uniform
from daemon.workloads.marketplace import tables
from daemon.workloads.marketplace.data import Market, drawn, mint_hash
from daemon.workloads.marketplace.data import addresses as all_addresses
from daemon.workloads.marketplace.operations import FAR, INSERTS, READS, Deal, Trading, nothing, trade

WRITES = (*INSERTS, "trade")
SHORT_LIST, LONG_LIST = 50, 500  # rows of the two lists of mints


class Marketplace(WithoutRows):
    """Writes and reads of one shard. Memory is fixed: the addresses."""

    def __init__(
        self,
        *,
        dialect: Dialect,
        scale: int,
        offers_per_mint: int,
        invoices_per_mint: int,
        balances_per_mint: int,
        addresses: int,
        keys: Distribution,
        limit: int,
        writes: Mapping[str, float],
        reads: Mapping[str, float],
        wall: Callable[[], float],
        **_: object,
    ) -> None:
        """Prepare the statements.

        Args:
            dialect: how the database spells SQL.
            scale: mints that there are, ≥ 1.
            offers_per_mint: offers of each mint that were loaded, ≥ 2.
            invoices_per_mint: invoices of each mint that were loaded, ≥ 1.
            balances_per_mint: holders of each mint, ≥ 2.
            addresses: how many there are, no fewer than holders of a mint.
            keys: which mints, addresses and pages are asked for.
            limit: rows of a page, of all lists but those of mints.
            writes: share of each write, by name.
            reads: share of each read, by name.
            wall: seconds since the Unix epoch.
            _: what only workloads with rows need.
        """
        self.ops = (
            *(OpSpec(name, "writer", writes[name]) for name in WRITES),
            *(OpSpec(name, "reader", reads[name]) for name in READS),
        )
        self._market = Market(scale, offers_per_mint, invoices_per_mint, balances_per_mint, addresses)
        self._people = all_addresses(addresses)
        self._draw = DISTRIBUTIONS[keys]
        self._limit = limit
        self._wall = wall
        self._sql = [tables.statement(dialect, sql) for sql in (*INSERTS.values(), "", *READS.values())]
        self._trading = Trading.of(dialect)
        self._trade = nothing if dialect.name == "null" else trade
        self._lists = {
            "list_mints_50": (scale, SHORT_LIST),
            "list_mints_500": (scale, LONG_LIST),
            "sell_offers": (self._market.sell_offers, limit),
            "buy_offers": (self._market.buy_offers, limit),
            "invoices": (self._market.all_invoices, limit),
        }

    def schema(self, dialect: Dialect) -> Schema:
        """Return all tables: see `Workload`."""
        return tables.schema(dialect)

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:  # noqa: ARG002 - all alike
        """Return the next write or read of a kind: see `Workload`."""
        name, pool, _ = self.ops[op]
        if pool == "reader":
            return Transaction(query, (self._sql[op], self._asked(name, rng)), True, True)  # single
        mint = self._mint(rng)
        ts = int(self._wall() * 1e6)
        who, quantity, price = drawn(rng)
        if name in ("sell_offer", "buy_offer"):
            offer = (mint, self._people[who % len(self._people)], quantity, price, ts)
            return Transaction(query, (self._sql[op], offer), read_only=False, single=True)
        deal = Deal(mint, *self._parties(mint, who, rng), quantity, price)
        if name == "trade":
            return Transaction(self._trade, (self._trading, deal, ts), read_only=False)
        invoice = (*deal, "pending", ts)
        return Transaction(query, (self._sql[op], invoice), read_only=False, single=True)

    def _parties(self, mint: int, who: int, rng: Random) -> tuple[str, str]:
        """Return two different holders of a mint."""
        each = self._market.balances
        buyer = who % each
        seller = (buyer + 1 + uniform(each - 1, rng)) % each
        return self._people[self._market.holder(mint, buyer)], self._people[self._market.holder(mint, seller)]

    def _asked(self, name: str, rng: Random) -> Values:
        """Return the parameters of a read; what they ask for was loaded."""
        if name in self._lists:
            rows, limit = self._lists[name]
            return self._page(rows, limit, rng), limit
        if name == "mint_by_hash":
            return (mint_hash(self._mint(rng)),)
        if name == "address_balance":
            address = self._draw(self._market.holders, rng)
            page = uniform(-(-self._market.held(address) // self._limit), rng)
            first = self._market.held_mint(address, page * self._limit)
            return self._people[address], first, self._limit
        if name == "mint_sell_offers":
            return self._mint(rng), FAR, self._limit
        if name == "balances_by_mint":
            return self._mint(rng), self._limit
        return ()

    def _page(self, rows: int, limit: int, rng: Random) -> int:
        """Return where a page of a list begins, with the newest first: before that number.

        The first page begins with what is newest by then; the others hold what was loaded.
        """
        page = self._draw(-(-rows // limit), rng)
        return rows + 1 - page * limit if page else FAR

    def _mint(self, rng: Random) -> int:
        return 1 + self._draw(self._market.mints, rng)
