"""The settings of the data that a workload begins with."""

from pydantic import Field

from daemon.config.section import Section
from daemon.config.types import Scale


class Data(Section):
    """The data that a workload begins with, loaded by `soakd seed`, or by `soakd run` where there is none."""

    scale: Scale | None = Field(
        None,
        description="How much: a number of the workload's units, or the size of the database that they fill. "
        "Unset: what is there; where there is nothing, a little.",
        examples=["100000", "1GiB"],
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="What the data is drawn with: the same seed, the same data."
    )
    loaders: int = Field(4, ge=1, le=64, description="Transactions that store data at the same time.")
