"""`soakd check`: what it finds out about targets, and that it leaves no trace in them."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import apsw
import pytest

from daemon import schema
from daemon.__main__ import main
from daemon.check.finding import Finding, bytes_free
from daemon.check.postgres import Server as About
from daemon.check.postgres import judge_server
from daemon.check.sqlite import check_sqlite
from daemon.check.target import check_files, check_target, wanted_connections
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.control.recount import tables_of
from daemon.errors import UsageError
from tests.servers import Server


def settings(target: str, **more: object) -> Settings:
    """Return settings for a target."""
    return Settings.model_validate({"target": target, **more})


def findings(target: str, **more: object) -> dict[str, Finding]:
    """Check a target and return what was found, by name."""
    found = asyncio.run(check_target(settings(target, **more), SystemClock()))
    assert len({one.name for one in found}) == len(found)
    return {one.name: one for one in found}


def states(found: Mapping[str, Finding]) -> dict[str, str]:
    """Return only the verdicts."""
    return {name: one.state for name, one in found.items()}


def lite(path: Path) -> dict[str, Finding]:
    """Check a SQLite file."""
    return {one.name: one for one in check_sqlite(path, durability="as it is")}


def folder_of(path: Path) -> dict[str, bytes]:
    """Return everything that lies in a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def prepare(target: str) -> None:
    """Do what a run does to an empty target."""

    async def go() -> None:
        chosen = settings(target)
        backend = plan.make_backend(chosen, SystemClock())
        await backend.open()
        try:
            await schema.prepare(
                backend, tables_of(chosen, SystemClock()).schema(backend.dialect), clean=False
            )
        finally:
            await backend.close()

    asyncio.run(go())


def test_a_file_that_is_not_there_yet_stays_so(tmp_path: Path) -> None:
    """All is well, and the folder is as empty as before."""
    found = lite(tmp_path / "new.db")
    assert set(states(found).values()) == {"ok"}
    assert list(found) == ["file", "version", "disk", "wal", "durability"]
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_an_earlier_run_is_left_as_it_is(tmp_path: Path) -> None:
    """Not a byte of it or of its folder changes."""
    path = tmp_path / "used.db"
    prepare(f"sqlite:///{path}")
    before = folder_of(tmp_path)
    found = lite(path)
    assert found["content"] == Finding("content", "ok", "tables of soakd (version 1) from earlier runs")
    assert folder_of(tmp_path) == before


def test_a_file_in_use_is_looked_at_through_its_wal(tmp_path: Path) -> None:
    """What was committed but not checkpointed is seen, and the WAL stays."""
    path = tmp_path / "live.db"
    writer = apsw.Connection(str(path))
    writer.pragma("journal_mode", "wal")
    writer.execute(
        "CREATE TABLE soakd_objects (name, version); INSERT INTO soakd_objects VALUES ('objects', 99)"
    )
    wal = (tmp_path / "live.db-wal").read_bytes()
    assert "made by a newer soakd" in lite(path)["usable"].detail
    assert (tmp_path / "live.db-wal").read_bytes() == wal
    writer.close()


def test_a_transaction_that_was_cut_off_is_left_for_the_run(tmp_path: Path) -> None:
    """Looking must not roll it back: the journal stays where it is."""
    path, journal = tmp_path / "x.db", tmp_path / "x.db-journal"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000)); PRAGMA cache_size = 1")
    connection.execute("BEGIN; UPDATE t SET x = zeroblob(200000)")
    cut = {path: path.read_bytes(), journal: journal.read_bytes()}
    connection.close()
    for file, content in cut.items():
        file.write_bytes(content)
    assert "rolled back" in lite(path)["content"].detail
    assert folder_of(tmp_path) == {file.name: content for file, content in cut.items()}


