"""The settings of the workloads, a section for each; only that of the chosen one counts."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from daemon.config.section import Section
from daemon.config.types import Duration, Size, Weight
from daemon.workloads.sql.functions import ScriptError, number
from daemon.workloads.sql.script import NAME

EVENT_BYTES = 300
"""About what an event takes in a database beside its message, with all indexes but that of the words."""


class EventReads(Section):
    """Weights of the reads of the workload `events`; only their proportions count."""

    by_key: Weight = Field(70, description="One event by its key.")
    newest: Weight = Field(20, description="The newest events.")
    by_service: Weight = Field(9, description="Events of one service in a span of time.")
    level_counts: Weight = Field(1, description="Events by level in the last minute.")
    search: Weight = Field(
        0,
        description="The newest events with a word, or two, in their message. Above 0 the words are "
        "indexed, which makes writes dearer.",
    )

    @model_validator(mode="after")
    def _some(self) -> "EventReads":
        if not (self.by_key or self.newest or self.by_service or self.level_counts or self.search):
            raise ValueError("events.reads: all weights are 0; give at least one read a weight above 0")
        return self


class Events(Section):
    """The workload `events`: a log of events."""

    message_size: Size = Field(120, ge=1, le=1_000_000, description="Bytes of an event's message.")
    services: int = Field(20, ge=1, le=10_000, description="Different services.")
    keys: Literal["uniform", "zipf", "latest"] = Field(
        "uniform", description="Which written events are read: all alike, a few often, or the newest."
    )
    limit: int = Field(
        50, ge=1, le=10_000, description="Rows that `newest`, `by_service` and `search` return at most."
    )
    window: Duration = Field(60.0, gt=0, description="Span of time of `by_service` and `level_counts`.")
    retain_rows: int | None = Field(
        None,
        ge=1,
        description="Rows that the table holds at most: the oldest are deleted as fast as new ones come; "
        "unset: all are kept.",
    )
    retain_bytes: Size | None = Field(
        None,
        ge=1024,
        description="The same as the size of a new table with that many rows and its indexes. A table that "
        "rows come to and go from for long takes more.",
    )
    reads: EventReads = Field(default_factory=EventReads, description="Weights of the reads.")

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.events.Events`."""
        fields = self.model_dump(exclude={"reads", "retain_rows", "retain_bytes"})
        return {**fields, "retain": self._retain(), "weights": self.reads.model_dump()}

    def _retain(self) -> int:
        """Return how many rows are kept, 0 for all; of two limits the narrower one."""
        limits = [] if self.retain_rows is None else [self.retain_rows]
        if self.retain_bytes is not None:
            limits.append(max(1, self.retain_bytes // (EVENT_BYTES + self.message_size)))
        return min(limits, default=0)


class LedgerWrites(Section):
    """Weights of the requests of the workload `ledger`; only their proportions count."""

    credit: Weight = Field(50, description="Money for a wallet, 10 to 500.")
    debit: Weight = Field(30, description="Money from a wallet, 10 to 200, if it is there.")
    transfer: Weight = Field(20, description="Money from a wallet to another, 10 to 300, if it is there.")

    @model_validator(mode="after")
    def _some(self) -> "LedgerWrites":
        if not (self.credit or self.debit or self.transfer):
            raise ValueError("ledger.writes: all weights are 0; give at least one a weight above 0")
        return self


class LedgerReads(Section):
    """Weights of the reads of the workload `ledger`; only their proportions count."""

    balance: Weight = Field(70, description="The balance of a wallet in the read model.")
    history: Weight = Field(25, description="The newest entries of a wallet.")
    request: Weight = Field(5, description="What became of a request, by its key.")

    @model_validator(mode="after")
    def _some(self) -> "LedgerReads":
        if not (self.balance or self.history or self.request):
            raise ValueError("ledger.reads: all weights are 0; give at least one read a weight above 0")
        return self


class Ledger(Section):
    """The workload `ledger`: wallets, idempotent requests, an event store, an outbox, projections."""

    history: int = Field(
        10, ge=1, le=100_000, description="Operations that each wallet has when its data is loaded."
    )
    keys: Literal["uniform", "zipf", "latest"] = Field(
        "uniform", description="Which wallets are asked for: all alike, a few often, or the last ones."
    )
    limit: int = Field(50, ge=1, le=10_000, description="Rows that `history` returns at most.")
    replays: float = Field(
        0.05, ge=0, le=0.9, description="Share of requests that repeat a recent one, perhaps one under way."
    )
    isolation: Literal["read-committed", "repeatable-read", "serializable"] = Field(
        "read-committed", description="Level of the transactions (PostgreSQL; SQLite is always serializable)."
    )
    provoke_deadlocks: bool = Field(
        False, description="Transfer between four wallets and lock them in any order: deadlocks (PostgreSQL)."
    )
    outbox_consumers: int = Field(2, ge=0, le=16, description="Consumers that follow the outbox.")
    poll: Duration = Field(0.02, gt=0, description="Pause of a consumer that has caught up.")
    writes: LedgerWrites = Field(default_factory=LedgerWrites, description="Weights of the requests.")
    reads: LedgerReads = Field(default_factory=LedgerReads, description="Weights of the reads.")

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.ledger.workload.Ledger`."""
        return {**self.model_dump(), "isolation": self.isolation.replace("-", " ")}


class ProgressReads(Section):
    """Weights of the reads of the workload `progress`; only their proportions count."""

    list: Weight = Field(60, description="A page of a user's progress.")
    by_challenge: Weight = Field(30, description="The goals of a challenge with a user's progress.")
    leaderboard: Weight = Field(10, description="The users who have come farthest in a challenge.")

    @model_validator(mode="after")
    def _some(self) -> "ProgressReads":
        if not (self.list or self.by_challenge or self.leaderboard):
            raise ValueError("progress.reads: all weights are 0; give at least one read a weight above 0")
        return self


class Progress(Section):
    """The workload `progress`: events of users, counted towards the goals of challenges."""

    challenges: int = Field(10, ge=1, le=10_000, description="Challenges.")
    goals: int = Field(50, ge=1, le=10_000, description="Goals of each challenge.")
    started: int = Field(
        2,
        ge=1,
        le=10_000,
        description="Goals of each challenge that every user has begun when data is loaded.",
    )
    keys: Literal["uniform", "zipf", "latest"] = Field(
        "uniform",
        description="Whose events and reads these are: all users alike, a few often, or the last ones.",
    )
    limit: int = Field(50, ge=1, le=10_000, description="Rows that `list` and `leaderboard` return at most.")
    canary: Duration = Field(
        1.0,
        description="Time between two events that are followed until a reader sees them; 0: none.",
    )
    reads: ProgressReads = Field(default_factory=ProgressReads, description="Weights of the reads.")

    @model_validator(mode="after")
    def _enough(self) -> "Progress":
        if self.started > self.goals:
            raise ValueError(
                f"progress.started {self.started} is more than progress.goals {self.goals}; lower it"
            )
        return self

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.progress.workload.Progress`."""
        return self.model_dump()


class Sql(Section):
    """The workload `sql`: scripts of pgbench, or statements in YAML, of your own."""

    path: Path | None = Field(
        None,
        description="A script, a YAML file, or a folder of both; docs/workloads/sql.md has examples.",
        examples=["deposit.sql", "shop.yaml", "scripts/"],
    )
    script: Literal["tpcb-like", "simple-update", "select-only"] | None = Field(
        None, description="One of pgbench's built-in scripts, in place of a path."
    )
    variables: str = Field(
        "",
        description="Variables that scripts begin with, separated by commas; they go before those of a file.",
        examples=["limit=50,region=7"],
    )

    @field_validator("variables")
    @classmethod
    def _assignments(cls, value: str) -> str:
        _variables(value)
        return value

    @model_validator(mode="after")
    def _one(self) -> "Sql":
        if self.path is not None and self.script is not None:
            raise ValueError("sql.path and sql.script exclude each other; give one")
        return self

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.sql.workload.Sql`: files are read, once.

        Raises:
            UsageError: there is nothing to run, or something cannot be run; with file and line.
        """
        return _operations(self.path, self.script, self.variables)


@cache
def _operations(path: Path | None, script: str | None, variables: str) -> Mapping[str, Any]:
    # Imported here because it reads YAML, which takes 30 ms that other workloads need not spend.
    from daemon.config.operations import read_operations  # noqa: PLC0415

    return read_operations(path, script, _variables(variables))._asdict()


def _variables(text: str) -> dict[str, int | float | str]:
    found: dict[str, int | float | str] = {}
    for part in filter(str.strip, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not NAME.fullmatch(name.strip()):
            raise ValueError(f"{part.strip()!r} is no variable; write name=value, separated by commas")
        found[name.strip()] = _number(value.strip())
    return found


def _number(text: str) -> int | float | str:
    """Return a number as one, and any other text as it is."""
    try:
        value = number(text)
    except ScriptError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


class GameWrites(Section):
    """Weights of the writes of the workload `game`; only their proportions count."""

    insert: Weight = Field(20, description="A player logs in: a session more.")
    delete: Weight = Field(
        10,
        description="A player who is online logs out: all their sessions go. With half the weight of "
        "`insert` as many go as come, and half of the players are online.",
    )
    update: Weight = Field(40, description="A player's profile changes.")
    transaction: Weight = Field(25, description="A round of a game: points, a newcomer, an event.")
    batch_insert: Weight = Field(5, description="Several events of a game at once.")

    @model_validator(mode="after")
    def _some(self) -> "GameWrites":
        if not any(self.model_dump().values()):
            raise ValueError("game.writes: all weights are 0; give at least one a weight above 0")
        if self.delete and self.delete >= self.insert:
            raise ValueError(
                f"game.writes.delete {self.delete:g} is not below game.writes.insert {self.insert:g}: "
                "nobody would be left online to log out; lower it, or raise game.writes.insert"
            )
        return self


class GameReads(Section):
    """Weights of the reads of the workload `game`; only their proportions count."""

    select: Weight = Field(50, description="A player, by key.")
    presence: Weight = Field(15, description="A player and their sessions.")
    roster: Weight = Field(15, description="The members of a game, by points.")
    history: Weight = Field(10, description="Two pages of the newest events of a game.")
    containment: Weight = Field(
        5, description="Two pages of the players of a clan and region, found in their JSON profiles."
    )
    complex: Weight = Field(
        5, description="Games and points of the players of a clan and region, by mode of the games."
    )

    @model_validator(mode="after")
    def _some(self) -> "GameReads":
        if not any(self.model_dump().values()):
            raise ValueError("game.reads: all weights are 0; give at least one a weight above 0")
        return self


class Game(Section):
    """The workload `game`: a game server's players, games, sessions, memberships and events, with JSON."""

    players_per_game: int = Field(4, ge=2, le=8, description="Members of each game.")
    events_per_game: int = Field(
        40, ge=1, le=100_000, description="Newest events that each game keeps; its data begins with as many."
    )
    clan_size: int = Field(
        250, ge=10, le=1_000_000, description="Players of a clan, a fifth of them in each region."
    )
    payload_size: Size = Field(60, ge=0, le=1_000_000, description="Characters of the note of an event.")
    batch_rows: int = Field(10, ge=1, le=100_000, description="Events that `batch_insert` appends at once.")
    rollbacks: float = Field(
        0.1, ge=0, le=1, description="Share of `transaction` that is rolled back on purpose: `rejected`."
    )
    keys: Literal["uniform", "zipf", "latest"] = Field(
        "uniform", description="Which players and games are drawn: all alike, a few often, or the last ones."
    )
    page: int = Field(
        20, ge=1, le=10_000, description="Rows of a page of `history`, `containment` and `presence`."
    )
    writes: GameWrites = Field(default_factory=GameWrites, description="Weights of the writes.")
    reads: GameReads = Field(default_factory=GameReads, description="Weights of the reads.")

    @model_validator(mode="after")
    def _fits(self) -> "Game":
        if self.batch_rows > self.events_per_game:
            raise ValueError(
                f"game.batch_rows {self.batch_rows} is more than game.events_per_game "
                f"{self.events_per_game}, the events that a game keeps; lower it, or raise "
                "game.events_per_game"
            )
        return self

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.game.workload.Game`."""
        return self.model_dump()
