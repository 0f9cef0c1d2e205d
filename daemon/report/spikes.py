"""The worst moments of a run, and what database and host did then."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from daemon.history.read import Record
from daemon.report.causes import CAUSES, Moment
from daemon.report.figures import usual_p99
from daemon.report.view import AFTER, BEFORE, View

MOST = 10
TIMES = 2.0  # times the usual p99 from which a second is a spike
LEAST = 20  # operations in an interval from which its p99 says something
AGAIN = 1.5  # times by which p99 falls and rises again in what are two spikes
NEAR = 2000  # ms between two slow intervals that are one spike
STANDSTILL = 5.0  # operations per second usually, from which none at all is a spike
UNEXPLAINED = "unexplained"


class Reason(NamedTuple):
    """What may have made responses slow: the cause's name, and what was seen of it."""

    name: str
    seen: str


class Spike(NamedTuple):
    """A stretch in which responses were slow.

    Attributes:
        at: when it began, s since the run began.
        seconds: how long it lasted, to the length of the intervals that are kept.
        pool: the one that was worst.
        p99: 99th percentile of response time at its worst, s; None for a standstill without any answer.
        times: by how many times that is above what is usual in the pool.
        reasons: what was seen then; empty: unexplained.
    """

    at: float
    seconds: float
    pool: str
    p99: float | None
    times: float
    reasons: tuple[Reason, ...]


class _Slow(NamedTuple):
    """A slow interval, or several that are one: where it was worst, and where it was half as bad; ms."""

    peak: int
    begin: int
    end: int
    pool: str
    p99: float | None
    height: float  # s
    times: float


def spikes(record: Record) -> list[Spike]:
    """Return the `MOST` worst spikes, the worst first; none where p99 was never `TIMES` what is usual.

    Slow seconds in a row are one spike, unless p99 falls and rises again by `AGAIN` within them. Peaks of
    both pools at the same time are one, and so are a standstill and the late answers that end it. The worst
    peaks come first to that: ripples between two of them would otherwise make one of all.
    """
    return [_spike(record, group) for group in _worst(record)]


def stretches(record: Record) -> list[tuple[float, float]]:
    """Return from when to when the spikes lasted, s since the run began, the worst first."""
    return [
        (min(one.begin for one in group) / 1000, max(one.end for one in group) / 1000)
        for group in _worst(record)
    ]


def _worst(record: Record) -> list[list[_Slow]]:
    """Return the worst `MOST` spikes, each with its worst peak first.

    A peak that belongs to none of them, when there are enough, is not as bad as any: it is let go.
    """
    found = [one for pool, rows in record.pools.items() for one in _stretches(_slow(pool, rows))]
    groups: list[list[_Slow]] = []
    for one in sorted(found, key=lambda one: -one.times):
        group = next((group for group in groups if _belongs(one, group)), None)
        if group:
            group.append(one)
        elif len(groups) < MOST:
            groups.append([one])
    return groups


def _belongs(one: _Slow, group: Sequence[_Slow]) -> bool:
    """Return whether a peak is of the same spike: near its worst one, or the two ends of a wait."""
    near = abs(one.peak - group[0].peak) <= NEAR
    return near or any(_waited(one, other) or _waited(other, one) for other in group)


def _waited(still: _Slow, late: _Slow) -> bool:
    """Return whether answers are those that did not come in a standstill."""
    began = late.begin - round(late.height * 1000)
    return still.p99 is None and still.peak <= late.peak and began <= still.end


def _stretches(slow: Iterable[_Slow]) -> Iterator[_Slow]:
    """Yield one for each rise of a pool's slow seconds, which come in order."""
    group: list[_Slow] = []
    least = 0.0  # since the group's peak
    for one in slow:
        apart = not group or one.begin - group[-1].end > NEAR
        peak = max((before.height for before in group), default=0.0)
        if apart or (least < peak / AGAIN and one.height > AGAIN * least):
            if group:
                yield _joined(group)
            group, least = [], one.height
        group.append(one)
        least = one.height if one.height >= peak else min(least, one.height)
    if group:
        yield _joined(group)


def _joined(group: Sequence[_Slow]) -> _Slow:
    """Return the worst of them, with those beside it that are at least half as high or without answers."""
    place = max(range(len(group)), key=lambda n: group[n].height)
    worst = first = last = group[place]
    for one in reversed(group[:place]):
        if one.p99 is not None and one.height < worst.height / 2:
            break
        first = one
    for one in group[place:]:
        if one.p99 is not None and one.height < worst.height / 2:
            break
        last = one
    return worst._replace(begin=first.begin, end=last.end)


def explain(record: Record, begin: int, end: int, height: float) -> tuple[Reason, ...]:
    """Return what was seen from `begin` to `end` (ms) that makes responses take `height` s."""
    moment = Moment(View(record, begin, end), height)
    seen = [(cause.name, cause.sees(moment)) for cause in CAUSES]
    return tuple(Reason(name, words) for name, words in seen if words)


def _slow(pool: str, rows: Any) -> Iterator[_Slow]:  # noqa: ANN401 - rows of the history
    usual = usual_p99(rows)
    timely: list[Mapping[str, Any]] = [row for row in rows if row["phase"] not in BEFORE | AFTER]
    if not usual or not timely:
        return
    rate = sum(row["ok"] for row in timely) * 1000 / max(1, sum(row["length"] for row in timely))
    for row in timely:
        answered = row["ok"] + row["rejected"]
        begin, end = row["at"], row["at"] + row["length"]
        if not answered and rate >= STANDSTILL and row["length"] >= 500:
            seconds = row["length"] / 1000
            yield _Slow(begin, begin, end, pool, None, seconds, seconds / usual)
        elif answered >= LEAST and row["worst_p99"] is not None and row["worst_p99"] >= TIMES * usual:
            if row["length"] > 1500 and row["worst_at"] is not None:  # gathered: one second of it was it
                begin, end = row["worst_at"], min(end, row["worst_at"] + 1000)
            yield _Slow(begin, begin, end, pool, row["worst_p99"], row["worst_p99"], row["worst_p99"] / usual)


def _spike(record: Record, group: list[_Slow]) -> Spike:
    worst = group[0]
    begin, end = min(one.begin for one in group), max(one.end for one in group)
    height = round(worst.height * 1000)
    return Spike(
        at=begin / 1000,
        seconds=(end - begin) / 1000,
        pool=worst.pool,
        p99=worst.p99,
        times=worst.times,
        # what ended late began before: from there on it is looked for what held it up
        reasons=explain(record, begin - height, end, worst.height),
    )
