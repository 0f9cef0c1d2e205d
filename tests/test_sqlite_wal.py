"""SQLite's WAL under load: checkpoints, readers that are in their way, and what is told about it."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from daemon.backends import sqlite as sqlite_module
from daemon.backends.sqlite import SqliteBackend
from daemon.clock import SystemClock
from daemon.ops import POOLS, Timed, Transaction, Tx
from daemon.record.catalog import CACHE_EVENTS
from daemon.record.snapshot import Key, Snapshot
from tests.lite import ITEMS, call, checked, count, fails, fill, held, read, settled, write

WITHIN = 10.0  # s until a test that waits fails
LIMIT = 400_000  # bytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "load.db"


def wal_size(path: Path) -> int:
    """Return the bytes of the WAL."""
    return size(path.with_name(f"{path.name}-wal"))


def size(path: Path) -> int:
    """Return the bytes of a file."""
    return path.stat().st_size


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    give_up = SystemClock.now() + WITHIN
    while not condition():
        assert SystemClock.now() < give_up
        await asyncio.sleep(0.001)


async def rested(made: SqliteBackend) -> None:
    """Wait until readers may be held back again."""
    await until(lambda: SystemClock.now() >= made.wal._rest_until)


class SlowRead:
    """A read that has its snapshot and keeps it until it is let go."""

    def __init__(self, made: SqliteBackend) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()
        self.answer = asyncio.ensure_future(made.transact(Transaction(self._read)))

    async def _read(self, tx: Tx) -> None:
        await tx.execute("SELECT count(*) FROM soakd_items")
        self.begun.set()
        assert self.end.wait(WITHIN)

    async def finish(self) -> None:
        """Let it go and have its answer."""
        self.end.set()
        await self.answer


async def begun(made: SqliteBackend) -> SlowRead:
    """Return a slow read that has its snapshot."""
    slow = SlowRead(made)
    await until(slow.begun.is_set)
    return slow


async def quick_read(made: SqliteBackend) -> Timed:
    """Read one row, at no cost to speak of."""
    return await made.transact(Transaction(call, ("SELECT 1",), single=True))


async def outgrow(made: SqliteBackend, path: Path) -> None:
    """Write until the WAL is longer than allowed and the readers have been called in."""
    batches = itertools.count(1)
    async with asyncio.timeout(WITHIN):
        while wal_size(path) <= LIMIT:
            await fill(made, 1, first=next(batches))
    await fill(made, 3, first=next(batches))
    await settled(made)


def test_the_wal_is_checkpointed_again_and_again(path: Path) -> None:
    """Without readers each checkpoint is complete, and the WAL does not outgrow the setting by much."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 40)
        await settled(made)
        assert made.wal.counts["passive", "complete"] >= 5
        assert set(made.wal.counts) == {("passive", "complete")}
        last = made.wal.last
        assert last is not None
        assert last.result == "complete"
        assert last.seconds > 0
        assert wal_size(path) < 150 * 4120

    checked(path, check, checkpoint_pages=100)


