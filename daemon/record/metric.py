"""What a metric is: the row type of the tables of metrics."""

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric family.

    Attributes:
        kind: Prometheus type.
        labels: label names, in the order of a key's values. The values are closed sets.
        help: one sentence for people who read /metrics.
    """

    kind: Kind
    labels: tuple[str, ...]
    help: str
