"""The settings: defaults, bounds, what must go together, and what is shown of them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.config.settings import Settings
from daemon.config.types import scale_units
from daemon.target import MASK


def refusal(values: Mapping[str, Any]) -> str:
    """Return what is said about values that are not accepted."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(values)
    return "\n".join(problem["msg"] for problem in caught.value.errors())


def test_the_defaults_are_those_that_are_promised() -> None:
    """The contract of the command `soakd run`."""
    settings = Settings()
    assert settings.target.get_secret_value() == "sqlite:///soakd.db"
    assert (settings.workload, settings.duration, settings.shards) == ("events", 60.0, 1)
    assert (settings.pools.writers, settings.pools.readers, settings.pools.arrivals) == (10, 5, "constant")
    assert (settings.batch.size, settings.batch.timeout, settings.batch.queue_size) == (100, 0.01, 10_000)
    assert (settings.http.address, settings.log.interval) == (("127.0.0.1", 8080), 5.0)


def test_the_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are plain data; gathering them is somebody else's work."""
    monkeypatch.setenv("SOAKD_POOLS__WRITERS", "77")
    assert Settings().pools.writers == 10


@pytest.mark.parametrize(
    "values",
    [
        {"pools": {"writers": -1}},
        {"pools": {"write_rate": 0}},
        {"pools": {"write_rate": float("inf")}},
        {"batch": {"size": 0}},
        {"batch": {"flushers": 65}},
        {"batch": {"retry": {"initial": 0}}},
        {"postgres": {"connect_timeout": "1ms"}},
        {"events": {"message_size": 0}},
        {"log": {"level": "loud"}},
        {"pools": {"wrters": 1}},
        {"unknown": 1},
        {"seed": -1},
    ],
)
def test_a_value_out_of_bounds_is_refused(values: Mapping[str, Any]) -> None:
    """Each bound, each closed set of choices, and names that do not exist."""
    assert refusal(values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"batch": {"size": 11, "queue_size": 10}}, "batch.size 11 is larger than batch.queue_size 10"),
        ({"pools": {"writers": 0, "readers": 0}}, "there is no load"),
        ({"shards": 6}, "more than the 5 workers of the smaller pool"),
        ({"http": {"tls_cert": "a.pem"}}, "belong together"),
        ({"http": {"password_hash": "x", "password_file": "y"}}, "exclude each other"),
        ({"http": {"listen": "8080"}}, "write host:port"),
        ({"http": {"listen": "127.0.0.1:70000"}}, "write host:port"),
        ({"http": {"listen": "127.0.0.1:²"}}, "write host:port"),
        ({"http": {"listen": "0.0.0.0:8080"}}, "without a password"),
        ({"http": {"listen": "[::]:8080"}}, "without a password"),
        ({"http": {"listen": "10.1.2.3:8080"}}, "without a password"),
        ({"http": {"listen": "example.org:8080"}}, "without a password"),
        ({"target": "mysql://x"}, "unknown scheme"),
        ({"samplers": {"interval": "50ms"}}, "write at least 100ms, or 0"),
        (
            {
                "events": {
                    "reads": {"by_key": 0, "newest": 0, "by_service": 0, "level_counts": 0, "search": 0}
                }
            },
            "all weights are 0",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_in_their_own_words(
    values: Mapping[str, Any], says: str
) -> None:
    """The message names the settings and says what to do."""
    assert says in refusal(values)


@pytest.mark.parametrize(
    "http",
    [
        {"listen": "127.0.0.1:0"},
        {"listen": "127.8.8.8:80"},
        {"listen": "localhost:80"},
        {"listen": "[::1]:80"},
        {"listen": "0.0.0.0:80", "listen_insecure": True},
        {"listen": "0.0.0.0:80", "password_file": "secret"},
        {"listen": "0.0.0.0:80", "password_hash": "$2b$…"},
    ],
)
def test_an_address_that_is_guarded_or_local_is_accepted(http: Mapping[str, Any]) -> None:
    """Loopback needs no password, everything else does or says that it wants none."""
    assert Settings.model_validate({"http": http}).http.listen == http["listen"]


def test_one_shard_without_readers_needs_none() -> None:
    """A pool that is not used does not count."""
    assert Settings.model_validate({"shards": 4, "pools": {"readers": 0}}).shards == 4


def test_a_page_size_is_read_from_text() -> None:
    """As it comes from the environment and the command line."""
    assert Settings.model_validate({"sqlite": {"page_size": "8KiB"}}).sqlite.page_size == 8192


def test_what_is_shown_of_the_settings_holds_no_secret() -> None:
    """Passwords are masked in the target too, and it can be written as JSON."""
    settings = Settings.model_validate(
        {
            "target": "postgresql://me:hunter2@host/db",
            "postgres": {"password": "hunter2"},
            "http": {"password_hash": "hunter2"},
        }
    )
    shown = settings.public()
    assert shown["target"] == f"postgresql://me:{MASK}@host/db"
    assert (shown["postgres"]["password"], shown["http"]["password_hash"]) == (MASK, MASK)
    assert "hunter2" not in json.dumps(shown) + repr(settings) + str(settings)


def test_what_is_shown_can_be_read_again() -> None:
    """Durations and sizes keep their meaning through JSON."""
    settings = Settings.model_validate({"duration": "90m", "sqlite": {"wal_limit": "1GiB"}})
    assert Settings.model_validate(json.loads(json.dumps(settings.public()))) == settings


@pytest.mark.parametrize(
    ("scale", "units"), [("1000", 1000), ("8KB", 4), ("1 GiB", 2**30 // 2000), ("1KiB", 1), (5, 5)]
)
def test_a_scale_is_a_number_of_units_or_a_size(scale: str, units: int) -> None:
    settings = Settings.model_validate({"data": {"scale": scale}})
    assert settings.data.scale is not None
    assert scale_units(settings.data.scale, 2000) == units


@pytest.mark.parametrize("scale", ["0", "-5", "1000.5", "many", "0.5", 10**20, "9" * 30, "1e6", True])
def test_what_is_no_scale_is_told_with_what_one_is(scale: object) -> None:
    """Half a unit would be taken for bytes."""
    with pytest.raises(ValidationError, match="is not a scale; write a whole number from 1 to"):
        Settings.model_validate({"data": {"scale": scale}})


@pytest.mark.parametrize("pool", ["write", "read"])
def test_a_rate_that_nobody_works_at_is_refused(pool: str) -> None:
    """No writers and a write rate contradict each other."""
    noun = {"write": "writers", "read": "readers"}[pool]
    with pytest.raises(ValidationError, match=f"pools.{noun} is 0"):
        Settings.model_validate({"pools": {noun: 0, f"{pool}_rate": 10}})
