"""What is made of the rows that PostgreSQL gives: names, ranks, chains, bounds; no server needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.observe.postgres.activity import MOST_WAITS, RUNNING, read_sessions
from daemon.observe.postgres.database import DatabaseCounters
from daemon.observe.postgres.locks import heads
from daemon.observe.postgres.names import statement_name
from daemon.observe.postgres.server import fingerprint
from daemon.observe.postgres.statements import REMEMBERED, Figures, Ranking
from daemon.record.snapshot import Snapshot


def waits(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    return {key[1:]: n for key, n in snapshot.gauges.items() if key[0] == "soakd_pg_waits"}


def test_states_are_a_closed_set_and_only_active_sessions_wait() -> None:
    """A state that is hidden or new is `other`; parallel workers wait but are no sessions."""
    found = Snapshot()
    read_sessions(
        [
            ("client backend", "active", "IO", "DataFileRead", 2),
            ("client backend", "active", None, None, 3),
            ("client backend", "idle", "Client", "ClientRead", 10),
            ("client backend", "fastpath function call", None, None, 1),
            ("client backend", "starting", None, None, 1),
            ("client backend", None, None, None, 4),
            ("parallel worker", "active", "IO", "DataFileRead", 1),
            ("autovacuum worker", "active", "Timeout", "VacuumDelay", 1),
        ],
        found,
    )
    states = {key[1]: n for key, n in found.gauges.items() if key[0] == "soakd_pg_sessions"}
    assert states == {
        "active": 6,
        "idle": 10,
        "idle in transaction": 0,
        "idle in transaction (aborted)": 0,
        "other": 5,
    }
    assert waits(found) == {("IO", "DataFileRead"): 3, RUNNING: 4}


def test_the_pairs_of_waits_are_bounded_and_none_is_lost() -> None:
    found = Snapshot()
    read_sessions([("client backend", "active", "LWLock", f"event{n}", n) for n in range(1, 41)], found)
    shown = waits(found)
    assert len(shown) == MOST_WAITS + 1
    assert sum(shown.values()) == sum(range(1, 41))
    assert shown["LWLock", "event40"] == 40
    assert shown["other", "other"] == sum(range(1, 21))


def test_each_counter_of_the_database_has_its_own_label() -> None:
    """In the order of the statement; times in seconds."""
    found = Snapshot()
    DatabaseCounters().read([(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13000.0, 14000.0)], found)
    assert {
        (key[0].removeprefix("soakd_pg_").removesuffix("_total"), *key[1:]): n
        for key, n in found.counters.items()
    } == {
        ("transactions", "commit"): 1,
        ("transactions", "rollback"): 2,
        ("blocks", "hit"): 3,
        ("blocks", "read"): 4,
        ("rows", "returned"): 5,
        ("rows", "fetched"): 6,
        ("rows", "inserted"): 7,
        ("rows", "updated"): 8,
        ("rows", "deleted"): 9,
        ("temp_files",): 10,
        ("temp_bytes",): 11,
        ("deadlocks",): 12,
        ("io_seconds", "read"): 13,
        ("io_seconds", "write"): 14,
    }


def test_the_share_of_cached_blocks_is_that_of_the_last_time_something_was_counted() -> None:
    """Nothing new keeps it; a reset of the server's counters forgets it."""
    counters = DatabaseCounters()

    def ratio(hit: int, read: int) -> float | None:
        found = Snapshot()
        counters.read([(0, 0, hit, read, *[0] * 10)], found)
        return found.gauges.get(("soakd_pg_cache_hit_ratio",))

    assert ratio(100, 100) is None
    assert ratio(190, 110) == pytest.approx(0.9)
    assert ratio(190, 110) == pytest.approx(0.9)
    assert ratio(190, 120) == 0
    assert ratio(5, 5) is None
    assert ratio(10, 5) == 1


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        ({}, {}),
        ({2: {1}}, {1: 1}),
        ({2: {1}, 3: {2}, 4: {3, 1}}, {1: 3}),
        ({2: {1}, 3: {9}}, {1: 1, 9: 1}),
        ({3: {1, 2}}, {1: 1, 2: 1}),
        ({1: {2}, 2: {1}}, {}),  # a deadlock, for a moment
        ({1: {2}, 2: {1, 5}}, {5: 2}),
        ({2: {0}, 3: {0, 2}}, {0: 2}),  # a prepared transaction
    ],
)
def test_the_head_of_a_chain_waits_for_nobody(edges: dict[int, set[int]], found: dict[int, int]) -> None:
    behind = heads({pid: frozenset(ahead) for pid, ahead in edges.items()})
    assert {pid: len(waiting) for pid, waiting in behind.items()} == found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("COPY soakd.events (run, shard) FROM STDIN (FORMAT BINARY)", "copy soakd.events"),
        ('INSERT INTO "soakd"."events" (a) VALUES ($1) ON CONFLICT DO NOTHING', "insert soakd.events"),
        ("BEGIN READ ONLY", "begin"),
        ("VACUUM (ANALYZE) soakd.events", "vacuum"),
        ("/* who */ COMMIT -- now", "commit"),
        ("<insufficient privilege>", "other"),
        ("", "other"),
        ("COPY (SELECT 1) TO STDOUT", "copy"),
    ],
)
def test_a_statement_is_named_after_its_verb_and_table(text: str, name: str) -> None:
    assert statement_name(text) == name


