"""What the operations of the workload `game` do: transaction functions, and their statements.

Locks are taken in one order, so that nobody waits in a circle: a game, its players by their
numbers, and then what belongs to those.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.errors import OpError, Rejected
from daemon.ops import Tx, Values
from daemon.workloads.game.data import UNDONE
from daemon.workloads.game.tables import GAME_EVENTS, statement, with_key


class Round(NamedTuple):
    """A round of a game: one member scores, and one leaves their seat to a newcomer.

    Attributes:
        game: which game.
        winner: seat of the one who scores, from 0 in the order of the players' numbers.
        leaver: seat of the one who leaves, another one.
        newcomer: who comes, or the next player who is not in the game.
        points: what the winner scores.
        payload: of the round's event.
        undone: roll everything back in the end.
    """

    game: int
    winner: int
    leaver: int
    newcomer: int
    points: int
    payload: str
    undone: bool


class Statements(NamedTuple):
    """The statements of the operations in the words of a database."""

    advance: str
    prune: str
    event: str
    members: str
    lock: str
    settle: str
    score: str
    leave: str
    join: str
    log_in: str
    begin: str
    log_out: str
    log_out_any: str
    end: str
    update: str

    @classmethod
    def of(cls, dialect: Dialect) -> "Statements":
        """Return those of a dialect."""
        made = partial(statement, dialect)
        lock = dialect.for_update
        log_out = (
            "UPDATE {players} SET sessions = 0, updated = ? WHERE id = (SELECT id FROM {players} "
            "WHERE id >= ? AND sessions > 0 ORDER BY id LIMIT 1%s) RETURNING id"
        )
        return cls(
            advance=made(
                f"UPDATE {{games}} SET state = {with_key(dialect, 'state', 'last', 'text')}, "
                "score = score + ?, last_event = last_event + ?, "
                "events = CASE WHEN events + ? < ? THEN events + ? ELSE ? END, updated = ? "
                "WHERE id = ? RETURNING last_event"
            ),
            prune=made("DELETE FROM {game_events} WHERE game = ? AND seq <= ?"),
            event=made(
                "INSERT INTO {game_events} (game, seq, player, kind, payload, ts) VALUES (?, ?, ?, ?, ?, ?)"
            ),
            members=made("SELECT player, score FROM {game_players} WHERE game = ? ORDER BY player"),
            lock=made(f"SELECT id FROM {{players}} WHERE id IN (?, ?, ?) ORDER BY id{lock}"),
            settle=made(
                "UPDATE {players} SET score = score + CASE id WHEN ? THEN ? WHEN ? THEN ? ELSE ? END, "
                "games = games + CASE id WHEN ? THEN 0 WHEN ? THEN -1 ELSE 1 END, updated = ? "
                "WHERE id IN (?, ?, ?) RETURNING id"
            ),
            score=made(
                "UPDATE {game_players} SET score = score + ? WHERE game = ? AND player = ? RETURNING score"
            ),
            leave=made("DELETE FROM {game_players} WHERE game = ? AND player = ? RETURNING score"),
            join=made("INSERT INTO {game_players} (game, player, score, joined) VALUES (?, ?, ?, ?)"),
            log_in=made(
                "UPDATE {players} SET sessions = sessions + 1, updated = ? WHERE id = ? RETURNING id"
            ),
            begin=made("INSERT INTO {sessions} (player, id, client, started) VALUES (?, ?, ?, ?)"),
            log_out=made(log_out % (f"{lock} SKIP LOCKED" if lock else "")),
            log_out_any=made(log_out % lock),
            end=made("DELETE FROM {sessions} WHERE player = ? RETURNING id"),
            update=made(
                f"UPDATE {{players}} SET profile = {with_key(dialect, 'profile', 'rating', 'bigint')}, "
                "updated = ? WHERE id = ? RETURNING id"
            ),
        )


async def log_in(tx: Tx, sql: Statements, player: int, session: str, client: str, ts: int) -> None:
    """Begin a session.

    Raises:
        OpError: the database refused, or there is no such player.
    """
    _affected(await tx.execute(sql.log_in, (ts, player)), 1, "players")
    await tx.execute(sql.begin, (player, session, client, ts))


async def log_out(tx: Tx, sql: Statements, player: int, ts: int) -> int:
    """End all sessions of the next player who is online, from a number on, and return how many there were.

    Raises:
        OpError: the database refused, or an online player has no session.
        Rejected: nobody is online.
    """
    found = await tx.execute(sql.log_out, (ts, player)) or await tx.execute(sql.log_out_any, (ts, 1))
    if not found:
        raise Rejected("nobody is online")
    ended = await tx.execute(sql.end, found[0])
    if not ended:
        raise OpError("other", f"player {found[0][0]} is online without a session")
    return len(ended)


async def update(tx: Tx, sql: Statements, player: int, rating: int, ts: int) -> None:
    """Change a player's profile.

    Raises:
        OpError: the database refused, or there is no such player.
    """
    _affected(await tx.execute(sql.update, (rating, ts, player)), 1, "players")


async def play(tx: Tx, sql: Statements, a_round: Round, players: int, keep: int, ts: int) -> None:
    """Play a round.

    Args:
        tx: the transaction.
        sql: the statements.
        a_round: what happens in it.
        players: how many there are.
        keep: events that a game keeps.
        ts: when it happens, µs since the Unix epoch.

    Raises:
        OpError: the database refused, or something is not there.
        Rejected: the round is one to be undone.
    """
    game, points, kind = a_round.game, a_round.points, UNDONE if a_round.undone else "goal"
    last = await _advance(tx, sql, game, kind, 1, points, keep, ts)
    members = await tx.execute(sql.members, (game,))
    if not max(a_round.winner, a_round.leaver) < len(members):
        raise OpError("other", f"game {game} has {len(members)} players; load the data anew with --clean")
    winner, (leaver, seat_score) = members[a_round.winner][0], members[a_round.leaver]
    newcomer, taken = a_round.newcomer, {number for number, _ in members}
    while newcomer in taken:
        newcomer = newcomer % players + 1
    three = (winner, leaver, newcomer)
    _affected(await tx.execute(sql.lock, three), 3, "players")
    settled = (winner, points, leaver, -seat_score, seat_score, winner, leaver, ts, *three)
    _affected(await tx.execute(sql.settle, settled), 3, "players")
    _affected(await tx.execute(sql.score, (points, game, winner)), 1, "members")
    _affected(await tx.execute(sql.leave, (game, leaver)), 1, "members")
    await tx.execute(sql.join, (game, newcomer, seat_score, ts))
    await tx.execute(sql.event, (game, last, winner, kind, a_round.payload, ts))
    await tx.execute(sql.prune, (game, last - keep))
    if a_round.undone:
        raise Rejected("the round was called off")


async def report(
    tx: Tx, sql: Statements, game: int, events: Sequence[tuple[int, str, str]], keep: int, ts: int
) -> None:
    """Append events to a game: player, kind and payload of each; the oldest ones beyond `keep` go.

    Raises:
        OpError: the database refused, or there is no such game.
    """
    last = await _advance(tx, sql, game, events[-1][1], len(events), 0, keep, ts)
    first = last - len(events) + 1
    await tx.insert(GAME_EVENTS, [(game, first + n, *event, ts) for n, event in enumerate(events)])
    await tx.execute(sql.prune, (game, last - keep))


async def _advance(
    tx: Tx, sql: Statements, game: int, kind: str, events: int, points: int, keep: int, ts: int
) -> int:
    """Lock a game, count new events and points in it, and return the number of the last event."""
    advanced = await tx.execute(sql.advance, (kind, points, events, events, keep, events, keep, ts, game))
    _affected(advanced, 1, "games")
    last: int = advanced[0][0]
    return last


def _affected(rows: Sequence[Values], wanted: int, what: str) -> None:
    if len(rows) != wanted:
        raise OpError("other", f"{len(rows)} of {wanted} {what} are there; load the data anew with --clean")


async def nothing(tx: Tx, *_: object) -> None:
    """Stand in for a write on a target that stores nothing, where there would be no rows to go on with."""
    await tx.execute("")


async def pages(tx: Tx, sql: str, params: Values, start: int, limit: int) -> list[Values]:
    """Return two pages of a list: the second goes on after the key that the first has ended with.

    Args:
        tx: the transaction.
        sql: the statement; its last parameters are the key to go on from, and the length of a page.
        params: those before.
        start: the key that is before all.
        limit: rows of a page.

    Raises:
        OpError: the database refused.
    """
    rows = await tx.execute(sql, (*params, start, limit))
    if len(rows) == limit:
        rows += await tx.execute(sql, (*params, rows[-1][0], limit))
    return rows
