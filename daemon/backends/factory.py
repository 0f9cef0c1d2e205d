"""Making a backend of a kind; the libraries of the other kinds are not even imported."""

from collections.abc import Mapping
from random import Random
from typing import Any

from daemon.backends.base import Backend, Notify
from daemon.clock import Clock


def create(kind: str, options: Mapping[str, Any], clock: Clock, rng: Random, notify: Notify) -> Backend:
    """Return a backend that is not open yet.

    Args:
        kind: `sqlite`, `postgres` or `null`.
        options: the keyword arguments of its class, less those that follow.
        clock: monotonic time.
        rng: draws the null backend's latencies.
        notify: told of what happens beside the operations.
    """
    if kind == "sqlite":
        from daemon.backends.sqlite import SqliteBackend  # noqa: PLC0415

        return SqliteBackend(clock=clock, notify=notify, **options)
    if kind == "postgres":
        from daemon.backends.postgres import PostgresBackend  # noqa: PLC0415

        return PostgresBackend(clock=clock, **options)
    from daemon.backends.null import NullBackend  # noqa: PLC0415

    return NullBackend(clock=clock, rng=rng, **options)
