"""The workload `sql`: operations that users wrote, each worker a client with variables of its own."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import OpSpec, PoolName, Table, Transaction, Values
from daemon.workloads.base import Identity
from daemon.workloads.sql.commands import Draw, Operation, Run, Set
from daemon.workloads.sql.drawing import Surroundings
from daemon.workloads.sql.evaluate import Variables
from daemon.workloads.sql.functions import Value
from daemon.workloads.sql.generators import ColumnSample
from daemon.workloads.sql.laws import murmur2
from daemon.workloads.sql.program import Program

POOL_OF: Mapping[str, PoolName] = {"read": "reader", "write": "writer"}
AUTOMATIC = frozenset({"scale", "client_id", "random_seed", "default_seed"})
"""The variables that are there without being set."""


class Crowd(NamedTuple):
    """How many workers there are, over all shards, to number them as clients.

    Attributes:
        shards: shards of the run.
        writers: workers of the pool of writers.
        readers: workers of the pool of readers.
    """

    shards: int
    writers: int
    readers: int

    def client(self, pool: PoolName, shard: int, worker: int) -> int:
        """Return a worker's number: writers first, and no number twice."""
        return (self.writers if pool == "reader" else 0) + worker * self.shards + shard


class Sql:
    """Operations of one shard. Memory is fixed: the variables of each worker."""

    tables: Sequence[Table] = ()

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        operations: Sequence[Operation],
        variables: Mapping[str, Value],
        samples: Mapping[ColumnSample, Sequence[Value]],
        crowd: Crowd,
        seed: int,
        wall: Callable[[], float],
    ) -> None:
        """Compile the operations.

        Args:
            identity: which shard this is.
            dialect: how the database spells SQL.
            operations: what to run.
            variables: what clients begin with; `scale` among them where it is asked for.
            samples: what was found in the columns that generators draw from.
            crowd: the workers of the run.
            seed: of the run: random_seed, and what default_seed derives from.
            wall: seconds since the Unix epoch.

        Raises:
            OpError: an expression can have no value.
        """
        self.ops = tuple(OpSpec(one.name, POOL_OF[one.kind], one.weight) for one in operations)
        given = {"random_seed": seed, "default_seed": murmur2(seed, 0), **variables}
        around = Surroundings(crowd.writers + crowd.readers, identity.epoch, wall, samples, str(seed))
        fixed = unchanging(given, operations)
        self._run = [
            (Program(one, dialect, fixed, around).run, one.kind == "read", not one.whole)
            for one in operations
        ]
        self._given = given
        self._crowd = crowd
        self._shard = identity.shard
        self._clients: dict[tuple[PoolName, int], Variables] = {}

    def schema(self, dialect: Dialect) -> Sequence[str]:  # noqa: ARG002 - as every workload
        """Return nothing: the tables are the user's."""
        return ()

    def row(self, op: int, worker: int, rng: Random) -> Values:  # noqa: ARG002 - as every workload
        """Refuse: there are no rows to batch."""
        raise IndexError(f"operation {op} is not a row")

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:
        """Return the next execution of an operation: see `Workload`."""
        run, read_only, single = self._run[op]
        pool: PoolName = "reader" if read_only else "writer"
        client = self._clients.get((pool, worker)) or self._client(pool, worker)
        return Transaction(run, (client, rng), read_only, single)

    def _client(self, pool: PoolName, worker: int) -> Variables:
        number = self._crowd.client(pool, self._shard, worker)
        client = self._clients[pool, worker] = {"client_id": number, **self._given}
        return client


def unchanging(given: Mapping[str, Value], operations: Sequence[Operation]) -> dict[str, Value]:
    """Return those of the given variables that no operation sets."""
    commands = [command for one in operations for command in one.commands]
    named = {command.name for command in commands if isinstance(command, Set | Draw)}
    prefixes = tuple(
        command.into for command in commands if isinstance(command, Run) and command.into is not None
    )
    return {
        name: value for name, value in given.items() if name not in named and not name.startswith(prefixes)
    }
