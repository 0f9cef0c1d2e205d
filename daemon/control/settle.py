"""Closing the books of a run: what is in doubt is counted in the table, then written down."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from daemon import ledger
from daemon.backends.base import Backend
from daemon.errors import OpError, TargetError
from daemon.ops import Table
from daemon.record.account import Account
from daemon.workloads.base import Identity

TRIES = 5
PAUSE = 1.0  # s between two tries
DROPPED = "its tables were dropped, or its record was deleted, while it ran"


class Books(NamedTuple):
    """The closed accounts of a run.

    Attributes:
        accounts: by life of a shard.
        lost: acknowledged rows that are not in the table; 0 where nothing was in doubt and the run
            is still known to the target.
        problem: why the target could not be asked or does not hold the accounts; None when it does.
    """

    accounts: dict[Identity, Account]
    lost: int
    problem: str | None

    @property
    def total(self) -> Account:
        """The sum of all accounts."""
        total = Account()
        for account in self.accounts.values():
            total = total.plus(account)
        return total


async def settle(
    make: Callable[[], Backend],
    tables: Sequence[Table],
    accounts: dict[Identity, Account],
    *,
    stop_reason: str,
) -> Books:
    """Settle what is in doubt and save the accounts, trying a few times; never raises.

    Without an answer from the target the accounts stay as they are, doubts included.

    Args:
        make: makes a backend of the target, for each try a new one.
        tables: where the rows are.
        accounts: by life of a shard.
        stop_reason: why the run ended.
    """
    problem = "the target gave no answer"
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(PAUSE)
        try:
            backend = make()
            await backend.open()
            try:
                return await _settle(backend, tables, accounts, stop_reason)
            finally:
                await backend.close()
        except (OpError, TargetError) as error:
            problem = str(error)
    return Books(accounts, 0, problem)


async def _settle(
    backend: Backend, tables: Sequence[Table], accounts: dict[Identity, Account], stop_reason: str
) -> Books:
    run = next(iter(accounts)).run
    doubts = backend.dialect.name != "null" and any(account.in_doubt for account in accounts.values())
    quiet = not doubts or await _quiet(backend, run)
    settled: dict[Identity, Account] = {}
    lost = 0
    for identity, account in accounts.items():
        settled[identity] = account
        if account.in_doubt and doubts and quiet:
            rows = sum([await ledger.stored(backend, table, identity) for table in tables])
            lost += max(0, account.committed - rows)
            settled[identity] = account.settled(rows)
    await ledger.save_accounts(backend, settled)
    if not await ledger.finish(backend, run, stop_reason):
        return Books(settled, await _missing(backend, tables, settled), DROPPED)
    return Books(settled, lost, None if quiet else "sessions of the run's engines do not end")


async def _missing(backend: Backend, tables: Sequence[Table], accounts: Mapping[Identity, Account]) -> int:
    """Count again what nobody doubted, and return how many acknowledged rows are not there."""
    lost = 0
    for identity, account in accounts.items():
        rows = sum([await ledger.stored(backend, table, identity) for table in tables])
        lost += max(0, account.committed - rows)
    return lost


async def _quiet(backend: Backend, run: int) -> bool:
    """Wait for the sessions of ended engines to end: what they commit now is still to be counted.

    Those that have not ended by themselves are told to; False when that does not help either.
    """
    for attempt in range(TRIES):
        if await ledger.quiet(backend, run, insist=attempt > 0):
            return True
        await asyncio.sleep(PAUSE)
    return False
