"""The pieces that queries are made of: selectors from the catalogue, rates, extremes, means, percentiles.

Every figure but a heatmap keeps its instance: those of two databases are never mixed into one.
"""

import re
from collections.abc import Mapping, Sequence

from daemon.record.catalog import METRICS
from daemon.record.catalog_samples import HOST, POSTGRES, SAMPLERS, SQLITE
from daemon.record.metric import Metric

CATALOGUE: Mapping[str, Metric] = {**METRICS, **SAMPLERS, **POSTGRES, **SQLITE, **HOST}
"""Every metric that a query may name."""

RATE = "$__rate_interval"
SHOWN = "$__range"
SCOPE = ('job=~"$job"', 'instance=~"$instance"')
CHOICES: Mapping[str, str] = {"pool": 'pool=~"$pool"', "op": 'op=~"$op"'}
"""Labels that the reader of a dashboard chooses from, and how."""

_PARTS = ("_bucket", "_sum", "_count")


def family(series: str) -> str:
    """Return the metric that a series belongs to: without the `_bucket`, `_sum`, `_count` of a histogram.

    Raises:
        KeyError: no such metric is in the catalogue.
    """
    for part in _PARTS:
        base = series.removesuffix(part)
        if base != series and base in CATALOGUE and CATALOGUE[base].kind == "histogram":
            return base
    CATALOGUE[series]
    return series


def select(series: str, *matchers: str) -> str:
    """Return a selector of the series that the reader has chosen.

    Args:
        series: a metric of the catalogue, or a part of a histogram.
        matchers: further ones; one of a label that can be chosen takes the place of the choice.

    Raises:
        KeyError: no such metric is in the catalogue.
    """
    given = {re.split("[=!]", matcher)[0] for matcher in matchers}
    labels = [label for label in CATALOGUE[family(series)].labels if label not in given]
    return among(series, *(label for label in labels if label in CHOICES), matchers=matchers)


def among(series: str, *choices: str, matchers: Sequence[str] = ()) -> str:
    """Return a selector of the series of the chosen instances and, of other labels, the `choices`."""
    return f"{series}{{{', '.join([*SCOPE, *(CHOICES[label] for label in choices), *matchers])}}}"


def total(series: str, *matchers: str, by: str = "") -> str:
    """Return the sum of a gauge, by instance and the labels `by` ("pool, state")."""
    return f"sum by ({_by(by)}) ({select(series, *matchers)})"


def highest(series: str, *matchers: str, by: str = "") -> str:
    """Return the maximum of a gauge, by instance and the labels `by`."""
    return f"max by ({_by(by)}) ({select(series, *matchers)})"


def lowest(series: str, *matchers: str, by: str = "") -> str:
    """Return the minimum of a gauge, by instance and the labels `by`."""
    return f"min by ({_by(by)}) ({select(series, *matchers)})"


def rate(series: str, *matchers: str, by: str = "") -> str:
    """Return the increase of a counter per second, by instance and the labels `by`."""
    return f"sum by ({_by(by)}) (rate({select(series, *matchers)}[{RATE}]))"


def growth(series: str, *matchers: str, by: str = "") -> str:
    """Return how often a counter went up in the shown time, by instance and the labels `by`."""
    return f"sum by ({_by(by)}) (increase({select(series, *matchers)}[{SHOWN}]))"


def some(expression: str) -> str:
    """Return an expression without the series that are 0: what did not happen needs no name in a legend."""
    return f"{expression} > 0"


def mean(histogram: str, *matchers: str, by: str = "") -> str:
    """Return the mean of a histogram's observations, by instance and the labels `by`."""
    return f"{rate(histogram + '_sum', *matchers, by=by)} / {rate(histogram + '_count', *matchers, by=by)}"


def quantile_shown(q: float, histogram: str) -> str:
    """Return a quantile of all observations of the shown time, by instance: for what is seldom observed."""
    return f"histogram_quantile({q}, {growth(histogram + '_bucket', by='le')})"


def quantile(q: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Return a quantile of a histogram's observations, by instance and the labels `by`."""
    buckets = rate(f"{histogram}_bucket", *matchers, by=f"{by}, le" if by else "le")
    return f"histogram_quantile({q}, {buckets})"


def spread(histogram: str) -> str:
    """Return the rates of a histogram's buckets by bucket alone, all instances together, for a heatmap."""
    return f"sum by (le) (rate({select(histogram + '_bucket')}[{RATE}]))"


def floor(expression: str, *, line: bool = False) -> str:
    """Return the first percentile that an expression has had over the shown time.

    Args:
        expression: what to take it of.
        line: the same value at every moment of the shown time, to draw a level line.
    """
    return f"quantile_over_time(0.01, ({expression})[{SHOWN}:{RATE}]{' @ end()' if line else ''})"


def average(expression: str) -> str:
    """Return the mean that an expression has had over the shown time."""
    return f"avg_over_time(({expression})[{SHOWN}:{RATE}])"


def _by(labels: str) -> str:
    return f"instance, {labels}" if labels else "instance"