def test_somebody_elses_database_is_told_from_soakds(tmp_path: Path) -> None:
    """It may be used; its tables are counted."""
    path = tmp_path / "other.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE a (x); CREATE TABLE b (x)")
    connection.close()
    assert lite(path)["content"].detail == "2 tables, none of them made by soakd"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Path.mkdir, "is a folder"),
        (partial(Path.write_text, data="words, and more words " * 20), "no SQLite database at all"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_what_cannot_be_a_database_is_found_out(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    """With the reason, and nothing is left behind."""
    path = tmp_path / "x.db"
    make(path)
    found = lite(path)["usable"]
    assert found.state == "fail"
    assert says in found.detail
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_found_out(tmp_path: Path) -> None:
    """It is not created."""
    assert "folder" in lite(tmp_path / "no" / "x.db")["usable"].detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("free", "state"),
    [(0, "fail"), (64 * 2**20 - 1, "fail"), (64 * 2**20, "warn"), (2**30 - 1, "warn"), (2**30, "ok")],
)
def test_little_disk_is_a_warning_and_almost_none_a_failure(free: int, state: str) -> None:
    """Below 1 GiB and below 64 MiB."""
    assert bytes_free(free, "/data").state == state


def test_the_null_backend_is_always_well() -> None:
    """It stores nothing, and says so."""
    assert states(findings("null://")) == {"reachable": "ok", "durability": "ok"}


def test_an_empty_postgres_database_is_well_and_stays_empty(database: str, postgres: Server) -> None:
    """A superuser may do everything."""
    found = findings(database)
    assert states(found) == {
        "reachable": "ok",
        "version": "ok",
        "connections": "ok",
        "privileges": "ok",
        # the server of the tests does without fsync, which nobody should overlook
        "durability": "ok" if postgres.execute("SHOW fsync")[0][0] == "on" else "warn",
    }
    name = urlsplit(database).path[1:]
    assert postgres.execute("SELECT to_regnamespace('soakd')::text", database=name) == [(None,)]


def test_a_postgres_database_of_earlier_runs_is_well(database: str) -> None:
    """Its tables are counted."""
    prepare(database)
    found = findings(database)["privileges"]
    assert found.state == "ok"
    assert "tables from earlier runs" in found.detail


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        ((), "may not create the schema soakd"),
        (("CREATE SCHEMA soakd",), "may not use the schema soakd"),
        (
            ("CREATE SCHEMA soakd AUTHORIZATION {user}", "CREATE TABLE soakd.mine (x int)"),
            "a schema soakd is there, not made by soakd (mine)",
        ),
        (
            (
                "CREATE SCHEMA soakd AUTHORIZATION {user}",
                "CREATE TABLE soakd.objects (name text, version int)",
            ),
            "may not read and write soakd.objects",
        ),
        (
            (
                "CREATE SCHEMA soakd AUTHORIZATION {user}",
                "CREATE TABLE soakd.objects (name text, version int)",
                "INSERT INTO soakd.objects VALUES ('objects', 99)",
                "GRANT ALL ON soakd.objects TO {user}",
            ),
            "made by a newer soakd",
        ),
        (("GRANT CREATE ON DATABASE {database} TO {user}",), ""),
    ],
)
def test_what_a_postgres_user_may_do_is_found_out(
    database: str, postgres: Server, statements: tuple[str, ...], says: str
) -> None:
    """And what to grant if it is not enough."""
    name, user = urlsplit(database).path[1:], f"user_{uuid4().hex[:8]}"
    postgres.execute(f"CREATE ROLE {user} LOGIN")
    try:
        for statement in statements:
            postgres.execute(statement.format(user=user, database=name), database=name)
        found = findings(postgres.database_url(name, user=user))["privileges"]
        assert found.state == ("fail" if says else "ok")
        assert says in found.detail
    finally:
        postgres.execute(f"DROP OWNED BY {user} CASCADE", database=name)
        postgres.execute(f"DROP ROLE {user}")


def test_a_postgres_that_does_not_answer_is_found_out() -> None:
    """Port 1 is nobody's; the password is not repeated."""
    found = findings("postgresql://me:hunter2@127.0.0.1:1/db")
    assert states(found) == {"reachable": "fail"}
    assert "hunter2" not in found["reachable"].detail


ABOUT = About(160_004, "16.4", False, False, True, 100, 3, 10, -1, "me", "db")


@pytest.mark.parametrize(
    ("about", "wanted", "failed"),
    [
        (ABOUT, 87, set()),
        (ABOUT, 88, {"connections"}),
        (ABOUT._replace(role_limit=5), 6, {"connections"}),
        (ABOUT._replace(number=120_022), 1, {"version"}),
        (ABOUT._replace(standby=True), 1, {"writable"}),
        (ABOUT._replace(read_only=True), 1, {"writable"}),
    ],
)
def test_what_a_server_says_of_itself_is_judged(about: About, wanted: int, failed: set[str]) -> None:
    """Version, role, and room for the connections of a run."""
    assert {one.name for one in judge_server(about, wanted) if one.state == "fail"} == failed


def test_the_connections_of_all_shards_are_counted() -> None:
    """Flushers and readers of each, and the supervisor's own two."""
    chosen = settings(
        "postgresql://h/db", shards=2, pools={"writers": 8, "readers": 6}, batch={"flushers": 3}
    )
    assert wanted_connections(chosen) == 4 + 2 * 3 + 6


@pytest.mark.parametrize(
    "values",
    [
        {"http": {"password_file": "missing"}},
        {"http": {"tls_cert": "missing", "tls_key": "missing"}},
        {"summary": "no/such/folder/out.json"},
        {"summary": "."},
    ],
)
def test_files_that_the_settings_name_must_be_usable(
    values: Mapping[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are part of the configuration."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        check_files(Settings.model_validate(values))


def test_the_command_prints_a_table_and_ends_well(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0."""
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
    shown = capsys.readouterr()
    assert [line.split()[:2] for line in shown.out.splitlines()][1:] == [
        [name, "ok"] for name in ("configuration", "file", "version", "disk", "wal", "durability")
    ]
    assert shown.err == ""


def test_the_command_as_json_ends_with_3_when_the_target_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The findings on standard output, the first failure in a line on standard error."""
    assert main(["check", "--json", "--target", f"sqlite:///{tmp_path}"]) == 3
    shown = capsys.readouterr()
    data = json.loads(shown.out)
    assert (data["ok"], [one["state"] for one in data["checks"]]) == (False, ["ok", "fail"])
    assert shown.err == f"soakd: error: {data['checks'][1]['detail']}\n"
