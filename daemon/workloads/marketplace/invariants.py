"""What is true of the data of the workload `marketplace` at any time, and how to see that it is not."""

from collections.abc import Callable, Sequence
from functools import partial

from daemon.backends.base import Dialect
from daemon.ops import Tx
from daemon.workloads.base import Invariant, Scope
from daemon.workloads.marketplace.data import Market
from daemon.workloads.marketplace.tables import BUY_OFFERS, INVOICES, SELL_OFFERS, statement

NAMED = 20  # violations that are told
ROWS_PER_SAMPLE = 50  # newest rows of a table that are looked at, for each mint of a sample

# They are ordered because PostgreSQL would look for the first few unordered ones row by row, and
# mostly there is none.
_WITHOUT_MINT = (
    "SELECT o.id, o.mint FROM (SELECT id, mint FROM {TABLE} NEWEST) AS o "
    f"LEFT JOIN {{mints}} AS m ON m.id = o.mint WHERE m.id IS NULL ORDER BY o.id LIMIT {NAMED}"
)
_NEWEST = "ORDER BY id DESC LIMIT ?"
_BELOW_ZERO = (
    "SELECT mint, address, quantity FROM {balances} WHERE mint BETWEEN ? AND ? AND quantity < 0 "
    f"ORDER BY mint, address LIMIT {NAMED}"
)
_IN_DEBT = f"SELECT address, funds FROM {{addresses}} WHERE funds < 0 ORDER BY address LIMIT {NAMED}"
_SUPPLY = (
    "SELECT m.id, m.supply, b.total FROM {mints} AS m LEFT JOIN (SELECT mint, "
    "CAST(sum(quantity) AS bigint) AS total FROM {balances} WHERE mint BETWEEN ? AND ? GROUP BY mint) AS b "
    "ON b.mint = m.id WHERE m.id BETWEEN ? AND ? AND (b.total IS NULL OR b.total <> m.supply) "
    f"ORDER BY m.id LIMIT {NAMED}"
)
_MONEY = "SELECT CAST(sum(funds) AS bigint), CAST(sum(opening) AS bigint) FROM {addresses}"
# Tokens that paid invoices have moved to and from each address since the data was loaded.
_MOVED = (
    "SELECT mint, address, CAST(sum(quantity) AS bigint) AS total FROM ("
    "SELECT mint, buyer AS address, quantity FROM {invoices} WHERE PAID "
    "UNION ALL SELECT mint, seller, -quantity FROM {invoices} WHERE PAID) AS lines GROUP BY mint, address"
).replace("PAID", "mint BETWEEN ? AND ? AND id > ? AND status = 'paid'")
_TOKENS = (
    "SELECT b.mint, b.address, b.quantity, b.opening + coalesce(t.total, 0) FROM {balances} AS b "
    f"LEFT JOIN ({_MOVED}) AS t ON t.mint = b.mint AND t.address = b.address "
    "WHERE b.mint BETWEEN ? AND ? AND b.quantity <> b.opening + coalesce(t.total, 0) "
    f"ORDER BY b.mint, b.address LIMIT {NAMED}"
)
_PAID = (
    "SELECT address, CAST(sum(amount) AS bigint) AS total FROM ("
    "SELECT seller AS address, quantity * price AS amount FROM {invoices} WHERE id > ? AND status = 'paid' "
    "UNION ALL SELECT buyer, -quantity * price FROM {invoices} WHERE id > ? AND status = 'paid') AS lines "
    "GROUP BY address"
)
_FUNDS = (
    "SELECT a.address, a.funds, a.opening + coalesce(t.total, 0) FROM {addresses} AS a "
    f"LEFT JOIN ({_PAID}) AS t ON t.address = a.address "
    f"WHERE a.funds <> a.opening + coalesce(t.total, 0) ORDER BY a.address LIMIT {NAMED}"
)


class Checks:
    """The checks of one target."""

    def __init__(self, dialect: Dialect, size: Market) -> None:
        """Prepare.

        Args:
            dialect: how the database spells SQL.
            size: of the loaded data.
        """
        self._sql: Callable[[str], str] = partial(statement, dialect)
        self._market = size

    async def mints(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """No offer and no invoice is of a mint that is not there."""
        problems = []
        for table in (SELL_OFFERS.name, BUY_OFFERS.name, INVOICES.name):
            sql = _WITHOUT_MINT.replace("TABLE", table)
            sql = self._sql(sql.replace("NEWEST", "" if scope.complete else _NEWEST))
            newest = () if scope.complete else (ROWS_PER_SAMPLE * scope.sample,)
            problems += [
                f"row {number} of {table} is of mint {mint}, which is not there"
                for number, mint in await tx.execute(sql, newest)
            ]
        return problems

    async def no_negative_balance(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Nobody holds less than nothing, in tokens or in money."""
        found = await tx.execute(self._sql(_BELOW_ZERO), scope.block(self._market.mints))
        problems = [f"{address} holds {held} of mint {mint}" for mint, address, held in found]
        debts = await tx.execute(self._sql(_IN_DEBT))
        return problems + [f"{address} has {funds} cents" for address, funds in debts]

    async def supply(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """The balances of a mint add up to its supply."""
        mints = scope.block(self._market.mints)
        found = await tx.execute(self._sql(_SUPPLY), (*mints, *mints))
        return [f"{held} of mint {mint} are held, and {supply} exist" for mint, supply, held in found]

    async def money(self, tx: Tx, _: Scope) -> Sequence[str]:
        """The money of all addresses stays what it was."""
        funds, opening = (await tx.execute(self._sql(_MONEY)))[0]
        return [] if funds == opening else [f"the addresses have {funds} cents, and began with {opening}"]

    async def invoices(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Who holds what is what paid invoices have made of it; the money is looked at only at the end."""
        mints, loaded = scope.block(self._market.mints), self._market.all_invoices
        found = await tx.execute(self._sql(_TOKENS), (*mints, loaded, *mints, loaded, *mints))
        problems = [
            f"{address} holds {held} of mint {mint}, invoices make {made}"
            for mint, address, held, made in found
        ]
        if scope.complete:
            paid = await tx.execute(self._sql(_FUNDS), (loaded, loaded))
            problems += [
                f"{address} has {funds} cents, invoices make {made}" for address, funds, made in paid
            ]
        return problems


def invariants(
    *,
    dialect: Dialect,
    scale: int,
    offers_per_mint: int,
    invoices_per_mint: int,
    balances_per_mint: int,
    addresses: int,
    **_: object,
) -> Sequence[Invariant]:
    """Return all invariants.

    Args:
        dialect: how the database spells SQL.
        scale: mints that there are.
        offers_per_mint: offers of each mint that were loaded.
        invoices_per_mint: invoices of each mint that were loaded.
        balances_per_mint: holders of each mint.
        addresses: how many there are.
        _: other settings of the workload.
    """
    checks = Checks(dialect, Market(scale, offers_per_mint, invoices_per_mint, balances_per_mint, addresses))
    return (
        Invariant("rows_have_mints", checks.mints),
        Invariant("no_negative_balance", checks.no_negative_balance),
        Invariant("supply", checks.supply),
        Invariant("money", checks.money),
        Invariant("balances_are_invoices", checks.invoices),
    )
