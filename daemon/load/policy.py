"""How a pool takes its turns."""

from typing import NamedTuple

from daemon.load.schedule import Schedule
from daemon.load.turns import Pace


class PoolPolicy(NamedTuple):
    """How a pool takes its turns.

    Attributes:
        workers: concurrent workers.
        schedule: intended times (open loop); None: a worker goes on as soon as it has its answer.
        think_time: pause after each operation of a closed loop, s.
        max_backlog: a turn later than this is dropped and counted, s.
        op_timeout: an operation without an answer by then is a timeout, s; 0: never.
        full_drops: drop a row that meets a full queue instead of waiting for room.
        retries: tries after the first of a transaction that met a conflict.
        rows_in_flight: rows a worker sends before it waits for the COMMIT of the oldest.
        timer_resolution: what the event loop rounds its timers to, s; 0 for a virtual clock.
        pace: what the workers begin with; None: all of them work, by `schedule`.
    """

    workers: int
    schedule: Schedule | None = None
    think_time: float = 0.0
    max_backlog: float = 10.0
    op_timeout: float = 0.0
    full_drops: bool = False
    retries: int = 0
    rows_in_flight: int = 1
    timer_resolution: float = 0.001
    pace: Pace | None = None
