"""The operations of the workload `game` with their keys and contents."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from daemon.backends.base import Dialect
from daemon.ops import OpSpec, Transaction, TxFn, Values, query
from daemon.workloads.base import Identity, Schema, WithoutRows
from daemon.workloads.game import tables
from daemon.workloads.game.data import KINDS, LETTERS, client, payload, place
from daemon.workloads.game.operations import (
    Round,
    Statements,
    log_in,
    log_out,
    nothing,
    pages,
    play,
    report,
    update,
)
from daemon.workloads.keys import DISTRIBUTIONS, Distribution, uniform

WRITES = ("insert", "delete", "update", "transaction", "batch_insert")
READS = ("select", "presence", "roster", "history", "containment", "complex")
INSERT, DELETE, UPDATE, TRANSACTION, BATCH_INSERT = range(len(WRITES))
SELECT, PRESENCE, ROSTER, HISTORY, CONTAINMENT, COMPLEX = range(len(WRITES), len(WRITES) + len(READS))
AFTER_ALL = 1 << 62
RATINGS = (100, 3000)
MOST_POINTS = 100
NOTES = 64  # notes of events that are made beforehand


def read_statements(dialect: Dialect) -> Mapping[int, str]:
    """Return the statement of each read."""
    wanted = tables.contains(dialect, "p")
    return {
        op: tables.statement(dialect, sql)
        for op, sql in {
            SELECT: "SELECT name, profile, sessions, games, score FROM {players} WHERE id = ?",
            PRESENCE: "SELECT p.name, s.id, s.client, s.started FROM {players} AS p "
            "LEFT JOIN {sessions} AS s ON s.player = p.id WHERE p.id = ? ORDER BY s.id LIMIT ?",
            ROSTER: "SELECT p.id, p.name, p.profile, p.sessions, m.score FROM {game_players} AS m "
            "JOIN {players} AS p ON p.id = m.player WHERE m.game = ? ORDER BY m.score DESC, p.id",
            HISTORY: "SELECT seq, player, kind, payload, ts FROM {game_events} "
            "WHERE game = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            # Apart from the rest: PostgreSQL takes what `@>` finds for a hundredth of all players when it
            # does not know the parameters, and would rather look through them by number for a page.
            CONTAINMENT: "WITH found AS MATERIALIZED (SELECT p.id, p.name, p.profile FROM {players} AS p "
            f"WHERE {wanted}) SELECT id, name, profile FROM found WHERE id > ? ORDER BY id LIMIT ?",
            COMPLEX: "SELECT g.state ->> 'mode' AS mode, count(*) AS games, "
            "CAST(sum(m.score) AS bigint) AS score, max(m.score) AS best FROM {players} AS p "
            "JOIN {game_players} AS m ON m.player = p.id JOIN {games} AS g ON g.id = m.game "
            f"WHERE {wanted} GROUP BY g.state ->> 'mode' ORDER BY score DESC, mode",
        }.items()
    }


class Game(WithoutRows):
    """Writes and reads of one shard. Memory is fixed: a counter per worker."""

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        workers: int,
        scale: int,
        players_per_game: int,
        events_per_game: int,
        clan_size: int,
        payload_size: int,
        batch_rows: int,
        rollbacks: float,
        keys: Distribution,
        page: int,
        writes: Mapping[str, float],
        reads: Mapping[str, float],
        wall: Callable[[], float],
        rng: Random,
        **_: object,  # what workloads with rows need
    ) -> None:
        """Prepare the statements.

        Args:
            identity: whose sessions these are.
            dialect: how the database spells SQL.
            workers: writers of this shard.
            scale: players that there are, and games.
            players_per_game: members of each game.
            events_per_game: newest events that each game keeps.
            clan_size: players of a clan.
            payload_size: characters of the note in an event's payload.
            batch_rows: events that `batch_insert` appends, up to `events_per_game`.
            rollbacks: share of `transaction` that is rolled back, 0 to 1.
            keys: which players and games are drawn.
            page: rows of a page of a list.
            writes: shares by name.
            reads: shares by name.
            wall: seconds since the Unix epoch.
            rng: draws the notes of events.
        """
        self.ops = [OpSpec(name, "writer", writes[name]) for name in WRITES]
        self.ops += [OpSpec(name, "reader", reads[name]) for name in READS]
        self._sessions = f"{identity.run}-{identity.shard}"
        self._seqs = [identity.first_seq] * workers
        self._players = scale
        self._seats = players_per_game
        self._keep = events_per_game
        self._clan_size = clan_size
        self._batch = batch_rows
        self._rollbacks = rollbacks
        self._draw = DISTRIBUTIONS[keys]
        self._page = page
        self._wall = wall
        self._notes = ["".join(rng.choices(LETTERS, k=payload_size)) for _ in range(NOTES)]
        self._sql = Statements.of(dialect)
        self._reads = read_statements(dialect)
        real = dialect.name != "null"
        self._writes: Sequence[TxFn] = (log_in, log_out, update, play, report) if real else (nothing,) * 5

    def schema(self, dialect: Dialect) -> Schema:
        """Return all tables: see `Workload`."""
        return tables.schema(dialect)

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:
        """Return the next write or read of a kind: see `Workload`."""
        if op >= SELECT:
            return self._read(op, rng)
        args = (self._sql, *self._arguments(op, worker, rng), int(self._wall() * 1e6))
        return Transaction(self._writes[op], args, read_only=False, single=op == UPDATE)

    def _arguments(self, op: int, worker: int, rng: Random) -> Values:
        """Return what a write is about."""
        if op == TRANSACTION:
            return self._round(rng), self._players, self._keep
        number = self._number(rng)  # of a player, or a game
        if op == INSERT:
            return number, self._session(worker), client(rng)
        if op == DELETE:
            return (number,)
        if op == UPDATE:
            return number, RATINGS[0] + uniform(RATINGS[1] - RATINGS[0] + 1, rng)
        return number, [self._event(rng) for _ in range(self._batch)], self._keep

    def _read(self, op: int, rng: Random) -> Transaction:
        sql, number = self._reads[op], self._number(rng)
        if op in (HISTORY, CONTAINMENT):
            chosen = (number,) if op == HISTORY else self._place(number)
            start = AFTER_ALL if op == HISTORY else 0
            return Transaction(pages, (sql, chosen, start, self._page), True, True)  # read-only, single
        params: Values = (number,)
        if op == PRESENCE:
            params = (number, self._page)
        elif op == COMPLEX:
            params = self._place(number)
        return Transaction(query, (sql, params), True, True)

    def _round(self, rng: Random) -> Round:
        winner = uniform(self._seats, rng)
        leaver = (winner + 1 + uniform(self._seats - 1, rng)) % self._seats
        points = 1 + uniform(MOST_POINTS, rng)
        return Round(
            game=self._number(rng),
            winner=winner,
            leaver=leaver,
            newcomer=1 + uniform(self._players, rng),
            points=points,
            payload=payload(points, self._note(rng)),
            undone=rng.random() < self._rollbacks,
        )

    def _event(self, rng: Random) -> tuple[int, str, str]:
        kind = KINDS[uniform(len(KINDS), rng)]
        return self._number(rng), kind, payload(uniform(MOST_POINTS, rng), self._note(rng))

    def _number(self, rng: Random) -> int:
        return 1 + self._draw(self._players, rng)

    def _place(self, player: int) -> Values:
        return place(player - 1, self._players, self._clan_size)

    def _note(self, rng: Random) -> str:
        return self._notes[uniform(NOTES, rng)]

    def _session(self, worker: int) -> str:
        seq = self._seqs[worker]
        self._seqs[worker] = seq + 1
        return f"{self._sessions}-{worker}-{seq}"
