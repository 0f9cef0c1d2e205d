"""The last minute as a line of blocks."""

from collections import deque
from collections.abc import Callable, Sequence

from daemon.top.picture import Picture

SPAN = 60.0  # s
_BLOCKS = "▁▂▃▄▅▆▇█"

Points = Sequence[float | None]


class Trend:
    """Rates and 99th percentiles of the last minute. Memory: a few numbers for each picture of it."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, dict[str, float], dict[str, float | None]]] = deque()

    def add(self, at: float, picture: Picture) -> None:
        """Take the newest picture, unless it has no interval yet, and forget what is too old."""
        if picture.seconds:
            rates = {pool.name: pool.figures.rate for pool in picture.pools}
            p99 = {pool.name: pool.response.quantile(0.99) for pool in picture.pools}
            self._points.append((at, rates, p99))
        while self._points and at - self._points[0][0] >= SPAN:
            self._points.popleft()

    def rates(self, pool: str) -> Points:
        """Return the rates of a pool, oldest first."""
        return [rates.get(pool) for _, rates, _ in self._points]

    def p99(self, pool: str) -> Points:
        """Return the 99th percentiles of a pool's response times, oldest first."""
        return [p99.get(pool) for _, _, p99 in self._points]


def spark(points: Points, width: int, worst: Callable[[Sequence[float]], float]) -> str:
    """Return points as blocks between 0 and their largest, at most `width` of them.

    Args:
        points: oldest first; None is a gap. One alone is no trend, and gives nothing.
        width: columns.
        worst: which one stands for several that share a column: `min` for rates, so that a
            dip is not lost, and `max` for times.
    """
    columns = min(width, len(points)) if len(points) > 1 else 0
    shown = [
        _worst(points[n * len(points) // columns : (n + 1) * len(points) // columns], worst)
        for n in range(columns)
    ]
    most = max((point for point in shown if point is not None), default=0.0)
    return "".join(_block(point, most) for point in shown)


def _worst(points: Points, worst: Callable[[Sequence[float]], float]) -> float | None:
    known = [point for point in points if point is not None]
    return worst(known) if known else None


def _block(point: float | None, most: float) -> str:
    if point is None:
        return " "
    return _BLOCKS[round(point / most * (len(_BLOCKS) - 1))] if most else _BLOCKS[0]
