"""What the operations of the workload `ledger` do: transaction functions, and their statements."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.errors import OpError, Rejected
from daemon.ops import Tx, Values
from daemon.workloads.ledger.tables import statement


class Request(NamedTuple):
    """What a client asks for; the same key asks for the same thing once more.

    Attributes:
        key: idempotency key.
        kind: `credit`, `debit` or `transfer`.
        wallet: which wallet it is about.
        other: the wallet that a transfer goes to; 0: none.
        amount: how much, > 0.
    """

    key: str
    kind: str
    wallet: int
    other: int
    amount: int


class Statements(NamedTuple):
    """The statements of the operations in the words of a database."""

    claim: str
    add: str
    take: str
    lock: str
    move: str
    event: str
    outbox: str

    @classmethod
    def of(cls, dialect: Dialect) -> "Statements":
        """Return those of a dialect."""
        own = dialect.transaction
        made = partial(statement, dialect)
        return cls(
            claim=made(
                "INSERT INTO {requests} (key, kind, wallet, other, amount, ts) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO NOTHING RETURNING amount"
            ),
            add=made(
                "UPDATE {wallets} SET balance = balance + ?, version = version + 1 WHERE id = ? "
                "RETURNING balance"
            ),
            take=made(
                "UPDATE {wallets} SET balance = balance - ?, version = version + 1 "
                "WHERE id = ? AND balance >= ? RETURNING balance"
            ),
            lock=made(
                f"SELECT id, balance FROM {{wallets}} WHERE id IN (?, ?) ORDER BY id{dialect.for_update}"
            ),
            move=made(
                "UPDATE {wallets} SET balance = balance + CASE id WHEN ? THEN ? ELSE ? END, "
                "version = version + 1 WHERE id IN (?, ?) RETURNING balance"
            ),
            event=made(
                "INSERT INTO {events} (tx, request, kind, wallet, other, delta, ts) "
                f"VALUES ({own}, ?, ?, ?, ?, ?, ?) RETURNING id"
            ),
            outbox=made(f"INSERT INTO {{outbox}} (tx, event, payload, ts) VALUES ({own}, ?, ?, ?)"),
        )


async def credit(tx: Tx, sql: Statements, request: Request, ts: int) -> bool:
    """Add to a wallet; return False for a request that has had its effect.

    Raises:
        OpError: the database refused, or there is no such wallet.
    """
    if not await tx.execute(sql.claim, (*request, ts)):
        return False
    _affected(await tx.execute(sql.add, (request.amount, request.wallet)), 1)
    await _tell(tx, sql, request, request.amount, ts)
    return True


async def debit(tx: Tx, sql: Statements, request: Request, ts: int) -> bool:
    """Take from a wallet; return False for a request that has had its effect.

    Raises:
        OpError: the database refused.
        Rejected: there is not enough in it.
    """
    if not await tx.execute(sql.claim, (*request, ts)):
        return False
    if not await tx.execute(sql.take, (request.amount, request.wallet, request.amount)):
        raise Rejected("insufficient funds")
    await _tell(tx, sql, request, -request.amount, ts)
    return True


async def transfer(tx: Tx, sql: Statements, request: Request, ts: int) -> bool:
    """Move from a wallet to another; return False for a request that has had its effect.

    Everybody locks the wallet with the lower number first, so that no two wait for each other.

    Raises:
        OpError: the database refused, or there are no such wallets.
        Rejected: there is not enough in the first one.
    """
    if not await tx.execute(sql.claim, (*request, ts)):
        return False
    _, _, wallet, other, amount = request
    found = await tx.execute(sql.lock, (wallet, other))
    _affected(found, 2)
    if next(balance for number, balance in found if number == wallet) < amount:
        raise Rejected("insufficient funds")
    _affected(await tx.execute(sql.move, (wallet, -amount, amount, wallet, other)), 2)
    await _tell(tx, sql, request, -amount, ts)
    return True


async def transfer_carelessly(tx: Tx, sql: Statements, request: Request, ts: int) -> bool:
    """Do what `transfer` does, but lock the wallets in the order of the request, which makes deadlocks.

    Raises:
        OpError: the database refused, or there is no such other wallet.
        Rejected: there is not enough in the first one.
    """
    if not await tx.execute(sql.claim, (*request, ts)):
        return False
    _, _, wallet, other, amount = request
    if not await tx.execute(sql.take, (amount, wallet, amount)):
        raise Rejected("insufficient funds")
    _affected(await tx.execute(sql.add, (amount, other)), 1)
    await _tell(tx, sql, request, -amount, ts)
    return True


async def _tell(tx: Tx, sql: Statements, request: Request, delta: int, ts: int) -> None:
    """Append what happened to the event store, and to the outbox."""
    key, kind, wallet, other, _ = request
    event = (await tx.execute(sql.event, (key, kind, wallet, other, delta, ts)))[0][0]
    payload = f'{{"event":{event},"kind":"{kind}","wallet":{wallet},"other":{other},"delta":{delta}}}'
    await tx.execute(sql.outbox, (event, payload, ts))


def _affected(rows: Sequence[Values], wanted: int) -> None:
    if len(rows) != wanted:
        raise OpError("other", f"{len(rows)} of {wanted} wallets are there; load the data anew with --clean")
