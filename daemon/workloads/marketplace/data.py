"""The data of the workload `marketplace`: who holds what, who offers what, and where each of it is found.

Mints are numbered from 1, addresses from 0. The balances of all mints are one row of places; place
p belongs to address p modulo the number of addresses, so each mint has different holders and each
address holds about the same number of mints. Reads and trades use that to draw what is there.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from random import Random
from typing import Any, NamedTuple

from daemon.ops import Values
from daemon.workloads.data import Data, Fill
from daemon.workloads.marketplace import tables

EPOCH = 1_700_000_000_000_000  # µs since the Unix epoch: when the first thing was made
STEP = 1000  # µs between two of the same kind
FUNDS = (50_000, 5_000_000)  # cents of an address
SHARE = (50, 5_000)  # tokens of a mint by balances of it
QUANTITY = 10  # most tokens of an offer or an invoice
PRICE = 10_000  # highest price of a token, cents
_MASK = (1 << 64) - 1


def mint_hash(mint: int) -> str:
    """Return the hash that a mint is known by, 64 hexadecimal digits."""
    return blake2b(b"mint %d" % mint, digest_size=32).hexdigest()


@cache
def addresses(count: int) -> Sequence[str]:
    """Return all addresses, 35 characters each."""
    return [f"D{blake2b(b'address %d' % n, digest_size=17).hexdigest()}" for n in range(count)]


def drawn(rng: Random) -> tuple[int, int, int]:
    """Return a number of 0 … 2³² − 1, a quantity and a price; one draw for all three."""
    bits = rng.getrandbits(64)
    return bits >> 32, 1 + (bits & 0xFFFF) % QUANTITY, 1 + ((bits >> 16) & 0xFFFF) % PRICE


class Market(NamedTuple):
    """The size of the loaded data.

    Attributes:
        mints: how many there are.
        offers: of each mint, to sell and to buy.
        invoices: of each mint.
        balances: of each mint, ≤ `people`.
        people: addresses that there are.
    """

    mints: int
    offers: int
    invoices: int
    balances: int
    people: int

    @property
    def sell_offers(self) -> int:
        """Loaded offers to sell: half of them, rounded up."""
        return self.mints * -(-self.offers // 2)

    @property
    def buy_offers(self) -> int:
        """Loaded offers to buy."""
        return self.mints * (self.offers // 2)

    @property
    def all_invoices(self) -> int:
        """Loaded invoices."""
        return self.mints * self.invoices

    @property
    def places(self) -> int:
        """Balances of all mints."""
        return self.mints * self.balances

    @property
    def holders(self) -> int:
        """Addresses that hold something: those before it."""
        return min(self.people, self.places)

    def holder(self, mint: int, number: int) -> int:
        """Return an address that holds a mint; `number` is one of 0 … `balances` − 1."""
        return ((mint - 1) * self.balances + number) % self.people

    def held(self, address: int) -> int:
        """Return how many mints a holder holds."""
        return -(-(self.places - address) // self.people)

    def held_mint(self, address: int, number: int) -> int:
        """Return the mint that comes `number`-th, from 0, among those that a holder holds."""
        return (address + number * self.people) // self.balances + 1


class _Making(NamedTuple):
    """Makes the rows of a market; all that follows from each other follows from the seed alone."""

    market: Market
    seed: int

    def _mixed(self, number: int, kind: int) -> int:
        """Return 32 bits, always the same for a number, that look drawn at random."""
        mixed = (number * 0x9E3779B97F4A7C15 + (self.seed * 4 + kind + 1) * 0xD1B54A32D192ED03) & _MASK
        return ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK) >> 32

    def _share(self, mint: int) -> int:
        return SHARE[0] + self._mixed(mint, 0) % (SHARE[1] - SHARE[0])

    def mint_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        people, each = addresses(self.market.people), self.market.balances
        return [
            (
                n + 1,
                mint_hash(n + 1),
                f"Mint {n + 1}",
                people[self.market.holder(n + 1, 0)],
                each * self._share(n + 1),
                EPOCH + n * STEP,
            )
            for n in numbers
        ]

    def address_rows(self, numbers: range, rng: Random) -> Sequence[Values]:
        people = addresses(self.market.people)
        opening = [rng.randint(*FUNDS) for _ in numbers]
        return [(people[n], funds, funds) for n, funds in zip(numbers, opening, strict=True)]

    def balance_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        """Return balances, by mint: one of two neighbours has as much more as the other has less."""
        people, each = addresses(self.market.people), self.market.balances
        rows = []
        for place in numbers:
            mint, number = place // each + 1, place % each
            quantity = share = self._share(mint)
            if number ^ 1 < each:
                more = self._mixed(place - number % 2, 1) % share
                quantity += -more if number % 2 else more
            rows.append((mint, people[place % self.market.people], quantity, quantity))
        return rows

    def offer_rows(self, numbers: range, rng: Random) -> Sequence[Values]:
        """Return offers, every mint's by turns."""
        people, mints = addresses(self.market.people), self.market.mints
        rows = []
        for n in numbers:
            who, quantity, price = drawn(rng)
            rows.append((n + 1, n % mints + 1, people[who % len(people)], quantity, price, EPOCH + n * STEP))
        return rows

    def invoice_rows(self, numbers: range, rng: Random) -> Sequence[Values]:
        """Return invoices, every mint's by turns, paid and pending ones."""
        people, mints, each = addresses(self.market.people), self.market.mints, self.market.balances
        rows = []
        for n in numbers:
            mint = n % mints + 1
            who, quantity, price = drawn(rng)
            seller = self.market.holder(mint, n // mints % each)
            buyer = (seller + 1 + who % (len(people) - 1)) % len(people)
            status = "pending" if n % 3 else "paid"
            rows.append(
                (n + 1, mint, people[buyer], people[seller], quantity, price, status, EPOCH + n * STEP)
            )
        return rows


def fills(scale: int, seed: int, shape: Mapping[str, Any]) -> Sequence[Fill]:
    """Return the rows of `scale` mints; `shape` holds the settings of `SHAPE`."""
    size = Market(scale, *(shape[name] for name in SHAPE))
    making = _Making(size, seed)
    return (
        Fill(tables.ADDRESSES, size.people, making.address_rows),
        Fill(tables.MINTS, size.mints, making.mint_rows),
        Fill(tables.BALANCES, size.places, making.balance_rows),
        Fill(tables.SELL_OFFERS, size.sell_offers, making.offer_rows),
        Fill(tables.BUY_OFFERS, size.buy_offers, making.offer_rows),
        Fill(tables.INVOICES, size.all_invoices, making.invoice_rows),
    )


SHAPE = ("offers_per_mint", "invoices_per_mint", "balances_per_mint", "addresses")
DATA = Data("mints", least=1, default=1000, unit_bytes=8000, shape=SHAPE, fills=fills)
