"""Recounting what a run wrote: does the table hold every acknowledged row, once, and nothing else?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from daemon.ledger import RUNNING, RunRecord
from daemon.record.account import Account
from daemon.workloads.base import EPOCH_KEYS
from daemon.workloads.expired import WorkerRows
from daemon.workloads.merging import MergedRows

Lives = Mapping[tuple[int, int], Account]  # by (shard, epoch)
NAMED = 20  # findings that are spelled out


class Check(NamedTuple):
    """One life of one shard: its account against the table.

    Attributes:
        stored: rows in the table, or merged into counters.
        expired: rows that are not there any more because they were too old.
        gaps: sequence numbers missing below the highest stored one of each worker; None where rows
            are counted and not kept, so that nobody can tell.
        duplicates: rows whose key is there already; None as above.
        problems: what is wrong, in words; empty when nothing is.
    """

    shard: int
    epoch: int
    account: Account
    stored: int
    expired: int
    gaps: int | None
    duplicates: int | None
    problems: tuple[str, ...]


class Verification(NamedTuple):
    """The result of recounting a run.

    Attributes:
        finished: the run has ended and left its accounts.
        checks: one per life of a shard.
        miscounted: what is wrong with the counters that rows were merged into, whoever merged them.
    """

    run: RunRecord
    finished: bool
    checks: Sequence[Check]
    miscounted: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """True when the table holds exactly what the accounts say."""
        return self.finished and not self.problems

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words; at most `NAMED` findings."""
        found = [problem for check in self.checks for problem in check.problems]
        found += self.miscounted
        return found[:NAMED]


def verify(
    record: RunRecord,
    workers: Sequence[WorkerRows],
    merged: Sequence[MergedRows] | None = None,
    miscounted: Sequence[str] = (),
) -> Verification:
    """Compare a run's accounts with its rows.

    Args:
        record: the run, with its accounts.
        workers: the rows that are kept.
        merged: the rows that were merged into counters; None: those of this workload are kept.
        miscounted: what is wrong with the counters.
    """
    by_life: dict[tuple[int, int], list[WorkerRows]] = {life: [] for life in record.accounts}
    for rows in workers:
        by_life.setdefault((rows.shard, rows.epoch), []).append(rows)
    counted = {(one.shard, one.epoch): one.rows for one in merged or ()}
    lives = sorted(by_life.keys() | counted.keys())
    if merged is None:
        checks = [_check(life, record.accounts.get(life), by_life[life]) for life in lives]
    else:
        checks = [_check_counted(life, record.accounts.get(life), counted.get(life, 0)) for life in lives]
    finished = record.stop_reason != RUNNING
    return Verification(record, finished, checks, miscounted)


def _check(life: tuple[int, int], account: Account | None, workers: Sequence[WorkerRows]) -> Check:
    shard, epoch = life
    known = account or Account()
    stored = sum(w.rows for w in workers)
    expired = sum(w.expired for w in workers)
    gaps = sum(_gaps(w) for w in workers)
    duplicates = sum(w.rows - w.distinct for w in workers)
    where = _where(life)
    problems = _stored_problems(where, account, stored + expired)
    if duplicates:
        problems.append(f"{where}: {duplicates} duplicates, {_worst_duplicates(workers)}")
    if account is not None and gaps > known.lost:
        problems.append(
            f"{where}: {gaps} gaps in the workers' sequences, of which {known.lost} "
            f"are accounted for, {_worst_gaps(workers)}"
        )
    return Check(shard, epoch, known, stored, expired, gaps, duplicates, tuple(problems))


def _gaps(worker: WorkerRows) -> int:
    """Return how many numbers of a worker are neither there nor known as expired, below its last one."""
    return max(0, worker.last - worker.epoch * EPOCH_KEYS + 1 - worker.distinct - worker.expired)


def _check_counted(life: tuple[int, int], account: Account | None, stored: int) -> Check:
    problems = _stored_problems(_where(life), account, stored)
    return Check(*life, account or Account(), stored, 0, None, None, tuple(problems))


def _where(life: tuple[int, int]) -> str:
    shard, epoch = life
    return f"shard {shard}" + (f" epoch {epoch}" if epoch else "")


def _stored_problems(where: str, account: Account | None, stored: int) -> list[str]:
    """Return what is wrong with the number of rows that are there."""
    if account is None:
        return [f"{where}: {stored} rows without an account"]
    if not account.balanced:
        return [f"{where}: accepted {account.accepted} is not committed + failed + abandoned"]
    if stored < account.committed:
        missing = account.committed - stored
        return [f"{where}: {missing} of {account.committed} committed rows are missing"]
    if stored > account.committed + account.in_doubt:
        return [f"{where}: {stored - account.committed} rows more than were committed"]
    return []


def _worst_duplicates(workers: Sequence[WorkerRows]) -> str:
    worst = max(workers, key=lambda w: w.rows - w.distinct)
    return f"most by worker {worst.worker} ({worst.rows - worst.distinct})"


def _worst_gaps(workers: Sequence[WorkerRows]) -> str:
    worst = max(workers, key=_gaps)
    return f"most by worker {worst.worker} ({_gaps(worst)})"
