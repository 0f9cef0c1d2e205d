"""The data of the workload `ledger`: wallets with a history, in the state that its operations leave.

All amounts follow from the seed and the number of the operation, so that each table can be made
by itself, in chunks and in any order, and yet agrees with the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from daemon.ops import Values
from daemon.workloads.data import Data, Fill
from daemon.workloads.ledger import tables

OPENING = (100, 5000)
KINDS = ("credit", "debit", "transfer")  # the operations of a wallet, by turns
# A credit is more than the debit and the transfer that follow it, so that no balance is negative.
AMOUNTS = ((300, 500), (10, 120), (10, 180))
EPOCH = 1_700_000_000_000_000  # µs since the Unix epoch: when the first operation happened
STEP = 1000  # µs between two operations
_MASK = (1 << 64) - 1


def request_key(number: int) -> str:
    """Return the idempotency key of a loaded operation, from 0."""
    return f"data-{number:012d}"


class _History(NamedTuple):
    """The operations of all wallets, wallet by wallet and turn by turn.

    Operation `turn · wallets + wallet` of a wallet, from 0, is of the kind that it is the turn of;
    a transfer goes to the next wallet, around the circle.
    """

    wallets: int
    turns: int
    seed: int

    @property
    def transfers(self) -> int:
        """Transfers out of each wallet, and so into each wallet."""
        return self.turns // len(KINDS)

    def draw(self, number: int, low: int, high: int) -> int:
        """Return a number from `low` to `high`, always the same for the same number of the draw."""
        mixed = (number * 0x9E3779B97F4A7C15 + (self.seed + 1) * 0xD1B54A32D192ED03) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        return low + (mixed >> 32) % (high - low + 1)

    def opening(self, wallet: int) -> int:
        return self.draw(-1 - wallet, *OPENING)

    def amount(self, number: int) -> int:
        return self.draw(number, *AMOUNTS[number // self.wallets % len(KINDS)])

    def delta(self, number: int) -> int:
        """Return what an operation does to its own wallet."""
        amount = self.amount(number)
        return amount if number // self.wallets % len(KINDS) == 0 else -amount

    def lines(self, wallet: int) -> Iterator[tuple[int, int]]:
        """Yield number and effect of all operations that touch a wallet."""
        for turn in range(self.turns):
            number = turn * self.wallets + wallet
            yield number, self.delta(number)
        before = (wallet - 1) % self.wallets
        for turn in range(len(KINDS) - 1, self.turns, len(KINDS)):
            number = turn * self.wallets + before
            yield number, self.amount(number)

    def balance(self, wallet: int) -> int:
        return self.opening(wallet) + sum(effect for _, effect in self.lines(wallet))

    def _parties(self, number: int) -> tuple[str, int, int]:
        """Return kind, wallet and other wallet of an operation; wallets count from 1 in the tables."""
        turn, wallet = divmod(number, self.wallets)
        kind = KINDS[turn % len(KINDS)]
        return kind, wallet + 1, (wallet + 1) % self.wallets + 1 if kind == "transfer" else 0

    def wallet_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        touched = self.turns + self.transfers
        return [(w + 1, self.opening(w), self.balance(w), touched) for w in numbers]

    def balance_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        touched = self.turns + self.transfers
        return [(w + 1, self.balance(w), touched) for w in numbers]

    def request_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [(request_key(n), *self._parties(n), self.amount(n), EPOCH + n * STEP) for n in numbers]

    def event_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [
            (0, n + 1, request_key(n), *self._parties(n), self.delta(n), EPOCH + n * STEP) for n in numbers
        ]

    def entry_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        """Return the entries wallet by wallet, which is the order of their key."""
        each = self.turns + self.transfers
        first, last = numbers.start // each, (numbers.stop - 1) // each
        rows = [
            (wallet + 1, number + 1, effect, EPOCH + number * STEP)
            for wallet in range(first, last + 1)
            for number, effect in self.lines(wallet)
        ]
        skip = numbers.start - first * each
        return rows[skip : skip + len(numbers)]

    def position_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        """Return the positions: the projections have seen everything, the outbox is empty."""
        events = self.wallets * self.turns
        projections = [(name, 0, events, events) for name in (tables.READ_MODEL, tables.LEDGER)]
        others = [(tables.outbox_consumer(n + 1), 0, 0, 0) for n in range(tables.MOST_OUTBOX_CONSUMERS)]
        return [*projections, *others][numbers.start : numbers.stop]


def fills(scale: int, seed: int, shape: Mapping[str, Any]) -> Sequence[Fill]:
    """Return the rows of `scale` wallets; `shape` holds the operations of each, `history`."""
    history = _History(scale, shape["history"], seed)
    operations = scale * history.turns
    return (
        Fill(tables.WALLETS, scale, history.wallet_rows),
        Fill(tables.BALANCES, scale, history.balance_rows),
        Fill(tables.REQUESTS, operations, history.request_rows),
        Fill(tables.EVENTS, operations, history.event_rows),
        Fill(tables.ENTRIES, operations + scale * history.transfers, history.entry_rows),
        Fill(tables.POSITIONS, 2 + tables.MOST_OUTBOX_CONSUMERS, history.position_rows),
    )


DATA = Data("wallets", least=2, default=1000, unit_bytes=4000, shape=("history",), fills=fills)
