"""What is true of the data of the workload `progress` at any time, and how to see that it is not."""

from collections.abc import Sequence
from typing import Any

from daemon.backends.base import Dialect
from daemon.ops import Tx
from daemon.workloads.base import Invariant, Scope
from daemon.workloads.merging import difference, merged
from daemon.workloads.progress.tables import MERGE, statement

NAMED = 20  # violations that are told

# Rows of canaries are left out: theirs are no users.
_STRANGERS = (
    "SELECT c.user_id, c.challenge, c.goal, c.events, u.id, g.goal FROM {counters} AS c "
    "LEFT JOIN {users} AS u ON u.id = c.user_id "
    "LEFT JOIN {goals} AS g ON g.challenge = c.challenge AND g.goal = c.goal "
    "WHERE c.user_id BETWEEN ? AND ? AND (u.id IS NULL OR g.goal IS NULL OR c.events < 1) "
    f"ORDER BY c.user_id, c.challenge, c.goal LIMIT {NAMED}"
)


class Checks:
    """The checks of one target. Remembers what the check before has seen, to compare it with later news."""

    def __init__(self, dialect: Dialect, users: int) -> None:
        self._dialect = dialect
        self._users = users
        self._strangers = statement(dialect, _STRANGERS)
        self._seen = 0

    async def counted(self, tx: Tx, _: Scope) -> Sequence[str]:
        """The counters add up to what was merged into them, by all runs, and to what was loaded."""
        problem = await difference(tx, self._dialect, MERGE)
        return [problem] if problem else []

    async def accepted(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """What this run has merged are its committed events, and no more than it has accepted.

        While the load runs, what was merged may be ahead of what is known to be committed; it is
        compared with what is known to be accepted one check later.
        """
        known = scope.account
        rows = sum(one.rows for one in await merged(tx, self._dialect, MERGE, scope.run))
        most = known.committed + known.in_doubt
        if rows < known.committed:
            return [f"{rows} events were merged, {known.committed} were acknowledged"]
        if scope.complete and rows > most:
            return [f"{rows} events were merged, {most} at most are accounted for"]
        if self._seen > known.accepted:
            return [f"{self._seen} events were merged, {known.accepted} were accepted"]
        self._seen = rows
        return []

    async def references(self, tx: Tx, scope: Scope) -> Sequence[str]:
        """Every counter is of a user and a goal that exist, and counts something."""
        first, last = scope.block(self._users)
        problems = []
        for user, challenge, goal, events, found_user, found_goal in await tx.execute(
            self._strangers, (first, last)
        ):
            what = f"goal {goal} of challenge {challenge} of user {user}"
            if found_user is None:
                problems.append(f"{what}: there is no such user")
            elif found_goal is None:
                problems.append(f"{what}: there is no such goal")
            else:
                problems.append(f"{what}: {events} events")
        return problems


def invariants(*, dialect: Dialect, scale: int, **_: Any) -> Sequence[Invariant]:  # noqa: ANN401 - settings
    """Return all invariants.

    Args:
        dialect: how the database spells SQL.
        scale: users that there are.
        _: other settings of the workload.
    """
    checks = Checks(dialect, scale)
    return (
        Invariant("counted_once", checks.counted),
        Invariant("events_accounted", checks.accepted),
        Invariant("references", checks.references),
    )
