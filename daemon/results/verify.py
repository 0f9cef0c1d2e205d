"""Recounting what a run wrote: does the table hold every acknowledged row, once, and nothing else?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from daemon.ledger import RUNNING, RunRecord
from daemon.record.account import Account
from daemon.workloads.base import EPOCH_KEYS
from daemon.workloads.expired import WorkerRows

Lives = Mapping[tuple[int, int], Account]  # by (shard, epoch)
NAMED = 20  # findings that are spelled out


class Check(NamedTuple):
    """One life of one shard: its account against the table.

    Attributes:
        stored: rows in the table.
        expired: rows that are not there any more because they were too old.
        gaps: sequence numbers missing below the highest stored one of each worker.
        duplicates: rows whose key is there already.
        problems: what is wrong, in words; empty when nothing is.
    """

    shard: int
    epoch: int
    account: Account
    stored: int
    expired: int
    gaps: int
    duplicates: int
    problems: tuple[str, ...]


class Verification(NamedTuple):
    """The result of recounting a run.

    Attributes:
        finished: the run has ended and left its accounts.
        checks: one per life of a shard.
    """

    run: RunRecord
    finished: bool
    checks: Sequence[Check]

    @property
    def ok(self) -> bool:
        """True when the table holds exactly what the accounts say."""
        return self.finished and not any(check.problems for check in self.checks)

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words; at most `NAMED` findings."""
        found = [problem for check in self.checks for problem in check.problems]
        return found[:NAMED]


def verify(record: RunRecord, workers: Sequence[WorkerRows]) -> Verification:
    """Compare a run's accounts with the rows of its workers."""
    by_life: dict[tuple[int, int], list[WorkerRows]] = {life: [] for life in record.accounts}
    for rows in workers:
        by_life.setdefault((rows.shard, rows.epoch), []).append(rows)
    checks = [_check(life, record.accounts.get(life), by_life[life]) for life in sorted(by_life)]
    finished = record.stop_reason != RUNNING
    return Verification(record, finished, checks)


def _check(life: tuple[int, int], account: Account | None, workers: Sequence[WorkerRows]) -> Check:
    shard, epoch = life
    known = account or Account()
    stored = sum(w.rows for w in workers)
    expired = sum(w.expired for w in workers)
    held = stored + expired
    gaps = sum(_gaps(w) for w in workers)
    duplicates = sum(w.rows - w.distinct for w in workers)
    where = f"shard {shard}" + (f" epoch {epoch}" if epoch else "")
    problems = []
    if account is None:
        problems.append(f"{where}: {stored} rows without an account")
    elif not known.balanced:
        problems.append(f"{where}: accepted {known.accepted} is not committed + failed + abandoned")
    elif held < known.committed:
        problems.append(f"{where}: {known.committed - held} of {known.committed} committed rows are missing")
    elif held > known.committed + known.in_doubt:
        problems.append(f"{where}: {held - known.committed} rows more than were committed")
    if duplicates:
        problems.append(f"{where}: {duplicates} duplicates, {_worst_duplicates(workers)}")
    if account is not None and gaps > known.failed + known.abandoned:
        problems.append(
            f"{where}: {gaps} gaps in the workers' sequences, of which {known.failed + known.abandoned} "
            f"are accounted for, {_worst_gaps(workers)}"
        )
    return Check(shard, epoch, known, stored, expired, gaps, duplicates, tuple(problems))


def _gaps(worker: WorkerRows) -> int:
    """Return how many numbers of a worker are neither there nor known as expired, below its last one."""
    return max(0, worker.last - worker.epoch * EPOCH_KEYS + 1 - worker.distinct - worker.expired)


def _worst_duplicates(workers: Sequence[WorkerRows]) -> str:
    worst = max(workers, key=lambda w: w.rows - w.distinct)
    return f"most by worker {worst.worker} ({worst.rows - worst.distinct})"


def _worst_gaps(workers: Sequence[WorkerRows]) -> str:
    worst = max(workers, key=_gaps)
    return f"most by worker {worst.worker} ({_gaps(worst)})"
