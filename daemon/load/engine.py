"""The engine process: one shard of the load, told what to do over a socket."""

import asyncio
import gc
import mmap
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from daemon import ledger
from daemon.backends import factory
from daemon.clock import Clock, SystemClock
from daemon.errors import OpError, TargetError
from daemon.load.batch import BatchWriter
from daemon.load.canaries import Canaries
from daemon.load.consumers import Consumers
from daemon.load.messages import (
    Change,
    Channel,
    EnginePlan,
    Failed,
    Finished,
    Look,
    Message,
    Note,
    Ready,
    Refused,
    Report,
    RowFailed,
    Start,
    Stop,
)
from daemon.load.pool import Pool
from daemon.load.turns import Pace
from daemon.load.vitals import Vitals
from daemon.ops import PoolName, Values
from daemon.record.account import SIZE, Account, Cells, cells_in
from daemon.record.recorder import NullRecorder, OpRecorder
from daemon.record.snapshot import Snapshot
from daemon.workloads import registry

REPORT_EVERY = 0.25  # s
FAILED_ROWS_NAMED = 20  # rows that are reported one by one; all are counted
REASONS_NAMED = 20  # different reasons of refused transactions that are reported; all are counted
SWITCH_INTERVAL = 0.0005  # s; a lane's thread may not keep the loop waiting for the GIL for 5 ms
ABORT_GRACE = 2.0  # s for cancelled work to end
TESTIFY_WITHIN = 10.0  # s for the target to take the account of an engine that is alone