def test_a_pinned_reader_lets_the_wal_grow_until_it_goes(path: Path) -> None:
    """Checkpoints stay incomplete, also the one that waits; writes go on; then the WAL begins anew."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 1)
        with held(path, "BEGIN; SELECT count(*) FROM soakd_items"):
            await fill(made, 30, first=1)
            await until(lambda: made.wal.counts["restart", "partial"])
            assert wal_size(path) > LIMIT
            assert made.wal.pages > LIMIT // 4120
            assert made.wal.counts["passive", "partial"] >= 1
            assert made.wal.counts["restart", "complete"] == 0
        await fill(made, 3, first=31)  # one to make a checkpoint due, one that begins anew
        await settled(made)
        assert wal_size(path) <= LIMIT
        assert made.wal.pages < LIMIT // 4120
        assert await count(made) == 34 * 100

    checked(path, check, checkpoint_pages=20, wal_limit=LIMIT, busy_timeout=0.05)


def test_reads_that_always_overlap_do_not_let_the_wal_grow(path: Path) -> None:
    """Each takes longer than the checkpoint has patience, and there is no moment without one."""
    seconds, paces = 0.25, 60
    largest = 0

    async def dawdle(tx: Tx) -> None:
        await tx.execute("SELECT count(*) FROM soakd_items")
        threading.Event().wait(seconds)

    async def check(made: SqliteBackend) -> None:
        nonlocal largest
        ended = False

        async def reader(delay: float) -> int:
            reads = 0
            await asyncio.sleep(delay)
            while not ended:
                await made.transact(Transaction(dawdle))
                reads += 1
            return reads

        readers = [asyncio.ensure_future(reader(n * seconds / 3)) for n in range(3)]
        for batch in range(paces):
            await fill(made, 1, first=batch)
            largest = max(largest, wal_size(path))
            await asyncio.sleep(0.05)
        ended = True
        reads = sum(await asyncio.gather(*readers))
        assert made.wal.counts["restart", "complete"] >= 1
        # Held back for half of the time at most.
        assert reads >= 0.4 * 2 * paces * 0.05 / seconds

    checked(path, check, checkpoint_pages=20, wal_limit=LIMIT)
    assert LIMIT < largest < 4 * LIMIT < paces * 25 * 4120


def test_reads_that_are_held_back_wait_in_the_queue(path: Path) -> None:
    """The wait is not in their service time; the write that needs no reader goes on meanwhile."""

    async def check(made: SqliteBackend) -> None:
        slow = await begun(made)
        await outgrow(made, path)
        asked = SystemClock.now()
        waiting = [asyncio.ensure_future(quick_read(made)) for _ in range(3)]
        done, _ = await asyncio.wait(waiting, timeout=0.2)
        assert not done
        await made.write_rows(ITEMS, [(10**9, "x")], again=False)
        assert made.wal.counts["restart", "complete"] == 0
        await slow.finish()
        for timed in await asyncio.gather(*waiting):
            assert timed.served - asked >= 0.2
            assert timed.done - timed.served < 0.1
        assert made.wal.counts["restart", "complete"] == 1
        assert made.wal.held >= 0.2
        await made.write_rows(ITEMS, [(10**9 + 1, "x")], again=False)
        assert wal_size(path) <= LIMIT

    checked(path, check, checkpoint_pages=20, wal_limit=LIMIT)


def test_a_read_that_does_not_end_holds_the_others_back_for_a_bounded_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then they go on beside it, the vain attempt is counted, and there is no other while it lasts."""
    monkeypatch.setattr(sqlite_module, "LONGEST_HOLD", 0.1)

    async def check(made: SqliteBackend) -> None:
        slow = await begun(made)
        await outgrow(made, path)
        await quick_read(made)
        await until(lambda: made.wal.counts["restart", "partial"] == 1)
        held_once = made.wal.held
        assert held_once >= 0.1
        await rested(made)
        await fill(made, 5, first=1000)
        await asyncio.gather(*(quick_read(made) for _ in range(20)))
        await settled(made)
        assert made.wal.held == held_once
        await slow.finish()
        await fill(made, 2, first=2000)
        await until(lambda: made.wal.counts["restart", "complete"])

    checked(path, check, checkpoint_pages=20, wal_limit=LIMIT, busy_timeout=0.05)


