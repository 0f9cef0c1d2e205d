"""Fixtures of the tests with whole processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Soakd

Start = Callable[..., Soakd]


@pytest.fixture
def soakd(tmp_path: Path) -> Iterator[Start]:
    """Starts `soakd run` in the test's own folder; what is left of it at the end is killed."""
    running: list[Soakd] = []

    def start(*arguments: str, **options: object) -> Soakd:
        process = Soakd(tmp_path, *arguments, **options)  # type: ignore[arg-type]
        running.append(process)
        return process

    yield start
    for process in running:
        process.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/load.db"
    url: str = request.getfixturevalue("database")
    return url