class Engine:
    """One life of one shard: its pools, its batch writers and what they have counted."""

    def __init__(self, plan: EnginePlan, *, cells: Cells, clock: Clock, channel: Channel) -> None:
        """Build everything; nothing is connected or started."""
        self._plan = plan
        self._cells = cells
        self._channel = channel
        self._clock = clock
        self.backend = factory.create(*plan.backend, clock, Random(f"{plan.seed}/backend"), self._note)
        self.workload = registry.create(
            *plan.workload,
            identity=plan.identity,
            dialect=self.backend.dialect,
            workers=plan.pools["writer"].workers,
            existing=plan.existing,
            wall=clock.wall,
            rng=Random(f"{plan.seed}/payload"),
            under_way=plan.pools["writer"].rows_in_flight,
        )
        self._recorder = OpRecorder(self.workload.ops) if plan.recording else NullRecorder()
        self._failed_rows = iter(range(FAILED_ROWS_NAMED))
        self._reasons: set[str] = set()
        self.writers = self._batch_writers()
        self.pools = [
            Pool(
                name,
                policy,
                workload=self.workload,
                backend=self.backend,
                writers=tuple(self.writers.values()),
                recorder=self._recorder,
                clock=clock,
                seed=f"{plan.seed}/{name}",
                on_refused=self._refused,
            )
            for name, policy in plan.pools.items()
        ]
        self._consumers = Consumers(
            registry.consumers(
                *plan.workload,
                dialect=self.backend.dialect,
                wall=clock.wall,
                shard=plan.identity.shard,
                shards=plan.shards,
            ),
            backend=self.backend,
            clock=clock,
            rng=Random(f"{plan.seed}/consumers"),
        )
        self._canaries = self._canaries_of(plan, clock)
        self._vitals = Vitals(plan.identity.shard, clock)
        self._work: list[asyncio.Task[None]] = []

    def _batch_writers(self) -> Mapping[str, BatchWriter]:
        plan = self._plan
        return {
            spec_table.name: BatchWriter(
                op=op,
                table=spec_table,
                policy=plan.batch,
                backend=self.backend,
                recorder=self._recorder,
                cells=self._cells,
                clock=self._clock,
                rng=Random(f"{plan.seed}/jitter"),
                on_failed=partial(self._row_failed, len(spec_table.key)),
            )
            for op, spec_table in enumerate(self.workload.tables)
        }

    def _canaries_of(self, plan: EnginePlan, clock: Clock) -> Canaries:
        made = registry.canaries(
            *plan.workload,
            identity=plan.identity,
            dialect=self.backend.dialect,
            workers=plan.pools["writer"].workers,
        )
        writers = tuple(self.writers.values())
        return Canaries(made, writers=writers, backend=self.backend, clock=clock)

    def start(self) -> None:
        """Begin the load; it goes on until `drain`."""
        load = [
            *(asyncio.create_task(writer.run(), name=name) for name, writer in self.writers.items()),
            *(asyncio.create_task(pool.run(), name=pool.name) for pool in self.pools),
        ]
        # What follows the writes can end only when there will be no more of them.
        asyncio.gather(*load, return_exceptions=True).add_done_callback(self._written)
        self._work = [
            *load,
            asyncio.create_task(self._consumers.run(), name="consumers"),
            asyncio.create_task(self._canaries.run(), name="canaries"),
        ]

    def _written(self, _: object) -> None:
        self._consumers.finish()
        self._canaries.finish()

    async def drain(self, seconds: float) -> None:
        """Take no further turn, write what was accepted, abandon what is left after `seconds`.

        The consumers catch up meanwhile, as far as there is time.
        """
        for pool in self.pools:
            pool.stop()
        for writer in self.writers.values():
            writer.close()
        if self._work:
            _, late = await asyncio.wait(self._work, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=ABORT_GRACE)
        for writer in self.writers.values():
            writer.abandon()
        for task in self._work:
            if task.done() and not task.cancelled():
                task.result()  # a bug in a worker is not to pass unseen

    async def change(self, paces: Mapping[PoolName, Pace]) -> None:
        """Have pools work in another way from now on."""
        await asyncio.gather(*(pool.change(paces[pool.name]) for pool in self.pools if pool.name in paces))

    async def watch(self) -> None:
        """Return only when a part of the load has failed; raises what it raised."""
        done, _ = await asyncio.wait(self._work, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def report(self) -> None:
        """Send a snapshot now and then, for ever."""
        while True:
            await asyncio.sleep(REPORT_EVERY)
            self._channel.send(Report(self.snapshot()))

    async def beat(self) -> None:
        """Measure the event loop's lag, for ever."""
        await self._vitals.beat()

    def snapshot(self) -> Snapshot:
        """Return everything counted so far, and the present state."""
        snapshot = self._recorder.snapshot()
        self._vitals.add_to(snapshot)
        snapshot.merge(self.backend.figures())
        self._consumers.add_to(snapshot)
        self._canaries.add_to(snapshot)
        gauges = snapshot.gauges
        policy = self._plan.batch
        gauges["soakd_batch_queue_rows",] = sum(writer.depth for writer in self.writers.values())
        gauges["soakd_batch_queue_capacity_rows",] = policy.capacity * len(self.writers)
        for pool in self.pools:
            gauges["soakd_ops_in_flight", pool.name] = pool.in_flight
            gauges["soakd_workers", pool.name] = pool.active
            gauges["soakd_target_ops_per_second", pool.name] = pool.target_rate
            snapshot.counters["soakd_ops_due_total", pool.name] = pool.due
        for (name, state), connections in self.backend.connections().items():
            gauges["soakd_pool_connections", name, state] = connections
        # The supervisor makes one figure of all shards': up only when none is in an outage.
        gauges["soakd_target_up",] = 0.0 if self.backend.outage_end == float("inf") else 1.0
        return snapshot

    @property
    def account(self) -> Account:
        """What became of the rows."""
        return Account.of(self._cells)

    def _note(self, event: str, facts: Mapping[str, object]) -> None:
        self._channel.send(Note(event, facts))

    def _row_failed(self, key_size: int, values: Values, error: OpError) -> None:
        for _ in islice(self._failed_rows, 1):
            self._channel.send(RowFailed(values[:key_size], error.error_class, str(error)))

    def _refused(self, error: OpError) -> None:
        reason = str(error)
        if reason not in self._reasons and len(self._reasons) < REASONS_NAMED:
            self._reasons.add(reason)
            self._channel.send(Refused(error.error_class, reason))


async def serve(channel: Channel, cells: Cells, clock: Clock) -> None:
    """Live one life: take a plan, connect, load on `Start`, drain on `Stop` or when alone."""
    plan = await channel.receive()
    if not isinstance(plan, EnginePlan):
        return
    engine = Engine(plan, cells=cells, clock=clock, channel=channel)
    try:
        await engine.backend.open()
    except TargetError as error:
        channel.send(Failed(str(error)))
        return
    try:
        gc.collect()
        gc.freeze()  # what is there now stays: later collections need not look at it
        channel.send(Ready())
        order = await channel.receive()
        if isinstance(order, Start):
            await _load(engine, channel, plan)
        elif order is None:
            await _testify(engine, plan)
    finally:
        await engine.backend.close()


async def _load(engine: Engine, channel: Channel, plan: EnginePlan) -> None:
    engine.start()
    background = [asyncio.create_task(engine.report()), asyncio.create_task(engine.beat())]
    failure = asyncio.create_task(engine.watch())
    order = asyncio.create_task(_order(engine, channel))
    try:
        await asyncio.wait({failure, order}, return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            failure.result()
        stop = await order
        alone = stop is None
        if not await _drain(engine, channel, stop.within if isinstance(stop, Stop) else plan.drain_timeout):
            alone = True
        if alone:
            await _testify(engine, plan)
    finally:
        for task in (*background, failure, order):
            task.cancel()
    channel.send(Finished(engine.snapshot()))


async def _order(engine: Engine, channel: Channel) -> Message | None:
    """Return the order to stop, or None when the supervisor is gone; until then do as it asks."""
    while isinstance(order := await channel.receive(), Look | Change):
        if isinstance(order, Change):
            await engine.change(order.paces)
        channel.send(Report(engine.snapshot()))
    return order


async def _drain(engine: Engine, channel: Channel, seconds: float) -> bool:
    """Drain, unless a second `Stop` comes meanwhile: then only until its own time-out.

    Returns:
        Whether the supervisor was there all the time.
    """
    drain = asyncio.create_task(engine.drain(seconds))
    order = asyncio.create_task(channel.receive())
    await asyncio.wait({drain, order}, return_when=asyncio.FIRST_COMPLETED)
    again = order.result() if order.done() else None
    if not drain.done() and isinstance(again, Stop):
        drain.cancel()
        await asyncio.wait({drain})
        await engine.drain(again.within)
    if not drain.cancelled():
        await drain
    there = not order.done() or order.result() is not None
    order.cancel()
    return there


async def _testify(engine: Engine, plan: EnginePlan) -> None:
    """Leave the shard's accounts in the database when there is no supervisor any more to do it."""
    with suppress(OpError, TimeoutError):
        async with asyncio.timeout(TESTIFY_WITHIN):
            accounts = dict([*plan.earlier, (plan.identity, engine.account)])
            await ledger.save_accounts(engine.backend, accounts)
            await ledger.finish_alone(engine.backend, plan.identity.run)


def main() -> None:
    """Run one engine: `engine SOCKET_FD COUNTERS_FD`, as the supervisor starts it."""
    # Ctrl-C and a stopping service reach every process of the group: only the supervisor
    # answers, and tells the engines. It starts them with these blocked; they stay unheard.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL)
    socket_fd, counters_fd = (int(arg) for arg in sys.argv[-2:])
    cells = cells_in(mmap.mmap(counters_fd, SIZE))
    _run(_connected(socket_fd, cells))


async def _connected(socket_fd: int, cells: Cells) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=socket_fd))
    channel = Channel(reader, writer)
    try:
        await serve(channel, cells, SystemClock())
    finally:
        await channel.close()


def _run(main_task: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(main_task)
    else:
        uvloop.run(main_task)
