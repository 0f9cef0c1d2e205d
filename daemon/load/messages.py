"""What the supervisor and an engine say to each other, and how it is framed.

Plain picklable data only: the two may come to live on different machines.
"""

import asyncio
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daemon.load.batch import BatchPolicy
from daemon.load.policy import PoolPolicy
from daemon.load.turns import Pace
from daemon.ops import PoolName
from daemon.record.account import Account
from daemon.record.snapshot import Snapshot
from daemon.workloads.base import Identity, Stretch

LENGTH_BYTES = 4
UNSENT_LIMIT = 4 * 2**20  # bytes that may wait for a supervisor that does not read


class EnginePlan(NamedTuple):
    """Everything one life of one shard needs to know. It may hold a password: never log it.

    Attributes:
        identity: whose rows these are.
        seed: all random draws of this shard derive from it.
        backend: kind, and the keyword arguments of its class.
        workload: name, and its own settings.
        pools: how each pool takes its turns.
        batch: when rows are written.
        shards: how many shards the run has.
        existing: rows of an earlier run, for a run that only reads.
        earlier: accounts of the shard's earlier lives, which this one leaves in the database beside
            its own if the supervisor is gone by then.
        drain_timeout: time for the drain when the supervisor is gone, s.
        recording: False leaves all measuring out, to tell what it costs.
    """

    identity: Identity
    seed: str
    backend: tuple[str, Mapping[str, Any]]
    workload: tuple[str, Mapping[str, Any]]
    pools: Mapping[PoolName, PoolPolicy]
    batch: BatchPolicy
    shards: int
    existing: Sequence[Stretch]
    drain_timeout: float
    recording: bool = True
    earlier: Sequence[tuple[Identity, Account]] = ()


class Start(NamedTuple):
    """To an engine: begin the load."""


class Look(NamedTuple):
    """To an engine that loads: report now, without waiting for the next quarter of a second."""


class Change(NamedTuple):
    """To an engine that loads: its pools are to work in another way from now on.

    Attributes:
        paces: by pool; a pool that is not in it goes on as it did.
    """

    paces: Mapping[PoolName, Pace]


class Stop(NamedTuple):
    """To an engine: take no further turn, write what was accepted, and end.

    Attributes:
        within: what is not written by then is abandoned, s.
    """

    within: float


class Ready(NamedTuple):
    """From an engine: connected, waiting for `Start`."""


class Failed(NamedTuple):
    """From an engine: the target cannot be used; it ends."""

    reason: str


class Report(NamedTuple):
    """From an engine, four times a second: everything it has counted so far."""

    snapshot: Snapshot


class RowFailed(NamedTuple):
    """From an engine: a row that the database refuses for good (the first few of a run)."""

    key: tuple[Any, ...]
    error_class: str
    reason: str


class Note(NamedTuple):
    """From an engine: something that a person should hear of."""

    event: str
    facts: Mapping[str, object]


class Refused(NamedTuple):
    """From an engine: why the database refuses a transaction for good (the first few reasons of a run)."""

    error_class: str
    reason: str


class Finished(NamedTuple):
    """From an engine: the last word."""

    snapshot: Snapshot


Message = (
    EnginePlan
    | Start
    | Look
    | Change
    | Stop
    | Ready
    | Failed
    | Report
    | RowFailed
    | Refused
    | Note
    | Finished
)


class Channel:
    """Messages over a stream, each a length and a pickle."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: Message) -> None:
        """Queue a message; never blocks.

        A report is left out when the other side has not read the earlier ones: it is
        cumulative, so the next one makes up for it.
        """
        if isinstance(message, Report) and self._writer.transport.get_write_buffer_size() > UNSENT_LIMIT:
            return
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._writer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)

    async def receive(self) -> Message | None:
        """Return the next message, or None when the other side is gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        message: Message = pickle.loads(body)  # noqa: S301 - from our own process over a private socket
        return message

    async def close(self) -> None:
        """Send what is queued, and hang up."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return
