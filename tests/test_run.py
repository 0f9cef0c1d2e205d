"""What a run tells those who watch it: its engines, its collectors."""

import asyncio
from typing import Any

import pytest

from daemon.clock import SystemClock
from daemon.config.settings import Settings
from daemon.control.engines import start_engine
from daemon.control.run import Run
from daemon.control.sampling import make_collectors
from daemon.record.snapshot import Snapshot
from tests.doubles import ignore

POSTGRES = "postgresql://u@h/db"


def make(**values: Any) -> Run:
    """Return a run; nothing of it is started."""
    return Run(Settings.model_validate(values), SystemClock(), ignore, 1)


def test_the_engines_that_live_are_known_by_their_process_ids() -> None:
    """None before they are started, none when they are dead."""

    async def main() -> None:
        run = make(target="null://", shards=2)
        assert run.engine_pids() == []
        started = [await start_engine() for _ in run.shards]
        for shard, engine in zip(run.shards, started, strict=True):
            await shard.adopt(engine)
        assert run.engine_pids() == [engine.process.pid for engine in started]
        started[0].process.kill()
        await started[0].process.wait()
        assert run.engine_pids() == [started[1].process.pid]
        started[1].process.kill()
        await started[1].process.wait()
        for shard in run.shards:
            await shard.lives[-1].channel.close()
            shard.lives[-1].bury()

    asyncio.run(main())


def test_an_outage_that_all_shards_see_is_one_outage() -> None:
    """The greatest count of a shard counts, and shards that have seen nothing take nothing away from it."""

    async def main() -> None:
        run = make(target="null://", shards=3)
        started = [await start_engine() for _ in run.shards]
        for shard, engine, seen in zip(run.shards, started, [(2, 1.5), (2, 1.25), (0, 0)], strict=True):
            await shard.adopt(engine)
            keys = ("soakd_target_outages_total",), ("soakd_target_outage_seconds_total",)
            shard.lives[-1].snapshot = Snapshot(dict(zip(keys, map(float, seen), strict=True)))
        counters = run.snapshot().counters
        assert counters["soakd_target_outages_total",] == 2
        assert counters["soakd_target_outage_seconds_total",] == 1.5
        for shard, engine in zip(run.shards, started, strict=True):
            engine.process.kill()
            await engine.process.wait()
            await shard.lives[-1].channel.close()
            shard.lives[-1].bury()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"target": POSTGRES}, ["host", "postgres", "statements"]),
        ({"target": POSTGRES, "samplers": {"statements": 0}}, ["host", "postgres"]),
        ({"target": POSTGRES, "samplers": {"interval": 0}}, []),
        ({"target": "null://"}, ["host"]),
    ],
)
def test_the_collectors_are_those_of_the_target(values: dict[str, Any], names: list[str]) -> None:
    async def main() -> None:
        collectors = make_collectors(make(**values), ignore)
        assert [collector.name for collector in collectors] == names
        for collector in collectors:
            await collector.close()

    asyncio.run(main())
