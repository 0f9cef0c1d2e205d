"""What is true of the data of the workload `game` at any time, and how to see that it is not."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Tx
from daemon.workloads.base import Invariant, Scope
from daemon.workloads.game.data import UNDONE
from daemon.workloads.game.tables import statement

NAMED = 20  # violations that are told


class Rule(NamedTuple):
    """Something that no row may be like.

    Attributes:
        sql: finds the rows, the first few of them. Its parameters are the first and the last
            number of the players, or of the games, to look at, as often as it asks for them.
        words: what is wrong with a row, of its values.
    """

    sql: str
    words: str


# Each side of a join is narrowed to the numbers by itself, since PostgreSQL does not infer that.
def _orphans(table: str, column: str, other: str) -> Rule:
    """Return the rule that what a column refers to is there."""
    return Rule(
        f"SELECT t.{column}, count(*) FROM {{{table}}} AS t LEFT JOIN {{{other}}} AS o "
        f"ON o.id = t.{column} AND o.id BETWEEN ? AND ? WHERE t.{column} BETWEEN ? AND ? AND o.id IS NULL "
        f"GROUP BY t.{column} ORDER BY t.{column} LIMIT {NAMED}",
        f"{column} {{}} is not there, and {{}} rows of {table} refer to it",
    )


def _kept(table: str, kept: str, part: str, counted: str) -> Rule:
    """Return the rule that a number kept with each row is what its parts make."""
    column = table.removesuffix("s")
    return Rule(
        f"SELECT o.id, o.{kept}, coalesce(c.counted, 0) FROM {{{table}}} AS o LEFT JOIN "
        f"(SELECT {column}, CAST({counted} AS bigint) AS counted FROM {{{part}}} "
        f"WHERE {column} BETWEEN ? AND ? GROUP BY {column}) AS c ON c.{column} = o.id "
        f"WHERE o.id BETWEEN ? AND ? AND o.{kept} <> coalesce(c.counted, 0) ORDER BY o.id LIMIT {NAMED}",
        f"{kept} of {column} {{}} is kept as {{}}, and is {{}}",
    )


RULES = {
    "session_references": (_orphans("sessions", "player", "players"),),
    "game_player_references": (
        _orphans("game_players", "player", "players"),
        _orphans("game_players", "game", "games"),
    ),
    "game_event_references": (_orphans("game_events", "game", "games"),),
    "player_counters": (
        _kept("players", "sessions", "sessions", "count(*)"),
        _kept("players", "games", "game_players", "count(*)"),
        _kept("players", "score", "game_players", "sum(score)"),
    ),
    "game_counters": (
        _kept("games", "players", "game_players", "count(*)"),
        _kept("games", "score", "game_players", "sum(score)"),
        _kept("games", "events", "game_events", "count(*)"),
    ),
    "event_numbers": (
        _kept("games", "last_event", "game_events", "max(seq)"),
        Rule(
            "SELECT game, max(seq) - min(seq) + 1, count(*) FROM {game_events} WHERE game BETWEEN ? AND ? "
            f"GROUP BY game HAVING count(*) <> max(seq) - min(seq) + 1 ORDER BY game LIMIT {NAMED}",
            "game {} has numbered {} of its events, and holds {} of these",
        ),
    ),
    "rollbacks_leave_no_trace": (
        Rule(
            "SELECT game, seq FROM {game_events} WHERE game BETWEEN ? AND ? "
            f"AND kind = '{UNDONE}' ORDER BY game, seq LIMIT {NAMED}",
            "game {} has event {}, which was rolled back",
        ),
        Rule(
            "SELECT g.id, g.state ->> 'last', e.kind FROM {games} AS g "
            "JOIN {game_events} AS e ON e.game = g.id AND e.seq = g.last_event "
            f"WHERE g.id BETWEEN ? AND ? AND g.state ->> 'last' <> e.kind ORDER BY g.id LIMIT {NAMED}",
            "the last event of game {} is kept as {}, and is {}",
        ),
    ),
}
"""By name of the invariant. Players and games are as many, so a sample is of the same numbers of both."""


async def check(tx: Tx, scope: Scope, rules: Sequence[Rule], numbers: int) -> Sequence[str]:
    """Look for rows that break one of the rules.

    Args:
        tx: a snapshot of the data.
        scope: whether to look at all, or at a block of numbers anywhere.
        rules: which must be kept; their statements are filled in.
        numbers: of players, and of games.

    Raises:
        OpError: the database refused.
    """
    block = scope.block(numbers)
    problems: list[str] = []
    for rule in rules:
        found = await tx.execute(rule.sql, block * rule.sql.count("BETWEEN"))
        problems += [rule.words.format(*row) for row in found]
    return problems[:NAMED]


def invariants(*, dialect: Dialect, scale: int, **_: object) -> Sequence[Invariant]:
    """Return all invariants.

    Args:
        dialect: how the database spells SQL.
        scale: players that there are, and games.
        _: other settings of the workload.
    """
    return [
        Invariant(name, partial(check, rules=[_filled(dialect, rule) for rule in rules], numbers=scale))
        for name, rules in RULES.items()
    ]


def _filled(dialect: Dialect, rule: Rule) -> Rule:
    return rule._replace(sql=statement(dialect, rule.sql))
