"""Direct transactions that met a conflict are tried again: boundedly, and never twice by mistake."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from daemon.backends.base import INFINITY
from daemon.errors import ERROR_CLASSES, OpError, Rejected
from daemon.load.policy import PoolPolicy
from daemon.load.retry import CONFLICTS, LONGEST_PAUSE, Retries, pause
from daemon.ops import OpSpec, Timed, Transaction, Tx
from daemon.record.recorder import OpRecorder
from tests import virtual
from tests.doubles import ScriptedBackend
from tests.test_pool import loaded, outcomes
from tests.virtual import VirtualClock


async def nothing(tx: Tx) -> None:
    """Do nothing."""


WRITE = Transaction(nothing, read_only=False)
IDEMPOTENT = replace(WRITE, idempotent=True)


class Refusing(ScriptedBackend):
    """Answers with errors until there are no more of them."""

    def __init__(self, clock: VirtualClock, errors: Sequence[Exception]) -> None:
        super().__init__(clock, seconds=0.001)
        self.errors = list(errors)
        self.tries: list[float] = []

    async def transact(self, work: Transaction, *, deadline: float = INFINITY) -> Timed:
        """Fail with the next error, or succeed."""
        self.tries.append(self.clock.now())
        served = self.clock.now()
        await asyncio.sleep(self.seconds)
        if not self.errors:
            return Timed("done", served, self.clock.now())
        error = self.errors.pop(0)
        if isinstance(error, OpError):
            error.served = served
        raise error


def tried(
    work: Transaction, errors: Sequence[Exception], *, most: int = 5, patience: float = INFINITY
) -> tuple[Timed | Exception, list[float], dict[str, float]]:
    """Try a transaction that fails so; return how it ended, when it was tried, and the retries by class."""

    async def main(clock: VirtualClock) -> tuple[Timed | Exception, list[float], dict[str, float]]:
        backend = Refusing(clock, errors)
        recorder = OpRecorder([OpSpec("op", "writer")])
        deadline = clock.now() + patience
        end: Timed | Exception
        refused: list[OpError] = []
        try:
            try:
                end = await backend.transact(work, deadline=deadline)
            except OpError as error:
                retries = Retries(most, backend, recorder, clock, Random(1), refused.append)
                end = await retries.again(work, error, deadline)
        except (OpError, Rejected) as error:
            end = error
        assert refused == ([end] if isinstance(end, OpError) and not end.transient else [])
        counters = recorder.snapshot().counters
        return end, backend.tries, {k[1]: v for k, v in counters.items() if k[0] == "soakd_retries_total"}

    found: tuple[Timed | Exception, list[float], dict[str, float]] = virtual.run(main)
    return found


def test_a_conflict_is_tried_again_and_counted_by_class() -> None:
    errors = [OpError("serialization"), OpError("deadlock"), OpError("busy"), OpError("serialization")]
    end, tries, counts = tried(WRITE, errors)
    assert isinstance(end, Timed)
    assert end.result == "done"
    assert len(tries) == 5
    assert counts == {"serialization": 2, "deadlock": 1, "busy": 1}
    assert end.served == tries[0], "its service began with the first try"


@pytest.mark.parametrize("name", sorted(set(ERROR_CLASSES) - CONFLICTS))
def test_what_is_no_conflict_is_not_tried_again(name: str) -> None:
    end, tries, counts = tried(WRITE, [OpError(name)])  # type: ignore[arg-type]
    assert isinstance(end, OpError)
    assert end.served == tries[0]
    assert (len(tries), counts) == (1, {})


def test_in_doubt_only_the_idempotent_is_tried_again() -> None:
    """The connection was lost while COMMIT was under way."""
    end, tries, _ = tried(WRITE, [OpError("connection", in_doubt=True)])
    assert isinstance(end, OpError)
    assert len(tries) == 1
    end, tries, counts = tried(IDEMPOTENT, [OpError("connection", in_doubt=True)])
    assert isinstance(end, Timed)
    assert (len(tries), counts) == (2, {"connection": 1})


def test_what_may_have_been_committed_in_part_is_not_tried_again() -> None:
    end, tries, counts = tried(replace(WRITE, partial=True), [OpError("deadlock")])
    assert isinstance(end, OpError)
    assert (len(tries), counts) == (1, {})


def test_the_tries_are_bounded_by_their_number() -> None:
    end, tries, counts = tried(WRITE, [OpError("deadlock")] * 99, most=3)
    assert isinstance(end, OpError)
    assert end.error_class == "deadlock"
    assert (len(tries), counts) == (4, {"deadlock": 3})
    assert len(tried(WRITE, [OpError("deadlock")] * 99, most=0)[1]) == 1


def test_the_tries_are_bounded_by_the_deadline() -> None:
    """No pause reaches beyond it."""
    end, tries, _ = tried(WRITE, [OpError("deadlock")] * 999, most=100, patience=3.0)
    assert isinstance(end, OpError)
    assert 5 < len(tries) < 20
    assert tries[-1] - tries[0] <= 3.0


def test_a_rejection_ends_the_tries() -> None:
    end, tries, _ = tried(WRITE, [OpError("serialization"), Rejected("no funds"), OpError("deadlock")])
    assert isinstance(end, Rejected)
    assert len(tries) == 2


def test_pauses_grow_up_to_a_bound_and_differ() -> None:
    rng = Random(1)
    for attempt in range(100):
        ceiling = min(LONGEST_PAUSE, 0.002 * 2**attempt)
        drawn = [pause(attempt, 0.002, LONGEST_PAUSE, rng) for _ in range(20)]
        assert all(0.5 * ceiling <= one <= ceiling for one in drawn)
        assert len(set(drawn)) > 1


def test_an_operation_that_succeeds_at_the_second_try_is_ok() -> None:
    """Its time holds both tries and the pause between them."""

    async def meanwhile(rig: object) -> None:
        backend = rig.backend  # type: ignore[attr-defined]
        plain, failures = backend.transact, [OpError("serialization"), OpError("serialization")]

        async def transact(work: Transaction, *, deadline: float = INFINITY) -> Timed:
            if failures:
                await asyncio.sleep(0.001)
                raise failures.pop()
            timed: Timed = await plain(work, deadline=deadline)
            return timed

        backend.transact = transact

    _, snapshot = loaded(PoolPolicy(workers=1, retries=2), 0.05, meanwhile=meanwhile)
    assert outcomes(snapshot, "ok") > 10
    assert outcomes(snapshot, "error") == 0
    assert snapshot.counters["soakd_retries_total", "serialization"] == 2
