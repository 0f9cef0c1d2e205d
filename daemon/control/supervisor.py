"""The supervisor process: starts the engines first of all, then does everything else."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control.engines import EngineProcess, kill, start_engine
from daemon.control.signals import Signals
from daemon.errors import UsageError

if TYPE_CHECKING:  # it brings numpy, and engines are to be started before that
    from daemon.scenario.programme import Programme


def run(settings: Settings, programme: "Programme | None" = None) -> int:
    """Make one run from beginning to end, by a programme if there is one; return the exit code.

    Raises:
        UsageError: the configuration cannot be used here (a port in use, for instance).
        TargetError: the database cannot be reached or used.
        DataLossError: acknowledged rows are missing.
    """
    return asyncio.run(_supervise(settings, programme))


async def _supervise(settings: Settings, programme: "Programme | None") -> int:
    async with AsyncExitStack() as stack:
        signals = Signals()
        signals.install(stack)
        return await supervise(settings, programme, signals)


async def supervise(settings: Settings, programme: "Programme | None", signals: Signals) -> int:
    """Start the engines, make a run with them, and see that they are gone; return the exit code.

    Raises:
        SoakdError: as `run`.
    """
    engines: list[EngineProcess] = []
    try:
        await _start(engines, settings.shards)
        # Imported only now: an engine needs a third of a second to load its libraries, and so do we.
        from daemon.control.conduct import conduct  # noqa: PLC0415

        return await conduct(settings, SystemClock(), engines, signals, programme)
    finally:
        await _end(engines)


async def _start(engines: list[EngineProcess], number: int) -> None:
    """Add so many to the engines; those that were started are among them when the next cannot be."""
    try:
        for _ in range(number):
            engines.append(await start_engine())  # noqa: PERF401 - see above
    except OSError as error:
        raise UsageError(
            f"cannot start an engine process: {error.strerror}; lower --shards, or raise what "
            "`ulimit -a` shows or make room in TMPDIR"
        ) from None


async def _end(engines: list[EngineProcess]) -> None:
    """See that the processes are gone before the event loop is, which else would complain."""
    for engine in engines:
        if engine.process.returncode is None:
            kill(engine.process)
        await engine.process.wait()
