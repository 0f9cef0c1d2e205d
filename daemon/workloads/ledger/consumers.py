"""What follows the requests of the workload `ledger`: two projectors and the consumers of the outbox."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Transaction, Tx
from daemon.workloads.base import Consumer, Progress
from daemon.workloads.ledger.tables import LEDGER, READ_MODEL, outbox_consumer, statement

LIMIT = 500  # rows of a stream that are processed in one step

MOVEMENTS = (
    "SELECT tx, id, wallet, delta AS amount, ts FROM {events} {where} "
    "UNION ALL SELECT tx, id, other, -delta, ts FROM {events} {where} AND other <> 0"
)
"""The lines that events make in the books of the wallets, of the events that `{where}` chooses."""
STRETCH = "WHERE (tx, id) > (?, ?) AND (tx, id) <= (?, ?)"

_READ_MODEL = (
    "UPDATE {balances} AS b SET balance = b.balance + m.amount, operations = b.operations + m.operations "
    "FROM (SELECT wallet, CAST(sum(amount) AS bigint) AS amount, count(*) AS operations "
    "FROM (MOVEMENTS) AS lines GROUP BY wallet) AS m WHERE b.wallet = m.wallet"
)
_LEDGER = (
    "INSERT INTO {entries} (wallet, event, amount, ts) "
    "SELECT wallet, id, amount, ts FROM (MOVEMENTS) AS lines"
)


class Follow(NamedTuple):
    """How one consumer follows its stream: its statements.

    Attributes:
        name: of the consumer.
        position: where it is; locked, so that nobody else goes on from there.
        batch: the next rows, and whether each is settled.
        apply: what becomes of a stretch of them; takes the stretch twice.
        advance: notes the new position.
        head: the number of the newest row.
    """

    name: str
    position: str
    batch: str
    apply: str
    advance: str
    head: str


async def follow(tx: Tx, sql: Follow) -> Progress:
    """Process the next settled rows.

    Rows of transactions that overlap with ones under way are left for later, because a row may
    still come before them.
    """
    found = await tx.execute(sql.position, (sql.name,))
    if not found:  # a target that stores nothing
        return Progress(0)
    after = found[0]
    waiting = await tx.execute(sql.batch, (*after, LIMIT + 1))
    count = next((n for n, row in enumerate(waiting) if not row[3]), len(waiting))
    batch = waiting[: min(count, LIMIT)]
    position = after
    if batch:
        position = batch[-1][:2]
        if sql.apply:
            await tx.execute(sql.apply, (*after, *position, *after, *position))
        await tx.execute(sql.advance, (*position, len(batch), sql.name))
    if len(waiting) == len(batch):
        return Progress(len(batch))
    head = await tx.execute(sql.head)
    # Numbers that were drawn in vain are counted too: it is right to a few rows.
    behind = max(1, head[0][0] - position[1])
    return Progress(len(batch), count > LIMIT, behind, waiting[len(batch)][2] / 1e6)


def consumers(
    *,
    dialect: Dialect,
    wall: Callable[[], float],  # noqa: ARG001 - rows carry their time
    outbox_consumers: int,
    poll: float,
    **_: object,
) -> Sequence[Consumer]:
    """Return the projector of the read model, that of the ledger, and the consumers of the outbox.

    Args:
        dialect: how the database spells SQL.
        wall: not needed.
        outbox_consumers: how many of them.
        poll: pause of a consumer that has caught up, s.
        _: other settings of the workload.
    """
    outbox = [(outbox_consumer(n + 1), "{outbox}", "") for n in range(outbox_consumers)]
    streams = [(READ_MODEL, "{events}", _READ_MODEL), (LEDGER, "{events}", _LEDGER), *outbox]
    return [
        Consumer(name, Transaction(follow, (_statements(dialect, name, stream, apply),), False), poll)
        for name, stream, apply in streams
    ]


def _statements(dialect: Dialect, name: str, stream: str, apply: str) -> Follow:
    made = partial(statement, dialect)
    return Follow(
        name,
        position=made(f"SELECT tx, id FROM {{positions}} WHERE consumer = ?{dialect.for_update}"),
        batch=made(
            f"SELECT tx, id, ts, {dialect.settled('tx')} FROM {stream} WHERE (tx, id) > (?, ?) "
            "ORDER BY tx, id LIMIT ?"
        ),
        apply=made(apply.replace("MOVEMENTS", MOVEMENTS.replace("{where}", STRETCH))),
        advance=made("UPDATE {positions} SET tx = ?, id = ?, consumed = consumed + ? WHERE consumer = ?"),
        head=made(f"SELECT id FROM {stream} ORDER BY tx DESC, id DESC LIMIT 1"),
    )
