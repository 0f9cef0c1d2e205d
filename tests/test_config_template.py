"""The commented file and the words about settings that it is made of."""

from pathlib import Path

import pytest
import yaml

from daemon.config.likeness import nearest
from daemon.config.reference import Group, Setting, group_keys, reference, setting_keys
from daemon.config.settings import Settings
from daemon.config.sources import load_settings
from daemon.config.template import render_template

LONGEST = 102  # characters of a line


def test_the_file_reads_back_to_the_defaults(tmp_path: Path) -> None:
    """With soakd's own reader, every key coming from the file."""
    file = tmp_path / "soakd.yaml"
    file.write_text(render_template())
    loaded = load_settings(config=file, environ={}, default_secrets=tmp_path / "none")
    assert loaded.settings == Settings()
    given = {key for key, source in loaded.sources.items() if source != "default"}
    unset = {
        key for key, entry in reference().items() if isinstance(entry, Setting) and entry.default is None
    }
    assert given == set(setting_keys())
    assert unset == {key for key in unset if f"{key.rpartition('.')[2]}: null" in render_template()}


def test_other_readers_of_yaml_agree() -> None:
    """The file avoids everything that YAML 1.1 reads as something else."""
    assert Settings.model_validate(yaml.safe_load(render_template())) == Settings()


def test_every_line_is_short_and_every_key_explained() -> None:
    """A comment of a sentence stands above each key."""
    lines = render_template().splitlines()
    assert max(map(len, lines)) <= LONGEST
    keys = [n for n, line in enumerate(lines) if line and not line.lstrip().startswith("#")]
    assert len(keys) == len(setting_keys()) + len(group_keys())
    assert all(lines[n - 1].lstrip().startswith("# ") for n in keys)


def test_every_setting_and_group_is_described() -> None:
    """One or two sentences, what a value looks like, and no name twice."""
    entries = reference()
    assert [key for key, entry in entries.items() if isinstance(entry, Setting)] == list(setting_keys())
    assert [key for key, entry in entries.items() if isinstance(entry, Group)] == list(group_keys())
    assert all(entry.description.endswith(".") for entry in entries.values())
    assert all(entry.expects for entry in entries.values() if isinstance(entry, Setting))


@pytest.mark.parametrize(
    ("key", "expects"),
    [
        ("pools.writers", "a whole number from 0 to 10000"),
        ("batch.retry.cap", "a duration such as 250ms, 10s or 2h, above 0"),
        ("sqlite.wal_limit", "a size such as 4KiB, 64MiB or 4096, at least 64KiB"),
        ("sqlite.synchronous", "one of normal, full"),
        ("workload", "one of events, game, ledger, marketplace, progress, sql"),
        ("summary", "a file, or null for unset"),
        ("http.listen", "text such as 127.0.0.1:8080"),
        ("clean", "true or false"),
        (
            "thresholds",
            "a list, or texts with commas between them, such as errors.rate < 1%, profile:events",
        ),
        ("null.shape", "a number, above 1 and at most 100"),
    ],
)
def test_what_a_value_looks_like_is_said_with_its_bounds(key: str, expects: str) -> None:
    """Also for durations and sizes, whose JSON schema does not tell."""
    entry = reference()[key]
    assert isinstance(entry, Setting)
    assert entry.expects == expects


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pools.writrs", "pools.writers"),
        ("writers", "pools.writers"),
        ("batch.qeue_size", "batch.queue_size"),
        ("pool.readers", "pools.readers"),
        ("xyzzy", None),
    ],
)
def test_the_nearest_name_is_found_if_there_is_one(name: str, meant: str | None) -> None:
    """By the whole name or by its last part."""
    assert nearest(name, setting_keys()) == meant
