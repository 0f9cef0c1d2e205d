"""What a query lab refuses before it touches anything."""

from pathlib import Path

import apsw
import pytest

from daemon.backends.base import SQLITE
from daemon.config.settings import Settings
from daemon.errors import TargetError
from daemon.lab.target import check
from daemon.ledger import OBJECTS, RUNNING, RUNS


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
