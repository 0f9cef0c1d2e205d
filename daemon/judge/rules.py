"""The rules by which a target is healthy, stressed or overloaded, and what to do about each.

docs/thresholds.md has the table for people. A healthy system has less than 80 % of its queue in use, fewer
than 1 % errors, p95 below 100 ms and a steady rate; between the end of a rule and its beginning it stays what
it was.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from daemon.judge.quantity import Kind

Level = Literal["healthy", "stressed", "overloaded"]
LEVELS: tuple[Level, ...] = ("healthy", "stressed", "overloaded")


class Rule(NamedTuple):
    """When a state begins and ends by one figure, and what to do about it.

    Attributes:
        name: as it is reported.
        level: the state that it stands for.
        begins: value from which it holds.
        ends: value from which it does not any more; what lies between changes nothing.
        kind: kind of the value.
        advice: what to look at, or change.
    """

    name: str
    level: Level
    begins: float
    ends: float
    kind: Kind
    advice: str

    def holds(self, value: float, *, held: bool) -> bool:
        """Return whether it holds, given whether it did."""
        limit = self.ends if held else self.begins
        return value < limit if self.begins < self.ends else value > limit


RULES: Sequence[Rule] = (
    Rule("queue", "stressed", 0.9, 0.8, "share",
         "rows come faster than they are written: larger batches (batch.size), more flushers on PostgreSQL "
         "(batch.flushers), or a lower write rate"),
    Rule("errors", "stressed", 0.01, 0.005, "share",
         "operations fail: their classes stand under errors, the reasons in the log"),
    Rule("latency", "stressed", 0.1, 0.08, "seconds",
         "responses are slow: compare with service time; if that is low, work waits for a batch "
         "(batch.timeout), a connection or a lane; if it is high, the database is slow"),
    Rule("latency_rising", "stressed", 2.0, 1.5, "share",
         "responses became slower at the same load: look for checkpoints, vacuum, locks, a growing table "
         "or a disk or processor that others use"),
    Rule("throughput", "stressed", 0.8, 0.9, "share",
         "the rate falls behind: more workers if all are busy, else see what the database waits for"),
    Rule("queue_full", "overloaded", 0.0, 0.0, "rate",
         "the queue is full, so writers wait or rows are dropped: lower the write rate, or find out what "
         "limits the commits"),
    Rule("timeouts", "overloaded", 0.001, 0.0001, "share",
         "answers do not come in time: look for locks, a stalled disk, or a server that is gone"),
    Rule("latency_high", "overloaded", 1.0, 0.8, "seconds",
         "responses take more than a second: the load is beyond what the database does; lower the rate"),
    Rule("collapse", "overloaded", 0.5, 0.7, "share",
         "less than half of the rate is left: is the target up, does it wait for locks, is the disk full?"),
)  # fmt: skip
