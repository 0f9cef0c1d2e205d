"""The settings of a run: what they are, their units, bounds and defaults."""

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from daemon.config.data import Data
from daemon.config.history import History
from daemon.config.invariants import Invariants
from daemon.config.marketplace import Marketplace
from daemon.config.samplers import Samplers
from daemon.config.section import Section
from daemon.config.thresholds import Thresholds
from daemon.config.types import Duration, PageSize, Rate, Size
from daemon.config.workloads import Events, Game, Ledger, Progress, Sql
from daemon.errors import UsageError
from daemon.target import MASK, parse_target
from daemon.target import shown as shown_address

MAX_SHARDS = 64
MAX_WORKERS = 10_000
MAX_PORT = 65_535


class Pools(Section):
    """Who makes the load, and when."""

    writers: int = Field(10, ge=0, le=MAX_WORKERS, description="Concurrent writers, over all shards.")
    readers: int = Field(5, ge=0, le=MAX_WORKERS, description="Concurrent readers, over all shards.")
    rows_in_flight: int = Field(
        1,
        ge=1,
        le=MAX_WORKERS,
        description="Rows that a writer sends before it waits for the COMMIT of the oldest. With 1 a batch "
        "never holds more rows than there are writers.",
    )
    write_rate: Rate | None = Field(
        None,
        description="Writes per second to offer (open loop); unset: as fast as answers come (closed loop).",
    )
    read_rate: Rate | None = Field(None, description="Reads per second to offer; unset: closed loop.")
    arrivals: Literal["constant", "poisson"] = Field(
        "constant", description="How the arrivals of an open loop are spaced."
    )
    write_think_time: Duration = Field(
        0.0, description="Pause of a writer after each operation, closed loop only."
    )
    read_think_time: Duration = Field(
        0.0, description="Pause of a reader after each operation, closed loop only."
    )
    max_backlog: Duration = Field(
        10.0, description="Intended operations later than this are dropped and counted, open loop only."
    )
    retries: int = Field(
        5,
        ge=0,
        le=100,
        description="Further tries of a transaction that met a serialization failure, a deadlock or a busy "
        "database, with growing pauses.",
    )
    op_timeout: Duration = Field(
        30.0, description="An operation without an answer by then is a timeout; 0: never."
    )


class Retry(Section):
    """How a batch that failed for a passing reason is tried again."""

    initial: Duration = Field(
        0.01, gt=0, description="First pause; each further one is doubled, with jitter."
    )
    cap: Duration = Field(1.0, gt=0, description="Longest pause.")
    budget: Duration = Field(
        120.0, description="Rows of a batch that still fails after this time are counted as failed."
    )


class Batch(Section):
    """How rows are gathered into transactions."""

    size: int = Field(
        100, ge=1, le=100_000, description="Rows that trigger a flush, and the most in one batch."
    )
    timeout: Duration = Field(
        0.01, description="A flush begins when the oldest row has waited so long; 0: group commit."
    )
    queue_size: int = Field(10_000, ge=1, le=10_000_000, description="Rows that may wait, over all shards.")
    on_full: Literal["block", "drop"] = Field(
        "block", description="What a writer does when the queue is full: wait, or drop the row and count it."
    )
    flushers: int = Field(
        1,
        ge=1,
        le=64,
        description="Batches written at the same time per shard (PostgreSQL; SQLite has 1). "
        "More helps once batches are full; with few rows under way they only make the batches smaller.",
    )
    drain_timeout: Duration = Field(
        20.0, description="At the stop, rows not written by then are abandoned and counted."
    )
    retry: Retry = Field(default_factory=Retry, description="How a failed batch is tried again.")

    @model_validator(mode="after")
    def _fits(self) -> "Batch":
        if self.size > self.queue_size:
            raise ValueError(
                f"batch.size {self.size} is larger than batch.queue_size {self.queue_size}: "
                "a batch could never fill; lower batch.size or raise batch.queue_size"
            )
        return self


