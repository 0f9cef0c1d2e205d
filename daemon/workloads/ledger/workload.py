"""The operations of the workload `ledger` with their keys and amounts."""

from collections import deque
from collections.abc import Callable, Mapping
from random import Random

from daemon.backends.base import Dialect
from daemon.ops import Isolation, OpSpec, Transaction, Values, query
from daemon.workloads.base import Identity, Schema, WithoutRows
from daemon.workloads.keys import DISTRIBUTIONS, Distribution, latest, uniform
from daemon.workloads.ledger import tables
from daemon.workloads.ledger.data import request_key
from daemon.workloads.ledger.operations import (
    Request,
    Statements,
    credit,
    debit,
    transfer,
    transfer_carelessly,
)

WRITES = ("credit", "debit", "transfer")
READS = ("balance", "history", "request")
REPLAY, BALANCE, HISTORY, REQUEST = range(3, 7)
READ_SQL = {
    BALANCE: "SELECT balance, operations FROM {balances} WHERE wallet = ?",
    HISTORY: "SELECT event, amount, ts FROM {entries} WHERE wallet = ? ORDER BY event DESC LIMIT ?",
    REQUEST: "SELECT kind, wallet, other, amount, ts FROM {requests} WHERE key = ?",
}
AMOUNTS = {"credit": (10, 500), "debit": (10, 200), "transfer": (10, 300)}
RECENT = 64  # requests that may be asked for once more
HOT = 4  # wallets that careless transfers are between, so that they meet


class Ledger(WithoutRows):
    """Requests and reads of one shard. Memory is fixed: a counter per worker and the recent requests."""

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        workers: int,
        scale: int,
        history: int,
        keys: Distribution,
        limit: int,
        writes: Mapping[str, float],
        reads: Mapping[str, float],
        replays: float,
        isolation: Isolation,
        provoke_deadlocks: bool,
        wall: Callable[[], float],
        **_: object,
    ) -> None:
        """Prepare the statements.

        Args:
            identity: whose requests these are.
            dialect: how the database spells SQL.
            workers: writers of this shard.
            scale: wallets that there are, ≥ 2.
            history: operations of each wallet that were loaded.
            keys: which wallets are asked about and drawn from.
            limit: rows that `history` returns at most.
            writes: share of credits, debits and transfers, by name.
            reads: share of each read, by name.
            replays: share of the requests that repeat a recent one, 0 to below 1.
            isolation: level of the transactions.
            provoke_deadlocks: transfer between few wallets and lock them in any order.
            wall: seconds since the Unix epoch.
            _: what only the consumers, or workloads with rows, need.
        """
        self.ops = (
            *(OpSpec(name, "writer", writes[name]) for name in WRITES),
            OpSpec("replay", "writer", replays / (1 - replays) * sum(writes.values())),
            *(OpSpec(name, "reader", reads[name]) for name in READS),
        )
        self._keys = f"{identity.run}-{identity.shard}"
        self._seqs = [identity.first_seq] * workers
        self._recent: deque[Request] = deque(maxlen=RECENT)
        self._wallets = scale
        self._history = history
        self._draw = DISTRIBUTIONS[keys]
        self._limit = limit
        self._isolation: Isolation = isolation
        self._meeting = min(HOT, scale) if provoke_deadlocks else 0
        self._functions = {
            "credit": credit,
            "debit": debit,
            "transfer": transfer_carelessly if provoke_deadlocks else transfer,
        }
        self._wall = wall
        self._sql = Statements.of(dialect)
        self._reads = {op: tables.statement(dialect, sql) for op, sql in READ_SQL.items()}

    def schema(self, dialect: Dialect) -> Schema:
        """Return all tables: see `Workload`."""
        return tables.schema(dialect)

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:
        """Return the next request or read of a kind: see `Workload`."""
        if op >= BALANCE:
            return Transaction(query, (self._reads[op], self._params(op, rng)), True, True)  # single
        request = self._again(rng) if op == REPLAY else None
        if request is None:
            request = self._request(WRITES[op % REPLAY], worker, rng)
            self._recent.append(request)
        args = (self._sql, request, int(self._wall() * 1e6))
        return Transaction(self._functions[request.kind], args, False, False, True, self._isolation)

    def _again(self, rng: Random) -> Request | None:
        """Return a recent request, the newest the likeliest: it may still be under way."""
        recent = self._recent
        return recent[latest(len(recent), rng)] if recent else None

    def _request(self, kind: str, worker: int, rng: Random) -> Request:
        seq = self._seqs[worker]
        self._seqs[worker] = seq + 1
        low, high = AMOUNTS[kind]
        amount = low + uniform(high - low + 1, rng)
        wallet, other = self._wallet(rng), 0
        if kind == "transfer":
            if self._meeting:
                wallet = 1 + uniform(self._meeting, rng)
            # A step of 1 … n − 1 around the circle of n wallets leads to another one.
            around = self._meeting or self._wallets
            other = 1 + (wallet + uniform(around - 1, rng)) % around
        return Request(f"{self._keys}-{worker}-{seq}", kind, wallet, other, amount)

    def _wallet(self, rng: Random) -> int:
        return 1 + self._draw(self._wallets, rng)

    def _params(self, op: int, rng: Random) -> Values:
        if op == BALANCE:
            return (self._wallet(rng),)
        if op == HISTORY:
            return (self._wallet(rng), self._limit)
        if self._recent and rng.random() < 0.5:
            return (self._recent[0].key,)
        return (request_key(uniform(self._wallets * self._history, rng)),)
