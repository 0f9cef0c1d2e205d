"""A shard and its engine processes, real ones: started, asked, stopped, killed and replaced."""

import asyncio
import errno
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from daemon import ledger
from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control import plan, shards
from daemon.control.engines import NOT_FOR_ENGINES, EngineProcess, start_engine
from daemon.control.shards import Shard
from daemon.errors import TargetError
from daemon.load.messages import EnginePlan, Ready
from daemon.load.schedule import Constant
from daemon.load.turns import Pace
from daemon.record.account import Account
from daemon.workloads.base import Identity
from tests.test_backend_contract import sqlite_backend
from tests.test_ledger import prepare, record

WITHIN = 20.0  # s, for a busy machine


class Bench:
    """A shard on a target, and what it has told."""

    def __init__(self, target: str = "null://", **sections: Any) -> None:
        self.settings = Settings.model_validate(
            {
                "target": target,
                "null": {"latency": "constant"},
                "pools": {"writers": 4, "readers": 2},
                **sections,
            }
        )
        self.told: list[tuple[str, dict[str, object]]] = []
        self.epochs: list[int] = []
        self.shard = Shard(0, plan=self.plan, clock=SystemClock(), notify=self.note)

    def plan(self, epoch: int) -> EnginePlan:
        """Make the plan of a life."""
        self.epochs.append(epoch)
        return plan.engine_plan(self.settings, Identity(5, 0, epoch), 1, ())

    def note(self, event: str, **facts: object) -> None:
        """Take note."""
        self.told.append((event, facts))

    @property
    def events(self) -> list[str]:
        """What was told, without the facts."""
        return [event for event, _ in self.told]

    @property
    def engine(self) -> int:
        """The process id of the engine at work."""
        return self.shard.lives[-1].process.pid

    @property
    def written(self) -> float:
        """Rows committed by all lives, as reported."""
        return self.shard.snapshot().counters.get(("soakd_ops_total", "writer", "append", "ok"), 0)

    async def loads(self) -> "asyncio.Task[None]":
        """Connect, and load until some rows are written; return what goes on."""
        await self.shard.connect()
        running = asyncio.create_task(self.shard.run())
        await self.until(lambda: self.written > 100)
        return running

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        give_up = time.monotonic() + WITHIN
        while not condition():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.005)


def on(bench: Bench, check: Callable[[Bench], Awaitable[None]]) -> None:
    """Run a check on a shard that has an engine; whatever is left of it is killed."""

    async def main() -> None:
        await bench.shard.adopt(await start_engine())
        try:
            async with asyncio.timeout(4 * WITHIN):
                await check(bench)
        finally:
            for life in bench.shard.lives:
                if life.alive:
                    life.process.kill()
                await life.channel.close()
                await life.process.wait()
                life.stderr.close()

    asyncio.run(main())


def test_an_engine_loads_until_it_is_stopped_and_says_goodbye() -> None:
    async def check(bench: Bench) -> None:
        shard = bench.shard
        before = shard.target_up
        await shard.connect()
        assert (before, shard.target_up) == (False, True)
        running = asyncio.create_task(shard.run())
        await bench.until(lambda: bench.written > 100)
        shard.stop(5)
        await running
        life = shard.lives[0]
        assert (life.finished, life.alive) == (True, False)
        assert life.process.returncode == 0
        account = life.account
        assert account.balanced
        assert account.committed == account.accepted == bench.written
        assert bench.events == []
        assert (shard.restarts, shard.gap_seconds) == (0, 0)

    on(Bench(), check)


def test_a_look_brings_the_figures_of_this_moment() -> None:
    """Reports come four times a second; the account is always fresh, so the two can be compared."""

    async def check(bench: Bench) -> None:
        running = await bench.loads()
        for _ in range(5):
            before = bench.shard.lives[0].account.committed
            await bench.shard.look(WITHIN)
            assert bench.written >= before
        bench.shard.stop(5)
        await running
        await bench.shard.look(WITHIN)

    on(Bench(), check)


