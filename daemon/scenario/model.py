"""What a scenario file holds; the JSON Schema is made from these models."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from daemon.config.section import Section
from daemon.config.settings import MAX_WORKERS
from daemon.config.thresholds import Thresholds
from daemon.config.types import Duration, Rate

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
RateOrNone = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
Seconds = Annotated[Duration, Field(gt=0)]
KINDS = ("constant", "poisson", "ramp", "steps", "sine", "burst", "stages")


class Ramp(Section):
    """A rate that changes evenly and then stays."""

    start: RateOrNone = Field(alias="from", description="Operations per second at the beginning.")
    end: RateOrNone = Field(alias="to", description="Operations per second at the end.")
    within: Seconds | None = Field(None, alias="in", description="Time that it takes; unset: the phase.")


class Steps(Section):
    """Rates one after the other; the last one goes on."""

    rates: tuple[RateOrNone, ...] = Field(min_length=1, max_length=1000, description="Operations per second.")
    each: Seconds | None = Field(None, description="Time of each; unset: equal parts of the phase.")


class Sine(Section):
    """A rate that swings around its mean, upwards first."""

    mean: Rate = Field(description="Operations per second on average.")
    amplitude: RateOrNone = Field(description="How far it swings, at most the mean.")
    period: Seconds = Field(description="Time of one swing.")

    @model_validator(mode="after")
    def _never_negative(self) -> "Sine":
        if self.amplitude > self.mean:
            raise ValueError(
                f"amplitude {self.amplitude:g} is above mean {self.mean:g}: a rate cannot be negative"
            )
        return self


class Burst(Section):
    """A base rate with bursts, each at the end of its cycle."""

    base: RateOrNone = Field(description="Operations per second between bursts.")
    peak: Rate = Field(description="Operations per second in a burst.")
    every: Seconds = Field(description="Time from burst to burst.")
    length: Seconds = Field(description="Time of a burst.")

    @model_validator(mode="after")
    def _fits(self) -> "Burst":
        if self.length >= self.every:
            raise ValueError("length must be shorter than every; for a burst without end write constant")
        return self


class Schedule(Section):
    """When operations are due: exactly one kind."""

    constant: Rate | None = Field(None, description="Evenly spaced, operations per second.")
    poisson: Rate | None = Field(None, description="As of many independent users, operations per second.")
    ramp: Ramp | None = Field(None, description="A rate that changes evenly.")
    steps: Steps | None = Field(None, description="Rates one after the other.")
    sine: Sine | None = Field(None, description="A rate that swings.")
    burst: Burst | None = Field(None, description="A rate with bursts.")
    stages: "tuple[Stage, ...] | None" = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Schedules one after the other; the last one goes on.",
    )
    arrivals: Literal["constant", "poisson"] = Field("constant", description="How arrivals are spaced.")

    @model_validator(mode="after")
    def _one(self) -> "Schedule":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"not {' and '.join(given)}" if given else "and there is none"
            raise ValueError(f"a schedule has exactly one of {', '.join(KINDS)}, {found}")
        return self


class Stage(Schedule):
    """A schedule for a time."""

    seconds: Seconds = Field(alias="for", description="How long it lasts.")


def _schedule(value: object) -> object:
    """Take a bare number as a constant rate, and `closed` as no schedule."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"constant": value}
    if isinstance(value, str) and value != "closed":
        raise ValueError(
            f"{value!r} is no schedule; write closed, a number per second, or one of {', '.join(KINDS)}"
        )
    return None if value == "closed" else value


Turns = Annotated[
    Schedule | None,
    BeforeValidator(_schedule, json_schema_input_type=Schedule | float | Literal["closed"] | None),
]


class Event(Section):
    """A statement or a shell command that is run at a time of a phase, and whose effect is measured."""

    at: Duration = Field(description="When, from the beginning of the phase.")
    name: Name = Field(description="What it is called in log and summary.")
    sql: str | None = Field(
        None, min_length=1, description="One statement, such as VACUUM or CREATE INDEX CONCURRENTLY."
    )
    shell: str | None = Field(
        None,
        min_length=1,
        description="A command for `sh` on the machine of soakd; runs only with --allow-shell.",
    )
    timeout: Seconds = Field(60.0, description="Time after which a shell command is killed; never scaled.")
    target: Literal["postgres", "sqlite"] | None = Field(
        None, description="Kind of target that it is meant for."
    )

    @model_validator(mode="after")
    def _one(self) -> "Event":
        if (self.sql is None) == (self.shell is None):
            raise ValueError("an event has either sql or shell; write one of them")
        if self.sql is not None and "timeout" in self.model_fields_set:
            raise ValueError("timeout is about shell; for sql set postgres.statement_timeout")
        return self


class Phase(Section):
    """A part of a run with a load of its own."""

    name: Name = Field(description="Its name.")
    duration: Seconds = Field(description="How long it lasts.")
    writers: int | None = Field(None, ge=0, le=MAX_WORKERS, description="Writers at work; unset: all.")
    readers: int | None = Field(None, ge=0, le=MAX_WORKERS, description="Readers at work; unset: all.")
    write: Turns = Field(None, description="When writes are due; closed: as fast as answers come.")
    read: Turns = Field(None, description="When reads are due; closed: as fast as answers come.")
    thresholds: Thresholds = Field((), description="Bounds on this phase.")
    events: tuple[Event, ...] = Field((), max_length=1000, description="What is done at times of the phase.")

    @model_validator(mode="after")
    def _in_time(self) -> "Phase":
        for event in self.events:
            if event.at >= self.duration:
                raise ValueError(f"event {event.name} comes when the phase is over; give it an earlier `at`")
        return self


class Scenario(Section):
    """A run in phases."""

    description: str = Field(min_length=1, description="What it is for, in one sentence.")
    settings: Mapping[str, Any] = Field(
        {}, description="Settings of the run as in soakd.yaml; flags and variables are stronger."
    )
    warmup: Duration = Field(0.0, description="Load of the first phase before anything is measured.")
    reset: tuple[Literal["tables", "statistics", "checkpoint"], ...] = Field(
        (), description="Before the load: drop soakd's tables, reset pg_stat_statements, make a checkpoint."
    )
    thresholds: Thresholds = Field((), description="Bounds on the whole run.")
    phases: tuple[Phase, ...] = Field(min_length=1, max_length=1000, description="One after the other.")

    @property
    def seconds(self) -> float:
        """How long all phases last, not scaled."""
        return sum(phase.duration for phase in self.phases)

    @model_validator(mode="after")
    def _names(self) -> "Scenario":
        seen: set[str] = set()
        for phase in self.phases:
            if phase.name in seen:
                raise ValueError(f"two phases are called {phase.name}; give each a name of its own")
            seen.add(phase.name)
        return self
