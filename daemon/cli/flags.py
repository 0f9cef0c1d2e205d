"""Which flag of the command line sets which setting: the one table of it."""

from typing import NamedTuple


class Flag(NamedTuple):
    """One flag.

    Attributes:
        name: as it is written, `--writers`.
        key: dotted name of the setting.
        metavar: what stands for the value in the help; empty for a switch.
        panel: heading in the help.
        switch: the value that a switch sets.
        many: it may be repeated, and sets a list.
    """

    name: str
    key: str
    metavar: str
    panel: str
    switch: str = ""
    many: bool = False

    @property
    def parameter(self) -> str:
        """The flag as a Python name."""
        return self.name.strip("-").replace("-", "_")


_LOAD, _BATCH, _OUTPUT, _DATA = "Load", "Batches", "Output", "Data"

FLAGS: tuple[Flag, ...] = (
    Flag("--target", "target", "URL", _LOAD),
    Flag("--workload", "workload", "NAME", _LOAD),
    Flag("--duration", "duration", "TIME", _LOAD),
    Flag("--warmup", "warmup", "TIME", _LOAD),
    Flag("--writers", "pools.writers", "N", _LOAD),
    Flag("--readers", "pools.readers", "N", _LOAD),
    Flag("--rows-in-flight", "pools.rows_in_flight", "N", _LOAD),
    Flag("--write-rate", "pools.write_rate", "N", _LOAD),
    Flag("--read-rate", "pools.read_rate", "N", _LOAD),
    Flag("--arrivals", "pools.arrivals", "NAME", _LOAD),
    Flag("--shards", "shards", "N", _LOAD),
    Flag("--seed", "seed", "N", _LOAD),
    Flag("--clean", "clean", "", _LOAD, switch="true"),
    Flag("--scale", "data.scale", "N|SIZE", _LOAD),
    Flag("--batch-size", "batch.size", "N", _BATCH),
    Flag("--batch-timeout", "batch.timeout", "TIME", _BATCH),
    Flag("--queue-size", "batch.queue_size", "N", _BATCH),
    Flag("--on-full", "batch.on_full", "ACTION", _BATCH),
    Flag("--flushers", "batch.flushers", "N", _BATCH),
    Flag("--listen", "http.listen", "HOST:PORT", _OUTPUT),
    Flag("--listen-insecure", "http.listen_insecure", "", _OUTPUT, switch="true"),
    Flag("--sample-interval", "samplers.interval", "TIME", _OUTPUT),
    Flag("--log-interval", "log.interval", "TIME", _OUTPUT),
    Flag("--threshold", "thresholds", "TEXT", _OUTPUT, many=True),
    Flag("--summary", "summary", "FILE", _OUTPUT),
    Flag("--history", "history.file", "FILE", _OUTPUT),
    Flag("--no-history", "history.enabled", "", _OUTPUT, switch="false"),
)

RUN_FLAGS: tuple[Flag, ...] = (*FLAGS, Flag("--json", "log.format", "", _OUTPUT, switch="json"))
"""`run` writes its log as JSON when told `--json`; for other commands that flag is about their answer."""

_OF_SCENARIOS = ("--duration", "--warmup", "--write-rate", "--read-rate", "--arrivals", "--summary")
SUITE_FLAGS: tuple[Flag, ...] = tuple(flag for flag in RUN_FLAGS if flag.name not in _OF_SCENARIOS)
"""Of `suite`, without what its scenarios say, and without the file that each of them would write anew."""

SEED_FLAGS: tuple[Flag, ...] = (
    Flag("--target", "target", "URL", _DATA),
    Flag("--workload", "workload", "NAME", _DATA),
    Flag("--scale", "data.scale", "N|SIZE", _DATA),
    Flag("--seed", "data.seed", "N", _DATA),
    Flag("--loaders", "data.loaders", "N", _DATA),
    Flag("--clean", "clean", "", _DATA, switch="true"),
    Flag("--log-interval", "log.interval", "TIME", _OUTPUT),
    Flag("--json", "log.format", "", _OUTPUT, switch="json"),
)
"""Of `seed`, where `--seed` is that of the data."""

QUERY_FLAGS: tuple[Flag, ...] = (
    *(flag for flag in SEED_FLAGS if flag.name not in ("--json", "--seed")),
    Flag("--seed", "seed", "N", _DATA),
    *(flag for flag in FLAGS if flag.key.startswith("history.")),
)
"""Of `query-test`, where `--seed` is that of the keys, and `--json` is about its report."""
