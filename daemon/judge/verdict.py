"""Thresholds held against what was measured: a fold over the looks at a run."""

from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Literal, NamedTuple

from daemon.judge.grammar import Comparison, Threshold
from daemon.judge.meter import Sample
from daemon.judge.quantity import show_value

Verdict = Literal["pass", "fail", "no data"]
COMPARE: Mapping[Comparison, Callable[[float, float], bool]] = {
    "<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne,
}  # fmt: skip


class Judged(NamedTuple):
    """A threshold and what has become of it; times in s since the beginning.

    One that has ended the run stays as it was at that time.

    Attributes:
        threshold: the bound.
        value: over the whole run so far, less the first `after` s; with `for` over the last seconds.
        worst: of the values over the last seconds, the one that is farthest on the wrong side.
        worst_at: when that was.
        violated_since: when the violation began that still lasts; None while there is none.
        failed_at: when it was failed for good, for one with `for`.
        seen: there was something to judge.
    """

    threshold: Threshold
    value: float | None = None
    worst: float | None = None
    worst_at: float | None = None
    violated_since: float | None = None
    failed_at: float | None = None
    seen: bool = False

    @property
    def verdict(self) -> Verdict:
        """What would be said if the run ended now."""
        if not self.seen:
            return "no data"
        if self.threshold.lasting is None:
            return "pass" if self.violated_since is None else "fail"
        return "pass" if self.failed_at is None else "fail"

    @property
    def ok(self) -> bool:
        """Whether the threshold does no harm to the verdict over the run."""
        return self.verdict == "pass" or (self.verdict == "no data" and self.threshold.optional)

    @property
    def failing(self) -> bool:
        """Whether it is failed now; having nothing to judge yet is not."""
        return self.verdict == "fail"


def judge(judged: Judged, sample: Sample) -> Judged:
    """Return the threshold after one more look."""
    threshold = judged.threshold
    ended = threshold.abort and judged.failing
    if sample.elapsed < threshold.after or ended:  # what ends a run stays as it was then
        return judged
    recent = sample.recent.get(threshold.after, {}).get(threshold.signal)
    if recent is not None and (judged.worst is None or _worse(threshold, recent, judged.worst)):
        judged = judged._replace(worst=recent, worst_at=sample.elapsed)
    whole = sample.whole.get(threshold.after, {}).get(threshold.signal)
    value = recent if threshold.lasting is not None else whole
    judged = judged._replace(value=value)
    if value is None:
        return judged  # an operation that does not answer any more refutes no violation
    if COMPARE[threshold.comparison](value, threshold.value):
        return judged._replace(seen=True, violated_since=None)
    since = sample.elapsed if judged.violated_since is None else judged.violated_since
    judged = judged._replace(seen=True, violated_since=since)
    lasting = threshold.lasting
    if lasting is not None and judged.failed_at is None and sample.elapsed - since >= lasting:
        judged = judged._replace(failed_at=sample.elapsed)
    return judged


def _worse(threshold: Threshold, value: float, than: float) -> bool:
    if threshold.comparison in ("<", "<="):
        return value > than
    if threshold.comparison in (">", ">="):
        return value < than
    off, before = abs(value - threshold.value), abs(than - threshold.value)
    return off > before if threshold.comparison == "==" else off < before


def describe(judged: Judged) -> str:
    """Return what was found in a few words: `434ms, at worst 1.20s at 0:42`."""
    threshold = judged.threshold
    if judged.verdict == "no data":
        return "no data"
    kind = threshold.kind
    words = show_value(kind, judged.value)
    value, worst = judged.value, judged.worst
    if worst is not None and (value is None or _worse(threshold, worst, value)):
        words += f", at worst {show_value(kind, judged.worst)} after {judged.worst_at or 0:.0f} s"
    return words


def as_json(judged: Judged) -> dict[str, Any]:
    """Return a threshold and its verdict as JSON data: base units, times in seconds."""
    threshold = judged.threshold
    return {
        "threshold": str(threshold),
        "signal": threshold.signal,
        "unit": threshold.kind,
        "verdict": judged.verdict,
        "ok": judged.ok,
        "limit": threshold.value,
        "value": judged.value,
        "worst": judged.worst,
        "worst_at_seconds": judged.worst_at,
        "violated_since_seconds": judged.violated_since,
        "failed_at_seconds": judged.failed_at,
        "optional": threshold.optional,
        "abort": threshold.abort,
        "found": describe(judged),
    }