def test_statements_that_differ_in_more_than_form_have_names_of_their_own() -> None:
    """Spaces, comments, case and the numbers of parameters are form."""
    one = statement_name("SELECT a FROM soakd.events WHERE run = $1 AND seq = $2")
    assert one.startswith("select soakd.events #")
    assert one == statement_name("select a\n  FROM soakd.events /* x */ WHERE run = $3  AND seq = $1")
    assert one != statement_name("SELECT b FROM soakd.events WHERE run = $1 AND seq = $2")
    assert statement_name("UPDATE ONLY soakd.t SET a = $1").startswith("update soakd.t #")
    assert statement_name("DELETE FROM soakd.t").startswith("delete soakd.t #")
    assert statement_name("WITH x AS (SELECT $1) SELECT 1 FROM x").startswith("with x #")


@given(st.text())
def test_no_text_makes_a_long_or_strange_name(text: str) -> None:
    """It becomes a label."""
    name = statement_name(text)
    assert 0 < len(name) <= 100
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_. #")


def figures(**seconds: float) -> dict[int, Figures]:
    return {int(name[1:]): Figures(1, value, 1) for name, value in seconds.items()}


def test_the_leaders_are_those_that_grew_most_since_the_first_look() -> None:
    """What an earlier load has left behind does not count."""
    ranking = Ranking(2)
    assert ranking.choose(figures(q1=1000, q2=5)) == []
    assert ranking.choose(figures(q1=1000, q2=6, q3=0.5)) == [2, 3]
    assert set(ranking.choose(figures(q1=1003, q2=6, q3=0.5))) == {1, 2, 3}


def test_the_ones_that_were_overtaken_stay_for_a_while_and_then_go() -> None:
    """A counter that comes and goes is no good; but what is remembered is bounded."""
    ranking = Ranking(1)
    ranking.choose({})
    shown = [
        ranking.choose(figures(**{f"q{n}": float(n) for n in range(1, last + 1)})) for last in range(1, 9)
    ]
    assert [found[-1] for found in shown] == list(range(1, 9))
    assert max(len(found) for found in shown) == REMEMBERED
    assert shown[-1] == [6, 7, 8]


def test_a_reset_begins_anew() -> None:
    ranking = Ranking(2)
    ranking.choose(figures(q1=100, q2=50))
    assert ranking.choose(figures(q1=101, q2=50)) == [1]
    assert ranking.choose(figures(q2=0.25)) == [2]
    assert set(ranking.choose(figures(q2=0.5, q1=0.25))) == {1, 2}


def test_the_fingerprint_does_not_depend_on_the_order() -> None:
    one = fingerprint({"work_mem": "4096", "fsync": "on"})
    assert one == fingerprint({"fsync": "on", "work_mem": "4096"})
    assert one != fingerprint({"fsync": "off", "work_mem": "4096"})
    assert len(one) == 8
