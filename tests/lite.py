"""A SQLite backend with small settings, and what tests do to it."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from daemon.backends.base import INFINITY, SQLITE
from daemon.backends.sqlite import SqliteBackend
from daemon.clock import SystemClock
from daemon.errors import ErrorClass, OpError
from daemon.ops import Table, Timed, Transaction, Tx, Values

ITEMS = Table("items", (("id", "bigint"), ("name", "text")), ("id",))
Check = Callable[[SqliteBackend], Coroutine[Any, Any, None]]


def backend(path: Path, **changes: Any) -> SqliteBackend:
    """Return a backend with small settings, of which some may be changed."""
    settings: dict[str, Any] = {
        "synchronous": "normal",
        "busy_timeout": 0.2,
        "checkpoint_pages": 1000,
        "wal_limit": 1 << 26,
        "page_size": 4096,
        "cache_size": 1 << 20,
        "mmap_size": 0,
        "reader_lanes": 2,
        "pinned_reader": 0.0,
        "clock": SystemClock(),
        "notify": lambda event, facts: None,
    }
    return SqliteBackend(path=path, **(settings | changes))


def checked(path: Path, check: Check, **changes: Any) -> None:
    """Run a check on an open backend that has an empty table."""

    async def main() -> None:
        made = backend(path, **changes)
        await made.open()
        try:
            await write(made, SQLITE.create_table(ITEMS))
            async with asyncio.timeout(20):
                await check(made)
        finally:
            await made.close()

    before = set(threading.enumerate())
    uvloop.run(main())
    assert not [t for t in threading.enumerate() if t not in before and t.name.startswith("sqlite-")]


async def call(tx: Tx, *statements: str) -> list[Values]:
    """Run statements; the transaction function of these tests."""
    rows: list[Values] = []
    for statement in statements:
        rows = await tx.execute(statement)
    return rows


async def write(made: SqliteBackend, *statements: str, deadline: float = INFINITY) -> Timed:
    """Run statements in one transaction on the writing lane."""
    return await made.transact(Transaction(call, statements, read_only=False), deadline=deadline)


async def read(made: SqliteBackend, *statements: str, deadline: float = INFINITY) -> Any:
    """Return the rows of the last of these statements, run on a reading lane."""
    work = Transaction(call, statements, single=len(statements) == 1)
    return (await made.transact(work, deadline=deadline)).result


async def fails(awaited: Awaitable[object], error_class: ErrorClass) -> OpError:
    """Check that an operation fails with this class of error, certainly not committed."""
    with pytest.raises(OpError) as caught:
        await awaited
    assert caught.value.error_class == error_class
    assert not caught.value.in_doubt
    assert caught.value.served is not None
    return caught.value


async def count(made: SqliteBackend) -> int:
    """Return the number of rows in the table."""
    ((found,),) = await read(made, "SELECT count(*) FROM soakd_items")
    assert isinstance(found, int)
    return found


HOLDER = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.execute(sys.argv[2]).fetchall()
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held(path: Path, statements: str) -> Iterator[None]:
    """Let another process hold what its statements take."""
    command = [sys.executable, "-c", HOLDER, str(path), statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate("\n")


async def fill(made: SqliteBackend, batches: int, *, first: int = 0) -> None:
    """Write batches of about 25 pages each."""
    for batch in range(first, first + batches):
        await made.write_rows(ITEMS, [(batch * 100 + n, "x" * 900) for n in range(100)], again=False)


async def settled(made: SqliteBackend) -> None:
    """Wait until the upkeep after the last write is done: the writing lane answers again."""
    await made.transact(Transaction(call, ("SELECT 1",), read_only=False, single=True))
