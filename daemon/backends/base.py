"""What every backend offers, and how the SQL of the two dialects differs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from daemon.ops import PoolName, Table, Timed, Transaction, Values

# Portable column types → (PostgreSQL, SQLite).
TYPES: Mapping[str, tuple[str, str]] = {
    "int": ("integer", "INTEGER"),
    "bigint": ("bigint", "INTEGER"),
    "text": ('text COLLATE "C"', "TEXT"),
    "json": ("jsonb", "TEXT"),
}

INFINITY = float("inf")


class Dialect(NamedTuple):
    """How one database spells what the others spell differently.

    Attributes:
        name: `postgres`, `sqlite` or `null`.
        prefix: what stands before every table's bare name (a schema or a name prefix).
        placeholder: the parameter mark.
    """

    name: str
    prefix: str
    placeholder: str

    def table(self, name: str) -> str:
        """Return the qualified name of a table."""
        return f"{self.prefix}{name}"

    def sql(self, template: str, **tables: str) -> str:
        """Fill a statement in: `{name}` becomes the qualified table, `?` the parameter mark."""
        filled = template.format(**{key: self.table(name) for key, name in tables.items()})
        return filled if self.placeholder == "?" else filled.replace("?", self.placeholder)

    def create_table(self, table: Table) -> str:
        """Return CREATE TABLE with NOT NULL columns and the table's key as primary key."""
        column = 0 if self.name == "postgres" else 1
        columns = ", ".join(f"{name} {TYPES[kind][column]} NOT NULL" for name, kind in table.columns)
        return f"CREATE TABLE {self.table(table.name)} ({columns}, PRIMARY KEY ({', '.join(table.key)}))"

    def create_index(self, table: Table, *columns: str) -> str:
        """Return CREATE INDEX IF NOT EXISTS, with a name that is made of the table's and the columns'."""
        name = "_".join((table.name, *columns))
        if self.name != "postgres":  # there an index is always in the schema of its table
            name = self.table(name)
        return f"CREATE INDEX IF NOT EXISTS {name} ON {self.table(table.name)} ({', '.join(columns)})"

    def insert(self, table: Table, *, again: bool) -> str:
        """Return the INSERT of one row; `again` makes it skip rows that are there already."""
        names = ", ".join(name for name, _ in table.columns)
        marks = ", ".join([self.placeholder] * len(table.columns))
        conflict = f" ON CONFLICT ({', '.join(table.key)}) DO NOTHING" if again else ""
        return f"INSERT INTO {self.table(table.name)} ({names}) VALUES ({marks}){conflict}"


SQLITE = Dialect("sqlite", "soakd_", "?")
POSTGRES = Dialect("postgres", "soakd.", "%s")
NULL = Dialect("null", "soakd_", "?")


class Backend(Protocol):
    """A database under load. All calls are made on one event loop."""

    dialect: Dialect

    async def open(self) -> None:
        """Connect.

        Raises:
            TargetError: it cannot be reached or used; the message says what to do.
        """
        ...

    async def close(self) -> None:
        """Give every connection back; never raises."""
        ...

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Run one transaction function in one transaction.

        Args:
            work: what to run.
            deadline: the clock's time after which the work is given up, or not begun.

        Raises:
            OpError: it failed, and was rolled back unless `in_doubt`.
            Rejected: `work.fn` said so; it was rolled back.
        """
        ...

    async def write_rows(self, table: Table, rows: Sequence[Values], *, again: bool) -> Timed:
        """Insert rows in one transaction, all or none.

        Args:
            table: where to.
            rows: at least one, each with the values of `table.columns`.
            again: an earlier try may have been committed; skip rows whose key is there.

        Raises:
            OpError: nothing was committed, unless `in_doubt`.
        """
        ...

    def connections(self) -> dict[tuple[PoolName, str], int]:
        """Return the number of connections by pool and state (`busy`, `idle`, `waiting`)."""
        ...

    @property
    def outage_end(self) -> float:
        """The clock's time at which the last outage ended; -inf if there was none, inf while one lasts."""
        ...