def test_a_reader_of_another_process_does_not_hold_ours_back_for_long(path: Path) -> None:
    """One attempt of bounded length, then reads go on as if nothing were."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 1, first=10_000)
        with held(path, "BEGIN; SELECT count(*) FROM soakd_items"):
            await outgrow(made, path)
            await until(lambda: made.wal.counts["restart", "partial"])
            held_once = made.wal.held
            assert held_once < 1
            await rested(made)
            await fill(made, 5, first=1000)
            for _ in range(20):
                await quick_read(made)
            await settled(made)
            assert made.wal.held == held_once
            assert made.wal.counts["restart", "partial"] == 1

    checked(path, check, checkpoint_pages=20, wal_limit=LIMIT, busy_timeout=0.05)


def test_closing_does_not_wait_for_readers_that_are_held_back(path: Path) -> None:
    """They go on at once, and what waits behind them is told that it never ran."""

    async def check(made: SqliteBackend) -> None:
        slow = await begun(made)
        await outgrow(made, path)
        waiting = asyncio.ensure_future(quick_read(made))
        await asyncio.wait({waiting}, timeout=0.05)
        began = SystemClock.now()
        closing = asyncio.ensure_future(made.close())
        await asyncio.sleep(0)
        slow.end.set()
        await closing
        assert SystemClock.now() - began < sqlite_module.LONGEST_HOLD / 2
        await slow.answer
        with pytest.raises(Exception, match="was closed"):
            await waiting

    checked(path, check, checkpoint_pages=20, wal_limit=LIMIT)


# What is told


async def told(made: SqliteBackend, key: Key, at_least: float = 0.0) -> Snapshot:
    """Ask for figures, as an engine does now and then, until one is known and large enough."""
    found = Snapshot()

    def known() -> bool:
        nonlocal found
        found = made.figures()
        values = found.counters | found.gauges | found.shared
        return key in values and values[key] >= at_least

    await until(known)
    return found


def test_the_figures_of_the_file_and_its_wal_are_told(path: Path) -> None:
    """Sizes, pages and frames are those that the file has, whoever asks."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 3)
        await write(made, "DELETE FROM soakd_items WHERE id > 50")
        frames = made.wal.pages
        found = (await told(made, ("soakd_sqlite_wal_frames",), frames)).shared
        found = {key: value for key, value in found.items() if key[0] != "soakd_sqlite_oldest_reader_seconds"}
        ((pages,),) = await read(made, "PRAGMA page_count")
        ((free,),) = await read(made, "PRAGMA freelist_count")
        assert free > 0
        assert found == {
            ("soakd_sqlite_wal_bytes",): wal_size(path),
            ("soakd_sqlite_wal_limit_bytes",): 1 << 26,
            ("soakd_sqlite_wal_frames",): frames,
            ("soakd_sqlite_wal_checkpointed_frames",): 0,
            ("soakd_sqlite_database_bytes",): size(path),
            ("soakd_sqlite_page_size_bytes",): 4096,
            ("soakd_sqlite_pages", "used"): pages - free,
            ("soakd_sqlite_pages", "free"): free,
            ("soakd_sqlite_pinned_reader",): 0,
        }

    checked(path, check)


def test_the_wal_of_a_file_behind_a_link_is_found(path: Path) -> None:
    """SQLite puts it beside the file, not beside the link."""
    link = path.with_name("link.db")
    link.symlink_to(path)

    async def check(made: SqliteBackend) -> None:
        await fill(made, 3)
        assert made.figures().shared["soakd_sqlite_wal_bytes",] == wal_size(path) > 0

    checked(link, check)


