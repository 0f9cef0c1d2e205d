"""The tables of the workload `progress`."""

from daemon.backends.base import Dialect
from daemon.ops import MARK_COLUMNS, MARK_KEY, Merge, Table
from daemon.workloads.base import Schema

VERSION = 1

USERS = Table("progress_users", (("id", "bigint"), ("name", "text")), ("id",))
CHALLENGES = Table("progress_challenges", (("id", "int"), ("name", "text")), ("id",))
# The goals of each challenge are numbered from 1; a goal is reached with `target` events.
GOALS = Table(
    "progress_goals",
    (("challenge", "int"), ("goal", "int"), ("name", "text"), ("target", "bigint")),
    ("challenge", "goal"),
)
# How far a user has come towards a goal: a row from the first event on. Canaries have rows of their
# own here, of no user and of no challenge: the number of their run and of their shard, negative.
COUNTERS = Table(
    "progress_counters",
    (
        ("user_id", "bigint"),
        ("challenge", "int"),
        ("goal", "int"),
        ("events", "bigint"),
        ("value", "bigint"),  # of the latest event
        ("ts", "bigint"),  # of it, microseconds since the Unix epoch
    ),
    ("user_id", "challenge", "goal"),
)
# What was merged into the counters; what was loaded into them counts as a run with the number 0.
MARKS = Table("progress_merges", MARK_COLUMNS, MARK_KEY)
MERGE = Merge(COUNTERS, MARKS)
# The events: counted, not kept, so there is no table of this name.
EVENTS = Table(
    "progress_events",
    (
        ("run", "bigint"),
        ("shard", "int"),
        ("worker", "int"),
        ("seq", "bigint"),
        ("user_id", "bigint"),
        ("challenge", "int"),
        ("goal", "int"),
        ("value", "bigint"),
        ("ts", "bigint"),
    ),
    ("run", "seq", "shard", "worker"),
    merge=MERGE,
)
TABLES = (USERS, CHALLENGES, GOALS, COUNTERS, MARKS)
NAMES = {table.name.removeprefix("progress_"): table.name for table in TABLES}
BOARD = ("challenge", "events", "user_id", "goal")
"""What a leaderboard is ordered by."""


def schema(dialect: Dialect) -> Schema:
    """Return all tables, with an index for leaderboards."""
    made = {table.name: [dialect.create_table(table)] for table in TABLES}
    made[COUNTERS.name].append(dialect.create_index(COUNTERS, *BOARD))
    return Schema(VERSION, made)


def statement(dialect: Dialect, template: str) -> str:
    """Fill a statement in: `{counters}` and so on become the tables, `?` the parameter mark."""
    return dialect.sql(template, **NAMES)
