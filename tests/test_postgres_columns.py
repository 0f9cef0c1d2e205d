"""Every column that the samplers ask for is one of every version's view: 13 to 18, had or not.

`postgres_columns.json` holds the columns of the views by the version that changed them, and where they are
documented. Against servers that can be had it is compared with what they really have.
"""

import json
import re
from pathlib import Path

import psycopg
import pytest

from daemon.observe.postgres import statements
from daemon.observe.postgres.collector import topics
from daemon.observe.postgres.statements import Place
from tests.doubles import ignore
from tests.servers import LocalServer
from tests.virtual import VirtualClock

VERSIONS = (13, 14, 15, 16, 17, 18)
RECORDED: dict[str, dict[str, dict[str, str]]] = json.loads(
    Path(__file__).with_name("postgres_columns.json").read_text()
)
# What stands alone in a statement and is no column.
ALONE = {"float8", "text", "epoch", "current_user", "false"}

_BOUND = re.compile(r"\b(?:FROM|JOIN) ([a-z_.]+)(?:\(false\))? ([a-z])\b")
_DERIVED = re.compile(r"\) ([a-z])\b")
_CTE = re.compile(r"(?:WITH|,)\s+([a-z]+) AS MATERIALIZED")
_NAMED = re.compile(r"\bAS ([a-z]+)\b")
_COLUMN = re.compile(r"\b([a-z])\.([a-z_]+)\b")
_BARE = re.compile(r"(?<![\w.])([a-z_][a-z_0-9]*)(?![\w.(])")


def columns(view: str, version: int) -> set[str]:
    """Return the columns of a view in a version; none where it is not there."""
    since = RECORDED[view]["columns_since"]
    newest = max((int(number) for number in since if int(number) <= version), default=None)
    return set(since[str(newest)].split()) if newest else set()


def sql_of(version: int) -> dict[str, str]:
    """Return every statement of the samplers for a version, by name."""
    place = Place("pg_stat_statements(false)", "pg_stat_statements")
    found = {topic.name: topic.sql(version) for topic in topics(VirtualClock(), ignore, lambda _: None)}
    found["find"] = statements.FIND
    found["figures"] = statements.FIGURES.format(relation=place.figures)
    found["texts"] = statements.TEXTS.format(relation=place.texts, longest=statements.LONGEST)
    return found


def unknown(sql: str, version: int) -> list[str]:
    """Return what a statement names that a version does not have."""
    plain = re.sub(r"'[^']*'", "''", sql)
    results = set(_CTE.findall(plain)) | set(_NAMED.findall(plain))
    bound: dict[str, set[str]] = {}
    for relation, alias in _BOUND.findall(plain):
        bound.setdefault(alias, set()).add(relation)
    derived = set(_DERIVED.findall(plain))
    wrong = []
    for alias, column in _COLUMN.findall(plain):
        relations = bound.get(alias, set())
        if relations <= results and (relations or alias in derived):
            continue
        if len(relations) != 1 or column not in columns(next(iter(relations)), version):
            wrong.append(f"{alias}.{column}")
    views = {relation for relations in bound.values() for relation in relations}
    bare = set(_BARE.findall(plain)) - results - bound.keys() - derived - views - ALONE
    return wrong + sorted(bare)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sql_of(13))
def test_a_statement_names_only_what_its_version_has(name: str, version: int) -> None:
    assert unknown(sql_of(version)[name], version) == []


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        ("SELECT c.num_timed FROM pg_stat_checkpointer c", ["c.num_timed"]),
        ("SELECT l.pid, l.waitstart FROM pg_locks l", ["l.waitstart"]),
        ("SELECT pid FROM pg_locks l WHERE x.mode = 'a'", ["x.mode", "pid"]),
        ("SELECT count(*)::float8 FROM pg_locks l WHERE l.mode = 'x.y z'", []),
    ],
)
def test_the_check_itself_sees_what_13_lacks(sql: str, wrong: list[str]) -> None:
    assert unknown(sql, 13) == wrong


def test_versions_differ_where_the_samplers_say_so() -> None:
    """A statement of the newest version would fail on the oldest."""
    assert unknown(sql_of(18)["checkpoints"], 13)
    assert unknown(sql_of(14)["wal"], 13)
    assert unknown(sql_of(18)["blocks"], 13)
    assert unknown(sql_of(13)["checkpoints"], 18)


def test_the_recorded_columns_are_those_of_a_real_server(any_postgres: LocalServer) -> None:
    """So that the file is right about the versions that cannot be had here, too."""
    with psycopg.connect(any_postgres.url) as connection:
        version = connection.info.server_version // 10_000
        for view in RECORDED:
            rows = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
                " AND NOT attisdropped",
                (view,),
            )
            found = {name for (name,) in rows}
            if view == "pg_stat_statements" and not found:
                continue  # no contrib package
            assert found == columns(view, version), view
