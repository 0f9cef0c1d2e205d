"""Which operation comes next."""

from collections.abc import Sequence
from random import Random

from daemon.ops import OpSpec, PoolName

MIX_BLOCK = 512  # operations drawn at a time


class Mix:
    """Draws operation numbers in proportion to their weights, a block at a time."""

    def __init__(self, ops: Sequence[OpSpec], pool: PoolName, rng: Random) -> None:
        chosen = [(i, spec.weight) for i, spec in enumerate(ops) if spec.pool == pool and spec.weight > 0]
        self._numbers = [i for i, _ in chosen]
        self._weights = [weight for _, weight in chosen]
        self._rng = rng
        self._block: list[int] = []

    def next(self) -> int:
        """Return the number of the next operation."""
        if not self._block:
            self._block = self._rng.choices(self._numbers, self._weights, k=MIX_BLOCK)
        return self._block.pop()
