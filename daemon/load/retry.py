"""Trying again what failed for a reason that passes, with growing pauses."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import NamedTuple

from daemon.backends.base import Backend
from daemon.clock import Clock
from daemon.errors import ErrorClass, OpError
from daemon.ops import Timed, Transaction
from daemon.record.recorder import Recorder

# Conflicts with other transactions: nothing was done, and the next try meets another situation.
CONFLICTS: frozenset[ErrorClass] = frozenset({"serialization", "deadlock", "busy"})
FIRST_PAUSE = 0.002  # s
LONGEST_PAUSE = 0.5  # s


def pause(attempt: int, first: float, longest: float, rng: Random) -> float:
    """Return the pause after failure number `attempt` (from 0), s: doubled each time, half of it random."""
    ceiling = min(longest, first * 2.0 ** min(attempt, 60))
    return ceiling * (0.5 + 0.5 * rng.random())


def may_retry(work: Transaction, error: OpError) -> bool:
    """Say whether the same transaction may be tried again.

    When it may have been committed all the same, only if a second time has no second effect; when
    a part of it may have been, never.
    """
    return not work.partial and (work.idempotent if error.in_doubt else error.error_class in CONFLICTS)


class Retries(NamedTuple):
    """Tries failed transactions again.

    Attributes:
        most: tries after the first one.
        backend: where they go.
        recorder: counts them by class of error.
        clock: monotonic time.
        rng: draws the pauses.
        on_refused: told of every transaction that failed in the end for a reason that does not pass.
    """

    most: int
    backend: Backend
    recorder: Recorder
    clock: Clock
    rng: Random
    on_refused: Callable[[OpError], None]

    async def again(self, work: Transaction, error: OpError, deadline: float) -> Timed:
        """Try a transaction again that has failed once.

        Args:
            work: the transaction.
            error: how it failed.
            deadline: the clock's time after which it is given up.

        Returns:
            What the try that succeeded gave, taken up when the first one was.

        Raises:
            OpError: the last failure, or one after which there is nothing to try.
            Rejected: `work.fn` said so.
        """
        served = error.served
        for attempt in range(self.most):
            if not may_retry(work, error):
                break
            seconds = pause(attempt, FIRST_PAUSE, LONGEST_PAUSE, self.rng)
            if self.clock.now() + seconds >= deadline:
                break
            self.recorder.count("soakd_retries_total", error.error_class)
            await asyncio.sleep(seconds)
            try:
                timed = await self.backend.transact(work, deadline=deadline)
            except OpError as failure:
                error = failure
            else:
                return timed if served is None else replace(timed, served=served)
        error.served = served
        if not error.transient:
            self.on_refused(error)
        raise error
