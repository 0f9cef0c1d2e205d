"""What every workload offers to the load loop."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple, Protocol

from daemon.backends.base import Dialect
from daemon.errors import OpError
from daemon.ops import OpSpec, PoolName, Table, Transaction, Tx, Values
from daemon.record.account import Account

EPOCH_KEYS = 1 << 40
"""Sequence numbers that one life of a shard may use per worker: a restarted shard begins at
epoch × `EPOCH_KEYS`, so that no key is ever used twice."""

EVERYTHING = (0, 1 << 62)
"""The first and the last of all numbers that there can be."""


class Identity(NamedTuple):
    """Whose rows these are.

    Attributes:
        run: number of the run, unique in the database.
        shard: number of the shard, from 0.
        epoch: how often the shard was restarted.
    """

    run: int
    shard: int
    epoch: int

    @property
    def first_seq(self) -> int:
        """Sequence number of every worker's first row."""
        return self.epoch * EPOCH_KEYS


class Crowd(NamedTuple):
    """How many workers there are, over all shards.

    Attributes:
        shards: shards of the run.
        writers: workers of the pool of writers.
        readers: workers of the pool of readers.
    """

    shards: int
    writers: int
    readers: int

    def client(self, pool: PoolName, shard: int, worker: int) -> int:
        """Return a worker's number among all: from 0, writers first, none left out and none twice."""
        return (self.writers if pool == "reader" else 0) + worker * self.shards + shard


class Stretch(NamedTuple):
    """Rows that are there to be read: `rows` of them, from sequence number `first` on."""

    run: int
    shard: int
    worker: int
    first: int
    rows: int


class Schema(NamedTuple):
    """The tables of a workload.

    Attributes:
        version: raised whenever tables of an earlier version would not do any more.
        tables: by bare name, in the order of creation: the statement that creates the table, and
            then those that create its indexes, which may run later and more than once
            (`IF NOT EXISTS`). What tables may lack, and what is made when it is first asked for,
            has a name of its own here, such as an index for full-text search.
    """

    version: int
    tables: Mapping[str, Sequence[str]]


class Progress(NamedTuple):
    """How far a consumer has come with one step.

    Attributes:
        rows: rows of its stream that it has processed in this step.
        more: there was more than fits into a step.
        behind: rows that it has not processed yet, up to those of transactions under way.
        oldest: when the oldest of them was written, s since the Unix epoch; None when there is none.
    """

    rows: int
    more: bool = False
    behind: int = 0
    oldest: float | None = None


class Consumer(NamedTuple):
    """Something that follows what the operations write, beside them and for as long as the load runs.

    Attributes:
        name: label value in metrics and summaries.
        step: processes the next few rows and notes its position, in one transaction: it has one
            effect however often it is tried. Its result is a `Progress`.
        pause: time until the next look when there was nothing more to do, s.
    """

    name: str
    step: Transaction
    pause: float


class Canary(NamedTuple):
    """Rows that are sent now and then to find out how soon readers see what was accepted.

    They go through the batch writer like any others, and are accounted for; nobody waits for
    their COMMIT, so they are no operations.

    Attributes:
        op: number of the operation whose table they go into.
        row: makes them; the argument is a number, from 1 on.
        look: the transaction of a reader; returns the number of the latest row that it sees, or 0.
        interval: time from when one was seen to the next, s > 0.
    """

    op: int
    row: Callable[[int], Values]
    look: Transaction
    interval: float


class Scope(NamedTuple):
    """How much a check of an invariant is to look at.

    Attributes:
        complete: at everything, whatever it takes; else at a sample.
        sample: about how many things to look at in a sample; halved when a check took too long.
        rng: draws the sample.
        run: number of the run.
        account: what became of its rows, as far as that is known.
    """

    complete: bool
    sample: int
    rng: Random
    run: int = 0
    account: Account = Account()

    def block(self, things: int) -> tuple[int, int]:
        """Return the first and the last number of the things to look at, which are numbered from 1.

        That is a block of the sample's size anywhere; or whatever number there is, so that things
        are seen that should not be there.
        """
        if self.complete or self.sample >= things:
            return EVERYTHING
        first = 1 + int(self.rng.random() * (things - self.sample + 1))
        return first, first + self.sample - 1


class Invariant(NamedTuple):
    """Something that is true of every consistent state of the data.

    Attributes:
        name: label value in metrics and summaries.
        check: a transaction function that only reads, called with a `Scope` on one snapshot of
            the data; returns the violations that it finds in words, the first few of them.
    """

    name: str
    check: Callable[[Tx, Scope], Awaitable[Sequence[str]]]


class Workload(Protocol):
    """A closed set of operations, and how to make the next one of each kind.

    A row's values begin with (run, shard, worker, seq): its key, unique for ever. A row that is
    made is also accepted, so that a worker's sequence numbers follow one another without gaps.
    """

    @property
    def ops(self) -> Sequence[OpSpec]:
        """Every operation there is, the rows' ones in the order of `tables` first."""
        ...

    @property
    def tables(self) -> Sequence[Table]:
        """The tables that rows are batched into; there may be none.

        Each has the columns run, shard, worker and seq, and a worker counts its rows for each
        table by itself.
        """
        ...

    def schema(self, dialect: Dialect) -> Schema:
        """Return all tables that the operations need."""
        ...

    def row(self, op: int, worker: int, rng: Random) -> Values:
        """Return the values of the next row for `tables[op]`; its payload is drawn now."""
        ...

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:
        """Return the next operation of kind `ops[op]`, one that is not a row; its keys are drawn now."""
        ...


class WithoutRows:
    """What workloads have in common of which no operation is a row."""

    tables: Sequence[Table] = ()

    def row(self, op: int, worker: int, rng: Random) -> Values:  # noqa: ARG002 - there is none
        """Refuse: no operation is a row."""
        raise OpError("other", f"operation {op} is no row")
