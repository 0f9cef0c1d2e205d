"""The data of the workload `ledger`: the same for a seed, and in itself as its operations would leave it."""

import hashlib
from collections import Counter, defaultdict
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.ops import Values
from daemon.workloads import data as data_module
from daemon.workloads.data import Dataset, Fill
from daemon.workloads.ledger.data import DATA, fills, request_key

Tables = dict[str, list[Values]]

# Of 100 wallets of 7 operations each. Whoever changes the data raises the version of the tables as
# well, or targets would be taken to hold what they do not.
DIGEST_OF_SEED_0 = "d28fb592"


def made(scale: int, seed: int, history: int) -> Tables:
    """Return the rows of every table."""
    return {
        fill.table.name.removeprefix("ledger_"): [
            row for number in range(fill.chunks) for row in fill.chunk(number, seed)
        ]
        for fill in fills(scale, seed, {"history": history})
    }


def digest(tables: Tables) -> str:
    """Return a number that any change of any value changes."""
    return hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:8]


def test_a_seed_makes_the_same_data_for_ever() -> None:
    assert digest(made(100, 0, 7)) == DIGEST_OF_SEED_0


def test_another_seed_makes_other_data() -> None:
    assert len({digest(made(100, seed, 7)) for seed in range(5)}) == 5


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_chunks_make_up_the_same_rows_whatever_their_size(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is drawn from a chunk's own generator, so even their size does not matter."""
    monkeypatch.setattr(data_module, "CHUNK", chunk)
    assert digest(made(100, 0, 7)) == DIGEST_OF_SEED_0


@settings(max_examples=30, deadline=None)
@given(scale=st.integers(2, 40), seed=st.integers(0, 2**63 - 1), history=st.integers(1, 14))
def test_the_tables_agree_with_each_other(scale: int, seed: int, history: int) -> None:
    tables = made(scale, seed, history)
    effects: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for tx, number, request, kind, wallet, other, delta, _ in tables["events"]:
        assert (tx, request) == (0, request_key(number - 1))
        effects[wallet].append((number, delta))
        assert (other != 0) == (kind == "transfer")
        if other:
            assert other != wallet
            effects[other].append((number, -delta))
    entries: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for wallet, event, amount, _ in tables["entries"]:
        entries[wallet].append((event, amount))
    for wallet, opening, balance, _ in tables["wallets"]:
        assert 100 <= opening <= 5000
        assert balance == opening + sum(amount for _, amount in effects[wallet]) >= 0
        assert sorted(entries[wallet]) == sorted(effects[wallet])
    assert [row[1] for row in tables["balances"]] == [row[2] for row in tables["wallets"]]
    assert [row[2] for row in tables["balances"]] == [len(entries[row[0]]) for row in tables["balances"]]
    assert len({row[0] for row in tables["requests"]}) == len(tables["events"]) == scale * history
    assert [row[0] for row in tables["requests"]] == [row[2] for row in tables["events"]]
    for row, event in zip(tables["requests"], tables["events"], strict=True):
        assert row[4] == abs(event[6])
    positions = {row[0]: row[1:] for row in tables["positions"]}
    assert positions["ledger"] == positions["read_model"] == (0, scale * history, scale * history)


def test_amounts_are_spread_over_their_range() -> None:
    tables = made(2000, 3, 3)
    for kind, low, high in (("credit", 300, 500), ("debit", 10, 120), ("transfer", 10, 180)):
        amounts = Counter(row[4] for row in tables["requests"] if row[1] == kind)
        assert (min(amounts), max(amounts)) == (low, high)
        assert amounts.most_common(1)[0][1] < 5 * 2000 / (high - low + 1)


def test_the_number_of_rows_is_known_before_they_are_made() -> None:
    for fill in fills(30, 1, {"history": 5}):
        assert sum(len(fill.chunk(number, 1)) for number in range(fill.chunks)) == fill.rows


def test_a_chunk_is_drawn_by_a_generator_of_its_own() -> None:
    """The same whenever and in whatever order the chunks are made."""

    def noisy(numbers: range, rng: Random) -> list[Values]:
        return [(number, rng.random()) for number in numbers]

    fill = Fill(fills(2, 0, {"history": 1})[0].table, 25_000, noisy)
    assert fill.chunks == 3
    forwards = [fill.chunk(number, 5) for number in range(3)]
    assert forwards == [fill.chunk(number, 5) for number in (2, 1, 0)][::-1]
    assert [len(rows) for rows in forwards] == [10_000, 10_000, 5_000]
    assert forwards[0] != fill.chunk(0, 6)
    assert [row[1] for row in forwards[0]][:5] != [row[1] for row in forwards[1]][:5]


def test_data_differs_in_what_is_named() -> None:
    there = Dataset(1000, 0, {"history": 10})
    assert there.differences(there) == []
    assert there.differences(Dataset(500, 0, {"history": 20})) == [
        "scale 1000 instead of 500",
        "history 10 instead of 20",
    ]
    assert there.differences(Dataset(1000, 1, {})) == ["seed 0 instead of 1", "history 10 instead of None"]


def test_what_is_named_in_the_shape_is_a_setting() -> None:
    assert DATA.shape == ("history",)
