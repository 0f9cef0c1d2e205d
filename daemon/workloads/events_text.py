"""The words of the events' messages, common and rare ones, and the index that they are searched by."""

from collections.abc import Sequence
from itertools import accumulate
from random import Random

from daemon.backends.base import Dialect
from daemon.workloads.keys import uniform, zipf

COMMON = (
    "request",
    "response",
    "timeout",
    "connection",
    "user",
    "order",
    "payment",
    "cache",
    "index",
    "query",
    "commit",
    "retry",
    "batch",
    "queue",
    "worker",
    "session",
    "token",
    "upload",
    "download",
    "shard",
    "replica",
    "node",
    "accepted",
    "rejected",
    "completed",
    "started",
)
VOCABULARY = (*COMMON, *(f"{COMMON[n % len(COMMON)]}{n}" for n in range(len(COMMON), 1000)))
"""All words, the most frequent first: `request` is in 4 of 10 messages of 120 bytes, the last ones
in 2 of 1000."""
FLATTEN = 5  # the word of rank r is drawn with a weight of 1 / (r + FLATTEN)
_CUMULATIVE = tuple(accumulate(1 / (rank + FLATTEN) for rank in range(len(VOCABULARY))))
_LONGEST = max(map(len, VOCABULARY))
SEARCH = "events_search"
"""Name of the index: in PostgreSQL an index, in SQLite a table that triggers keep."""


def make_text(length: int, rng: Random) -> str:
    """Return a text of about that many characters, in which every word occurs."""
    words = list(VOCABULARY)
    while (missing := length - sum(map(len, words)) - len(words)) > 0:
        words += rng.choices(VOCABULARY, cum_weights=_CUMULATIVE, k=1 + missing // _LONGEST)
    rng.shuffle(words)
    return " ".join(words) + " "


def terms(rng: Random) -> str:
    """Return what to search for: a word of any frequency, and every other time a common one besides."""
    word = VOCABULARY[zipf(len(VOCABULARY), rng)]
    return f"{word} {COMMON[uniform(len(COMMON), rng)]}" if rng.random() < 0.5 else word


def search_index(dialect: Dialect, events: str) -> Sequence[str]:
    """Return what makes the index of the table `events`, over the rows that are there already as well.

    Events are never changed, so there is no trigger for that.
    """
    name, table = dialect.table(SEARCH), dialect.table(events)
    if dialect.name == "postgres":
        return (f"CREATE INDEX {SEARCH} ON {table} USING gin (to_tsvector('simple', message))",)
    add = f"INSERT INTO {name} (rowid, message) VALUES (new.rowid, new.message)"
    remove = f"INSERT INTO {name} ({name}, rowid, message) VALUES ('delete', old.rowid, old.message)"
    return (
        f"CREATE VIRTUAL TABLE {name} USING fts5(message, content='{table}')",
        f"CREATE TRIGGER {name}_insert AFTER INSERT ON {table} BEGIN {add}; END",
        f"CREATE TRIGGER {name}_delete AFTER DELETE ON {table} BEGIN {remove}; END",
        f"INSERT INTO {name} ({name}) VALUES ('rebuild')",
    )


def search_statement(dialect: Dialect, events: str, columns: Sequence[str]) -> str:
    """Return the search: the newest events that have all the words, each of them in one place of the order.

    In SQLite the newest are those that were stored last, which the index has in order.
    """
    if dialect.name == "postgres":
        return dialect.sql(
            f"SELECT {', '.join(columns)} FROM {{events}} "
            "WHERE to_tsvector('simple', message) @@ plainto_tsquery('simple', ?) "
            "ORDER BY ts DESC, run DESC, seq DESC, shard DESC, worker DESC LIMIT ?",
            events=events,
        )
    return dialect.sql(
        f"SELECT {', '.join(f'e.{name}' for name in columns)} FROM {{search}} AS s "
        "JOIN {events} AS e ON e.rowid = s.rowid WHERE {search} MATCH ? ORDER BY s.rowid DESC LIMIT ?",
        search=SEARCH,
        events=events,
    )
