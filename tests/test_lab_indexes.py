"""Which index a plan lacks: columns read off conditions, scans read off plans, and what is there already."""

import pytest

from daemon.lab.indexes import Scan, Wanted, scans_of_sqlite, wanted_indexes

COLUMNS = ("id", "mint", "address", "title", "status", "price")


def wanted(condition: str, alias: str | None = None) -> list[tuple[str, ...]]:
    """Return the columns of the indexes for a condition."""
    return [one.columns for one in wanted_indexes(Scan("t", condition, alias), COLUMNS)]


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("(address = 'x'::text)", [("address",)]),
        ("(t.address = $1)", [("address",)]),
        ("((price > 5) AND (address = 'x'::text))", [("address", "price")]),
        ("((price > 5) AND (id < 7) AND (status = 'paid'::text))", [("status", "price")]),
        ("((price > 5) AND (id < 7))", [("price",)]),
        ("(status = ANY ('{paid,pending}'::text[]))", [("status",)]),
        ("((title)::text = 'x'::text)", [("title",)]),
        ("(lower(title) = 'x'::text)", []),
        ("((price + 1) = 5)", []),
        ("(price <> 5)", []),
        ("(title ~~ '%x%'::text)", []),
        ("(status IS NULL)", [("status",)]),
        ("(status IS NOT NULL)", []),
        ("((mint = 1) OR (address = 'x'::text))", [("mint",), ("address",)]),
        ("(unknown = 1)", []),
        ("price BETWEEN ? AND ? and mint in (?, ?)", [("mint", "price")]),
    ],
)
def test_columns_of_a_condition(condition: str, columns: list[tuple[str, ...]]) -> None:
    assert wanted(condition) == columns


def test_an_index_that_begins_with_a_column_of_no_equality_would_not_do() -> None:
    assert wanted_indexes(Scan("t", "mint >= 5 AND address = 'x'"), COLUMNS) == [
        Wanted(("address", "mint"), frozenset({"address"}))
    ]
    assert wanted_indexes(Scan("t", "mint >= 5 AND price > 3"), COLUMNS) == [
        Wanted(("mint",), frozenset({"mint", "price"}))
    ]


def test_a_condition_on_another_table_is_left_out() -> None:
    assert wanted("a.mint = 1 AND b.address = 'x' AND status = 'paid'", "b") == [("address", "status")]


@pytest.mark.parametrize(
    ("sql", "detail", "scans"),
    [
        ("SELECT * FROM t WHERE address = ?", "SCAN t", [Scan("t", " address = ?", "t")]),
        ("SELECT * FROM t AS x WHERE address = ? ORDER BY id", "SCAN x", [Scan("t", " address = ? ", "x")]),
        ("SELECT * FROM t x WHERE a = ? LIMIT 5", "SCAN x USING INDEX i", [Scan("t", " a = ? ", "x")]),
        ("SELECT * FROM t", "SCAN t", []),
        ("SELECT * FROM t WHERE a = ?", "SEARCH t USING INDEX i (a=?)", []),
        (
            "SELECT * FROM t WHERE a = ? AND b > ?",
            "SEARCH t USING INTEGER PRIMARY KEY (rowid>?)",
            [Scan("t", " a = ? AND b > ?", "t")],
        ),
        ("SELECT * FROM t WHERE a = ?", "USE TEMP B-TREE FOR ORDER BY", []),
        (
            "SELECT * FROM s JOIN t AS x ON x.a = s.b",
            "SEARCH x USING AUTOMATIC COVERING INDEX (a=?)",
            [Scan("t", "a=?")],
        ),
        (
            "SELECT * FROM t WHERE b = ?",
            "SEARCH t USING COVERING INDEX i (ANY(a) AND b=?)",
            [Scan("t", "b=?")],
        ),
    ],
)
def test_scans_of_sqlite(sql: str, detail: str, scans: list[Scan]) -> None:
    assert scans_of_sqlite(sql, [detail]) == scans
