"""The tables of the workload `game`, their references, and how each database reads and writes their JSON."""

from collections.abc import Sequence

from daemon.backends.base import Dialect
from daemon.ops import Table
from daemon.workloads.base import Schema

VERSION = 1

# `sessions`, `games` and `score` are kept: the player's sessions and memberships, and their points.
PLAYERS = Table(
    "players",
    (
        ("id", "bigint"),
        ("name", "text"),
        ("profile", "json"),  # clan, region, rating, settings
        ("sessions", "bigint"),
        ("games", "bigint"),
        ("score", "bigint"),
        ("updated", "bigint"),  # microseconds since the Unix epoch, as all times here
    ),
    ("id",),
)
# `players`, `score` and `events` are kept: the game's members, their points, and its events, whose
# numbers end at `last_event`.
GAMES = Table(
    "games",
    (
        ("id", "bigint"),
        ("state", "json"),  # mode, map, kind of the last event
        ("players", "bigint"),
        ("score", "bigint"),
        ("events", "bigint"),
        ("last_event", "bigint"),
        ("updated", "bigint"),
    ),
    ("id",),
)
SESSIONS = Table(
    "sessions",
    (("player", "bigint"), ("id", "text"), ("client", "json"), ("started", "bigint")),
    ("player", "id"),
)
GAME_PLAYERS = Table(
    "game_players",
    (("game", "bigint"), ("player", "bigint"), ("score", "bigint"), ("joined", "bigint")),
    ("game", "player"),
)
# A log: who left the game, or the server, is still named in it.
GAME_EVENTS = Table(
    "game_events",
    (
        ("game", "bigint"),
        ("seq", "bigint"),  # within the game, without gaps
        ("player", "bigint"),
        ("kind", "text"),
        ("payload", "json"),
        ("ts", "bigint"),
    ),
    ("game", "seq"),
)
TABLES = (PLAYERS, GAMES, SESSIONS, GAME_PLAYERS, GAME_EVENTS)

REFERENCES = (
    (SESSIONS, "player", PLAYERS),
    (GAME_PLAYERS, "game", GAMES),
    (GAME_PLAYERS, "player", PLAYERS),
    (GAME_EVENTS, "game", GAMES),
)
"""Table, column, and the table whose `id` it holds."""


def schema(dialect: Dialect) -> Schema:
    """Return all tables with their references, and an index for each way in which rows are looked for."""
    made = {table.name: [_create(dialect, table), *_references(dialect, table)] for table in TABLES}
    made[PLAYERS.name].append(_profile_index(dialect))
    made[GAME_PLAYERS.name].append(dialect.create_index(GAME_PLAYERS, "player"))
    return Schema(VERSION, made)


def statement(dialect: Dialect, template: str) -> str:
    """Fill a statement in: `{players}` and so on become the tables, `?` the parameter mark."""
    return dialect.sql(template, **{table.name: table.name for table in TABLES})


def contains(dialect: Dialect, alias: str) -> str:
    """Return a condition: a player's profile has the clan and the region that are the two parameters."""
    if dialect.name == "postgres":
        wanted = "jsonb_build_object('clan', CAST(? AS bigint), 'region', CAST(? AS text))"
        return f"{alias}.profile @> {wanted}"
    return f"json_extract({alias}.profile, '$.clan') = ? AND json_extract({alias}.profile, '$.region') = ?"


def with_key(dialect: Dialect, column: str, key: str, kind: str) -> str:
    """Return an expression: a JSON object in which the value of `key` is the parameter, of an SQL type."""
    if dialect.name == "postgres":
        return f"{column} || jsonb_build_object('{key}', CAST(? AS {kind}))"
    return f"json_set({column}, '$.{key}', ?)"


def _create(dialect: Dialect, table: Table) -> str:
    """Return CREATE TABLE; SQLite takes references nowhere else, PostgreSQL loads faster without them."""
    create = dialect.create_table(table)
    if dialect.name == "postgres":
        return create
    references = [
        f"FOREIGN KEY ({column}) REFERENCES {dialect.table(other.name)} (id)"
        for mine, column, other in REFERENCES
        if mine is table
    ]
    return f"{', '.join([create.removesuffix(')'), *references])})"


def _references(dialect: Dialect, table: Table) -> Sequence[str]:
    """Return what adds the references to a table that is there; it may be run again."""
    if dialect.name != "postgres":
        return ()
    return [
        f"ALTER TABLE {dialect.table(table.name)} DROP CONSTRAINT IF EXISTS {table.name}_{column}_fkey, "
        f"ADD CONSTRAINT {table.name}_{column}_fkey "
        f"FOREIGN KEY ({column}) REFERENCES {dialect.table(other.name)} (id)"
        for mine, column, other in REFERENCES
        if mine is table
    ]


def _profile_index(dialect: Dialect) -> str:
    """Return the index that `contains` uses."""
    table = dialect.table(PLAYERS.name)
    if dialect.name == "postgres":
        return (
            f"CREATE INDEX IF NOT EXISTS players_profile ON {table} "
            "USING gin (profile jsonb_path_ops) WITH (fastupdate = off)"
        )
    return (
        f"CREATE INDEX IF NOT EXISTS {dialect.table('players_profile')} ON {table} "
        "(json_extract(profile, '$.clan'), json_extract(profile, '$.region'))"
    )
