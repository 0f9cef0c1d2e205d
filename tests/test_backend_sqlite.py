"""The SQLite backend on real files: settings, checkpoints, deadlines, and what goes wrong."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from daemon.backends.sqlite import SqliteBackend
from daemon.clock import SystemClock
from daemon.errors import OpError, Rejected, TargetError
from daemon.ops import PoolName, Transaction, Tx
from tests.lite import ITEMS, backend, call, checked, count, fails, fill, held, read, write

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "load.db"


# Settings


@pytest.mark.parametrize(("synchronous", "code"), [("normal", 1), ("full", 2)])
def test_every_setting_holds_on_every_connection(path: Path, synchronous: str, code: int) -> None:
    """The writer and both readers say themselves what they were told."""
    names = ["journal_mode", "synchronous", "cache_size", "mmap_size", "page_size"]
    names += ["foreign_keys", "wal_autocheckpoint", "journal_size_limit", "query_only"]
    seen: dict[str, tuple[Any, ...]] = {}
    both = threading.Barrier(2, timeout=10)

    async def ask(tx: Tx, *, together: bool) -> None:
        if together:
            both.wait()  # so that each of the readers has one of the two
        found = [(await tx.execute(f"PRAGMA {name}"))[0][0] for name in names]
        seen[threading.current_thread().name] = tuple(found)

    async def check(made: SqliteBackend) -> None:
        reading = Transaction(lambda tx: ask(tx, together=True))
        writing = Transaction(lambda tx: ask(tx, together=False), read_only=False)
        await asyncio.gather(made.transact(reading), made.transact(reading), made.transact(writing))

    settings = {"cache_size": 3 << 20, "mmap_size": 1 << 20, "page_size": 8192}
    checked(path, check, synchronous=synchronous, **settings)
    expected = ("wal", code, -3072, 1 << 20, 8192, 1, 0, 1 << 26)
    assert seen == {
        "sqlite-writer-0": (*expected, 0),
        "sqlite-reader-0": (*expected, 1),
        "sqlite-reader-1": (*expected, 1),
    }


def test_a_setting_that_does_not_hold_is_refused(path: Path) -> None:
    """A value that SQLite turns into another one ends the start, and no file is left behind."""
    with pytest.raises(TargetError, match=r"PRAGMA mmap_size is -?\d+ and not"):
        asyncio.run(backend(path, mmap_size=-2).open())
    assert not list(path.parent.iterdir())


def test_an_existing_file_keeps_its_page_size_and_its_rows(path: Path) -> None:
    """The page size is a property of a file that is there already."""
    with apsw.Connection(str(path)) as connection:
        connection.execute("PRAGMA page_size = 1024; CREATE TABLE mine (a); INSERT INTO mine VALUES (7)")
    connection.close()

    async def check(made: SqliteBackend) -> None:
        assert await read(made, "PRAGMA page_size") == [(1024,)]
        assert await read(made, "SELECT a FROM mine") == [(7,)]
        assert made.wal.page_size == 1024

    checked(path, check)


def test_a_relative_path_is_found_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`soakd.db` means the file beside the user."""
    monkeypatch.chdir(tmp_path)

    async def check(made: SqliteBackend) -> None:
        assert await count(made) == 0
        assert (tmp_path / "here.db").is_file()

    checked(Path("here.db"), check)


def test_readers_cannot_write(path: Path) -> None:
    """A function that calls itself a reader, and is none, is refused."""

    async def check(made: SqliteBackend) -> None:
        await fails(read(made, "INSERT INTO soakd_items VALUES (1, 'a')"), "other")
        assert await count(made) == 0

    checked(path, check)


# Transactions


def test_a_commit_is_timed_and_inside_the_time_of_the_operation(path: Path) -> None:
    """Served, done and COMMIT are in order, and a read has no COMMIT to speak of."""

    async def check(made: SqliteBackend) -> None:
        before = SystemClock.now()
        timed = await made.write_rows(ITEMS, [(n, "x") for n in range(10)], again=False)
        assert timed.result == 10
        assert before <= timed.served <= timed.done - timed.commit < timed.done <= SystemClock.now()
        reading = Transaction(call, ("SELECT 1", "SELECT 2"))
        assert (await made.transact(reading)).commit == 0

    checked(path, check)


def test_rejected_rolls_back(path: Path) -> None:
    """What was written before the business rules said no is not there."""

    async def refuse(tx: Tx) -> None:
        await tx.execute("INSERT INTO soakd_items VALUES (1, 'a')")
        raise Rejected

    async def check(made: SqliteBackend) -> None:
        with pytest.raises(Rejected):
            await made.transact(Transaction(refuse, read_only=False))
        assert await count(made) == 0
        await write(made, "INSERT INTO soakd_items VALUES (2, 'b')")
        assert await count(made) == 1

    checked(path, check)


