"""The workload `sql`: operations that users wrote, each worker a client with variables of its own."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from daemon.backends.base import Dialect
from daemon.ops import Isolation, OpSpec, PoolName, Transaction, TxFn
from daemon.workloads.base import Crowd, Identity, Schema, Stretch, WithoutRows
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


class Found(NamedTuple):
    """What is known once the target has been looked at.

    Attributes:
        variables: those that clients begin with, `scale` among them if it was asked for.
        samples: by generator, the values that its column held; at least one.
        seed: of the run: random_seed, and what default_seed derives from.
        crowd: the workers of the run.
    """

    variables: Mapping[str, Value]
    samples: Mapping[ColumnSample, Sequence[Value]]
    seed: int
    crowd: Crowd


class Sql(WithoutRows):
    """Operations of one shard. Memory is fixed: the variables of each worker."""

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        operations: Sequence[Operation],
        variables: Mapping[str, Value],  # noqa: ARG002 - they are in what was found
        found: Found | None = None,
        wall: Callable[[], float],
        workers: int,  # noqa: ARG002 - variables are made when they are asked for
        existing: Sequence[Stretch],  # noqa: ARG002 - no rows are batched
        rng: Random,  # noqa: ARG002 - texts are the same for all shards
        under_way: int,  # noqa: ARG002 - no rows are batched
    ) -> None:
        """Compile the operations.

        Args:
            identity: which shard this is.
            dialect: how the database spells SQL.
            operations: what to run.
            variables: see `look`.
            found: what is known of the target; None: no operation will be made.
            wall: seconds since the Unix epoch.
            workers: ignored.
            existing: ignored.
            rng: ignored.
            under_way: ignored.

        Raises:
            UsageError: an expression can have no value.
        """
        self.ops = tuple(OpSpec(one.name, POOL_OF[one.kind], one.weight) for one in operations)
        self._shard = identity.shard
        self._clients: dict[tuple[PoolName, int], Variables] = {}
        self._calls: list[_Call] = []
        if found is None:
            return
        seeds: dict[str, Value] = {"random_seed": found.seed, "default_seed": murmur2(found.seed, 0)}
        self._given = {**seeds, **found.variables}
        self._crowd = found.crowd
        clients = found.crowd.writers + found.crowd.readers
        around = Surroundings(clients, identity.epoch, wall, found.samples, str(found.seed))
        fixed = unchanging(self._given, operations)
        self._calls = [_Call.of(one, Program(one, dialect, fixed, around)) for one in operations]

    def schema(self, dialect: Dialect) -> Schema:  # noqa: ARG002 - as every workload
        """Return nothing: the tables are the user's."""
        return Schema(1, {})

    def transaction(self, op: int, worker: int, rng: Random) -> Transaction:
        """Return the next execution of an operation: see `Workload`."""
        run, pool, read_only, single, isolation, partial = self._calls[op]
        client = self._clients.get((pool, worker)) or self._client(pool, worker)
        return Transaction(run, (client, rng), read_only, single, False, isolation, partial)

    def _client(self, pool: PoolName, worker: int) -> Variables:
        number = self._crowd.client(pool, self._shard, worker)
        client = self._clients[pool, worker] = {"client_id": number, **self._given}
        return client


class _Call(NamedTuple):
    """How an operation is executed: its function, its pool, and the attributes of its transactions."""

    run: TxFn
    pool: PoolName
    read_only: bool
    single: bool
    isolation: Isolation
    partial: bool

    @classmethod
    def of(cls, one: Operation, program: Program) -> "_Call":
        """Return the call of an operation."""
        statements = sum(isinstance(command, Run) for command in one.commands)
        partial = not one.whole and one.kind == "write" and statements > 1
        return cls(program.run, POOL_OF[one.kind], one.kind == "read", not one.whole, one.isolation, partial)


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
