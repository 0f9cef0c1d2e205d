"""Beginning from a known state: statistics reset, a checkpoint made."""

from collections.abc import Mapping, Sequence

from daemon.backends.base import Backend
from daemon.errors import OpError
from daemon.observe.sampler import Notify
from daemon.ops import Transaction, query

_STATEMENTS: Mapping[tuple[str, str], str] = {
    ("postgres", "statistics"): "SELECT pg_stat_statements_reset()",
    ("postgres", "checkpoint"): "CHECKPOINT",
    ("sqlite", "checkpoint"): "PRAGMA wal_checkpoint(TRUNCATE)",
}


async def reset(backend: Backend, wanted: Sequence[str], notify: Notify) -> None:
    """Reset what is wanted, as far as the target has it; what it refuses is told and left as it is."""
    for what in wanted:
        sql = _STATEMENTS.get((backend.dialect.name, what))
        if sql is None:
            continue
        try:
            await backend.transact(Transaction(query, (sql, ()), read_only=False, single=True))
        except OpError as error:
            notify("reset.failed", what=what, reason=str(error))
