"""What is true of the data of the workload `ledger` at any time, and how to see that it is not."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Tx, Values
from daemon.workloads.base import Invariant, Scope
from daemon.workloads.ledger.tables import LEDGER, READ_MODEL, outbox_consumer, statement

NAMED = 20  # violations that are told
EVENTS_PER_SAMPLE = 50  # newest events that are looked at, for each wallet of a sample
FAR = 1 << 62

# Of the movements in a stretch of the events, what they make per wallet.
_PER_WALLET = (
    "SELECT wallet, CAST(sum(amount) AS bigint) AS total FROM ("
    "SELECT wallet, delta AS amount FROM {events} WHERE (tx, id) > (?, ?) AND (tx, id) <= (?, ?) "
    "UNION ALL SELECT other, -delta FROM {events} WHERE (tx, id) > (?, ?) AND (tx, id) <= (?, ?) "
    "AND other <> 0) AS lines GROUP BY wallet"
)
_ENTRIES = (
    "SELECT wallet, CAST(sum(amount) AS bigint) AS total FROM {entries} WHERE wallet BETWEEN ? AND ? "
    "GROUP BY wallet"
)
_BALANCE = (
    "SELECT w.id, w.balance, w.opening + coalesce(e.total, 0) + coalesce(t.total, 0) FROM {wallets} AS w "
    f"LEFT JOIN ({_ENTRIES}) AS e ON e.wallet = w.id LEFT JOIN ({_PER_WALLET}) AS t ON t.wallet = w.id "
    "WHERE w.id BETWEEN ? AND ? AND w.balance <> w.opening + coalesce(e.total, 0) + coalesce(t.total, 0) "
    f"ORDER BY w.id LIMIT {NAMED}"
)
_READ_MODEL = (
    "SELECT w.id, b.balance, w.opening + coalesce(e.total, 0) + SIGN coalesce(t.total, 0) "
    "FROM {wallets} AS w LEFT JOIN {balances} AS b ON b.wallet = w.id "
    f"LEFT JOIN ({_ENTRIES}) AS e ON e.wallet = w.id LEFT JOIN ({_PER_WALLET}) AS t ON t.wallet = w.id "
    "WHERE w.id BETWEEN ? AND ? AND (b.balance IS NULL "
    "OR b.balance <> w.opening + coalesce(e.total, 0) + SIGN coalesce(t.total, 0)) "
    f"ORDER BY w.id LIMIT {NAMED}"
)
# Of the newest events, or of all. They are ordered because PostgreSQL would look for the first few
# unordered ones row by row, and mostly there is none.
_NEWEST = "ORDER BY tx DESC, id DESC LIMIT ?"
_LINES = (
    "WITH some_events AS (SELECT id, wallet, other, delta FROM {events} WHERE (tx, id) <= (?, ?) NEWEST), "
    "lines AS (SELECT wallet, id, delta AS amount FROM some_events "
    "UNION ALL SELECT other, id, -delta FROM some_events WHERE other <> 0) "
)
_UNPROJECTED = (
    f"{_LINES}SELECT l.id, l.wallet, l.amount, n.amount FROM lines AS l "
    "LEFT JOIN {entries} AS n ON n.wallet = l.wallet AND n.event = l.id "
    f"WHERE n.amount IS NULL OR n.amount <> l.amount ORDER BY l.id LIMIT {NAMED}"
)
_TWICE = (
    "SELECT request, count(*) FROM (SELECT request FROM {events} NEWEST) AS some_events "
    f"GROUP BY request HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT {NAMED}"
)
_UNCLAIMED = (
    "SELECT e.request FROM (SELECT request FROM {events} NEWEST) AS e "
    f"LEFT JOIN {{requests}} AS r ON r.key = e.request WHERE r.key IS NULL ORDER BY e.request LIMIT {NAMED}"
)

Position = tuple[int, int]
BEFORE_ALL: Position = (-1, -1)
AFTER_ALL: Position = (FAR, FAR)


class _Place(NamedTuple):
    position: Position
    consumed: int


class Checks:
    """The checks of one target. Remembers one state that it has seen, so that sums need no full scan."""

    def __init__(self, dialect: Dialect, wallets: int, outbox_consumers: int) -> None:
        """Prepare.

        Args:
            dialect: how the database spells SQL.
            wallets: how many there are.
            outbox_consumers: how many follow the outbox in this run.
        """
        self._sql: Callable[[str], str] = partial(statement, dialect)
        self._settled = dialect.settled("tx")
        self._wallets = wallets
        self._outbox = [outbox_consumer(n + 1) for n in range(outbox_consumers)]
        self._seen: tuple[Position, int] | None = None

    async def conservation(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """The balances add up to what they opened with, plus credits, minus debits.

        While the load runs only what has changed is added up: balances less openings less the events
        after a position stay the same as long as the position does.
        """
        balances, openings = (
            await tx.execute(
                self._sql("SELECT CAST(sum(balance) AS bigint), CAST(sum(opening) AS bigint) FROM {wallets}")
            )
        )[0]
        if scope.complete:
            wanted = openings + await self._outside(tx, BEFORE_ALL)
        elif self._seen is not None:
            position, constant = self._seen
            wanted = openings + constant + await self._outside(tx, position)
        else:
            wanted = balances
        if balances != wanted:
            return [f"the balances add up to {balances}, openings, credits and debits to {wanted}"]
        newest = await tx.execute(
            self._sql(
                f"SELECT tx, id FROM {{events}} WHERE {self._settled} ORDER BY tx DESC, id DESC LIMIT 1"
            )
        )
        position = (newest[0][0], newest[0][1]) if newest else BEFORE_ALL
        self._seen = position, balances - openings - await self._outside(tx, position)
        return []

    async def balance(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """A wallet's balance is its opening and its entries, and the events that are not entries yet."""
        wallets = scope.block(self._wallets)
        stretch = ((await self._places(tx))[LEDGER].position, AFTER_ALL)
        found = await tx.execute(self._sql(_BALANCE), (*wallets, *_twice(stretch), *wallets))
        return [f"wallet {n} holds {held}, its entries make {made}" for n, held, made in found]

    async def no_negative_balance(self, tx: Tx, _: Scope) -> Sequence[str]:
        """No wallet holds less than nothing."""
        sql = f"SELECT id, balance FROM {{wallets}} WHERE balance < 0 ORDER BY id LIMIT {NAMED}"
        return [f"wallet {n} holds {held}" for n, held in await tx.execute(self._sql(sql))]

    async def one_effect(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """A request has one effect, however often it was made, and every effect has its request."""
        twice = await self._of_events(tx, _TWICE, scope)
        unclaimed = await self._of_events(tx, _UNCLAIMED, scope)
        problems = [f"request {key} had {effects} effects" for key, effects in twice]
        problems += [f"there is an effect of {key}, which nobody has requested" for (key,) in unclaimed]
        if scope.complete and not problems:
            requests, events = await self._count(tx, "requests"), await self._count(tx, "events")
            if requests != events:
                problems.append(f"{requests} requests are noted as done, {events} had an effect")
        return problems

    async def read_model(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """The read model shows what the events up to its position make of the balances."""
        wallets = scope.block(self._wallets)
        places = await self._places(tx)
        mine, ledgers = places[READ_MODEL].position, places[LEDGER].position
        sign = "1 *" if mine >= ledgers else "-1 *"
        stretch = (min(mine, ledgers), max(mine, ledgers))
        sql = self._sql(_READ_MODEL.replace("SIGN", sign))
        found = await tx.execute(sql, (*wallets, *_twice(stretch), *wallets))
        return [f"wallet {n} is shown with {shown}, its events make {made}" for n, shown, made in found]

    async def ledger(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """The entries are those that the events up to the ledger's position make, each once."""
        position = (await self._places(tx))[LEDGER].position
        found = await self._of_events(tx, _UNPROJECTED, scope, *position)
        problems = [
            f"event {event} makes an entry of {wanted} for wallet {wallet}, which is {there or 'not there'}"
            for event, wallet, wanted, there in found
        ]
        if scope.complete and not problems:
            lines = await self._of_events(tx, f"{_LINES}SELECT count(*) FROM lines", scope, *position)
            entries = await self._count(tx, "entries")
            if lines[0][0] != entries:
                problems.append(f"the events make {lines[0][0]} entries, and there are {entries}")
        return problems

    async def outbox(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """A consumer has consumed what the outbox holds up to its position.

        While the load runs it is compared with the first consumer, which needs only the rows between.
        """
        places = await self._places(tx)
        problems = []
        for name in self._outbox:
            position, consumed = places[name]
            origin = _Place(BEFORE_ALL, 0) if scope.complete else places[self._outbox[0]]
            low, high = sorted((position, origin.position))
            between = await tx.execute(
                self._sql("SELECT count(*) FROM {outbox} WHERE (tx, id) > (?, ?) AND (tx, id) <= (?, ?)"),
                (*low, *high),
            )
            wanted = origin.consumed + between[0][0] * (1 if position >= origin.position else -1)
            if consumed != wanted:
                problems.append(f"{name} has consumed {consumed} rows, up to its position there are {wanted}")
        return problems

    async def _of_events(self, tx: Tx, sql: str, scope: Scope, *params: int) -> list[Values]:
        """Run a statement about the newest events, or all: a limit that is none would sort them."""
        if scope.complete:
            return await tx.execute(self._sql(sql.replace("NEWEST", "")), params)
        return await tx.execute(
            self._sql(sql.replace("NEWEST", _NEWEST)), (*params, EVENTS_PER_SAMPLE * scope.sample)
        )

    async def _places(self, tx: Tx) -> dict[str, _Place]:
        rows = await tx.execute(self._sql("SELECT consumer, tx, id, consumed FROM {positions}"))
        return {name: _Place((of, number), consumed) for name, of, number, consumed in rows}

    async def _outside(self, tx: Tx, after: Position) -> int:
        """Return what came from outside with the events after a position: credits minus debits."""
        sql = (
            "SELECT CAST(coalesce(sum(delta), 0) AS bigint) FROM {events} "
            "WHERE (tx, id) > (?, ?) AND other = 0"
        )
        total: int = (await tx.execute(self._sql(sql), after))[0][0]
        return total

    async def _count(self, tx: Tx, table: str) -> int:
        rows: int = (await tx.execute(self._sql(f"SELECT count(*) FROM {{{table}}}")))[0][0]
        return rows


def invariants(
    *,
    dialect: Dialect,
    scale: int,
    outbox_consumers: int,
    **_: Any,  # noqa: ANN401 - settings
) -> Sequence[Invariant]:
    """Return all invariants.

    Args:
        dialect: how the database spells SQL.
        scale: wallets that there are.
        outbox_consumers: how many follow the outbox.
        _: other settings of the workload.
    """
    checks = Checks(dialect, scale, outbox_consumers)
    return (
        Invariant("conservation", checks.conservation),
        Invariant("balance_is_entries", checks.balance),
        Invariant("no_negative_balance", checks.no_negative_balance),
        Invariant("one_effect_per_key", checks.one_effect),
        Invariant("read_model", checks.read_model),
        Invariant("ledger", checks.ledger),
        Invariant("outbox", checks.outbox),
    )


def _twice(stretch: tuple[Position, Position]) -> Values:
    """Return the parameters of a stretch for a statement that needs it twice."""
    low, high = stretch
    return (*low, *high, *low, *high)
