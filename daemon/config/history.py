"""The settings of the history of runs."""

from pathlib import Path

from pydantic import Field

from daemon.config.section import Section


class History(Section):
    """The history: one SQLite file that keeps every run, for `soakd history` and `soakd report`."""

    enabled: bool = Field(True, description="Write each run into the history.")
    file: Path = Field(
        Path("soakd-history.db"),
        description="The file, created when it is missing; several runs may share it.",
        examples=["soakd-history.db"],
    )
    keep_runs: int = Field(
        0,
        ge=0,
        description="When a run begins, all but so many newest ones are deleted; 0: none is. "
        "Runs with a tag stay and do not count.",
    )
    keep_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="When a run begins, those that ended longer ago are deleted, unless they have a tag; "
        "0: none is.",
    )
