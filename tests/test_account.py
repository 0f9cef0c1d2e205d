"""The account of rows: it balances, settling conserves it, and it outlives the process that keeps it."""

import mmap
import signal
import subprocess
import sys
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from daemon.record.account import (
    ABANDONED,
    ACCEPTED,
    CELLS,
    COMMITTED,
    FAILED,
    IN_DOUBT,
    SIZE,
    Account,
    cells_in,
)

few = st.integers(0, 1000)


@st.composite
def open_accounts(draw: st.DrawFn) -> Account:
    """Return an account with rows still under way, as a killed engine leaves it."""
    committed, failed, abandoned, under_way = draw(few), draw(few), draw(few), draw(few)
    in_doubt = draw(st.integers(0, failed + abandoned))
    return Account(committed + failed + abandoned + under_way, committed, failed, abandoned, in_doubt)


@given(open_accounts())
def test_closing_balances_and_puts_what_was_under_way_in_doubt(account: Account) -> None:
    closed = account.closed()
    under_way = account.accepted - account.committed - account.failed - account.abandoned
    assert closed.balanced
    assert (closed.accepted, closed.committed, closed.failed) == (
        account.accepted,
        account.committed,
        account.failed,
    )
    assert closed.abandoned == account.abandoned + under_way
    assert closed.in_doubt == account.in_doubt + under_way
    assert closed.closed() == closed


@given(open_accounts(), few)
def test_settling_keeps_the_sum_and_leaves_no_doubt(account: Account, extra: int) -> None:
    """Whatever the table holds, no row appears or vanishes from the account."""
    closed = account.closed()
    settled = closed.settled(closed.committed + extra)
    assert settled.balanced
    assert settled.accepted == closed.accepted
    assert settled.in_doubt == 0
    assert min(settled) >= 0
    assert settled.committed == closed.committed + min(extra, closed.in_doubt)


@given(open_accounts())
def test_rows_missing_from_the_table_are_not_made_up_for(account: Account) -> None:
    """Fewer than were acknowledged is a loss for `verify` to report, not to be hidden here."""
    closed = account.closed()
    assert closed.settled(max(closed.committed - 1, 0)).committed == closed.committed


def test_settling_takes_from_the_abandoned_first_and_then_from_the_failed() -> None:
    account = Account(accepted=20, committed=10, failed=4, abandoned=6, in_doubt=9)
    assert account.settled(13) == Account(20, 13, 4, 3, 0)
    assert account.settled(18) == Account(20, 18, 2, 0, 0)
    assert account.settled(25) == Account(20, 19, 1, 0, 0)


@given(st.lists(open_accounts(), max_size=5))
def test_the_sum_of_closed_accounts_is_balanced(accounts: list[Account]) -> None:
    total = Account()
    for account in accounts:
        total = total.plus(account.closed())
    assert total.balanced
    assert total.accepted == sum(account.accepted for account in accounts)


def test_each_counter_has_its_own_cell() -> None:
    cells = [0] * CELLS
    cells[ACCEPTED], cells[COMMITTED], cells[FAILED], cells[ABANDONED], cells[IN_DOUBT] = 15, 8, 4, 2, 1
    assert Account.of(cells) == Account(accepted=15, committed=8, failed=4, abandoned=2, in_doubt=1)
    assert not Account.of(cells).balanced


_KEEP_BOOKS = """
import mmap, os, signal, sys
from daemon.record.account import ACCEPTED, COMMITTED, SIZE, cells_in
cells = cells_in(mmap.mmap(int(sys.argv[1]), SIZE))
for _ in range(1000):
    cells[ACCEPTED] += 5_000_000
    cells[COMMITTED] += 4_999_999
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_counters_in_shared_memory_outlive_a_killed_process() -> None:
    """Counts beyond 32 bits, by a process that gets no chance to say goodbye."""
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        shared = mmap.mmap(file.fileno(), SIZE)
        command = [sys.executable, "-c", _KEEP_BOOKS, str(file.fileno())]
        ended = subprocess.run(command, pass_fds=[file.fileno()], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert Account.of(cells_in(shared)) == Account(accepted=5_000_000_000, committed=4_999_999_000)
    assert Account.of(cells_in(shared)).closed().abandoned == 1000
