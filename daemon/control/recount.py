"""Asking the target for a run's accounts and rows, to be compared."""

from random import Random

from daemon import ledger
from daemon.check.sqlite import look_inside
from daemon.clock import Clock
from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import OpError, TargetError, UsageError
from daemon.results.verify import Verification, verify
from daemon.target import parse_target
from daemon.workloads import registry
from daemon.workloads.base import Identity, Workload


def tables_of(settings: Settings, clock: Clock) -> Workload:
    """Return the workload for its schema and names; it makes no operation."""
    return registry.create(
        settings.workload,
        plan.workload_options(settings),
        identity=Identity(0, 0, 0),
        dialect=plan.make_backend(settings, clock).dialect,
        workers=0,
        existing=(),
        wall=clock.wall,
        rng=Random(0),
    )


async def recount(settings: Settings, clock: Clock, run: int | None) -> Verification:
    """Compare what a run says that it committed with what the target holds.

    Args:
        settings: where the target is.
        clock: monotonic time.
        run: its number; None: the newest.

    Raises:
        UsageError: there is no such run, or the target stores nothing.
        TargetError: the target cannot be asked.
    """
    target = parse_target(settings.target.get_secret_value())
    if target.kind == "null":
        raise UsageError("the null target stores nothing: there is nothing to recount")
    if target.path and not target.path.exists():
        raise TargetError(f"there is no file {target.path}: name the database of the run with --target")
    if target.path and not look_inside(target.path)[0]:
        # Found out before it is opened for real, which would put a database of others into WAL mode.
        raise UsageError(f"soakd has never run against {target.path}: there is nothing to recount")
    backend = plan.make_backend(settings, clock)
    await backend.open()
    try:
        record = await ledger.load_run(backend, run)
        if record.workload not in registry.WORKLOADS:
            raise UsageError(f"run {record.run} was made by the workload {record.workload}, unknown here")
        chosen = settings.model_copy(update={"workload": record.workload})
        has_rows = registry.WORKLOADS[record.workload].writes_rows
        tables = tables_of(chosen, clock).tables if has_rows else ()
        workers = [
            row for t in tables if not t.merge for row in await ledger.by_worker(backend, t, record.run)
        ]
        merges = [table.merge for table in tables if table.merge]
        if not merges:
            return verify(record, workers)
        merged = [rows for merge in merges for rows in await ledger.merged(backend, merge, record.run)]
        problems = [await ledger.miscounted(backend, merge) for merge in merges]
        return verify(record, workers, merged, [problem for problem in problems if problem])
    except OpError as error:
        raise TargetError(f"cannot recount: {error}") from error
    finally:
        await backend.close()
