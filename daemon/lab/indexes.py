"""Which index a plan lacks: tables that are read and then filtered, and what they are filtered by."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Tx

_EQUAL = r"=|\bIN\b|\bIS\b(?!\s+NOT)"
_RANGE = r"<=|>=|<(?!>)|>|\bBETWEEN\b"
# A column before a comparison; PostgreSQL writes one that it converts as `(title)::text`. That of
# `lower(title) = …` is none: an index of the column would not serve it.
_COMPARED = re.compile(
    rf"(?:(?<!\w)\((?:(?P<of>\w+)\.)?(?P<cast>\w+)\)::[\w ]+?|(?:\b(?P<alias>\w+)\.)?\b(?P<column>\w+))"
    rf"\s*(?P<how>{_EQUAL}|{_RANGE})",
    re.IGNORECASE,
)
_CONDITIONS = re.compile(
    r"\b(?:WHERE|ON)\b(.*?)(?=\b(?:WHERE|GROUP\s+BY|ORDER\s+BY|LIMIT|UNION|LEFT|INNER|JOIN)\b|$)",
    re.IGNORECASE | re.DOTALL,
)
# It walks through all values of an index's first columns, for want of a better index.
_SKIPPING = re.compile(
    r"SEARCH (?:TABLE )?(?P<name>\w+) USING (?:COVERING )?INDEX \w+ \((?P<terms>ANY\(.*)\)"
)
_SKIPPED = re.compile(r"ANY\(\w+\)(?: AND )?")
# It walks through a range, and finds out row by row which of it is wanted, unless all is.
_RANGING = re.compile(r"SEARCH (?:TABLE )?(?P<name>\w+) USING [^(]*\([^=]*\)$")
_SCAN = re.compile(r"SCAN (?:TABLE )?(?P<name>\w+)")
_AUTOMATIC = re.compile(
    r"SEARCH (?:TABLE )?(?P<name>\w+) USING AUTOMATIC (?:PARTIAL )?(?:COVERING )?INDEX \((?P<terms>[^)]*)\)"
)

# The columns of a table, and those that an index of it begins with.
_COLUMNS = {
    "postgres": "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0",
    "sqlite": "SELECT name FROM pragma_table_info(?)",
}
_LEADING = {
    "postgres": (
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
        "WHERE indrelid = to_regclass(%s) AND indisvalid"
    ),
    "sqlite": (
        "SELECT c.name FROM pragma_index_list(?1) AS i, pragma_index_info(i.name) AS c WHERE c.seqno = 0 "
        "UNION SELECT name FROM pragma_table_info(?1) WHERE pk = 1"
    ),
}


class Scan(NamedTuple):
    """A table that is read, in whole or in part, to leave most of it out.

    Attributes:
        table: its name, as the database takes it.
        condition: what its rows have to fulfil.
        alias: what the condition calls it; None: the condition is about this table alone.
    """

    table: str
    condition: str
    alias: str | None = None


class Missing(NamedTuple):
    """An index that is not there.

    Attributes:
        table: on which.
        columns: of which, those that are compared for equality first.
        statement: what creates it.
    """

    table: str
    columns: Sequence[str]
    statement: str


class Wanted(NamedTuple):
    """What to index for a scan.

    Attributes:
        columns: in this order.
        begins: those of them of which another index would help as well if it began with one.
    """

    columns: tuple[str, ...]
    begins: frozenset[str]


async def missing_indexes(tx: Tx, dialect: Dialect, scans: Sequence[Scan]) -> list[Missing]:
    """Return the indexes that would spare scans; none where the database has one that would, and scans."""
    found: dict[tuple[str, Sequence[str]], Missing] = {}
    for scan in scans:
        columns = [row[0] for row in await tx.execute(_COLUMNS[dialect.name], (scan.table,))]
        leading = {row[0] for row in await tx.execute(_LEADING[dialect.name], (scan.table,))}
        for wanted, begins in wanted_indexes(scan, columns):
            if not leading & begins:
                name = scan.table.replace('"', "")
                create = f"CREATE INDEX ON {name} ({', '.join(wanted)})"
                if dialect.name == "sqlite":
                    create = create.replace(" ON", f" {name}_{'_'.join(wanted)} ON", 1)
                found[name, wanted] = Missing(name, wanted, create)
    return list(found.values())


def wanted_indexes(scan: Scan, columns: Collection[str]) -> list[Wanted]:
    """Return what to index for a scan: one index, or for conditions of which one suffices, one for each.

    Args:
        scan: what is read.
        columns: of the table.
    """
    equal: dict[str, None] = {}
    ranges: dict[str, None] = {}
    for match in _COMPARED.finditer(scan.condition):
        of, column = match["of"] or match["alias"], match["cast"] or match["column"]
        if column in columns and (scan.alias is None or of in (None, scan.alias, scan.table)):
            is_equal = re.fullmatch(_EQUAL, match["how"], re.IGNORECASE)
            (equal if is_equal else ranges)[column] = None
    names = list({**equal, **ranges})
    if re.search(r"\bOR\b", scan.condition, re.IGNORECASE):
        return [Wanted((name,), frozenset({name})) for name in names]
    # After a range an index helps no further, so it takes one, and only behind what is equal.
    return [Wanted(tuple(names[: len(equal) + 1]), frozenset(equal or ranges))] if names else []


def scans_of_sqlite(sql: str, details: Sequence[str]) -> list[Scan]:
    """Return the tables of which a plan of SQLite reads more than the statement's condition lets through.

    Args:
        sql: the statement; SQLite's plan does not say what it filters by.
        details: the lines of the plan.
    """
    condition = " AND ".join(part.group(1) for part in _CONDITIONS.finditer(sql))
    scans = []
    for detail in details:
        if automatic := _AUTOMATIC.search(detail):
            # It makes an index of its own, each time anew: the best of hints.
            scans.append(Scan(_table(sql, automatic["name"]), automatic["terms"]))
        elif skipping := _SKIPPING.search(detail):
            scans.append(Scan(_table(sql, skipping["name"]), _SKIPPED.sub("", skipping["terms"])))
        elif (scan := _SCAN.match(detail) or _RANGING.match(detail)) and condition:
            scans.append(Scan(_table(sql, scan["name"]), condition, scan["name"]))
    return scans


def _table(sql: str, alias: str) -> str:
    """Return the table that a statement calls by another name."""
    named = re.search(rf"\b(?:FROM|JOIN|,)\s+(\w+)\s+(?:AS\s+)?{alias}\b", sql, re.IGNORECASE)
    return named.group(1) if named else alias