def test_a_statement_that_fails_may_be_survived(path: Path) -> None:
    """A constraint undoes its statement only: a function may catch it and go on."""

    async def insist(tx: Tx) -> None:
        await tx.execute("INSERT INTO soakd_items VALUES (1, 'a')")
        with pytest.raises(OpError):
            await tx.execute("INSERT INTO soakd_items VALUES (1, 'b')")
        await tx.execute("INSERT INTO soakd_items VALUES (2, 'b')")

    async def check(made: SqliteBackend) -> None:
        await made.transact(Transaction(insist, read_only=False))
        assert await count(made) == 2

    checked(path, check)


def test_a_transaction_that_sqlite_undid_cannot_go_on(path: Path) -> None:
    """After an error that rolls all back, nothing is committed, even if the function makes light of it."""

    async def careless(tx: Tx) -> None:
        await tx.execute("INSERT INTO soakd_items VALUES (1, 'a')")
        for n in (2, 3):
            with pytest.raises(OpError):
                await tx.execute(f"INSERT OR ROLLBACK INTO soakd_items VALUES ({n}, NULL)")

    async def check(made: SqliteBackend) -> None:
        await fails(made.transact(Transaction(careless, read_only=False)), "constraint")
        assert await count(made) == 0

    checked(path, check)


def test_a_batch_is_written_as_a_whole_or_not_at_all(path: Path) -> None:
    """One row whose key is there keeps all others out, unless it may be there from an earlier try."""

    async def check(made: SqliteBackend) -> None:
        await made.write_rows(ITEMS, [(1, "a")], again=False)
        await fails(made.write_rows(ITEMS, [(2, "b"), (1, "c")], again=False), "constraint")
        assert await count(made) == 1
        await made.write_rows(ITEMS, [(2, "b"), (1, "c")], again=True)
        assert await read(made, "SELECT id, name FROM soakd_items") == [(1, "a"), (2, "b")]

    checked(path, check)


def test_a_mistake_in_sql_or_parameters_is_an_error_of_the_operation(path: Path) -> None:
    """Unknown tables and missing parameters are errors of class other."""

    async def check(made: SqliteBackend) -> None:
        await fails(read(made, "SELECT a FROM nowhere"), "other")
        await fails(read(made, "SELECT ?"), "other")
        await fails(made.write_rows(ITEMS, [(1, "a", "too many")], again=False), "other")
        assert await count(made) == 0

    checked(path, check)


def test_connections_are_counted_by_state(path: Path) -> None:
    """One writer, as many readers as asked for, and what waits for them."""

    async def check(made: SqliteBackend) -> None:
        gate = threading.Event()

        async def hold(_: Tx) -> None:
            assert gate.wait(10)

        held_up = [asyncio.ensure_future(made.transact(Transaction(hold))) for _ in range(5)]
        wanted: dict[tuple[PoolName, str], int] = {
            ("reader", "busy"): 3, ("reader", "idle"): 0, ("reader", "waiting"): 2,
            ("writer", "busy"): 0, ("writer", "idle"): 1, ("writer", "waiting"): 0,
        }  # fmt: skip
        for _ in range(5000):
            if made.connections() == wanted:
                break
            await asyncio.sleep(0.001)
        assert made.connections() == wanted
        gate.set()
        await asyncio.gather(*held_up)

    checked(path, check, reader_lanes=3)


def test_a_read_sees_what_was_committed_before_it_was_asked(path: Path) -> None:
    """Reads that follow one another quickly still each have a snapshot of their own."""

    async def check(made: SqliteBackend) -> None:
        for written in range(1, 60):
            first = [asyncio.ensure_future(count(made)) for _ in range(30)]
            await made.write_rows(ITEMS, [(written, "x")], again=False)
            assert await asyncio.gather(*(count(made) for _ in range(10))) == [written] * 10
            assert {await task for task in first} <= {written - 1, written}

    checked(path, check, reader_lanes=1)


def test_idle_readers_hold_no_lock(path: Path) -> None:
    """After a group of reads the WAL can be emptied by anybody."""

    async def check(made: SqliteBackend) -> None:
        await made.write_rows(ITEMS, [(1, "x")], again=False)
        for _ in range(5):
            assert await asyncio.gather(*(count(made) for _ in range(50))) == [1] * 50
        other = apsw.Connection(str(path))
        other.set_busy_timeout(5000)
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall() == [(0, 0, 0)]
        other.close()

    checked(path, check)


