"""The settings of the checks that are made beside the load."""

from pydantic import Field

from daemon.config.section import Section
from daemon.config.types import Duration


class Invariants(Section):
    """What must hold in the data of the workload at any time, checked over a connection of its own."""

    interval: Duration = Field(
        10.0,
        description="Time between two rounds of checks while the load runs, each of a sample; "
        "0: only at the end.",
    )
    budget: Duration = Field(
        1.0, gt=0, description="Longest time of one check while the load runs; then it is given up."
    )
    final_budget: Duration = Field(
        60.0, description="Longest time of one check of everything at the end; 0: none is made."
    )
