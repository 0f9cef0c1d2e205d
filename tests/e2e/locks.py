"""Somebody else's locks: a table in PostgreSQL, a whole file or a snapshot of it in SQLite."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

# In a process of its own: two SQLite libraries in one process would undo each other's file locks.
_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.execute(sys.argv[2])
connection.execute("SELECT * FROM sqlite_schema").fetchall()
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextmanager
def writes_blocked(target: str, table: str = "events") -> Iterator[None]:
    """Keep everybody else from writing to a table for as long as the context lasts; in SQLite to any."""
    if target.startswith("sqlite"):
        with _transaction(target, "BEGIN IMMEDIATE"):
            yield
    else:
        with psycopg.connect(target) as connection:
            connection.execute(f"LOCK TABLE soakd.{table} IN EXCLUSIVE MODE".encode())
            yield
            connection.rollback()


@contextmanager
def snapshot_held(target: str) -> Iterator[None]:
    """Read a SQLite file as it is now for as long as the context lasts: its WAL cannot begin anew."""
    with _transaction(target, "BEGIN"):
        yield


@contextmanager
def _transaction(target: str, begin: str) -> Iterator[None]:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, target.removeprefix("sqlite:///"), begin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("")
