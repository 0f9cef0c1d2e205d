"""The data of the workload `progress`: users, challenges with their goals, and what users have begun."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from daemon.ops import Values
from daemon.workloads.data import Data, Fill
from daemon.workloads.progress import tables

TARGETS = (10, 25, 50, 100)  # events that reach a goal, by turns
VALUES = 100  # the value of an event is 1 to this
MOST_EVENTS = 20  # of a goal that was begun
STRIDE = 7  # between the events of one goal and the next; has no factor in common with the above
SPREAD = 17  # goals between where two users begin
EPOCH = 1_700_000_000_000_000  # µs since the Unix epoch: when the first goal was begun
STEP = 1000  # µs between two of them


class _Fixtures(NamedTuple):
    """Users who have all begun as many goals in each challenge.

    Attributes:
        users: how many there are.
        challenges: how many there are.
        goals: of each challenge.
        started: goals that each user has begun in each challenge, no more than there are.
        seed: shifts which goals these are.
    """

    users: int
    challenges: int
    goals: int
    started: int
    seed: int

    @property
    def begun(self) -> int:
        """Goals that were begun, over all users."""
        return self.users * self.challenges * self.started

    @property
    def events(self) -> int:
        """Events that have led there: whole rounds of 1 to `MOST_EVENTS`, and a part of one."""
        rounds, rest = divmod(self.begun, MOST_EVENTS)
        return rounds * sum(range(1, MOST_EVENTS + 1)) + sum(map(_events, range(rest)))

    def user_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [(n + 1, f"user-{n + 1:08d}") for n in numbers]

    def challenge_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [(n + 1, f"challenge-{n + 1:03d}") for n in numbers]

    def goal_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [
            (n // self.goals + 1, n % self.goals + 1, f"goal-{n + 1:05d}", TARGETS[n % len(TARGETS)])
            for n in numbers
        ]

    def counter_rows(self, numbers: range, rng: Random) -> Sequence[Values]:
        """Return counters user by user; those of a challenge are of goals that follow one another."""
        rows = []
        for n in numbers:
            pair, step = divmod(n, self.started)
            user, challenge = divmod(pair, self.challenges)
            goal = (self.seed + user * SPREAD + challenge + step) % self.goals
            value = 1 + int(rng.random() * VALUES)
            rows.append((user + 1, challenge + 1, goal + 1, _events(n), value, EPOCH + n * STEP))
        return rows

    def mark_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [(0, 0, 0, 0, 1, self.events)][numbers.start : numbers.stop]


def _events(number: int) -> int:
    """Return the events of a counter: 1 to `MOST_EVENTS`, each as often, so that their sum is known."""
    return 1 + number * STRIDE % MOST_EVENTS


def fills(scale: int, seed: int, shape: Mapping[str, Any]) -> Sequence[Fill]:
    """Return the rows of `scale` users; `shape` holds `challenges`, `goals` and `started`."""
    made = _Fixtures(scale, shape["challenges"], shape["goals"], shape["started"], seed)
    return (
        Fill(tables.USERS, made.users, made.user_rows),
        Fill(tables.CHALLENGES, made.challenges, made.challenge_rows),
        Fill(tables.GOALS, made.challenges * made.goals, made.goal_rows),
        Fill(tables.COUNTERS, made.begun, made.counter_rows),
        Fill(tables.MARKS, 1, made.mark_rows),
    )


DATA = Data(
    "users",
    least=1,
    default=10_000,
    unit_bytes=4500,
    shape=("challenges", "goals", "started"),
    fills=fills,
)
