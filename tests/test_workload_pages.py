"""Every workload has a page that names all that belongs to it, with its tables as they are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from daemon.config.reference import setting_keys
from daemon.config.settings import Settings
from daemon.control.workloads import Description, describe
from daemon.workloads.registry import WORKLOADS
from docs import generate

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "workloads"
# What a workload has only if it is asked for is to stand on its page too.
ASKED: dict[str, Any] = {
    "events": {"retain_rows": 9, "reads": {"search": 1}},
    "sql": {"script": "tpcb-like"},
}
ENTITY = re.compile(r"^    (\w+) \{\n(.*?)^    \}", re.MULTILINE | re.DOTALL)

every_workload = pytest.mark.parametrize("name", WORKLOADS)


def description(name: str) -> Description:
    """Return what belongs to a workload."""
    return describe(Settings.model_validate({name: ASKED.get(name, {})}), name)


def page(name: str) -> str:
    """Return the page about a workload."""
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def belongings(name: str) -> Iterator[str]:
    """Yield everything that has a name."""
    one = description(name)
    yield from one.consumers
    for part in (one.ops, one.tables, one.seeded, one.invariants):
        yield from (entry["name"] for entry in part)
    yield from (setting["key"] for setting in one.settings)


@every_workload
def test_its_page_names_everything_that_belongs_to_it(name: str) -> None:
    text = page(name)
    names = set(belongings(name))
    assert len(names) > 3
    missing = [one for one in names if not re.search(rf"(?<![\w.]){re.escape(one)}(?![\w.]\w)", text)]
    assert not missing


@every_workload
def test_the_settings_on_its_page_are_current_and_complete(name: str) -> None:
    text = page(name)
    assert generate.page(name, text) == text, "run `make docs`"
    rows = re.findall(rf"^\| `({name}\.[a-z0-9_.]+)` \|", text, re.MULTILINE)
    assert rows == [key for key in setting_keys() if key.startswith(f"{name}.")]


@every_workload
def test_its_page_has_a_picture_of_its_tables_with_all_their_columns(name: str) -> None:
    one = description(name)
    database = apsw.Connection(":memory:")
    for table in (*one.tables, *one.seeded):
        for statement in table["sqlite"]:
            database.execute(statement)
    drawn = dict(ENTITY.findall(page(name)))
    tables = {table["name"] for table in (*one.tables, *one.seeded)}
    assert drawn.keys() == tables
    for table in tables:
        stored = table if table.startswith("pgbench_") else f"soakd_{table}"
        columns = {str(row[1]) for row in database.execute(f"PRAGMA table_info({stored})")}
        assert {line.split()[1] for line in drawn[table].splitlines()} == columns, table


@every_workload
def test_the_readme_leads_to_its_page(name: str) -> None:
    assert f"(docs/workloads/{name}.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_there_is_no_page_about_what_is_not_there() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(WORKLOADS)
