"""Which rows of an earlier run there are to be read: found by their keys, without going through them."""

from typing import Any

from daemon.backends.base import Backend
from daemon.ops import Table, Transaction, Tx, Values
from daemon.workloads.base import EPOCH_KEYS, Stretch
from daemon.workloads.expired import books_of

LIVES = 20  # lives of shards that are looked at, the first ones of the run
BAND = 16  # sequence numbers at the beginning of a life, of which every worker has written one

# The highest number that a worker has written is found as one finds a word in a dictionary: from
# its first one on in steps of half an epoch, a quarter, an eighth, taking each step that ends at a
# row. The numbers have no order by worker in the index, so its highest would be a long search.
_ENDS = f"""
WITH RECURSIVE
began AS (SELECT shard, worker, min(seq) AS first FROM (BEGINNINGS) AS beginnings GROUP BY shard, worker),
steps (shard, worker, first, last, step) AS (
    SELECT shard, worker, first, first, {EPOCH_KEYS // 2} FROM began
    UNION ALL
    SELECT shard, worker, first, CASE WHEN last + step < ? AND EXISTS (
               SELECT 1 FROM {{t}} AS t WHERE t.run = ? AND t.seq = steps.last + steps.step
               AND t.shard = steps.shard AND t.worker = steps.worker)
           THEN last + step ELSE last END, step / 2
    FROM steps WHERE step > 0)
SELECT shard, worker, first, last - first + 1 FROM steps WHERE step = 0
"""
_FIRST_ROWS = "SELECT shard, worker, seq FROM {t} WHERE run = ? AND seq >= ? AND seq < ?"
# Where rows expire, they do so in the order of their time, and workers are not of one speed: what
# they have left does not begin at the same number.
_LEFT_ROWS = """
SELECT t.shard, t.worker, t.seq FROM {books} AS b JOIN {t} AS t ON t.run = b.run AND t.seq = b.highest + 1
AND t.shard = b.shard AND t.worker = b.worker WHERE b.run = ? AND b.highest >= ? AND b.highest < ?
"""


async def readable(backend: Backend, table: Table) -> list[Stretch]:
    """Return what the newest run that wrote rows left to be read: of each worker its longest life.

    It takes 2 · `LIVES` + 1 statements at most, each of which looks some 40 keys up per worker.
    A row that was given up may in rare cases cut a stretch short; a worker whose first `BAND` rows of
    a life were all given up is left out of it.

    Raises:
        OpError: the target refused.
    """
    if backend.dialect.name == "null" or table.merge is not None:
        return []
    newest = backend.dialect.sql("SELECT max(run) FROM {t}", t=table.name)
    lowest = backend.dialect.sql("SELECT min(seq) FROM {t} WHERE run = ? AND seq >= ?", t=table.name)
    beginnings = f"{_FIRST_ROWS} UNION ALL {_LEFT_ROWS}" if table.expires else _FIRST_ROWS
    ends = backend.dialect.sql(
        _ENDS.replace("BEGINNINGS", beginnings), t=table.name, books=books_of(table).name
    )
    longest: dict[Values, Stretch] = {}
    run = (await _ask(backend, newest))[0][0]
    end = 0
    for _ in range(LIVES if run is not None else 0):
        first = (await _ask(backend, lowest, run, end))[0][0]
        if first is None:
            break
        begun = first // EPOCH_KEYS * EPOCH_KEYS
        end = begun + EPOCH_KEYS
        left = (run, begun, end) if table.expires else ()
        params = (run, first, first + BAND, *left, end, run)
        for shard, worker, begin, rows in await _ask(backend, ends, *params):
            known = longest.get((shard, worker))
            if known is None or known.rows < rows:
                longest[shard, worker] = Stretch(run, shard, worker, begin, rows)
    return sorted(longest.values())


async def _ask(backend: Backend, sql: str, *params: object) -> list[Values]:
    answer: list[Values] = (await backend.transact(Transaction(_rows, (sql, params), single=True))).result
    return answer


async def _rows(tx: Tx, sql: str, params: tuple[Any, ...]) -> list[Values]:
    return await tx.execute(sql, params)