def test_a_killed_engine_is_replaced_and_nothing_counted_is_lost() -> None:
    async def check(bench: Bench) -> None:
        shard = bench.shard
        running = await bench.loads()
        os.kill(bench.engine, signal.SIGKILL)
        before = bench.written
        await bench.until(lambda: "engine.restarted" in bench.events)
        assert bench.written >= before
        assert shard.target_up
        await bench.until(lambda: bench.written > before + 100)
        shard.stop(5)
        await running
        assert bench.events == ["engine.died", "engine.restarted"]
        died, restarted = (facts for _, facts in bench.told)
        assert (died["shard"], died["epoch"], died["exit_code"]) == (0, 0, -signal.SIGKILL)
        assert restarted["epoch"] == 1
        assert bench.epochs == [0, 1]
        assert shard.restarts == 1
        assert 0 < shard.gap_seconds < WITHIN
        assert len(shard.lives) == 1  # nothing else is kept of the dead one, however many there will be
        first, second = shard.accounts[0], shard.accounts[1]
        assert first.balanced
        assert first.in_doubt == first.abandoned
        assert shard.lives[0].finished
        assert bench.written <= first.committed + second.committed

    on(Bench(), check)


def test_one_who_looks_while_an_engine_is_replaced_does_no_harm() -> None:
    """Each scrape of /metrics is a look, and an engine that is not loading yet has nothing to show."""

    async def check(bench: Bench) -> None:
        shard = bench.shard
        await shard.look(0.01)
        await shard.connect()
        await shard.look(0.01)
        running = asyncio.create_task(shard.run())
        await bench.until(lambda: bench.written > 100)
        os.kill(bench.engine, signal.SIGKILL)
        await bench.until(lambda: shard.gap_seconds)
        while "engine.restarted" not in bench.events:
            await shard.look(0.01)
            await asyncio.sleep(0.005)
        before = bench.written
        await bench.until(lambda: bench.written > before + 100)
        shard.stop(5)
        await running
        assert bench.events == ["engine.died", "engine.restarted"]

    on(Bench(), check)


def test_told_to_stop_at_any_moment_of_a_replacement_it_ends_in_order() -> None:
    async def check(bench: Bench) -> None:
        shard = bench.shard
        running = await bench.loads()
        os.kill(bench.engine, signal.SIGKILL)
        await bench.until(lambda: shard.gap_seconds and shard.lives)
        shard.stop(5)
        await running
        assert bench.events == ["engine.died", "engine.restarted"]
        assert shard.lives[-1].finished

    on(Bench(), check)


def test_an_engine_that_dies_while_it_drains_is_reported_and_not_replaced() -> None:
    """A target that takes a minute keeps the drain from ending."""

    async def check(bench: Bench) -> None:
        await bench.shard.connect()
        running = asyncio.create_task(bench.shard.run())
        await bench.until(lambda: bench.shard.lives[0].account.accepted)
        bench.shard.stop(60)
        os.kill(bench.engine, signal.SIGKILL)
        await running
        assert bench.events == ["engine.died"]
        account = bench.shard.lives[0].account
        assert account.balanced
        assert account.abandoned == account.in_doubt == account.accepted > 0

    on(Bench(null={"latency": "constant", "mean": "60s"}), check)


def test_a_second_stop_cuts_the_drain_short() -> None:
    async def check(bench: Bench) -> None:
        shard = bench.shard
        await shard.connect()
        running = asyncio.create_task(shard.run())
        await bench.until(lambda: shard.lives[0].account.accepted)
        shard.stop(60)
        await asyncio.sleep(0.1)
        assert not running.done()
        shard.stop(0)
        await running
        assert shard.lives[0].finished
        assert shard.lives[0].account.abandoned == shard.lives[0].account.accepted

    on(Bench(null={"latency": "constant", "mean": "60s"}), check)


def test_told_to_stop_while_an_engine_is_being_replaced_it_ends() -> None:
    async def check(bench: Bench) -> None:
        await bench.shard.connect()
        running = asyncio.create_task(bench.shard.run())
        await bench.until(lambda: bench.written)
        os.kill(bench.engine, signal.SIGKILL)
        await bench.until(lambda: not bench.shard.lives)
        await bench.shard.look(WITHIN)
        await bench.until(lambda: len(bench.epochs) == 2)
        bench.shard.stop(5)
        await running
        assert not any(life.alive for life in bench.shard.lives)
        assert bench.shard.accounts.keys() >= {0}
        assert all(account.balanced for account in bench.shard.accounts.values())

    on(Bench(), check)


