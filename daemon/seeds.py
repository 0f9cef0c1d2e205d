"""What the target remembers of the data that was loaded into it: which it is, and how much is there."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from daemon.backends.base import Backend, Dialect
from daemon.errors import TargetError
from daemon.ledger import ask, do, insert
from daemon.ops import Table, Tx, query
from daemon.workloads.data import Dataset

SEEDS = Table(
    "seeds",
    (
        ("workload", "text"),
        ("scale", "bigint"),
        ("seed", "bigint"),
        ("shape", "text"),  # JSON
        ("begun", "bigint"),  # microseconds since the Unix epoch
        ("done", "int"),
    ),
    ("workload",),
)
CHUNKS = Table(
    "seed_chunks",
    (("workload", "text"), ("name", "text"), ("chunk", "int"), ("row_count", "int")),
    ("workload", "name", "chunk"),
)


class Seeded(NamedTuple):
    """Data in the target.

    Attributes:
        dataset: which it is.
        begun: when its loading began, s since the Unix epoch.
        done: it is complete.
    """

    dataset: Dataset
    begun: float
    done: bool


async def load(backend: Backend, workload: str) -> Seeded | None:
    """Return what is known of a workload's data; None if nothing was loaded.

    Raises:
        OpError: the target refused.
    """
    sql = backend.dialect.sql(
        "SELECT scale, seed, shape, begun, done FROM {seeds} WHERE workload = ?", seeds=SEEDS.name
    )
    for scale, seed, shape, begun, done in await ask(backend, query, sql, (workload,)):
        return Seeded(Dataset(scale, seed, json.loads(shape)), begun / 1e6, bool(done))
    return None


async def begin(backend: Backend, workload: str, dataset: Dataset, now: float) -> None:
    """Note that data is being loaded, unless somebody else has just begun.

    Raises:
        OpError: the target refused.
    """
    values = (workload, dataset.scale, dataset.seed, json.dumps(dict(dataset.shape)), int(now * 1e6), 0)
    await do(backend, insert, backend.dialect.insert(SEEDS, again=True), (values,))


async def finish(backend: Backend, workload: str, begun: float, last: Sequence[str]) -> None:
    """Note that the data whose loading began then is complete, with the last statements; once.

    When two have loaded it, a run of the one may be writing when the other gets here.

    Raises:
        OpError: the target refused.
        TargetError: it is not there any more.
    """
    await do(backend, _finish, backend.dialect, workload, round(begun * 1e6), last)


async def _finish(tx: Tx, dialect: Dialect, workload: str, begun: int, last: Sequence[str]) -> None:
    mine = "workload = ? AND begun = ?"
    update = dialect.sql(f"UPDATE {{s}} SET done = 1 WHERE {mine} AND done = 0 RETURNING done", s=SEEDS.name)
    if await tx.execute(update, (workload, begun)):
        for statement in last:
            await tx.execute(statement)
    elif not await tx.execute(
        dialect.sql(f"SELECT done FROM {{s}} WHERE {mine}", s=SEEDS.name), (workload, begun)
    ):
        raise overtaken(workload)


async def forget(backend: Backend, workload: str) -> None:
    """Forget a workload's data, which is being dropped.

    Raises:
        OpError: the target refused.
    """
    for table in (CHUNKS, SEEDS):
        sql = backend.dialect.sql("DELETE FROM {t} WHERE workload = ?", t=table.name)
        await do(backend, insert, sql, ((workload,),))


async def loaded_chunks(backend: Backend, workload: str) -> dict[tuple[str, int], int]:
    """Return the rows of the chunks that are there, by table and number.

    Raises:
        OpError: the target refused.
    """
    sql = backend.dialect.sql(
        "SELECT name, chunk, row_count FROM {chunks} WHERE workload = ?", chunks=CHUNKS.name
    )
    found = await ask(backend, query, sql, (workload,))
    return {(name, chunk): rows for name, chunk, rows in found}


def mark(dialect: Dialect) -> str:
    """Return the statement that notes a chunk: table, number, rows, workload, and when that was begun, µs.

    It fails when the chunk is there, and returns nothing when that data is not wanted any more.
    """
    return dialect.sql(
        "INSERT INTO {chunks} (workload, name, chunk, row_count) "
        "SELECT workload, CAST(? AS text), CAST(? AS integer), CAST(? AS integer) FROM {seeds} "
        "WHERE workload = ? AND begun = ? RETURNING chunk",
        chunks=CHUNKS.name,
        seeds=SEEDS.name,
    )


def overtaken(workload: str) -> TargetError:
    """Return what is to be said when the data that was being loaded has gone."""
    return TargetError(
        f"somebody has begun anew with the data of {workload}, or dropped it, while it was being loaded: "
        "leave it to them, or load it again"
    )
