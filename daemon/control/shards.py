"""The engine processes as the supervisor sees them: spawned, listened to, replaced when they die."""

import asyncio
import mmap
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Protocol

from daemon.clock import Clock
from daemon.control.engines import EngineProcess, kill, start_engine
from daemon.errors import TargetError
from daemon.load.messages import (
    Change,
    Channel,
    EnginePlan,
    Failed,
    Finished,
    Look,
    Note,
    Ready,
    Refused,
    Report,
    RowFailed,
    Start,
    Stop,
)
from daemon.load.turns import Pace
from daemon.ops import PoolName
from daemon.record.account import Account, cells_in
from daemon.record.snapshot import Snapshot

STDERR_READ = 4096  # bytes at the end of a dead engine's stderr that are looked at
RESPAWN_INITIAL = 0.1  # s
RESPAWN_CAP = 5.0  # s
HEALTHY = 10.0  # s of life after which the next death is not held against it
_ERROR = re.compile(r"[\s|+]*[\w.]+(Error|Exception|Exit|Interrupt)\b(?!Group)")
KILL_AFTER = 10.0  # s for an engine that has hung up to end


class Listener(Protocol):
    """Who is told what happens to a shard."""

    def __call__(self, event: str, **facts: object) -> None:
        """Take note of an event with its facts."""
        ...


@dataclass(slots=True)
class Life:
    """One process of a shard, and the counters that outlive it."""

    epoch: int
    process: asyncio.subprocess.Process
    channel: Channel
    counters: mmap.mmap
    stderr: IO[bytes]
    finished: bool = False
    snapshot: Snapshot = field(default_factory=Snapshot)

    @property
    def account(self) -> Account:
        """What became of its rows, as far as it has said; what a dead one left open is abandoned."""
        account = Account.of(cells_in(self.counters))
        return account if self.alive or self.finished else account.closed()

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self.process.returncode is None

    def bury(self) -> None:
        """Give back what a dead process held here."""
        self.counters.close()
        self.stderr.close()


async def begin(epoch: int, started: EngineProcess) -> Life:
    """Return the life of a process that has just been started."""
    reader, writer = await asyncio.open_connection(sock=started.socket)
    return Life(epoch, started.process, Channel(reader, writer), started.counters, started.stderr)