def test_a_target_that_cannot_be_used_is_told_by_the_engine(tmp_path: Path) -> None:
    async def check(bench: Bench) -> None:
        with pytest.raises(TargetError, match="missing"):
            await bench.shard.connect()
        assert not bench.shard.target_up

    on(Bench(f"sqlite:///{tmp_path}/missing/load.db"), check)


def test_an_engine_that_dies_while_connecting_is_told_with_its_last_words() -> None:
    async def check(bench: Bench) -> None:
        life = bench.shard.lives[0]
        life.stderr.write(b"Traceback\nMemoryError: no room\n")
        life.stderr.flush()
        life.process.kill()
        with pytest.raises(TargetError, match="engine 0 died while connecting: MemoryError: no room"):
            await bench.shard.connect()

    on(Bench(), check)


def test_a_process_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process, descriptor or disk space is to be had for a moment of a run of weeks."""
    refusals = iter([OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))])

    async def start() -> EngineProcess:
        for refusal in refusals:
            raise refusal
        return await start_engine()

    async def check(bench: Bench) -> None:
        await bench.shard.connect()
        running = asyncio.create_task(bench.shard.run())
        await bench.until(lambda: bench.written)
        monkeypatch.setattr(shards, "start_engine", start)
        os.kill(bench.engine, signal.SIGKILL)
        await bench.until(lambda: "engine.restarted" in bench.events)
        assert bench.events == ["engine.died", "engine.restart_failed", "engine.restarted"]
        assert "temporarily unavailable" in str(bench.told[1][1]["reason"])
        bench.shard.stop(5)
        await running

    on(Bench(), check)


def test_a_signal_to_the_group_does_not_reach_an_engine_that_is_still_starting() -> None:
    """Ctrl-C in the first half second."""

    async def check(bench: Bench) -> None:
        for number in NOT_FOR_ENGINES:
            os.kill(bench.engine, number)
        await bench.shard.connect()
        for number in NOT_FOR_ENGINES:
            os.kill(bench.engine, number)
        running = asyncio.create_task(bench.shard.run())
        await bench.until(lambda: bench.written)
        bench.shard.stop(5)
        await running
        assert bench.shard.lives[0].process.returncode == 0

    on(Bench(), check)


def test_an_engine_whose_supervisor_dies_before_the_load_leaves_its_shards_books(tmp_path: Path) -> None:
    target, dead = tmp_path / "books.db", Account(9, 7, 0, 2, 2)

    async def check(bench: Bench) -> None:
        backend = sqlite_backend(target)
        await backend.open()
        await prepare(backend)
        await ledger.register(backend, record(5, shards=1))
        life = bench.shard.lives[0]
        life.channel.send(bench.plan(1)._replace(earlier=[(Identity(5, 0, 0), dead)]))
        assert isinstance(await life.channel.receive(), Ready)
        await life.channel.close()
        await life.process.wait()
        found = await ledger.load_run(backend, 5)
        await backend.close()
        assert found.accounts == {(0, 0): dead, (0, 1): Account()}
        assert found.stop_reason == ledger.ORPHANED

    on(Bench(f"sqlite:///{target}"), check)


def test_starting_engines_leaves_our_own_signals_as_they_were() -> None:
    async def main() -> list[EngineProcess]:
        started = await asyncio.gather(start_engine(), start_engine())
        for engine in started:
            engine.socket.close()  # which is what ends it
            await engine.process.wait()
            engine.stderr.close()
        return list(started)

    started = asyncio.run(main())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(NOT_FOR_ENGINES) == set()
    assert [engine.process.returncode for engine in started] == [0, 0]


def test_an_engine_changes_its_pace_when_it_is_told() -> None:
    async def check(bench: Bench) -> None:
        shard = bench.shard
        await shard.connect()
        running = asyncio.create_task(shard.run())
        await bench.until(lambda: bench.written > 10)
        shard.change({"writer": Pace(1, Constant(50.0)), "reader": Pace(0, None)})
        gauges = [
            ("soakd_workers", "writer"),
            ("soakd_workers", "reader"),
            ("soakd_target_ops_per_second", "writer"),
        ]
        await bench.until(lambda: [shard.snapshot().gauges.get(key) for key in gauges] == [1.0, 0.0, 50.0])
        shard.stop(5)
        await running
        assert shard.lives[0].account.balanced

    on(Bench(), check)
