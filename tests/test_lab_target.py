"""What a query lab refuses before it touches anything."""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from daemon.backends.base import SQLITE
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import TargetError, UsageError
from daemon.lab.target import Place, check, prepare
from daemon.ledger import OBJECTS, RUNNING, RUNS
from tests.test_seeding import Watcher


def test_clean_does_not_drop_what_a_run_is_using(tmp_path: Path) -> None:
    """In PostgreSQL the database knows; a SQLite file has to be asked before."""
    file = tmp_path / "busy.db"
    settings = Settings.model_validate(
        {"target": f"sqlite:///{file}", "workload": "marketplace", "clean": True}
    )
    check(settings, skip_data=False)
    run = apsw.Connection(str(file))
    run.pragma("journal_mode", "wal")
    for table in (OBJECTS, RUNS):
        run.execute(SQLITE.create_table(table))
    run.execute(SQLITE.insert(RUNS, again=False), (7, "1", "marketplace", 1, 1, RUNNING))
    with pytest.raises(TargetError, match="run 7 is going on"):
        check(settings, skip_data=False)
    run.close()
    check(settings, skip_data=False)


def test_tables_of_another_version_are_refused_also_when_nothing_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    settings = Settings.model_validate(
        {"target": f"sqlite:///{file}", "workload": "marketplace", "data": {"scale": 3}}
    )

    def prepared(*, skip_data: bool) -> Place:
        async def main() -> Place:
            backend = plan.make_backend(settings, SystemClock(), writers=1)
            await backend.open()
            try:
                return await prepare(
                    settings, SystemClock(), backend, Watcher(), skip_data=skip_data, writers=0, seed=0
                )
            finally:
                await backend.close()

        return asyncio.run(main())

    prepared(skip_data=False)
    found = prepared(skip_data=True).dataset
    assert found is not None
    assert found.scale == 3
    with closing(apsw.Connection(str(file))) as other:
        other.execute(f"UPDATE {SQLITE.table(OBJECTS.name)} SET version = 7 WHERE name = 'mints'")
    for skip_data in (False, True):
        with pytest.raises(UsageError, match="table mints is of version 7"):
            prepared(skip_data=skip_data)
