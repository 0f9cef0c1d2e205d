"""How the target is: healthy, stressed or overloaded, by rules whose inputs can be seen.

All rules are about the last ten seconds and the worse of the two pools. A worse state begins at once, a
better one after `CALM` s in which no rule of the worse one held.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from daemon.judge.meter import RECENT
from daemon.judge.quantity import show_value
from daemon.judge.reading import DUE, Pattern, Reading, Span, share
from daemon.judge.rules import LEVELS, RULES, Level, Rule
from daemon.judge.signals import ANSWERED, FAILED, OPS, RAN
from daemon.ops import POOLS

CALM = 10.0  # s without a rule of a state until it ends
SETTLING = 10.0  # s at the beginning, and after a change of the load, that nothing is compared with
SAME = 0.1  # share by which a target may move and still be the same load
LEARNING = 0.02  # weight of a look in the usual values: those of about the last minute count
BRISK = 0.01  # s of p95 below which a rise is of no interest
FEW = 200  # operations below which chance moves a rate too much to be judged
FULL = 0.95  # share of the queue from which rows that met it full say something

HISTOGRAMS: tuple[Pattern, ...] = tuple(("soakd_op_response_seconds", pool) for pool in POOLS)
"""What readings must have for `inputs`."""


class PoolInputs(NamedTuple):
    """One pool in the last seconds; None where it is not known.

    Attributes:
        rate: answers per second.
        met: answers by what the schedule asked for; None in a closed loop, or of too few.
        target: rate asked for now; 0 in a closed loop.
        workers: how many there are.
        p95: 95th percentile of response time, s.
    """

    rate: float | None
    met: float | None
    target: float
    workers: float
    p95: float | None


class Inputs(NamedTuple):
    """What the rules look at.

    Attributes:
        queue: share of the batch queue in use.
        queue_full: rows per second that met a full queue.
        errors: share of the operations that failed.
        timeouts: share of the operations that timed out.
        pools: by name, those with workers.
    """

    queue: float | None
    queue_full: float | None
    errors: float | None
    timeouts: float | None
    pools: Mapping[str, PoolInputs]


class Usual(NamedTuple):
    """What a pool usually does: slow averages of its good moments.

    Attributes:
        target: rate that was asked for.
        workers: how many there were; where either changes everything is learnt anew.
        since: beginning of this load, s.
        rate: answers per second.
        p95: s.
    """

    target: float
    workers: float
    since: float
    rate: float | None = None
    p95: float | None = None


class Fired(NamedTuple):
    """A rule that holds, and the value that it looked at."""

    rule: Rule
    value: float

    def __str__(self) -> str:
        """Return it for people: `latency 350ms (limit 100ms)`."""
        shown, limit = (show_value(self.rule.kind, value) for value in (self.value, self.rule.begins))
        return f"{self.rule.name} {shown} (limit {limit})"


class State(NamedTuple):
    """How the target is; times in s since the beginning.

    Attributes:
        level: healthy, stressed or overloaded.
        since: when this state began.
        fired: the rules that hold.
        values: what each rule looked at.
        calm_since: since when nothing holds that would keep it this bad; None while something does.
        usual: what is usual, by pool.
    """

    level: Level = "healthy"
    since: float = 0.0
    fired: tuple[Fired, ...] = ()
    values: Mapping[str, float | None] = {}
    calm_since: float | None = None
    usual: Mapping[str, Usual] = {}

    @property
    def number(self) -> int:
        """0 healthy, 1 stressed, 2 overloaded."""
        return LEVELS.index(self.level)


def inputs(reading: Reading, recent: Span) -> Inputs:
    """Return what the rules look at; `recent` ends with `reading`, which has `HISTOGRAMS`."""
    gauges = reading.gauges
    pools: dict[str, PoolInputs] = {}
    for pool in POOLS:
        workers = gauges.get(("soakd_workers", pool), 0.0)
        if not workers:
            continue
        times = recent.histogram(("soakd_op_response_seconds", pool))
        due = recent.count(DUE, pool) or 0.0
        pools[pool] = PoolInputs(
            rate=recent.rate(OPS, pool, among=ANSWERED),
            met=share(recent.count(OPS, pool, among=ANSWERED), due) if due >= FEW else None,
            target=gauges.get(("soakd_target_ops_per_second", pool), 0.0),
            workers=workers,
            p95=times.quantile(0.95) if times.count else None,
        )
    ran = recent.count(OPS, among=RAN)
    return Inputs(
        queue=share(
            gauges.get(("soakd_batch_queue_rows",)), gauges.get(("soakd_batch_queue_capacity_rows",))
        ),
        queue_full=recent.rate("soakd_queue_full_total"),
        errors=share(recent.count(OPS, among=FAILED), ran),
        timeouts=share(recent.count(OPS, among=("timeout",)), ran),
        pools=pools,
    )


def step(state: State, elapsed: float, now: Inputs) -> State:
    """Return the state after one more look, `elapsed` s after the beginning."""
    usual = {name: _known(state.usual.get(name), elapsed, pool) for name, pool in now.pools.items()}
    values = _values(now, usual, elapsed)
    held = {fired.rule.name for fired in state.fired}
    fired = tuple(
        Fired(rule, value)
        for rule in RULES
        if (value := values[rule.name]) is not None and rule.holds(value, held=rule.name in held)
    )
    if not fired:
        usual = {name: _learnt(usual[name], elapsed, pool) for name, pool in now.pools.items()}
    state = state._replace(fired=fired, values=values, usual=usual)
    return _moved(state, elapsed, max([LEVELS.index(fire.rule.level) for fire in fired], default=0))


def _moved(state: State, elapsed: float, wanted: int) -> State:
    """Go up at once, and down once it has been calm for long enough."""
    if wanted > state.number:
        return state._replace(level=LEVELS[wanted], since=elapsed, calm_since=None)
    if wanted == state.number:
        return state._replace(calm_since=None)
    calm = elapsed if state.calm_since is None else state.calm_since
    if elapsed - calm < CALM:
        return state._replace(calm_since=calm)
    return state._replace(level=LEVELS[wanted], since=elapsed, calm_since=None)


def as_json(state: State) -> dict[str, Any]:
    """Return the state as JSON data: the inputs of all rules, and the advice of those that hold."""
    return {
        "level": state.level,
        "since_seconds": state.since,
        "inputs": dict(state.values),
        "rules": [
            {
                "rule": fired.rule.name,
                "level": fired.rule.level,
                "value": fired.value,
                "begins": fired.rule.begins,
                "ends": fired.rule.ends,
                "unit": fired.rule.kind,
                "advice": fired.rule.advice,
            }
            for fired in state.fired
        ],
    }


def _known(usual: Usual | None, elapsed: float, pool: PoolInputs) -> Usual:
    """Return what was usual under this load; nothing is under a new one."""
    if (
        usual is not None
        and usual.workers == pool.workers
        and abs(pool.target - usual.target) <= SAME * usual.target
    ):
        return usual
    return Usual(pool.target, pool.workers, elapsed)


def _learnt(usual: Usual, elapsed: float, pool: PoolInputs) -> Usual:
    """Take a good moment into account; while the load settles only the newest one counts."""
    weight = LEARNING if elapsed - usual.since >= SETTLING else 1.0

    def averaged(before: float | None, value: float | None) -> float | None:
        if before is None or value is None:
            return before if value is None else value
        return before + weight * (value - before)

    return usual._replace(rate=averaged(usual.rate, pool.rate), p95=averaged(usual.p95, pool.p95))


def _values(now: Inputs, usual: Mapping[str, Usual], elapsed: float) -> Mapping[str, float | None]:
    """Return what each rule looks at; of the two pools the worse one."""
    p95 = max((pool.p95 for pool in now.pools.values() if pool.p95 is not None), default=None)
    kept = [_kept(pool, usual[name], elapsed) for name, pool in now.pools.items()]
    slower = [_slower(pool, usual[name], elapsed) for name, pool in now.pools.items()]
    rate_kept = min((value for value in kept if value is not None), default=None)
    return {
        "queue": now.queue,
        "errors": now.errors,
        "latency": p95,
        "latency_rising": max((value for value in slower if value is not None), default=None),
        "throughput": rate_kept,
        "queue_full": now.queue_full if now.queue is not None and now.queue >= FULL else 0.0,
        "timeouts": now.timeouts,
        "latency_high": p95,
        "collapse": rate_kept,
    }


def _kept(pool: PoolInputs, usual: Usual, elapsed: float) -> float | None:
    """Return the rate by what it should be; None while that is not known."""
    if pool.target:
        return pool.met if elapsed >= SETTLING else None
    settled = elapsed - usual.since >= SETTLING and usual.rate is not None and usual.rate * RECENT >= FEW
    return share(pool.rate, usual.rate) if settled else None


def _slower(pool: PoolInputs, usual: Usual, elapsed: float) -> float | None:
    """Return p95 by its usual value; None while that is not known."""
    grown = share(pool.p95, usual.p95)
    if grown is None or elapsed - usual.since < SETTLING:
        return None
    return grown if pool.p95 is not None and pool.p95 > BRISK else min(grown, 1.0)