def test_checkpoints_are_told_by_mode_and_result(path: Path) -> None:
    """With their durations, and with what they have moved."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 40)
        await settled(made)
        key = ("soakd_sqlite_checkpoints_total", "passive", "complete")
        number = made.wal.counts["passive", "complete"]
        found = await told(made, key, number)
        assert number >= 5
        assert found.counters[key] == number
        seconds = found.histograms["soakd_sqlite_checkpoint_seconds", "passive"]
        assert (seconds.count, seconds.sum > 0) == (number, True)
        assert found.histograms["soakd_sqlite_checkpoint_seconds", "restart"].count == 0
        assert found.counters["soakd_sqlite_reads_held_seconds_total",] == 0
        last = made.wal.last
        assert last is not None
        assert found.shared["soakd_sqlite_wal_checkpointed_frames",] <= last.log

    checked(path, check, checkpoint_pages=100)


def test_the_page_caches_are_told_by_pool(path: Path) -> None:
    """Pages found and not found, written, and written before their time because the cache was full."""

    async def check(made: SqliteBackend) -> None:
        await fill(made, 40)  # about 4 MB, which a cache of 64 KiB cannot hold
        await made.write_rows(ITEMS, [(10**6 + n, "x" * 900) for n in range(2000)], again=False)
        for _ in range(3):
            await count(made)
        name = "soakd_sqlite_cache_total"
        await told(made, (name, "reader", "miss"), 1)
        found = await told(made, (name, "writer", "spill"), 1)
        counts = {key[1:]: value for key, value in found.counters.items() if key[0] == name}
        assert counts.keys() == {(pool, event) for pool in POOLS for event in CACHE_EVENTS}
        assert counts["writer", "write"] >= 1000
        assert counts["reader", "miss"] >= 1000
        assert counts["reader", "hit"] > 0
        assert counts["reader", "write"] == counts["reader", "spill"] == 0
        for pool in POOLS:
            assert 0 < found.gauges["soakd_sqlite_cache_bytes", pool] < 10 * 65536
        again = (await told(made, (name, "writer", "write"), counts["writer", "write"])).counters
        assert again[name, "writer", "write"] == counts["writer", "write"]  # it is never counted twice

    checked(path, check, cache_size=65536)


def test_waits_for_a_lock_are_told(path: Path) -> None:
    """Those that ended well and those in vain, each once, with their length."""

    async def check(made: SqliteBackend) -> None:
        with held(path, "BEGIN IMMEDIATE"):
            await fails(made.write_rows(ITEMS, [(1, "a")], again=False), "busy")
            patient = asyncio.ensure_future(made.write_rows(ITEMS, [(1, "a")], again=False))
            await asyncio.wait({patient}, timeout=0.05)
        await patient
        key = ("soakd_sqlite_busy_wait_seconds",)
        await until(lambda: (waits := made.figures().histograms.get(key)) and waits.count == 2)
        waits = made.figures().histograms[key]
        assert 0.19 <= waits.max < 1
        assert 0.03 <= waits.min < 0.2

    checked(path, check, busy_timeout=0.2)


def test_the_oldest_read_is_told(path: Path) -> None:
    """Its age is known while it lasts, and it is of no age when there is none."""

    async def check(made: SqliteBackend) -> None:
        key = ("soakd_sqlite_oldest_reader_seconds",)
        slow = await begun(made)
        began = SystemClock.now()
        await asyncio.gather(*(quick_read(made) for _ in range(10)))
        found = await told(made, key, 0.05)
        assert found.shared[key] >= 0.05
        assert found.shared[key] >= SystemClock.now() - began - 0.05
        await slow.finish()
        await until(lambda: made.figures().shared[key] == 0)

    checked(path, check)


# A reader that is pinned on purpose


def test_a_pinned_reader_starves_the_checkpoints_and_lets_them_go(path: Path) -> None:
    """While it holds its snapshot the WAL outgrows its limit; when it has let it go, it begins anew."""
    events: list[tuple[str, Mapping[str, object]]] = []

    async def check(made: SqliteBackend) -> None:
        key = ("soakd_sqlite_pinned_reader",)
        await until(lambda: made.figures().shared[key] == 1)
        batches = itertools.count()
        while not events[1:]:
            await fill(made, 1, first=next(batches))
            if wal_size(path) > 3 * LIMIT:
                assert made.figures().shared["soakd_sqlite_oldest_reader_seconds",] > 0
                assert made.wal.counts["passive", "partial"] >= 1
                assert made.wal.counts["restart", "complete"] == 0
                await until(lambda: events[1:])
        assert wal_size(path) > 3 * LIMIT
        assert made.wal.counts["restart", "partial"] == 1
        assert made.figures().shared[key] == 0
        async with asyncio.timeout(WITHIN):
            while wal_size(path) > LIMIT:
                assert not events[2:], "it was let go for long enough"
                await fill(made, 1, first=next(batches))
        await until(lambda: events[2:])
        assert made.figures().shared[key] == 1

    checked(
        path,
        check,
        checkpoint_pages=20,
        wal_limit=LIMIT,
        busy_timeout=0.05,
        pinned_reader=1.0,
        notify=lambda event, facts: events.append((event, facts)),
    )
    assert [event for event, _ in events] == ["reader.pinned", "reader.released"] * 2
    first, released = (facts for _, facts in events[:2])
    assert first["seconds"] == 1.0
    assert isinstance(released["wal_bytes"], int)
    assert released["wal_bytes"] > 3 * LIMIT
    assert released["seconds"] == pytest.approx(1.0, abs=0.5)


def test_a_pinned_reader_that_cannot_begin_says_so_and_tries_again(path: Path) -> None:
    """Another process has the file to itself for a while."""
    events: list[str] = []

    async def check(made: SqliteBackend) -> None:
        await until(lambda: "reader.released" in events)
        assert made._pinned is not None
        made._pinned._connection.set_exec_trace(lambda *_: False)
        await until(lambda: "reader.not_pinned" in events)
        made._pinned._connection.set_exec_trace(None)
        pinned = events.count("reader.pinned")
        await until(lambda: events.count("reader.pinned") > pinned)

    checked(path, check, pinned_reader=0.05, notify=lambda event, facts: events.append(event))