# Deadlines


def test_a_read_is_interrupted_at_its_deadline(path: Path) -> None:
    """The lane is free again soon after, and its connection works."""

    async def check(made: SqliteBackend) -> None:
        for statements in ((ENDLESS,), ("SELECT 1", ENDLESS)):
            deadline = SystemClock.now() + 0.05
            await fails(read(made, *statements, deadline=deadline), "timeout")
            assert 0 <= SystemClock.now() - deadline < 1
        assert await count(made) == 0

    checked(path, check, reader_lanes=1)


def test_a_write_is_interrupted_at_its_deadline_and_undone(path: Path) -> None:
    """Nothing of it is there, whether it is one statement or several."""
    fill = "INSERT INTO soakd_items WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    fill += " SELECT i, 'x' FROM n"

    async def check(made: SqliteBackend) -> None:
        await fails(write(made, fill, deadline=SystemClock.now() + 0.05), "timeout")
        single = Transaction(call, (fill,), read_only=False, single=True)
        await fails(made.transact(single, deadline=SystemClock.now() + 0.05), "timeout")
        assert await count(made) == 0
        await write(made, "INSERT INTO soakd_items VALUES (1, 'a')")
        assert await count(made) == 1

    checked(path, check)


def test_a_transaction_past_its_deadline_is_not_committed(path: Path) -> None:
    """A function that dawdles outside SQLite is found out before COMMIT."""

    async def dawdle(tx: Tx) -> None:
        await tx.execute("INSERT INTO soakd_items VALUES (1, 'a')")
        threading.Event().wait(0.05)

    async def check(made: SqliteBackend) -> None:
        work = Transaction(dawdle, read_only=False)
        await fails(made.transact(work, deadline=SystemClock.now() + 0.02), "timeout")
        assert await count(made) == 0

    checked(path, check)


# Other processes


def test_a_lock_of_another_process_is_busy_after_the_busy_timeout(path: Path) -> None:
    """Rows and transactions fail as busy, are not written, and work once the lock is gone."""

    async def check(made: SqliteBackend) -> None:
        with held(path, "BEGIN EXCLUSIVE"):
            began = SystemClock.now()
            await fails(made.write_rows(ITEMS, [(1, "a")], again=False), "busy")
            assert SystemClock.now() - began >= 0.15
            await fails(write(made, "INSERT INTO soakd_items VALUES (2, 'b')"), "busy")
            assert await count(made) == 0
        assert (await made.write_rows(ITEMS, [(1, "a")], again=False)).result == 1

    checked(path, check)


def test_waiting_for_a_lock_ends_at_the_deadline(path: Path) -> None:
    """A deadline sooner than the busy timeout counts, and only for the operation that has it."""

    async def check(made: SqliteBackend) -> None:
        with held(path, "BEGIN IMMEDIATE"):
            began = SystemClock.now()
            insert = "INSERT INTO soakd_items VALUES (2, 'b')"
            await fails(write(made, insert, deadline=began + 0.05), "timeout")
            assert SystemClock.now() - began < 5
            patient = asyncio.ensure_future(write(made, insert))
            await asyncio.wait({patient}, timeout=0.2)
            assert not patient.done()
        await patient

    checked(path, check, busy_timeout=30.0)


# The end


def test_a_clean_close_leaves_one_file(path: Path) -> None:
    """The WAL is moved into the file and removed."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 2)

    checked(path, check)
    assert [entry.name for entry in path.parent.iterdir()] == ["load.db"]
    assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"


# A full disk


def test_a_full_disk_is_a_passing_error_that_loses_nothing(path: Path) -> None:
    """Rows that do not fit are refused as a whole; with room again they are written."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 2)
        limit = "PRAGMA max_page_count = {}"
        ((pages,),) = (await write(made, "PRAGMA page_count")).result
        await write(made, limit.format(pages + 3))
        rows = [(n, "x" * 3000) for n in range(900, 950)]
        error = await fails(made.write_rows(ITEMS, rows, again=False), "disk_full")
        assert error.transient
        assert await count(made) == 200
        await write(made, limit.format(1_000_000))
        await made.write_rows(ITEMS, rows, again=False)
        assert await count(made) == 250

    checked(path, check)


# What cannot be opened


