"""Samples of real PostgreSQL servers: every figure, and the faults that they are there to show."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from daemon import schema
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.recount import tables_of
from daemon.errors import TargetError
from daemon.observe.postgres import locks
from daemon.observe.postgres.collector import PostgresCollector
from daemon.observe.postgres.source import APPLICATION, Source
from daemon.observe.postgres.statements import StatementsCollector
from daemon.observe.sampler import Sampler
from daemon.record.catalog import METRICS
from daemon.record.catalog_samples import POSTGRES
from daemon.record.snapshot import Snapshot
from tests.e2e.process import eventually
from tests.faults import Proxy, proxy
from tests.servers import PASSWORD_ROLE, TEST_SETTINGS, LocalServer, Server, local_server, pgbouncer, standby

T = TypeVar("T")
Event = tuple[str, dict[str, Any]]
SECRET = "s3cret-0rchid"
STATEMENTS = {name for name in POSTGRES if name.startswith("soakd_pg_statement_")}
NEEDS_A_STANDBY = {"soakd_pg_replication_lag_bytes", "soakd_pg_replication_lag_seconds"}
SINCE_14 = {
    "soakd_pg_wal_records_total",
    "soakd_pg_wal_full_page_images_total",
    "soakd_pg_wal_buffers_full_total",
}


class Watch:
    """A collector of a database, with what it has said."""

    def __init__(self, url: str, **changes: Any) -> None:
        options = {
            "password": None,
            "connect_timeout": 5.0,
            "statement_timeout": 2.0,
            "lock_timeout": 0.1,
            "prepare": True,
        }
        self.events: list[Event] = []
        self.settings: Mapping[str, str] = {}
        self.time = time.monotonic  # what a test may bend
        self.source = Source(conninfo=url, **{**options, **changes})
        self.collector = PostgresCollector(self.source, clock=self, notify=self.note, see_settings=self.see)
        self.statements = StatementsCollector(self.source, clock=self, top=5)

    def now(self) -> float:
        return self.time()

    def wall(self) -> float:
        return time.time()

    def note(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    def see(self, settings: Mapping[str, str]) -> None:
        self.settings = settings


def watch(url: str, look: Callable[[Watch], Awaitable[T]], **changes: Any) -> T:
    """Run what looks at a database through a collector, and close it."""

    async def main() -> T:
        made = Watch(url, **changes)
        try:
            return await look(made)
        finally:
            await made.collector.close()

    return asyncio.run(main())


async def until(made: Watch, condition: Callable[[Snapshot], object], within: float = 20.0) -> Snapshot:
    """Take samples until one meets a condition: servers publish their counters with a delay of up to 1 s."""
    give_up = time.monotonic() + within
    while not condition(found := await made.collector.collect()):
        assert time.monotonic() < give_up, found
        await asyncio.sleep(0.02)
    return found


def sample(url: str, condition: Callable[[Snapshot], object] = bool, **changes: Any) -> Snapshot:
    """Return a sample of a database that meets a condition."""
    return watch(url, lambda made: until(made, condition), **changes)


def gauge(snapshot: Snapshot, name: str, *labels: str) -> float:
    return snapshot.gauges[f"soakd_pg_{name}", *labels]


def counter(snapshot: Snapshot, name: str, *labels: str) -> float:
    return snapshot.counters[f"soakd_pg_{name}_total", *labels]


def prepare(url: str) -> None:
    """Create soakd's tables, with some rows in one of them."""
    settings = Settings.model_validate({"target": url})

    async def go() -> None:
        backend = plan.make_backend(settings, SystemClock())
        await backend.open()
        try:
            await schema.prepare(
                backend, tables_of(settings, SystemClock()).schema(backend.dialect), clean=False
            )
        finally:
            await backend.close()

    asyncio.run(go())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE soakd.things (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO soakd.things SELECT n, n FROM generate_series(1, 1000) n")
        connection.execute("DELETE FROM soakd.things WHERE id > 900")
        connection.execute("SELECT n FROM soakd.things WHERE id = 7")
        session = connection.info.backend_pid
    gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
    with psycopg.connect(url, autocommit=True) as connection:
        # it counts with the other's figures, which are in when its session is gone
        eventually(lambda: connection.execute(gone, (session,)).fetchone(), 20, "the end of a session")
        connection.execute("VACUUM ANALYZE soakd.things")


@pytest.fixture
def prepared(database: str) -> str:
    """The URL of a database with soakd's tables."""
    prepare(database)
    return database


@contextlib.contextmanager
def session(url: str, name: str = "test") -> Iterator["psycopg.Connection[Any]"]:
    """Open a session of somebody else."""
    with psycopg.connect(url, application_name=name) as connection:
        yield connection


@contextlib.contextmanager
def waiting(url: str, sql: str, name: str = "waiter") -> Iterator[None]:
    """Have a session of its own wait for a lock, until the context ends."""
    connection = psycopg.connect(url, autocommit=True, application_name=name)

    def run() -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute(sql.encode())

    thread = threading.Thread(target=run)
    thread.start()
    with psycopg.connect(url, autocommit=True) as look:
        give_up = time.monotonic() + 20
        query = "SELECT FROM pg_locks WHERE NOT granted AND pid = %s"
        while not look.execute(query, (connection.info.backend_pid,)).fetchall():
            assert time.monotonic() < give_up
            time.sleep(0.01)
    try:
        yield
    finally:
        connection.cancel_safe()
        thread.join()
        connection.close()


def test_every_metric_has_a_value_on_every_version(any_postgres: LocalServer) -> None:
    """With the labels of the table; the numbers are those that the server itself gives."""
    with any_postgres.database() as url:
        name = urlsplit(url).path[1:]
        prepare(url)
        any_postgres.execute("CHECKPOINT")
        ratio = ("soakd_pg_cache_hit_ratio",)
        found = sample(
            url, lambda seen: ratio in seen.gauges and gauge(seen, "table_rows", "things", "live") == 900
        )
        for key in [*found.counters, *found.gauges]:
            assert len(key) == 1 + len(METRICS[key[0]].labels), key
        shown = {key[0] for key in found.counters}
        assert all(METRICS[one].kind == "counter" for one in shown)
        assert all(METRICS[key[0]].kind == "gauge" for key in found.gauges)
        shown |= {key[0] for key in found.gauges}
        version = int(any_postgres.execute("SHOW server_version_num")[0][0]) // 10_000
        missing = NEEDS_A_STANDBY | STATEMENTS | (SINCE_14 if version < 14 else set())
        assert shown == POSTGRES.keys() - missing
        assert min([*found.counters.values(), *found.gauges.values()]) >= 0
        ((info, one),) = [(key, n) for key, n in found.gauges.items() if key[0] == "soakd_pg_info"]
        assert (info[1].partition(".")[0], len(info[2]), one) == (str(version), 8, 1)
        assert gauge(found, "sessions_limit") == float(TEST_SETTINGS["max_connections"])
        assert (
            gauge(found, "table_rows", "things", "live"),
            gauge(found, "table_rows", "things", "dead"),
        ) == (
            900,
            0,
        )
        assert gauge(found, "table_last_vacuum_timestamp_seconds", "things") == pytest.approx(
            time.time(), abs=60
        )
        assert counter(found, "table_scans", "things", "index") >= 1
        assert counter(found, "wal_bytes") > 10_000
        assert counter(found, "rows", "inserted") >= 1000
        assert 0 < gauge(found, "cache_hit_ratio") <= 1
        for metric, sql in (
            ("table_bytes", "pg_table_size('soakd.things')"),
            ("index_bytes", "pg_relation_size('soakd.things_pkey')"),
        ):
            labels = ("things", "things_pkey") if metric == "index_bytes" else ("things",)
            assert gauge(found, metric, *labels) == any_postgres.execute(f"SELECT {sql}", database=name)[0][0]


def test_counters_are_the_servers_own_on_every_version(any_postgres: LocalServer) -> None:
    """Column by column; the server counts milliseconds."""
    with any_postgres.database() as url:
        name = urlsplit(url).path[1:]
        prepare(url)
        any_postgres.execute("CHECKPOINT")
        asked = {
            ("checkpoints", "requested"): "SELECT num_requested FROM pg_stat_checkpointer",
            ("checkpoint_blocks",): "SELECT buffers_written FROM pg_stat_checkpointer",
            ("checkpoint_seconds", "write"): "SELECT write_time / 1000 FROM pg_stat_checkpointer",
            (
                "table_scans",
                "things",
                "seq",
            ): "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'things'",
            (
                "table_scans",
                "things",
                "index",
            ): "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'things'",
            ("index_scans", "things", "things_pkey"): "SELECT idx_scan FROM pg_stat_user_indexes"
            " WHERE indexrelname = 'things_pkey'",
        }
        before_17 = {
            "num_requested": "checkpoints_req",
            "buffers_written": "buffers_checkpoint",
            "write_time": "checkpoint_write_time",
            "pg_stat_checkpointer": "pg_stat_bgwriter",
        }
        if int(any_postgres.execute("SHOW server_version_num")[0][0]) < 170_000:
            for new, old in before_17.items():
                asked = {key: sql.replace(new, old) for key, sql in asked.items()}

        def agrees(found: Snapshot) -> bool:
            """Whether nothing is still on its way."""
            return all(
                counter(found, *key) == any_postgres.execute(sql, database=name)[0][0]
                for key, sql in asked.items()
            )

        found = sample(url, lambda seen: counter(seen, "checkpoint_blocks") > 0 and agrees(seen))
        assert counter(found, "checkpoints", "requested") >= 1
        assert counter(found, "table_scans", "things", "seq") != counter(
            found, "table_scans", "things", "index"
        )


def test_statements_are_ranked_by_their_time_on_every_version(any_postgres: LocalServer) -> None:
    """Those that ran since the first look, named after what they do, with their texts for a report.

    Without the extension there is nothing, and no error.
    """

    async def look(made: Watch) -> tuple[Snapshot, Mapping[str, str]]:
        first = await made.statements.collect()
        assert first == Snapshot()
        await asyncio.to_thread(work, any_postgres, url)
        return await made.statements.collect(), made.statements.texts()

    with any_postgres.database() as url:
        name = urlsplit(url).path[1:]
        if not any_postgres.execute(
            "SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'", database=name
        ):
            assert watch(url, lambda made: made.statements.collect()) == Snapshot()
            return  # the wheel's 16 comes without it
        prepare(url)
        found, texts = watch(url, look)
    calls = {key[1]: n for key, n in found.counters.items() if key[0] == "soakd_pg_statement_calls_total"}
    assert not [label for label in calls if label.startswith("values")], "of another database"
    assert calls["insert soakd.things"] == 4  # 3, and 1 while it was prepared
    (slow,) = {key[1:] for key in found.counters if key[1].startswith("select #")}
    assert found.counters["soakd_pg_statement_seconds_total", *slow] >= 0.2
    assert found.counters["soakd_pg_statement_rows_total", *slow] == 1
    assert "pg_sleep" in texts[slow[1]]
    assert {key[2] for key in found.counters} == texts.keys()
    assert len(texts) <= 5


def work(server: Server, url: str) -> None:
    """Run a slow statement, and a fast one three times."""
    name = urlsplit(url).path[1:]
    server.execute("SELECT pg_sleep(0.2)", database=name)
    server.execute("VALUES (pg_sleep(0.3)::text)")  # elsewhere
    for key in (1001, 1002, 1003):
        server.execute(
            f"INSERT INTO soakd.things SELECT n, n FROM generate_series({key}, {key}) n", database=name
        )


def test_a_session_that_blocks_others_is_found_and_named_once_a_minute(
    prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head of the chain is who waits for nobody; nothing of its statement is told."""

    async def look(made: Watch) -> tuple[Snapshot, int]:
        monkeypatch.setattr(locks, "WORTH_SAYING", 3600.0)
        await made.collector.collect()
        assert made.events == []
        monkeypatch.setattr(locks, "WORTH_SAYING", 0.001)
        await made.collector.collect()
        found = await made.collector.collect()
        once = len(made.events)
        made.time = lambda: time.monotonic() + 61
        await made.collector.collect()
        assert [event for event, _ in made.events] == ["target.blocked"] * 2
        facts = made.events[0][1]
        assert 0 < facts.pop("waited_seconds") <= facts.pop("transaction_seconds")
        assert facts == {
            "pid": pid,
            "application_name": "culprit",
            "state": "idle in transaction",
            "blocked_sessions": 2,
        }
        return found, once

    update = "UPDATE soakd.things SET n = 0 WHERE id = 1"
    with contextlib.ExitStack() as stack:
        culprit = stack.enter_context(session(prepared, "culprit"))
        culprit.execute(update)
        pid = culprit.info.backend_pid
        stack.enter_context(waiting(prepared, update))
        stack.enter_context(waiting(prepared, update))
        found, said = watch(prepared, look)
        culprit.rollback()
    assert said == 1
    assert gauge(found, "blocked_sessions") == 2
    assert gauge(found, "blocking_heads", "idle in transaction") == 1
    assert gauge(found, "blocking_heads", "active") == 0
    assert 0 < gauge(found, "longest_block_seconds") < 60
    assert gauge(found, "locks", "ShareLock", "false") == 1
    assert gauge(found, "sessions", "idle in transaction") >= 1
    assert gauge(found, "waits", "Lock", "transactionid") == 1
    assert gauge(found, "oldest_transaction_seconds") > 0


def test_blocked_sessions_are_found_on_every_version(any_postgres: LocalServer) -> None:
    """The time of waiting comes from elsewhere before 14."""
    with any_postgres.database() as url:
        prepare(url)
        with session(url, "culprit") as culprit:
            culprit.execute("LOCK TABLE soakd.things")
            with waiting(url, "SELECT FROM soakd.things"):
                found = sample(url)
                assert (
                    gauge(found, "blocked_sessions"),
                    gauge(found, "blocking_heads", "idle in transaction"),
                ) == (
                    1,
                    1,
                )
                assert 0 < gauge(found, "longest_block_seconds") < 60
                culprit.rollback()
    assert ("soakd_pg_table_bytes", "things") not in found.gauges


def test_a_locked_table_does_not_hold_a_sample_up(prepared: str) -> None:
    """Only its size is not told: asking for it would wait for the lock."""
    with session(prepared) as holder:
        holder.execute("LOCK TABLE soakd.things IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        found = sample(prepared)
        assert time.monotonic() - began < 2
        assert ("soakd_pg_table_bytes", "things") not in found.gauges
        assert ("soakd_pg_index_bytes", "things", "things_pkey") not in found.gauges
        assert gauge(found, "table_bytes", "events") >= 0
        assert ("soakd_pg_table_rows", "things", "live") in found.gauges
        assert gauge(found, "locks", "AccessExclusiveLock", "true") >= 1
        holder.rollback()
    assert ("soakd_pg_table_bytes", "things") in sample(prepared).gauges


HIDDEN = {
    "archive_command": f"true {SECRET}",
    "primary_conninfo": f"host=x password={SECRET}",
    "external_pid_file": "external.pid",
}


@pytest.fixture(scope="module")
def special(postgres_binaries: Path) -> Iterator[LocalServer]:
    """A server with settings that the tests' own does not have."""
    settings = {**TEST_SETTINGS, "max_prepared_transactions": "2", **HIDDEN}
    with local_server(postgres_binaries, settings) as server:
        yield server


def test_a_prepared_transaction_can_be_the_head(special: LocalServer) -> None:
    """It has no session, and stays when everybody has gone."""
    with special.database() as url:
        prepare(url)
        update = "UPDATE soakd.things SET n = 0 WHERE id = 1"
        with session(url) as forgetful:
            forgetful.execute(update)
            forgetful.execute("PREPARE TRANSACTION 'forgotten'")
        with waiting(url, update):
            found = sample(url)
            special.execute("ROLLBACK PREPARED 'forgotten'", database=urlsplit(url).path[1:])
    assert gauge(found, "blocking_heads", "prepared") == 1
    assert gauge(found, "oldest_transaction_seconds") > 0
    assert gauge(found, "oldest_xmin_transactions") >= 1


def test_a_deadlock_is_counted(prepared: str) -> None:
    """Two sessions, each with the row that the other one wants."""

    def update(key: int) -> bytes:
        return f"UPDATE soakd.things SET n = 0 WHERE id = {key}".encode()

    before = counter(sample(prepared), "deadlocks")
    with session(prepared) as one, session(prepared) as two:
        one.execute(update(1))
        two.execute(update(2))
        failures: list[psycopg.Error] = []

        def cross() -> None:
            try:
                one.execute(update(2))
            except psycopg.Error as error:
                failures.append(error)

        thread = threading.Thread(target=cross)
        thread.start()
        try:
            two.execute(update(1))
        except psycopg.Error as error:
            failures.append(error)
        two.rollback()
        thread.join()
        one.rollback()
    assert [error.sqlstate for error in failures] == ["40P01"]
    found = sample(prepared, lambda seen: counter(seen, "deadlocks") > before)
    assert counter(found, "deadlocks") == before + 1


def test_temporary_files_are_counted(prepared: str) -> None:
    """A sort that does not fit into the memory it is given."""
    before = sample(prepared)
    with session(prepared) as sorter:
        sorter.execute("SET work_mem = '64kB'")
        sorter.execute("SELECT n FROM generate_series(1, 100000) n ORDER BY -n OFFSET 99999")
    found = sample(prepared, lambda seen: counter(seen, "temp_files") > counter(before, "temp_files"))
    assert counter(found, "temp_bytes") > 500_000


def test_a_reset_of_the_servers_counters_is_followed(prepared: str) -> None:
    """The counters go back, which Prometheus takes for a reset; there is no share of a negative number."""

    async def look(made: Watch) -> list[Snapshot]:
        first = await until(made, lambda seen: counter(seen, "rows", "inserted") >= 1000)
        with psycopg.connect(prepared, autocommit=True) as connection:
            connection.execute("SELECT pg_stat_reset()")
        samples = [first]
        while counter(samples[-1], "rows", "inserted") >= 1000:
            samples.append(await made.collector.collect())
        return samples

    samples = watch(prepared, look)
    assert counter(samples[-1], "rows", "inserted") < 1000
    ratios = [found.gauges.get(("soakd_pg_cache_hit_ratio",)) for found in samples]
    assert all(ratio is None or 0 <= ratio <= 1 for ratio in ratios)


def test_the_fingerprint_changes_with_the_settings_and_with_nothing_else(prepared: str) -> None:
    """Sessions and their own settings do not matter; what an administrator changes does."""

    def fingerprint(url: str = prepared) -> str:
        return next(key[2] for key in sample(url).gauges if key[0] == "soakd_pg_info")

    def settings() -> Mapping[str, str]:
        async def look(made: Watch) -> Mapping[str, str]:
            await made.collector.collect()
            return made.settings

        return watch(prepared, look)

    before = fingerprint()
    assert before == fingerprint()
    assert before == fingerprint(f"{prepared}?options=-c%20work_mem%3D8MB")
    with psycopg.connect(prepared, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE \"{urlsplit(prepared).path[1:]}\" SET work_mem = '9MB'")
    assert fingerprint() != before
    given = settings()
    assert given["work_mem"] == "9216"
    assert not {"port", "data_directory", "application_name", "statement_timeout"} & given.keys()


def test_settings_that_may_hold_secrets_or_name_places_are_not_among_those_given(
    special: LocalServer,
) -> None:
    """They go into the summary."""

    async def look(made: Watch) -> Mapping[str, str]:
        await made.collector.collect()
        return made.settings

    given = watch(special.url, look)
    assert given["shared_buffers"] == "4096"
    assert not HIDDEN.keys() & given.keys()
    assert SECRET not in str(given)


def test_who_may_not_see_others_still_samples_what_is_visible(prepared: str, postgres: Server) -> None:
    """What is hidden is left out, or counted as `other`: never shown as 0."""
    user, name = f"user_{uuid4().hex[:8]}", urlsplit(prepared).path[1:]
    postgres.execute(f"CREATE ROLE {user} LOGIN")
    try:
        with session(prepared):
            found = sample(
                postgres.database_url(name, user=user),
                lambda seen: ("soakd_pg_cache_hit_ratio",) in seen.gauges,
            )
    finally:
        postgres.execute(f"DROP ROLE {user}")
    assert gauge(found, "sessions", "other") >= 1
    shown = {key[0] for key in [*found.gauges, *found.counters]}
    hidden = POSTGRES.keys() - shown - NEEDS_A_STANDBY - STATEMENTS
    assert hidden == {"soakd_pg_autovacuum_workers"}
    assert ("soakd_pg_table_bytes", "things") in found.gauges


def test_a_view_that_is_refused_costs_its_figures_only_and_is_named_once(
    prepared: str, postgres: Server
) -> None:
    """And it is asked for again after ten minutes."""
    user, name = f"user_{uuid4().hex[:8]}", urlsplit(prepared).path[1:]
    postgres.execute(f"CREATE ROLE {user} LOGIN")
    postgres.execute("REVOKE SELECT ON pg_stat_replication FROM PUBLIC", database=name)

    async def look(made: Watch) -> None:
        await made.collector.collect()
        await made.collector.collect()
        found = await made.collector.collect()
        assert ("soakd_pg_replicas",) not in found.gauges
        assert gauge(found, "sessions_limit") > 0
        ((event, facts),) = made.events
        assert (event, facts["collector"], facts["without"]) == ("sampler.partial", "postgres", "replicas")
        assert "permission denied" in facts["reason"]
        postgres.execute("GRANT SELECT ON pg_stat_replication TO PUBLIC", database=name)
        assert ("soakd_pg_replicas",) not in (await made.collector.collect()).gauges
        made.time = lambda: time.monotonic() + 601
        assert ("soakd_pg_replicas",) in (await made.collector.collect()).gauges
        postgres.execute("REVOKE SELECT ON pg_stat_replication FROM PUBLIC", database=name)
        assert ("soakd_pg_replicas",) not in (await made.collector.collect()).gauges
        assert [event for event, _ in made.events] == ["sampler.partial"] * 2

    try:
        watch(postgres.database_url(name, user=user), look)
    finally:
        postgres.execute(f"DROP ROLE {user}")


def test_a_statement_that_takes_too_long_is_cut_by_the_server_and_counted(database: str) -> None:
    """So is a wait for a lock."""

    class Slow:
        name = "slow"

        def __init__(self, source: Source, sql: str) -> None:
            self.source, self.sql = source, sql

        async def collect(self) -> Snapshot:
            async with self.source.session() as asked:
                await asked.ask(self.sql)
            return Snapshot()

        async def close(self) -> None:
            await self.source.close()

    async def look(made: Watch) -> None:
        for sql, says in (("SELECT pg_sleep(60)", "statement timeout"), ("TABLE t", "lock timeout")):
            slow = Slow(made.source, sql)
            sampler = Sampler(
                slow, interval=1, limit=20, clock=made, notify=made.note, target_up=lambda: True
            )
            began = time.monotonic()
            for _ in range(3):
                await sampler.sample()
            assert time.monotonic() - began < 10
            assert sampler.snapshot().counters["soakd_sampler_runs_total", "slow", "error"] == 3
            assert says in made.events[-1][1]["reason"]

    with psycopg.connect(database) as holder:
        holder.execute("CREATE TABLE t ()")
        holder.commit()
        holder.execute("LOCK TABLE t")
        watch(database, look, statement_timeout=0.3, lock_timeout=0.1)


def test_a_sample_that_is_cut_off_drops_its_connection_without_a_word(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """To cancel it, or to roll it back, would be to wait for the same server; the next one connects anew."""

    async def look(made: Watch) -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), made.source.session() as asked:
                await asked.ask("SELECT pg_sleep(60)")
        assert time.monotonic() - began < 5
        async with made.source.session() as asked:
            assert await asked.ask("SELECT 1") == [(1,)]

    watch(database, look)
    assert not [record.message for record in caplog.records if record.name == "psycopg"]


def sampler_sessions(server: Server) -> int:
    """Return how many sessions the samplers have."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    found: int = server.execute(sql, (APPLICATION,))[0][0]
    return found


def test_a_restart_of_the_server_is_survived(private_postgres: LocalServer) -> None:
    """While it is down samples fail with the reason; afterwards they go on over one connection."""

    async def look(made: Watch) -> None:
        await made.collector.collect()
        await asyncio.to_thread(private_postgres.restart)
        await made.collector.collect()
        await asyncio.to_thread(private_postgres.stop)
        for _ in range(2):
            with pytest.raises(TargetError, match="connection refused"):
                await made.collector.collect()
        await asyncio.to_thread(private_postgres.start)
        give_up = time.monotonic() + 20
        while True:
            try:
                await made.collector.collect()
                break
            except TargetError:
                assert time.monotonic() < give_up
        assert await asyncio.to_thread(sampler_sessions, private_postgres) == 1

    watch(private_postgres.url, look, statement_timeout=0.5)


@pytest.fixture
def faulty(postgres: Server) -> Iterator[Proxy]:
    """A proxy before the server of the tests."""
    parts = urlsplit(postgres.url)
    with proxy(parts.port or 5432, parts.hostname or "127.0.0.1") as made:
        yield made


def test_a_server_that_does_not_answer_holds_nobody_up_and_piles_up_no_connections(
    prepared: str, postgres: Server, faulty: Proxy
) -> None:
    """A sample is given up at its limit, and its connection is dropped."""
    parts = urlsplit(prepared)
    url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{faulty.port}").geturl()

    async def look(made: Watch) -> None:
        sampler = Sampler(
            made.collector, interval=0.1, limit=0.5, clock=made, notify=made.note, target_up=lambda: False
        )
        await sampler.sample()
        runs = sampler.snapshot().counters
        assert runs["soakd_sampler_runs_total", "postgres", "ok"] == 1
        faulty.silent = True
        for _ in range(4):
            began = time.monotonic()
            await sampler.sample()
            assert time.monotonic() - began < 1.5
            assert await asyncio.to_thread(sampler_sessions, postgres) <= 1
        assert sampler.snapshot().counters["soakd_sampler_runs_total", "postgres", "error"] == 4
        faulty.silent = False
        give_up = time.monotonic() + 30
        while sampler.snapshot().counters["soakd_sampler_runs_total", "postgres", "ok"] < 2:
            assert time.monotonic() < give_up
            await sampler.sample()

    watch(url, look, statement_timeout=0.3, connect_timeout=2.0)


def test_no_password_is_in_what_is_said_about_a_failure(database: str, postgres: Server) -> None:
    """Neither from the address nor from the settings."""
    name = urlsplit(database).path[1:]
    postgres.execute(
        f"DO $$ BEGIN CREATE ROLE {PASSWORD_ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    as_role = postgres.database_url(name, user=PASSWORD_ROLE)
    with_password = postgres.database_url(name, user=PASSWORD_ROLE, password=SECRET)
    for url, password in ((as_role, SECRET), (with_password, None)):
        with pytest.raises(TargetError, match="password") as caught:
            sample(url, password=password, statement_timeout=0.5)
        assert SECRET not in repr(caught.getrepr(chain=True))


def test_samples_come_through_pgbouncer(prepared: str, pgbouncer_program: str) -> None:
    """In transaction mode, where a session's settings do not last: limits and read-only begin each one."""

    async def look(made: Watch) -> Snapshot:
        async with made.source.session() as asked:
            assert await asked.ask(
                "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
            ) == [("2s", "100ms")]
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await asked.ask("CREATE TABLE soakd.x ()")
            assert await asked.ask("SELECT 1") == [(1,)]
        return await until(made, lambda seen: ("soakd_pg_cache_hit_ratio",) in seen.gauges)

    with pgbouncer(pgbouncer_program, prepared) as url:
        found = watch(url, look, prepare=False)
    shown = {key[0] for key in [*found.gauges, *found.counters]}
    assert POSTGRES.keys() - shown == NEEDS_A_STANDBY | STATEMENTS
    with session(prepared) as look_back:
        rows = look_back.execute("SHOW statement_timeout").fetchall()
    assert rows == [("0",)]


def test_samples_change_nothing(prepared: str) -> None:
    """The connection is read-only, and says what it is."""

    async def look(made: Watch) -> None:
        async with made.source.session() as asked:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await asked.ask("CREATE TABLE soakd.x ()")
            names = await asked.ask("SELECT current_setting('application_name')")
            assert names == [(APPLICATION,)]

    watch(prepared, look)


def test_the_lag_of_a_standby_is_shown(special: LocalServer) -> None:
    """It is behind while it may not replay, and catches up; it can be sampled itself."""
    lag = ("soakd_pg_replication_lag_bytes",)
    with standby(special) as replica:
        assert gauge(sample(special.url, lambda seen: lag in seen.gauges), "replicas") == 1
        replica.execute("SELECT pg_wal_replay_pause()")
        special.execute("CREATE TABLE lag AS SELECT n FROM generate_series(1, 10000) n")
        found = sample(special.url, lambda seen: gauge(seen, "replication_lag_bytes") > 100_000)
        assert gauge(found, "replication_lag_seconds") >= 0
        on_standby = sample(replica.url)
        assert counter(on_standby, "wal_bytes") >= 0
        assert gauge(on_standby, "replicas") == 0
        replica.execute("SELECT pg_wal_replay_resume()")
        sample(special.url, lambda seen: gauge(seen, "replication_lag_bytes") == 0)
    special.execute("DROP TABLE lag")
