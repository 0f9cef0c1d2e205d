"""What happened between two pages of /metrics: rates, shares and percentiles, as PromQL would say."""

from collections import deque
from typing import NamedTuple

from daemon.record.snapshot import Key
from daemon.results.window import Mark
from daemon.top.buckets import Buckets, merged
from daemon.top.scrape import Scrape

_STAMP = "soakd_sampler_last_success_timestamp_seconds"


class Span(NamedTuple):
    """Two scrapes and the time between them.

    A counter that has fallen began anew, with another run: what it shows now is its increase.

    Attributes:
        earlier: the first one.
        later: the second one; the present.
        seconds: the time between what they show; 0 while there is only one.
    """

    earlier: Scrape
    later: Scrape
    seconds: float

    def before(self) -> Mark:
        """Return the earlier mark without the counters that began anew."""
        now, then = self.later.mark.counters, self.earlier.mark.counters
        return self.earlier.mark._replace(
            counters={key: value for key, value in then.items() if value <= now.get(key, value)}
        )

    def increases(self, *prefix: str) -> dict[Key, float]:
        """Return the increase of each counter whose key begins with `prefix`."""
        then = self.earlier.mark.counters
        return {
            key: value if (was := then.get(key, 0.0)) > value else value - was
            for key, value in self.later.mark.counters.items()
            if key[: len(prefix)] == prefix
        }

    def rate(self, *prefix: str) -> float | None:
        """Return the increase per second of these counters together; None without them or a span."""
        increases = self.increases(*prefix)
        return sum(increases.values()) / self.seconds if increases and self.seconds > 0 else None

    def rates(self, name: str, label: int) -> dict[str, float]:
        """Return the increase per second by the value of a label (the first is 1), zeros left out."""
        found: dict[str, float] = {}
        for key, increase in self.increases(name).items():
            if increase and self.seconds > 0:
                found[key[label]] = found.get(key[label], 0.0) + increase / self.seconds
        return found

    def total(self, *prefix: str) -> float | None:
        """Return these counters together; None where there are none."""
        found = [value for key, value in self.later.mark.counters.items() if key[: len(prefix)] == prefix]
        return sum(found) if found else None

    def gauge(self, *key: str) -> float | None:
        """Return a present value."""
        return self.later.mark.gauges.get(key)

    def gauges(self, name: str) -> dict[Key, float]:
        """Return the present values of a metric by their labels, those of 0 left out."""
        return {key[1:]: value for key, value in self.later.mark.gauges.items() if key[0] == name and value}

    def buckets(self, *prefix: str) -> Buckets:
        """Return the values that were counted in the span, of all histograms whose key begins so."""
        then = self.earlier.buckets
        return merged(
            buckets.since(then.get(key, Buckets()))
            for key, buckets in self.later.buckets.items()
            if key[: len(prefix)] == prefix
        )

    def has(self, prefix: str) -> bool:
        """Tell whether there is any gauge whose name begins so."""
        return any(key[0].startswith(prefix) for key in self.later.mark.gauges)


class Follow:
    """Keeps the scrapes that a span is made of: the newest, and those before it that showed something else.

    What is sampled beside the load stands still between two samples. Rates over a span that
    holds no new sample would be 0, and too high over the next one; so the span of a collector
    reaches from sample to sample, and its length is the time between them. Memory: the scrapes
    of `least` s, two at least.
    """

    def __init__(self, collector: str = "", *, least: float = 0.0) -> None:
        """Prepare.

        Args:
            collector: whose samples count; without one every scrape shows something new.
            least: length that spans grow to, s; with 0 they are as short as possible.
        """
        self._collector = collector
        self._least = least
        self._kept: deque[tuple[_Moment, Scrape]] = deque()

    def add(self, scrape: Scrape) -> Span:
        """Take the newest scrape and return the span that ends with it."""
        kept, moment = self._kept, self._moment(scrape)
        if kept and (moment.life != kept[-1][0].life or moment.at < kept[-1][0].at):
            kept.clear()  # another run, or a clock that was set back: nothing to compare with
        if kept and moment == kept[-1][0]:
            kept.pop()
        kept.append((moment, scrape))
        while len(kept) > 2 and moment.at - kept[1][0].at >= self._least:
            kept.popleft()
        first, earlier = kept[0]
        return Span(earlier, scrape, moment.at - first.at)

    def _moment(self, scrape: Scrape) -> "_Moment":
        """Return when its sample was taken, or else when it was taken itself."""
        gauges = scrape.mark.gauges
        stamp = gauges.get((_STAMP, self._collector))
        run = next((key for key in gauges if key[0] == "soakd_run_info"), ())
        return _Moment((run, stamp is not None), scrape.at if stamp is None else stamp)


class _Moment(NamedTuple):
    life: tuple[Key, bool]  # which run it is of, and on whose clock
    at: float  # s
