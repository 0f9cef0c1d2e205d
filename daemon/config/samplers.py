"""The settings of what is sampled beside the load."""

from pydantic import Field, field_validator

from daemon.config.section import Section
from daemon.config.types import Duration

MIN_SAMPLE_INTERVAL = 0.1  # s


class Samplers(Section):
    """What is sampled beside the load: the database server, over a connection of its own."""

    interval: Duration = Field(
        5.0, description="Time between two samples, at least 100ms; 0: nothing is sampled."
    )
    timeout: Duration = Field(
        2.0,
        gt=0,
        description="The server ends statements of a sample that take longer; a whole sample is given up "
        "after twice that time.",
    )
    lock_timeout: Duration = Field(
        0.1, gt=0, description="The server ends waits of a sample for a lock that take longer."
    )
    statements: int = Field(
        10,
        ge=0,
        le=100,
        description="Statements of pg_stat_statements to show, those that take the most time; 0: none.",
    )

    @field_validator("interval")
    @classmethod
    def _not_too_often(cls, value: float) -> float:
        if 0 < value < MIN_SAMPLE_INTERVAL:
            raise ValueError(
                f"samplers.interval {value:g}s is too short; write at least 100ms, or 0 for no samples"
            )
        return value
