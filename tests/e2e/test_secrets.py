"""A password given to soakd never comes out of it again."""

import signal
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from tests.e2e.conftest import Start
from tests.e2e.process import Soakd, command, get
from tests.servers import PASSWORD_ROLE, LocalServer, Server

SECRET = "tr0ub4dor-s3cret"


@pytest.fixture
def login(database: str, postgres: Server) -> str:
    """A database, entered by a role with a password."""
    if not isinstance(postgres, LocalServer):
        pytest.skip("the server of SOAKD_TEST_POSTGRES may ask for no password")
    name = database.rpartition("/")[2]
    role = sql.Identifier(PASSWORD_ROLE).as_string()
    postgres.execute(f"DROP ROLE IF EXISTS {role}")
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
    postgres.execute(f'GRANT CREATE ON DATABASE "{name}" TO {role}')
    return postgres.database_url(name, user=PASSWORD_ROLE, password=SECRET)


def command_lines(run: Soakd) -> str:
    """Return the arguments of soakd's processes."""
    processes = [psutil.Process(run.process.pid), *run.engines]
    return "\n".join(" ".join(process.cmdline()) for process in processes)


def tables(database: str) -> str:
    """Return everything that soakd's own tables hold."""
    with psycopg.connect(database) as connection:
        found = [
            connection.execute(f"SELECT * FROM soakd.{name}".encode()).fetchall()
            for name in ("objects", "runs", "accounts")
        ]
        sessions = connection.execute("SELECT * FROM pg_stat_activity").fetchall()
    return repr(found) + repr(sessions)


def test_a_password_is_found_nowhere(soakd: Start, login: str, database: str, tmp_path: Path) -> None:
    """Given in the environment; an engine dies meanwhile, and its last words go into the log."""
    environ = {"SOAKD_TARGET": login, "SOAKD_DEBUG": "1"}
    run = soakd("--duration", "0", "--log-interval", "300ms", "--read-rate", "50", environ=environ).started()
    run.committed(100)
    run.engines[0].kill()
    run.event("engine.restarted")
    places = {"arguments": command_lines(run), "tables": tables(database)}
    page = get(f"{run.url}/metrics")
    assert page is not None
    places["metrics"] = page.text
    run.signal(signal.SIGTERM)
    assert run.wait() == 0, run.stderr
    assert PASSWORD_ROLE in run.stdout
    places |= {"stdout": run.stdout, "stderr": run.stderr, "summary": run.summary_file.read_text()}
    for name in ("verify", "check"):
        done = command(tmp_path, name, environ=environ)
        places[name] = done.stdout + done.stderr
    assert [place for place, text in places.items() if SECRET in text] == []


@pytest.mark.parametrize("how", ["target", "setting"])
def test_a_wrong_password_is_refused_without_being_shown(soakd: Start, login: str, how: str) -> None:
    wrong = "wr0ng-" + SECRET
    if how == "target":
        run = soakd(environ={"SOAKD_TARGET": login.replace(SECRET, wrong)})
    else:
        bare = login.replace(f":{SECRET}", "")
        run = soakd("--target", bare, environ={"SOAKD_POSTGRES__PASSWORD": wrong})
    assert run.wait(15) == 3
    assert "password" in run.stderr
    assert run.stderr.count("\n") == 1
    assert wrong not in run.stderr + run.stdout