class Shard:
    """One shard through all its lives.

    When a process dies before it was told to stop, the next one takes its place with a new
    epoch, so that no key is used twice. What the dead one had counted is kept.
    """

    def __init__(
        self, number: int, *, plan: Callable[[int], EnginePlan], clock: Clock, notify: Listener
    ) -> None:
        """Prepare; `adopt` comes first.

        Args:
            number: number of the shard, from 0.
            plan: makes the plan of a life from its epoch.
            clock: monotonic time.
            notify: told of deaths, replacements and refused rows.
        """
        self.number = number
        self.restarts = 0
        self.lives: list[Life] = []  # one at most: what is dead has left its account
        self.target_up = False
        self._fresh = asyncio.Event()
        self._plan = plan
        self._clock = clock
        self._notify = notify
        self._past = Snapshot()
        self._accounts: dict[int, Account] = {}
        self._gaps = 0.0
        self._died: float | None = None  # while there is no process that loads
        self._changed: Mapping[PoolName, Pace] | None = None  # meanwhile
        self._started = False
        self._stopping = False
        self._pause = RESPAWN_INITIAL
        self._began = clock.now()

    @property
    def gap_seconds(self) -> float:
        """Time without load after deaths, s, the present one included."""
        return self._gaps + (self._clock.now() - self._died if self._died is not None else 0.0)

    @property
    def _loading(self) -> bool:
        """True while there is a process that was told to load: one that connects expects no other order."""
        return self._started and self._died is None and bool(self.lives) and self.lives[-1].alive

    @property
    def accounts(self) -> dict[int, Account]:
        """What became of the rows of each life, by its epoch; a few dozen bytes for one that is over."""
        return self._accounts | {life.epoch: life.account for life in self.lives}

    async def adopt(self, started: EngineProcess) -> None:
        """Take the first process, which has been loading its libraries since it was started."""
        self.lives.append(await begin(0, started))

    async def connect(self) -> None:
        """Give the first process its plan and wait until it is connected.

        Raises:
            TargetError: it cannot use the target, or it died.
        """
        life = self.lives[-1]
        life.channel.send(self._plan_of(life))
        answer = await life.channel.receive()
        if isinstance(answer, Failed):
            raise TargetError(answer.reason)
        if not isinstance(answer, Ready):
            await self._reap(life)
            raise TargetError(f"engine {self.number} died while connecting: {self._last_words(life)}")
        self.target_up = True

    async def run(self) -> None:
        """Load until stopped; returns when the last process has ended."""
        life = self.lives[-1]
        life.channel.send(Start())
        self._started = True
        while True:
            await self._listen(life)
            await self._reap(life)
            if life.finished:
                return
            self._notify_death(life)
            if self._stopping:
                return
            heir = await self._succeed(life)
            if heir is None:
                return
            life = heir

    async def look(self, within: float) -> None:
        """Have the process report now, so that `snapshot` is of this moment; wait `within` s at most."""
        self._fresh.clear()
        if self._loading:
            self.lives[-1].channel.send(Look())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), within)

    def change(self, paces: Mapping[PoolName, Pace]) -> None:
        """Have the process work in another way from now on, or as soon as there is one again.

        Before `run` nothing is sent: what the load begins with is in the plan.
        """
        if not self._started:
            return
        if self._died is not None:
            self._changed = paces
        elif self._loading:
            self.lives[-1].channel.send(Change(paces))

    def stop(self, within: float) -> None:
        """Tell the process to drain within `within` s; a second call cuts the drain short."""
        self._stopping = True
        if self._loading:
            self.lives[-1].channel.send(Stop(within))

    def kill(self) -> None:
        """End the process the hard way."""
        self._stopping = True
        if self.lives and self.lives[-1].alive:
            kill(self.lives[-1].process)

    def snapshot(self) -> Snapshot:
        """Return what all lives have counted, and the present state of the last one."""
        merged = Snapshot()
        merged.merge(self._past)
        for life in self.lives:
            merged.merge(life.snapshot)
        return merged

    async def _listen(self, life: Life) -> None:
        while (message := await life.channel.receive()) is not None:
            if isinstance(message, Report | Finished):
                life.snapshot = message.snapshot
                life.finished = isinstance(message, Finished)
                # Kept over a death: that of an engine says nothing about the target.
                self.target_up = message.snapshot.gauges.get(("soakd_target_up",)) == 1
                self._fresh.set()
            elif isinstance(message, RowFailed):
                self._notify(
                    "row.failed", key=message.key, error_class=message.error_class, reason=message.reason
                )
            elif isinstance(message, Note):
                self._notify(message.event, shard=self.number, **message.facts)
            elif isinstance(message, Refused):
                self._notify("operation.refused", error_class=message.error_class, reason=message.reason)

    async def _reap(self, life: Life) -> None:
        await life.channel.close()
        try:
            await asyncio.wait_for(life.process.wait(), KILL_AFTER)
        except TimeoutError:
            kill(life.process)
            await life.process.wait()

    def _bury(self, life: Life) -> None:
        """Keep what a dead process had counted; its gauges died with it."""
        self.restarts += 1
        self._past.merge(Snapshot(life.snapshot.counters, {}, life.snapshot.histograms))
        self._accounts[life.epoch] = life.account
        self.lives.clear()
        life.bury()

    async def _succeed(self, life: Life) -> Life | None:
        """Put a new process in the place of one that died; None when told to stop meanwhile."""
        self._died = died = self._clock.now()
        self._changed = None
        self._bury(life)
        heir = await self._replace(life.epoch + 1)
        gap = self._clock.now() - died
        self._gaps += gap
        self._died = None
        if heir:
            self._notify("engine.restarted", shard=self.number, epoch=heir.epoch, gap_seconds=round(gap, 3))
            self._catch_up()
            if self._stopping:  # told while the new engine was connecting
                heir.channel.send(Stop(0))
        return heir

    def _catch_up(self) -> None:
        """Send what was told while there was no process."""
        if self._changed is not None:
            self.change(self._changed)

    async def _replace(self, epoch: int) -> Life | None:
        """Start processes until one is connected and loading; None when told to stop meanwhile."""
        told = ""
        if self._clock.now() - self._began > HEALTHY:
            self._pause = RESPAWN_INITIAL
        else:
            await self._rest()
        while not self._stopping:
            heir = await self._try(epoch)
            if isinstance(heir, Life):
                return heir
            if heir != told:  # once, and not each few seconds of a long outage
                self._notify("engine.restart_failed", shard=self.number, reason=heir)
            told = heir
            await self._rest()
        return None

    async def _try(self, epoch: int) -> Life | str:
        """Start a process and have it connect and load; return it, or why that failed."""
        try:
            life = await begin(epoch, await start_engine())
        except OSError as error:
            return f"no engine can be started: {error.strerror}"
        self.lives.append(life)
        life.channel.send(self._plan_of(life))
        answer = await life.channel.receive()
        if isinstance(answer, Ready):
            life.channel.send(Start())
            self._began = self._clock.now()
            return life
        await self._reap(life)
        self.lives.pop()
        reason = answer.reason if isinstance(answer, Failed) else self._last_words(life)
        life.bury()
        return reason

    def _plan_of(self, life: Life) -> EnginePlan:
        made = self._plan(life.epoch)
        earlier = [(made.identity._replace(epoch=epoch), dead) for epoch, dead in self._accounts.items()]
        return made._replace(earlier=earlier)

    async def _rest(self) -> None:
        """Pause before the next process, each time longer until one lives for a while."""
        await asyncio.sleep(self._pause)
        self._pause = min(RESPAWN_CAP, 2 * self._pause)

    def _notify_death(self, life: Life) -> None:
        self._notify(
            "engine.died",
            shard=self.number,
            epoch=life.epoch,
            exit_code=life.process.returncode,
            last_words=self._last_words(life),
        )

    def _last_words(self, life: Life) -> str:
        """Return the last line that a dead process wrote to stderr."""
        end = life.stderr.seek(0, os.SEEK_END)
        life.stderr.seek(max(0, end - STDERR_READ))
        lines = life.stderr.read().decode(errors="replace").strip().splitlines()
        named = [line.strip() for line in lines if _ERROR.match(line)]
        code = life.process.returncode
        killed = f"killed by signal {-code}" if code is not None and code < 0 else "no message"
        return (named or lines or [killed])[-1]
