"""The data of the workload `progress`: the same for a seed, and counted as it says."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.settings import Settings
from daemon.ops import Values
from daemon.workloads import data as data_module
from daemon.workloads.progress.data import DATA, fills

Tables = dict[str, list[Values]]

# Of 100 users, 3 challenges of 5 goals, 2 of them begun. Whoever changes the data raises the version
# of the tables as well, or targets would be taken to hold what they do not.
DIGEST_OF_SEED_0 = "9accdc4a"


def made(users: int, seed: int, challenges: int = 3, goals: int = 5, started: int = 2) -> Tables:
    """Return the rows of every table."""
    shape = {"challenges": challenges, "goals": goals, "started": started}
    return {
        fill.table.name.removeprefix("progress_"): [
            row for number in range(fill.chunks) for row in fill.chunk(number, seed)
        ]
        for fill in fills(users, seed, shape)
    }


def digest(tables: Tables) -> str:
    """Return a number that any change of any value changes."""
    return hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:8]


def test_a_seed_makes_the_same_data_for_ever() -> None:
    assert digest(made(100, 0)) == DIGEST_OF_SEED_0


def test_another_seed_makes_other_data() -> None:
    assert len({digest(made(100, seed)) for seed in range(5)}) == 5


@settings(max_examples=40, deadline=None)
@given(
    users=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
    challenges=st.integers(1, 4),
    goals=st.integers(1, 9),
    data=st.data(),
)
def test_the_tables_agree_with_each_other(
    users: int, seed: int, challenges: int, goals: int, data: st.DataObject
) -> None:
    started = data.draw(st.integers(1, goals))
    tables = made(users, seed, challenges, goals, started)
    assert [row[0] for row in tables["users"]] == list(range(1, users + 1))
    known = {row[:2] for row in tables["goals"]}
    assert len(known) == challenges * goals
    assert {challenge for challenge, _ in known} == {row[0] for row in tables["challenges"]}
    counters = tables["counters"]
    assert len({row[:3] for row in counters}) == len(counters) == users * challenges * started
    assert {row[1:3] for row in counters} <= known
    for user in range(1, users + 1):
        begun = [row[1] for row in counters if row[0] == user]
        assert begun == [challenge + 1 for challenge in range(challenges) for _ in range(started)]
    assert min(row[3] for row in counters) >= 1
    assert tables["merges"] == [(0, 0, 0, 0, 1, sum(row[3] for row in counters))]


@pytest.mark.parametrize("chunk", [7, 64])
def test_what_is_begun_does_not_depend_on_the_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the values are drawn by a chunk's own generator."""
    before = [row[:4] for row in made(100, 3)["counters"]]
    monkeypatch.setattr(data_module, "CHUNK", chunk)
    assert [row[:4] for row in made(100, 3)["counters"]] == before


def test_every_goal_is_begun_by_about_as_many() -> None:
    counters = made(2000, 1, 10, 50, 2)["counters"]
    begun = [sum(1 for row in counters if row[1:3] == (4, goal)) for goal in range(1, 51)]
    assert sum(begun) == 4000
    assert max(begun) < 2 * min(begun)


def test_the_fixtures_are_ten_thousand_users_and_ten_challenges_of_fifty_goals() -> None:
    options = Settings(workload="progress").progress.options()
    assert DATA.default == 10_000
    assert (options["challenges"], options["goals"]) == (10, 50)
    rows = {fill.table.name: fill.rows for fill in fills(DATA.default, 0, options)}
    assert rows["progress_goals"] == 500
    assert rows["progress_counters"] == 200_000


def test_what_is_named_in_the_shape_is_a_setting() -> None:
    assert set(DATA.shape) <= Settings().progress.options().keys()