class Sqlite(Section):
    """SQLite targets."""

    synchronous: Literal["normal", "full"] = Field(
        "normal", description="normal may lose the last commits on a power cut, full does not."
    )
    busy_timeout: Duration = Field(5.0, description="How long to wait for another process's lock.")
    checkpoint_pages: int = Field(
        1000, ge=1, le=1_000_000, description="Pages in the WAL after which a PASSIVE checkpoint is made."
    )
    wal_limit: Size = Field(
        256 * 2**20,
        ge=65536,
        description="Size of the WAL above which it is made to begin anew: reads under way are waited for, "
        "new ones are held back meanwhile.",
    )
    page_size: PageSize = Field(4096, description="Bytes of a page, for files that soakd creates.")
    cache_size: Size = Field(64 * 2**20, ge=65536, description="Page cache of each connection.")
    mmap_size: Size = Field(0, description="Bytes of the file to map into memory; 0: none.")
    reader_lanes: int = Field(
        2, ge=1, le=64, description="Threads, each with a connection, that run the reads of a shard."
    )
    one_processor: bool = Field(
        True,
        description="Keep an engine's event loop, its writing and its first reading lane to one processor: "
        "to wake an idle one takes longer than a point read. Lanes for slow reads use all.",
    )
    pinned_reader: Duration = Field(
        0.0,
        description="Hold a read transaction open for so long, again and again, which keeps the WAL from "
        "beginning anew; 0: never.",
    )


class Postgres(Section):
    """PostgreSQL targets."""

    password: SecretStr | None = Field(
        None, description="Password, if it is not in the target or in libpq's own places."
    )
    pool_size: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Connections for direct operations per shard; unset: one per worker that needs one.",
    )
    synchronous_commit: Literal["on", "off", "local"] = Field(
        "on", description="off answers before the WAL is on disk: the last commits may be lost in a crash."
    )
    connect_timeout: Duration = Field(5.0, ge=1, description="Longest wait for a new connection.")
    statement_timeout: Duration = Field(
        0.0, description="The server ends statements that take longer; 0: never."
    )
    lock_timeout: Duration = Field(
        0.0, description="The server ends waits for a lock that take longer; 0: never."
    )
    application_name: str = Field(
        "soakd", max_length=63, description="Name that the server shows in pg_stat_activity."
    )
    prepare: bool = Field(
        True, description="Use prepared statements; false behind PgBouncer in transaction mode."
    )


class Null(Section):
    """The backend that does nothing, in a chosen time."""

    latency: Literal["none", "constant", "normal", "pareto"] = Field(
        "none", description="Distribution of the service time; pareto has a heavy tail."
    )
    mean: Duration = Field(0.001, gt=0, description="Mean service time.")
    stddev: Duration = Field(0.0002, description="Standard deviation, for normal.")
    shape: float = Field(2.5, gt=1, le=100, description="Tail index of pareto; the smaller the heavier.")


