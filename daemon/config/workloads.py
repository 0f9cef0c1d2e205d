"""The settings of the workloads, a section for each; only that of the chosen one counts."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from daemon.config.section import Section
from daemon.config.types import Duration, Size, Weight


class EventReads(Section):
    """Weights of the reads of the workload `events`; only their proportions count."""

    by_key: Weight = Field(70, description="One event by its key.")
    newest: Weight = Field(20, description="The newest events.")
    by_service: Weight = Field(9, description="Events of one service in a span of time.")
    level_counts: Weight = Field(1, description="Events by level in the last minute.")

    @model_validator(mode="after")
    def _some(self) -> "EventReads":
        if not (self.by_key or self.newest or self.by_service or self.level_counts):
            raise ValueError("events.reads: all weights are 0; give at least one read a weight above 0")
        return self


class Events(Section):
    """The workload `events`: a log of events."""

    message_size: Size = Field(120, ge=1, le=1_000_000, description="Bytes of an event's message.")
    services: int = Field(20, ge=1, le=10_000, description="Different services.")
    keys: Literal["uniform", "zipf", "latest"] = Field(
        "uniform", description="Which written events are read: all alike, a few often, or the newest."
    )
    limit: int = Field(50, ge=1, le=10_000, description="Rows that `newest` and `by_service` return at most.")
    window: Duration = Field(60.0, gt=0, description="Span of time of `by_service` and `level_counts`.")
    reads: EventReads = Field(default_factory=EventReads, description="Weights of the reads.")

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.events.Events`."""
        return {**self.model_dump(exclude={"reads"}), "weights": self.reads.model_dump()}
