"""Recounting a run: what is right passes, and every way of being wrong is found and named."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control.recount import recount, tables_of
from daemon.errors import TargetError, UsageError
from daemon.ledger import RUNNING, RunRecord
from daemon.record.account import Account
from daemon.results.verify import NAMED, Verification, verify
from daemon.workloads.base import EPOCH_KEYS
from daemon.workloads.expired import WorkerRows
from daemon.workloads.merging import MergedRows


def record(accounts: dict[tuple[int, int], Account], stop_reason: str = "duration") -> RunRecord:
    """Return what a run has left."""
    return RunRecord(5, "0.1", "events", 2, 1, stop_reason, accounts)


def rows(
    first: int, last: int, *, shard: int = 0, worker: int = 0, epoch: int = 0, missing: int = 0
) -> WorkerRows:
    """Return what the table holds of a worker that wrote from `first` to `last`."""
    base = epoch * EPOCH_KEYS
    number = last - first + 1 - missing
    return WorkerRows(shard, worker, epoch, number, number, base + first, base + last)


def of(account: Account, workers: Sequence[WorkerRows]) -> Verification:
    """Return the verification of a run of one life."""
    return verify(record({(0, 0): account}), workers)


def test_a_table_that_holds_what_was_committed_passes() -> None:
    result = of(Account(30, 30), [rows(0, 9), rows(0, 19, worker=1)])
    assert result.ok
    assert result.problems == []
    check = result.checks[0]
    assert (check.stored, check.gaps, check.duplicates) == (30, 0, 0)


def test_a_run_that_wrote_nothing_passes() -> None:
    assert of(Account(), []).ok


def test_rows_that_failed_or_were_abandoned_may_leave_gaps() -> None:
    result = of(Account(30, 27, 1, 2), [rows(0, 9, missing=2), rows(0, 19, worker=1, missing=1)])
    assert result.ok
    assert result.checks[0].gaps == 3


@pytest.mark.parametrize("found", [8, 9, 10])
def test_rows_in_doubt_may_be_there_or_not(found: int) -> None:
    assert of(Account(10, 8, 0, 2, 2), [rows(0, found - 1)]).ok


@pytest.mark.parametrize(
    ("account", "workers", "words"),
    [
        (Account(10, 10), [rows(0, 8)], "1 of 10 committed rows are missing"),
        (Account(10, 10), [], "10 of 10 committed rows are missing"),
        (Account(10, 10), [rows(0, 10)], "1 rows more than were committed"),
        (Account(10, 8, 0, 2, 1), [rows(0, 9)], "2 rows more than were committed"),
        (Account(10, 9), [rows(0, 8)], "accepted 10 is not committed + failed + abandoned"),
        (Account(10, 10), [WorkerRows(0, 3, 0, 10, 9, 0, 8)], "1 duplicates, most by worker 3 (1)"),
        (Account(10, 10), [rows(0, 10, missing=1, worker=2)], "1 gaps in the workers' sequences, of which 0"),
        (Account(10, 9, 1), [rows(3, 11, worker=2)], "3 gaps in the workers' sequences, of which 1"),
    ],
)
def test_what_is_wrong_is_named(account: Account, workers: list[WorkerRows], words: str) -> None:
    result = of(account, workers)
    assert not result.ok
    assert any(words in problem and problem.startswith("shard 0:") for problem in result.problems)


def test_the_worker_with_the_most_gaps_is_named() -> None:
    workers = [rows(0, 9, missing=1, worker=1), rows(0, 9, missing=4, worker=4), rows(5, 6, worker=9)]
    assert "most by worker 9 (5)" in of(Account(17, 17), workers).problems[0]


def test_lives_of_a_shard_are_compared_each_with_its_own_account() -> None:
    accounts = {(0, 0): Account(10, 9, 0, 1), (0, 1): Account(5, 5), (1, 0): Account(4, 4)}
    workers = [rows(0, 8), rows(0, 4, epoch=1), rows(0, 3, shard=1)]
    assert verify(record(accounts), workers).ok
    workers[1] = rows(0, 3, epoch=1)
    result = verify(record(accounts), workers)
    assert result.problems == ["shard 0 epoch 1: 1 of 5 committed rows are missing"]


def test_rows_of_a_life_without_an_account_are_found() -> None:
    result = verify(record({(0, 0): Account(1, 1)}), [rows(0, 0), rows(0, 6, shard=2, epoch=1)])
    assert result.problems == ["shard 2 epoch 1: 7 rows without an account"]


def test_a_run_that_has_not_ended_is_not_confirmed() -> None:
    result = verify(record({}, RUNNING), [rows(0, 9)])
    assert not result.finished
    assert not result.ok


def test_a_long_list_of_findings_is_cut() -> None:
    accounts = {(shard, 0): Account(1, 1) for shard in range(3 * NAMED)}
    result = verify(record(accounts), [])
    assert len(result.checks) == 3 * NAMED
    assert len(result.problems) == NAMED


def test_rows_that_are_counted_are_compared_as_a_number() -> None:
    """Nobody can tell gaps and duplicates then, and nothing is claimed of them."""
    accounts = {(0, 0): Account(30, 28, 0, 2, 2), (0, 1): Account(7, 7)}
    result = verify(record(accounts), [], [MergedRows(0, 0, 29), MergedRows(0, 1, 7)])
    assert result.ok
    assert [(check.stored, check.gaps, check.duplicates) for check in result.checks] == [
        (29, None, None),
        (7, None, None),
    ]


@pytest.mark.parametrize(
    ("merged", "words"),
    [
        ([MergedRows(0, 0, 9)], "shard 0: 1 of 10 committed rows are missing"),
        ([], "shard 0: 10 of 10 committed rows are missing"),
        ([MergedRows(0, 0, 11)], "shard 0: 1 rows more than were committed"),
        ([MergedRows(0, 0, 10), MergedRows(1, 2, 3)], "shard 1 epoch 2: 3 rows without an account"),
    ],
)
def test_wrong_numbers_of_counted_rows_are_named(merged: list[MergedRows], words: str) -> None:
    result = verify(record({(0, 0): Account(10, 10)}), [], merged)
    assert result.problems == [words]
    assert not result.ok


def test_counters_that_do_not_add_up_are_told_whatever_the_run_says() -> None:
    result = verify(record({(0, 0): Account(10, 10)}), [], [MergedRows(0, 0, 10)], ["they do not add up"])
    assert result.problems == ["they do not add up"]
    assert not result.ok


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.sets(st.integers(0, 30))), max_size=8))
def test_an_honest_account_of_any_rows_passes_and_one_row_off_does_not(
    written: list[tuple[int, int, set[int]]],
) -> None:
    """Each worker's sequence has gaps where rows were abandoned."""
    by_worker: dict[tuple[int, int], set[int]] = {}
    for shard, worker, seqs in written:
        by_worker.setdefault((shard, worker), set()).update(seqs)
    by_worker = {key: seqs for key, seqs in by_worker.items() if seqs}
    workers = [
        WorkerRows(shard, worker, 0, len(seqs), len(seqs), min(seqs), max(seqs))
        for (shard, worker), seqs in by_worker.items()
    ]
    accounts = {}
    for shard in {shard for shard, _ in by_worker}:
        mine = [seqs for (owner, _), seqs in by_worker.items() if owner == shard]
        stored, accepted = sum(map(len, mine)), sum(max(seqs) + 1 for seqs in mine)
        accounts[shard, 0] = Account(accepted, stored, 0, accepted - stored)
    assert verify(record(accounts), workers).ok
    for life, account in accounts.items():
        for change in (1, -1):
            off = account._replace(committed=account.committed + change, accepted=account.accepted + change)
            assert not verify(record({**accounts, life: off}), workers).ok


def settings(target: str) -> Settings:
    """Return settings for a target."""
    return Settings.model_validate({"target": target})


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(TargetError, match=r"missing\.db"):
        asyncio.run(recount(settings(f"sqlite:///{missing}"), SystemClock(), None))
    assert not missing.exists()


def test_the_null_target_cannot_be_recounted() -> None:
    with pytest.raises(UsageError, match="stores nothing"):
        asyncio.run(recount(settings("null://"), SystemClock(), None))


def test_the_workload_is_known_by_its_tables_alone() -> None:
    assert [table.name for table in tables_of(settings("null://"), SystemClock()).tables] == ["events"]


def test_a_database_of_others_is_not_touched(tmp_path: Path) -> None:
    """It is told that there is nothing to recount, and its journal mode stays what it was."""
    path = tmp_path / "theirs.db"
    with closing(apsw.Connection(str(path))) as theirs:
        theirs.execute("CREATE TABLE t (a)")
    before = path.read_bytes()
    settings = Settings.model_validate({"target": f"sqlite:///{path}"})
    with pytest.raises(UsageError, match="never run"):
        asyncio.run(recount(settings, SystemClock(), None))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["theirs.db"]
