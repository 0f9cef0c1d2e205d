"""One page of /metrics, read back into figures that are keyed like those of a snapshot."""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from daemon.record.catalog import METRICS
from daemon.record.catalog_samples import POSTGRES, SAMPLERS, SQLITE
from daemon.record.metric import Metric
from daemon.record.snapshot import Key, Snapshot
from daemon.results.window import Mark
from daemon.top.buckets import Buckets

KNOWN: Mapping[str, Metric] = {**METRICS, **SAMPLERS, **POSTGRES, **SQLITE}
_BUCKET = "_bucket"


class Scrape(NamedTuple):
    """What a page said, and when. Size: that of the page.

    Attributes:
        mark: counters and gauges; without histograms of its own.
        buckets: the histograms.
    """

    mark: Mark
    buckets: Mapping[Key, Buckets]

    @property
    def at(self) -> float:
        """When the page was read: monotonic time, s."""
        return self.mark.at


def parse(text: str, at: float) -> Scrape:
    """Read a page; metrics that this version does not know are left out.

    Args:
        text: Prometheus' text format.
        at: when the page was read, s.

    Raises:
        ValueError: it is not that format, or there is nothing of soakd in it.
    """
    snapshot = Snapshot()
    bounds: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name
            if name in KNOWN:
                into = snapshot.counters if KNOWN[name].kind == "counter" else snapshot.gauges
                into[_key(name, sample.labels)] = sample.value
            elif name.endswith(_BUCKET) and (base := name.removesuffix(_BUCKET)) in KNOWN:
                bounds[_key(base, sample.labels)].append((float(sample.labels["le"]), sample.value))
    if not snapshot.counters:
        raise ValueError("there is no metric of soakd in the answer")
    buckets = {key: Buckets(*zip(*sorted(pairs), strict=True)) for key, pairs in bounds.items()}
    return Scrape(Mark.of(at, snapshot), buckets)


def _key(name: str, labels: Mapping[str, str]) -> Key:
    return (name, *(labels.get(label, "") for label in KNOWN[name].labels))
