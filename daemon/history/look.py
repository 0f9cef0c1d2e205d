"""What the supervisor hands over to be written down: plain data, made on its event loop."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from daemon.record.snapshot import Snapshot


class Beginning(NamedTuple):
    """What is known of a run when its load begins.

    Attributes:
        run_id: its number.
        soakd_version: what makes it.
        backend: `sqlite`, `postgres` or `null`.
        target: address of the database, without password.
        workload: name.
        scenario: name; None without one.
        config: the resolved settings, without secrets.
        started: s since the epoch; all times of the history count from here.
        environment: by section, what the run runs on and with; texts.
        suite_id: the suite that it belongs to; None without one.
        place: where in that suite, from 0.
    """

    run_id: str
    soakd_version: str
    backend: str
    target: str
    workload: str
    scenario: str | None
    config: Mapping[str, Any]
    started: float
    environment: Mapping[str, Mapping[str, str]]
    suite_id: str | None = None
    place: int | None = None


class Judgement(NamedTuple):
    """What became of one threshold.

    Attributes:
        name: unique within the run.
        expression: as it was written.
        verdict: `pass`, `fail` or `no data`.
        ok: it does no harm to the verdict over the run; having no data does, unless that is allowed.
        unit: of the values: `seconds`, `share`, `rate`, `count` or `bytes`.
        value: over the whole run; None without any.
        worst: the worst value.
        at: when that was, s since the run began; None for a figure of the whole run.
        found: what was found, in words.
        details: more about it, JSON data.
    """

    name: str
    expression: str
    verdict: str
    ok: bool
    unit: str = ""
    value: float | None = None
    worst: float | None = None
    at: float | None = None
    found: str = ""
    details: Mapping[str, Any] = {}


class Look(NamedTuple):
    """The figures of a run at one moment, all cumulative; nobody changes them any more.

    Attributes:
        at: time since the run began, s.
        phase: what the run has been doing since the look before.
        engine: figures of the engines and of the supervisor.
        samples: figures of the samplers.
        texts: texts of the statements in `samples`, by query id.
        judgements: of all thresholds, as they stand at this moment.
    """

    at: float
    phase: str
    engine: Snapshot
    samples: Snapshot
    texts: Mapping[str, str]
    judgements: tuple[Judgement, ...] = ()


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        at: when it began, s since the run began.
        kind: `phase`, `outage`, `checkpoint`, `restart`, `vacuum`, `planned` or `note`.
        name: which one, in a word or two.
        seconds: how long it took; 0 for a moment.
        details: facts, JSON data.
    """

    at: float
    kind: str
    name: str
    seconds: float = 0.0
    details: Mapping[str, Any] = {}


class Ending(NamedTuple):
    """What is known of a run when it is over.

    Attributes:
        at: s since it began.
        stop_reason: why it ended.
        verdict: `passed`, `failed`, or `unjudged` where no threshold was set and nothing was lost.
        summary: as it is shown, JSON data.
        measured: what was counted in the measured part, the drain included.
        environment: sections that became known only during the run.
        judgements: of the thresholds.
    """

    at: float
    stop_reason: str
    verdict: str
    summary: Mapping[str, Any]
    measured: Snapshot
    environment: Mapping[str, Mapping[str, str]]
    judgements: tuple[Judgement, ...] = ()
