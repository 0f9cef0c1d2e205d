"""The data of the workload `game`: the same for a seed, and in itself as its operations would leave it."""

import hashlib
import json
from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.ops import Values
from daemon.workloads.game.data import DATA, KINDS, REGIONS, clans, fills, place

Tables = dict[str, list[Values]]

SHAPE = {"players_per_game": 4, "events_per_game": 40, "clan_size": 30, "payload_size": 8}
# Of 100 players. Whoever changes the data raises the version of the tables as well, or targets
# would be taken to hold what they do not.
DIGEST_OF_SEED_0 = "f9edf5da"


def made(scale: int, seed: int, **shape: int) -> Tables:
    """Return the rows of every table."""
    return {
        fill.table.name: [row for number in range(fill.chunks) for row in fill.chunk(number, seed)]
        for fill in fills(scale, seed, {**SHAPE, **shape})
    }


def digest(tables: Tables) -> str:
    """Return a number that any change of any value changes."""
    return hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:8]


def test_a_seed_makes_the_same_data_for_ever() -> None:
    assert digest(made(100, 0)) == DIGEST_OF_SEED_0


def test_another_seed_or_shape_makes_other_data() -> None:
    digests = {digest(made(100, seed)) for seed in range(5)}
    digests |= {digest(made(100, 0, **{name: value + 1})) for name, value in SHAPE.items()}
    assert len(digests) == 5 + len(SHAPE)
    assert set(SHAPE) == set(DATA.shape)


@settings(max_examples=30, deadline=None)
@given(
    scale=st.integers(10, 60),
    seed=st.integers(0, 2**63 - 1),
    seats=st.integers(2, 8),
    events=st.integers(1, 15),
    clan_size=st.integers(10, 70),
)
def test_the_tables_agree_with_each_other(
    scale: int, seed: int, seats: int, events: int, clan_size: int
) -> None:
    tables = made(scale, seed, players_per_game=seats, events_per_game=events, clan_size=clan_size)
    of_game: defaultdict[int, dict[int, int]] = defaultdict(dict)
    of_player: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for game, player, score, _ in tables["game_players"]:
        assert player not in of_game[game]
        of_game[game][player] = of_player[player][game] = score
    sessions = Counter(player for player, _, _, _ in tables["sessions"])
    assert len({row[:2] for row in tables["sessions"]}) == len(tables["sessions"])
    assert of_game.keys() == of_player.keys() == set(range(1, scale + 1))
    for player, _, profile, online, games, score, _ in tables["players"]:
        assert online == sessions.pop(player, 0)
        assert (games, score) == (len(of_player[player]), sum(of_player[player].values()))
        told = json.loads(profile)
        assert (told["clan"], told["region"]) == place(player - 1, scale, clan_size)
    assert not sessions
    seqs: defaultdict[int, list[int]] = defaultdict(list)
    last: dict[int, str] = {}
    for game, seq, player, kind, payload, _ in tables["game_events"]:
        assert player in of_game[game]
        assert len(json.loads(payload)["note"]) == 8
        seqs[game].append(seq)
        last[game] = kind
    for game, state, players, score, there, last_event, _ in tables["games"]:
        assert (players, score) == (seats, sum(of_game[game].values()))
        assert seqs[game] == list(range(1, events + 1))
        assert (there, last_event) == (events, events)
        assert json.loads(state)["last"] == last[game]


@given(scale=st.integers(10, 2000), clan_size=st.integers(10, 300))
def test_every_region_of_every_clan_has_players(scale: int, clan_size: int) -> None:
    found = Counter(place(n, scale, clan_size) for n in range(scale))
    assert len(found) == clans(scale, clan_size) * len(REGIONS)


def test_every_second_player_is_online_with_two_sessions() -> None:
    players = made(101, 0)["players"]
    assert Counter(row[3] for row in players) == {2: 51, 0: 50}


def test_values_are_spread() -> None:
    tables = made(1000, 3)
    assert set(Counter(row[3] for row in tables["game_events"])) == set(KINDS)
    states: list[Any] = [json.loads(row[1]) for row in tables["games"]]
    for key, different in (("mode", 4), ("map", 6), ("last", 6)):
        counts = Counter(state[key] for state in states)
        assert len(counts) == different
        assert min(counts.values()) > 1000 / different / 2
    scores = Counter(row[2] for row in tables["game_players"])
    assert (min(scores), max(scores)) == (0, 500)


def test_the_number_of_rows_is_known_before_they_are_made() -> None:
    for fill in fills(101, 1, SHAPE):
        assert sum(len(fill.chunk(number, 1)) for number in range(fill.chunks)) == fill.rows
