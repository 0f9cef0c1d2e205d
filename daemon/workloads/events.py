"""The workload `events`: a log of events, written in batches, read by key, time, service, level and word."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from daemon.backends.base import Dialect
from daemon.ops import OpSpec, Table, Transaction, Values, query
from daemon.workloads.base import Consumer, Crowd, Identity, Schema, Stretch
from daemon.workloads.events_expiry import Kept, expiry
from daemon.workloads.events_text import SEARCH as SEARCH_INDEX
from daemon.workloads.events_text import make_text, search_index, search_statement, terms
from daemon.workloads.expired import books_of
from daemon.workloads.keys import DISTRIBUTIONS, Distribution, uniform

VERSION = 1
EVENTS = Table(
    "events",
    (
        ("run", "bigint"),
        ("shard", "int"),
        ("worker", "int"),
        ("seq", "bigint"),
        ("ts", "bigint"),  # microseconds since the Unix epoch
        ("level", "text"),
        ("service", "text"),
        ("message", "text"),
        ("attributes", "json"),
    ),
    # The sequence number comes before the worker: workers advance side by side, so new keys go
    # to the end of the index instead of to as many places as there are workers.
    ("run", "seq", "shard", "worker"),
    expires=True,
)

LEVELS = ("debug",) * 32 + ("info",) * 80 + ("warning",) * 12 + ("error",) * 4  # 128: one per 7 random bits
USERS = range(100_000)
STATUSES = (200, 200, 200, 201, 404, 500)
SIZES = range(1 << 20)  # bytes
ATTRIBUTES = 4096  # different attribute documents
TEXT = 1 << 16  # characters that messages are cut from; a power of two

APPEND, BY_KEY, NEWEST, BY_SERVICE, LEVEL_COUNTS, SEARCH = range(6)
READS = ("by_key", "newest", "by_service", "level_counts", "search")
_COLUMNS = ", ".join(name for name, _ in EVENTS.columns)


class Events:
    """Rows and reads of one shard. Memory is fixed: a counter per worker and the payload pool."""

    tables = (EVENTS,)

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        workers: int,
        message_size: int,
        services: int,
        keys: Distribution,
        limit: int,
        window: float,
        weights: Mapping[str, float],
        existing: Sequence[Stretch],
        wall: Callable[[], float],
        rng: Random,
        under_way: int = 1,
        retain: int = 0,
        shards: int = 1,
    ) -> None:
        """Prepare the payloads.

        Args:
            identity: whose rows these are.
            dialect: how the database spells SQL.
            workers: writers of this shard.
            message_size: characters of a message.
            services: number of different services.
            keys: which rows are read by key.
            limit: rows that a list returns at most.
            window: span of time that reads look at, s.
            weights: share of each read, by name; with one above 0 for `search` there is an index for it.
            existing: rows of an earlier run, read when this one writes none.
            wall: seconds since the Unix epoch.
            rng: fills the payload pool, which is made when there are writers.
            under_way: rows of each writer that may not be committed yet.
            retain: rows that the table is to hold at most; 0: all.
            shards: of the run.
        """
        self.ops = (
            OpSpec("append", "writer"),
            *(OpSpec(name, "reader", weights[name]) for name in READS),
        )
        self._identity = identity
        self._seqs = [identity.first_seq] * workers
        self._made = 0
        self._kept = Kept(retain, shards, tuple(self._seqs))
        self._under_way = under_way
        self._existing = existing
        self._draw = DISTRIBUTIONS[keys]
        self._limit = limit
        self._window = round(window * 1e6)
        self._wall = wall
        self._size = message_size
        self._services = [f"service-{n:04d}" for n in range(services)]
        self._text, self._attributes = _payloads(message_size, rng) if workers else ("", [])
        self._searchable = weights["search"] > 0
        self._sql = _statements(dialect)

    def schema(self, dialect: Dialect) -> Schema:
        """Return the table and an index for every read: see `Workload`."""
        books = books_of(EVENTS)
        tables: dict[str, Sequence[str]] = {
            EVENTS.name: (
                dialect.create_table(EVENTS),
                dialect.create_index(EVENTS, "ts", "level"),
                dialect.create_index(EVENTS, "service", "ts"),
            ),
            books.name: (dialect.create_table(books),),
        }
        if self._searchable:
            tables[SEARCH_INDEX] = search_index(dialect, EVENTS.name)
        return Schema(VERSION, tables)

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:  # noqa: ARG002 - all read alike
        """Return the next read of a kind: see `Workload`."""
        if op == BY_KEY:
            params = self._key(rng)
        elif op == NEWEST:
            params = (self._limit,)
        elif op == SEARCH:
            params = (terms(rng), self._limit)
        else:
            params = self._span(op, rng)
        return Transaction(query, (self._sql[op], params), True, True)  # read-only, single

    def row(self, op: int, worker: int, rng: Random) -> Values:  # noqa: ARG002 - there is one table
        """Return the next event of a worker: see `Workload`."""
        seq = self._seqs[worker]
        self._seqs[worker] = seq + 1
        self._made += 1
        if self._made == self._kept.next_note:
            self._kept.note(self._made, self._seqs)
        bits = rng.getrandbits(60)  # one draw for all choices: 7 level, 16 text, 12 attributes, 25 service
        start = (bits >> 7) & (TEXT - 1)
        return (
            self._identity.run,
            self._identity.shard,
            worker,
            seq,
            int(self._wall() * 1e6),
            LEVELS[bits & 127],
            self._services[(bits >> 35) % len(self._services)],
            self._text[start : start + self._size],
            self._attributes[(bits >> 23) & (ATTRIBUTES - 1)],
        )

    def _span(self, op: int, rng: Random) -> Values:
        now = int(self._wall() * 1e6)
        if op == LEVEL_COUNTS:
            return (now - self._window,)
        end = now - uniform(self._window, rng)
        service = self._services[uniform(len(self._services), rng)]
        return (service, end - self._window, end, self._limit)

    def _key(self, rng: Random) -> Values:
        """Return the key of a row that is there; of the first one when there is none yet.

        A worker's last rows may still be under way, the ones before them are settled, and the first
        ones of all may have expired.
        """
        if self._existing:
            run, shard, worker, first, count = self._existing[int(rng.random() * len(self._existing))]
        else:
            run, shard, _ = self._identity
            worker = int(rng.random() * len(self._seqs))
            first = self._kept.firsts[worker] if self._seqs else self._identity.first_seq
            count = self._seqs[worker] - first - self._under_way if self._seqs else 0
        return (run, shard, worker, first + (self._draw(count, rng) if count > 0 else 0))


def _payloads(message_size: int, rng: Random) -> tuple[str, Sequence[str]]:
    """Return the text that messages are cut from, and all attribute documents; takes some milliseconds."""
    text = make_text(TEXT, rng)
    drawn = zip(*(rng.choices(among, k=ATTRIBUTES) for among in (USERS, STATUSES, SIZES)), strict=True)
    return (
        (text * (1 + (TEXT + message_size) // len(text)))[: TEXT + message_size],
        [f'{{"user":{user},"status":{status},"bytes":{size}}}' for user, status, size in drawn],
    )


def _statements(dialect: Dialect) -> Mapping[int, str]:
    def sql(template: str) -> str:
        return dialect.sql(template, events="events")

    return {
        BY_KEY: sql(
            f"SELECT {_COLUMNS} FROM {{events}} WHERE run = ? AND shard = ? AND worker = ? AND seq = ?"
        ),
        NEWEST: sql(f"SELECT {_COLUMNS} FROM {{events}} ORDER BY ts DESC LIMIT ?"),
        BY_SERVICE: sql(
            f"SELECT {_COLUMNS} FROM {{events}} WHERE service = ? AND ts BETWEEN ? AND ? "
            "ORDER BY ts DESC LIMIT ?"
        ),
        LEVEL_COUNTS: sql("SELECT level, count(*) FROM {events} WHERE ts > ? GROUP BY level"),
        SEARCH: search_statement(dialect, EVENTS.name, [name for name, _ in EVENTS.columns]),
    }


def consumers(
    *, dialect: Dialect, wall: Callable[[], float], retain: int = 0, **_: object
) -> Sequence[Consumer]:
    """Return what deletes the oldest events, if not all are kept.

    Args:
        dialect: how the database spells SQL.
        wall: seconds since the Unix epoch.
        retain: rows that the table is to hold at most; 0: all.
        _: other settings of the workload.
    """
    return expiry(dialect, EVENTS, retain, wall)


async def look(*, crowd: Crowd, retain: int = 0, **_: object) -> Mapping[str, Any]:
    """Return how many shards there are, and that nothing is to expire where nothing is written.

    Args:
        crowd: the workers of the run.
        retain: rows that the table is to hold at most; 0: all.
        _: the target, the seed, and other settings of the workload.
    """
    return {"shards": crowd.shards, "retain": retain if crowd.writers else 0}
