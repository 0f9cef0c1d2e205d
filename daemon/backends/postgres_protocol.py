"""Requests to PostgreSQL over libpq's non-blocking calls, as generators that yield what they wait for.

`psycopg.AsyncConnection.wait` drives such generators: psycopg's own ones and these. These save a
round trip, in that BEGIN travels with the COPY, and psycopg's bookkeeping for each row of a COPY.
"""

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from psycopg import errors, pq
from psycopg.abc import Buffer

from daemon.backends.postgres_watch import READ, WRITE

COPY_CHUNK = 1 << 18  # bytes handed to libpq at a time, which keeps them in memory until they are sent

T = TypeVar("T")
Results = Generator[Any, Any, list[pq.abc.PGresult]]


def run(pgconn: pq.abc.PGconn, statements: bytes) -> Results:
    """Send statements in one request and read their results.

    Raises:
        psycopg.Error: one of them failed.
    """
    pgconn.send_query(statements)
    return (yield from _answer(pgconn))


def prepare(pgconn: pq.abc.PGconn, name: bytes, statement: bytes, types: Sequence[int] | None) -> Results:
    """Prepare a statement whose parameters have these types.

    Raises:
        psycopg.Error: the server refused it.
    """
    pgconn.send_prepare(name, statement, types)
    return (yield from _answer(pgconn))


def execute_prepared(pgconn: pq.abc.PGconn, name: bytes, values: Sequence[Buffer | None]) -> Results:
    """Run a prepared statement with these values.

    Raises:
        psycopg.Error: it failed.
    """
    pgconn.send_query_prepared(name, values)
    return (yield from _answer(pgconn))


def copy(pgconn: pq.abc.PGconn, statements: bytes, stream: bytes) -> Results:
    """Run statements that end with COPY … FROM STDIN, and send it its data.

    Raises:
        psycopg.Error: it failed.
    """
    yield from run(pgconn, statements)
    view = memoryview(stream)
    for start in range(0, len(stream), COPY_CHUNK):
        while pgconn.put_copy_data(view[start : start + COPY_CHUNK]) == 0:
            yield READ | WRITE
        if len(stream) > COPY_CHUNK:
            yield from _flush(pgconn)
    pgconn.put_copy_end()
    return (yield from _answer(pgconn))


def resume(gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Go on with a generator that was left waiting; what it waited for may have been read meanwhile."""
    try:
        state = gen.send(READ)
        while True:
            state = gen.send((yield state))
    except StopIteration as stop:
        result: T = stop.value
        return result


def _flush(pgconn: pq.abc.PGconn) -> Generator[Any, Any, None]:
    while pgconn.flush() == 1:
        ready = yield READ | WRITE
        if ready & READ:  # else the server could wait for us to read, and we for it to read
            pgconn.consume_input()


def _answer(pgconn: pq.abc.PGconn) -> Results:
    yield from _flush(pgconn)
    return (yield from _results(pgconn))


def _results(pgconn: pq.abc.PGconn) -> Results:
    """Read results up to the end of the request, or to where a COPY wants its data."""
    results: list[pq.abc.PGresult] = []
    failed: pq.abc.PGresult | None = None
    while True:
        while pgconn.is_busy():
            yield READ
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            break
        results.append(result)
        if result.status == pq.ExecStatus.COPY_IN:
            break
        if result.status == pq.ExecStatus.FATAL_ERROR and failed is None:
            failed = result
    if failed is not None:
        raise errors.error_from_result(failed)
    return results