def refused(path: Path, match: str, **changes: Any) -> None:
    """Check that opening fails with one line, and leaves the folder as it was."""
    folder = path.parent
    before = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} if folder.is_dir() else {}
    with pytest.raises(TargetError, match=match) as caught:
        asyncio.run(backend(path, **changes).open())
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    if folder.is_dir():
        assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == before


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """The message names a file that would do."""
    refused(tmp_path, rf"is a folder; name a file in it: {tmp_path}/soakd\.db")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """It is not made: it may be a spelling mistake."""
    refused(tmp_path / "missing" / "load.db", "there is no folder .*missing; create it")
    assert not list(tmp_path.iterdir())


def test_a_device_is_refused(tmp_path: Path) -> None:
    """Only regular files can be databases."""
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is not a regular file")


@pytest.mark.parametrize("content", [b"hello", b"not a database " * 1000, bytes(range(256)) * 64])
def test_a_file_that_is_not_sqlite_is_refused(path: Path, content: bytes) -> None:
    """Text, garbage and encrypted files are left as they are."""
    path.write_bytes(content)
    refused(path, "is damaged, encrypted or no SQLite database")


def test_a_damaged_file_is_refused(path: Path) -> None:
    """A header alone does not make a database."""
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8176)
    refused(path, "is damaged, encrypted or no SQLite database|cannot be used")


def test_a_file_that_another_process_locks_is_refused(path: Path) -> None:
    """Both a foreign journal mode with a lock and a held write lock are told as such."""
    apsw.Connection(str(path)).execute("CREATE TABLE a (b)")
    with held(path, "BEGIN EXCLUSIVE"):
        refused(path, "is locked by another process; end it")
    apsw.Connection(str(path)).execute("PRAGMA journal_mode = WAL")
    with held(path, "BEGIN IMMEDIATE"), pytest.raises(TargetError, match="is locked by another process"):
        asyncio.run(backend(path).open())


def test_a_place_where_wal_is_not_possible_is_refused(path: Path) -> None:
    """SQLite keeps the old journal mode without an error where memory cannot be shared."""
    usual = next(name for name in apsw.vfs_names() if name == "unix")
    apsw.set_default_vfs("unix-dotfile")
    try:
        refused(path, "WAL is not possible here")
    finally:
        apsw.set_default_vfs(usual)


def test_an_old_library_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that may damage a WAL is not used for load."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(TargetError, match=r"brings SQLite 3\.51\.2, .*3\.51\.3 or later"):
        asyncio.run(backend(path).open())


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Be somebody whom permissions bind: root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, 65534, 65534)
    for entry in folder.iterdir():
        os.chown(entry, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody can get to, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="soakd-test-") as name:
        yield Path(name)


def test_a_read_only_file_is_refused(public_folder: Path) -> None:
    """Nobody made it writable, so soakd does not either."""
    path = public_folder / "load.db"
    apsw.Connection(str(path)).execute("CREATE TABLE a (b)")
    path.chmod(0o444)
    with unprivileged(public_folder):
        refused(path, "cannot be written; give read and write permission")


def test_a_folder_that_cannot_be_looked_into_is_refused(public_folder: Path) -> None:
    """Permissions further up count too."""
    closed = public_folder / "closed"
    closed.mkdir(mode=0)
    with unprivileged(public_folder), pytest.raises(TargetError, match="permission") as caught:
        asyncio.run(backend(closed / "deep" / "load.db").open())
    assert str(closed) in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte"])
def test_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    """What the operating system cannot even look up is told like everything else."""
    refused(tmp_path / name, "check its name and the permissions")


def test_a_read_only_folder_is_refused(public_folder: Path) -> None:
    """The WAL would have to be made in it, whether the file is there or not."""
    path = public_folder / "load.db"
    apsw.Connection(str(path)).execute("CREATE TABLE a (b)")
    public_folder.chmod(0o555)
    with unprivileged(public_folder):
        refused(path, "folder .* cannot be written, and the WAL lies there")
        refused(public_folder / "new.db", "folder .* cannot be written, and the WAL lies there")
    public_folder.chmod(0o755)


def test_a_backend_can_be_opened_after_a_failure(path: Path) -> None:
    """What failed once works when its cause is gone, on the same object."""
    made = backend(path / "load.db")

    async def main() -> None:
        await made.open()
        await made.close()
        await made.close()

    with pytest.raises(TargetError):
        asyncio.run(main())
    path.mkdir()
    asyncio.run(main())


def test_operations_on_a_closed_backend_fail(path: Path) -> None:
    """They neither hang nor crash."""

    async def main() -> None:
        made = backend(path)
        for _ in range(2):
            with pytest.raises(OpError, match="not open"):
                await made.write_rows(ITEMS, [(1, "a")], again=False)
            await made.open()
            await made.close()

    asyncio.run(main())