class Http(Section):
    """The endpoint that serves /metrics, /healthz and /readyz."""

    listen: str = Field(
        "127.0.0.1:8080",
        description="Address and port; port 0 takes a free one.",
        examples=["127.0.0.1:8080"],
    )
    listen_insecure: bool = Field(False, description="Allow an address beyond loopback without a password.")
    tls_cert: Path | None = Field(None, description="Certificate file (PEM): serve https.")
    tls_key: Path | None = Field(None, description="Key file (PEM) of the certificate.")
    username: str = Field("soakd", min_length=1, description="Name for basic authentication.")
    password_hash: SecretStr | None = Field(None, description="bcrypt hash of the password.")
    password_file: Path | None = Field(None, description="File that holds the password, or its bcrypt hash.")

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        good = colon and host and " " not in host and port.isascii() and port.isdecimal()
        if not good or int(port) > MAX_PORT:
            raise ValueError(f"{value!r} is not an address; write host:port, for example 127.0.0.1:8080")
        return value

    @model_validator(mode="after")
    def _pairs(self) -> "Http":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("http.tls_cert and http.tls_key belong together; give both or none")
        if self.password_hash and self.password_file:
            raise ValueError("http.password_hash and http.password_file exclude each other; give one")
        return self

    @model_validator(mode="after")
    def _guarded(self) -> "Http":
        guarded = self.password_hash or self.password_file or self.listen_insecure
        if not guarded and not _is_loopback(self.address[0]):
            raise ValueError(
                f"http.listen {self.listen} is open to other machines without a password; "
                "set http.password_file, listen on 127.0.0.1, or allow it with http.listen_insecure"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Log(Section):
    """What soakd writes about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity to write."
    )
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: a live panel on a terminal, JSON lines elsewhere."
    )
    interval: Duration = Field(5.0, ge=0.1, description="Time between two progress events.")


class Settings(Section):
    """Everything that can be set for a run: plain data, which looks at no file and no environment.

    `daemon.config.sources.load_settings` gathers it from where people put it.
    """

    target: SecretStr = Field(
        SecretStr("sqlite:///soakd.db"),
        description="Database to put under load.",
        examples=["sqlite:///file.db", "postgresql://user@host:port/db", "null://"],
    )
    workload: Literal["events", "game", "ledger", "marketplace", "progress", "sql"] = Field(
        "events", description="What the pools do."
    )
    duration: Duration = Field(60.0, description="Length of the run after warm-up; 0: until stopped.")
    warmup: Duration = Field(
        0.0, description="Load before the measured part; the summary counts its rows and nothing else of it."
    )
    seed: int | None = Field(None, ge=0, description="Makes keys and payloads repeatable; unset: drawn anew.")
    shards: int = Field(1, ge=1, le=MAX_SHARDS, description="Engine processes that share the load.")
    summary: Path | None = Field(None, description="File to write the summary to, as JSON.")
    thresholds: Thresholds = Field(
        (), description="Bounds on what is measured; a failed one ends in exit code 4."
    )
    clean: bool = Field(False, description="First drop the tables that soakd created in the target.")
    pools: Pools = Field(default_factory=Pools)
    batch: Batch = Field(default_factory=Batch)
    data: Data = Field(default_factory=Data)
    events: Events = Field(default_factory=Events)
    game: Game = Field(default_factory=Game)
    ledger: Ledger = Field(default_factory=Ledger)
    marketplace: Marketplace = Field(default_factory=Marketplace)
    progress: Progress = Field(default_factory=Progress)
    sql: Sql = Field(default_factory=Sql)
    invariants: Invariants = Field(default_factory=Invariants)
    sqlite: Sqlite = Field(default_factory=Sqlite)
    postgres: Postgres = Field(default_factory=Postgres)
    null: Null = Field(default_factory=Null)
    http: Http = Field(default_factory=Http)
    samplers: Samplers = Field(default_factory=Samplers)
    history: History = Field(default_factory=History)
    log: Log = Field(default_factory=Log)

    @field_validator("target")
    @classmethod
    def _known_target(cls, value: SecretStr) -> SecretStr:
        try:
            parse_target(value.get_secret_value())
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.pools.writers + self.pools.readers == 0:
            raise ValueError(
                "pools.writers and pools.readers are both 0: there is no load; raise one of them"
            )
        for workers, rate, name, noun in (
            (self.pools.writers, self.pools.write_rate, "write", "writers"),
            (self.pools.readers, self.pools.read_rate, "read", "readers"),
        ):
            if rate is not None and not workers:
                raise ValueError(
                    f"pools.{name}_rate is {rate:g} and pools.{noun} is 0: nobody would work at that rate; "
                    f"raise pools.{noun} or leave pools.{name}_rate out"
                )
        busy = [n for n in (self.pools.writers, self.pools.readers) if n]
        if self.shards > min(busy):
            raise ValueError(
                f"shards is {self.shards}, more than the {min(busy)} workers of the smaller pool: "
                "every shard needs a worker of each pool; lower shards or raise pools.writers, pools.readers"
            )
        return self

    def public(self) -> dict[str, Any]:
        """Return the settings as JSON data, with secrets masked."""
        shown: dict[str, Any] = self.model_dump(mode="json")
        shown["target"] = shown_address(self.target.get_secret_value())
        for section, secret in (("postgres", "password"), ("http", "password_hash")):
            if shown[section][secret] is not None:
                shown[section][secret] = MASK
        return shown
