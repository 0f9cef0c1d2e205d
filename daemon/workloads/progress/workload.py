"""The operations of the workload `progress`: events of users, and the reads that show them their progress."""

from collections.abc import Callable, Mapping
from random import Random

from daemon.backends.base import Dialect
from daemon.ops import OpSpec, Transaction, Tx, Values, query
from daemon.workloads.base import Canary, Identity, Schema
from daemon.workloads.keys import DISTRIBUTIONS, Distribution, uniform
from daemon.workloads.progress import tables
from daemon.workloads.progress.data import VALUES

READS = ("list", "by_challenge", "leaderboard")
EVENT, LIST, BY_CHALLENGE, LEADERBOARD = range(4)
SQL: Mapping[int, str] = {
    # A page of a user's progress, from a challenge on.
    LIST: (
        "SELECT challenge, goal, events, value, ts FROM {counters} "
        "WHERE user_id = ? AND (challenge, goal) > (?, 0) ORDER BY challenge, goal LIMIT ?"
    ),
    # All goals of a challenge, with what a user has done for each.
    BY_CHALLENGE: (
        "SELECT g.goal, g.name, g.target, coalesce(c.events, 0), c.value, c.ts FROM {goals} AS g "
        "LEFT JOIN {counters} AS c ON c.user_id = ? AND c.challenge = g.challenge AND c.goal = g.goal "
        "WHERE g.challenge = ? ORDER BY g.goal"
    ),
    # Who has come farthest with a goal of a challenge. Not a join: PostgreSQL would read all users for it.
    LEADERBOARD: (
        "SELECT events, user_id, (SELECT name FROM {users} WHERE id = user_id), goal FROM {counters} "
        "WHERE challenge = ? ORDER BY events DESC, user_id DESC, goal DESC LIMIT ?"
    ),
}


class Progress:
    """Events and reads of one shard. Memory is fixed: a counter per worker."""

    tables = (tables.EVENTS,)

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        workers: int,
        scale: int,
        challenges: int,
        goals: int,
        keys: Distribution,
        limit: int,
        reads: Mapping[str, float],
        wall: Callable[[], float],
        **_: object,
    ) -> None:
        """Prepare the statements.

        Args:
            identity: whose events these are.
            dialect: how the database spells SQL.
            workers: writers of this shard.
            scale: users that there are.
            challenges: how many there are.
            goals: of each challenge.
            keys: whose events and reads these are.
            limit: rows that `list` and `leaderboard` return at most.
            reads: share of each read, by name.
            wall: seconds since the Unix epoch.
            _: what only the data, the canaries or other workloads need.
        """
        self.ops = (OpSpec("event", "writer"), *(OpSpec(name, "reader", reads[name]) for name in READS))
        self._run, self._shard = identity[:2]
        self._seqs = [identity.first_seq] * workers
        self._users = scale
        self._challenges = challenges
        self._goals = goals
        self._draw = DISTRIBUTIONS[keys]
        self._limit = limit
        self._wall = wall
        self._sql = {op: tables.statement(dialect, sql) for op, sql in SQL.items()}

    def schema(self, dialect: Dialect) -> Schema:
        """Return all tables: see `Workload`."""
        return tables.schema(dialect)

    def row(self, op: int, worker: int, rng: Random) -> Values:  # noqa: ARG002 - there is one kind of event
        """Return the next event of a worker: see `Workload`."""
        seq = self._seqs[worker]
        self._seqs[worker] = seq + 1
        which = int(rng.random() * (self._challenges * self._goals * VALUES))  # one draw for three choices
        goal, value = divmod(which, VALUES)
        challenge, goal = divmod(goal, self._goals)
        user = self._draw(self._users, rng)
        ts = int(self._wall() * 1e6)
        return (self._run, self._shard, worker, seq, user + 1, challenge + 1, goal + 1, value + 1, ts)

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:  # noqa: ARG002 - all read alike
        """Return the next read of a kind: see `Workload`."""
        return Transaction(query, (self._sql[op], self._params(op, rng)), True, True)  # read-only, single

    def _params(self, op: int, rng: Random) -> Values:
        challenge = 1 + uniform(self._challenges, rng)
        if op == LEADERBOARD:
            return (challenge, self._limit)
        user = 1 + self._draw(self._users, rng)
        return (user, challenge) if op == BY_CHALLENGE else (user, challenge, self._limit)


async def seen(tx: Tx, sql: str, key: Values) -> int:
    """Return the number of the latest canary that a reader sees; 0: none."""
    found = await tx.execute(sql, key)
    number: int = found[0][0] if found else 0
    return number


def canaries(
    *, identity: Identity, dialect: Dialect, workers: int, canary: float, **_: object
) -> tuple[Canary, ...]:
    """Return the canary of a shard: events for a counter of its own.

    Args:
        identity: whose rows these are.
        dialect: how the database spells SQL.
        workers: writers of this shard; the canary is one more.
        canary: time between two of its events, s; 0: there is no canary.
        _: other settings of the workload.
    """
    if not canary:
        return ()
    run, shard, epoch = identity
    key = (-run, -1 - shard, epoch)  # of no user, and of no challenge that anybody reads

    def row(number: int) -> Values:
        return (run, shard, workers, identity.first_seq + number, *key, number, number)

    sql = "SELECT value FROM {counters} WHERE user_id = ? AND challenge = ? AND goal = ?"
    look = Transaction(seen, (tables.statement(dialect, sql), key), True, True)
    return (Canary(EVENT, row, look, canary),)
