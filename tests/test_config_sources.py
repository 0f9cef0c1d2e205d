"""Gathering settings: which source wins, where each value came from, and how mistakes are told."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from daemon.config.reference import setting_keys
from daemon.config.sources import Given, Loaded, load_settings, variable
from daemon.errors import UsageError


def load(
    tmp_path: Path,
    yaml: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Given] | None = None,
) -> Loaded:
    """Load settings from what is given and nothing else of this machine."""
    config = None
    if yaml is not None:
        config = tmp_path / "soakd.yaml"
        config.write_text(yaml)
    return load_settings(
        config=config, overrides=overrides or {}, environ=environ or {}, default_secrets=tmp_path / "none"
    )


def problems(call: Callable[[], object]) -> list[str]:
    """Return the lines of a refusal."""
    with pytest.raises(UsageError) as caught:
        call()
    return str(caught.value).splitlines()


def test_without_any_source_everything_is_default(tmp_path: Path) -> None:
    """And says so, for every setting."""
    loaded = load(tmp_path)
    assert dict(loaded.sources) == dict.fromkeys(setting_keys(), "default")


def test_each_source_beats_the_next_weaker_one(tmp_path: Path) -> None:
    """Command line, environment, secret file, YAML, default."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    yaml = "pools: {writers: 1, readers: 1, write_rate: 1, read_rate: 1}\n"
    for name, value in (("pools__readers", "2"), ("pools__write_rate", "2"), ("pools__read_rate", "2")):
        (secrets / name).write_text(f"{value}\n")
    environ = {
        "SOAKD_SECRETS_DIR": str(secrets),
        "SOAKD_POOLS__WRITE_RATE": "3",
        "SOAKD_POOLS__READ_RATE": "3",
    }
    loaded = load(tmp_path, yaml, environ, {"pools.read_rate": Given("4", "--read-rate")})
    pools = loaded.settings.pools
    assert (pools.writers, pools.readers, pools.write_rate, pools.read_rate) == (1, 2, 3.0, 4.0)
    assert [
        loaded.sources[f"pools.{name}"]
        for name in ("writers", "readers", "write_rate", "read_rate", "arrivals")
    ] == [
        f"{tmp_path}/soakd.yaml:1 pools.writers",
        f"{secrets}/pools__readers",
        "SOAKD_POOLS__WRITE_RATE",
        "--read-rate",
        "default",
    ]


def test_a_group_may_be_given_in_part_by_several_sources(tmp_path: Path) -> None:
    """Values are laid over each other one by one, not group by group."""
    loaded = load(tmp_path, "batch: {size: 7}", {"SOAKD_BATCH__TIMEOUT": "1s"})
    assert (loaded.settings.batch.size, loaded.settings.batch.timeout, loaded.settings.batch.queue_size) == (
        7,
        1.0,
        10_000,
    )


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    """`SOAKD_CONFIG` stands in for --config."""
    file = tmp_path / "other.yaml"
    file.write_text("duration: 7s\n")
    assert load(tmp_path, environ={"SOAKD_CONFIG": str(file)}).settings.duration == 7.0


def test_every_setting_can_be_given_by_its_variable(tmp_path: Path) -> None:
    """The name is made from the dotted one, and the default's own spelling is accepted."""
    names = [variable(key) for key in setting_keys()]
    assert len(set(names)) == len(names)
    assert variable("batch.retry.cap") == "SOAKD_BATCH__RETRY__CAP"
    assert load(tmp_path, environ={"SOAKD_BATCH__RETRY__CAP": "2s"}).settings.batch.retry.cap == 2.0


def test_the_text_null_unsets_what_may_be_unset(tmp_path: Path) -> None:
    """So that a stronger source can take back what a weaker one gave."""
    assert load(tmp_path, "seed: 3", {"SOAKD_SEED": "null"}).settings.seed is None


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    """Compose passes variables on that way."""
    loaded = load(tmp_path, "seed: 3", {"SOAKD_SEED": ""})
    assert (loaded.settings.seed, loaded.sources["seed"]) == (3, f"{tmp_path}/soakd.yaml:1 seed")


def test_variables_that_others_made_are_left_alone(tmp_path: Path) -> None:
    """Kubernetes adds some for a service called soakd, and other programs have their own."""
    environ = {
        "SOAKD_SERVICE_HOST": "10.0.0.1",
        "SOAKD_SERVICE_PORT_HTTP": "8080",
        "SOAKD_PORT": "tcp://10.0.0.1:8080",
        "SOAKD_PORT_8080_TCP_ADDR": "10.0.0.1",
        "SOAKD_METRICS_SERVICE_HOST": "10.0.0.2",
        "SOAKD_DEBUG": "1",
        "SOAKD_TEST_POSTGRES": "postgresql://…",
        "PATH": "/bin",
    }
    assert set(load(tmp_path, environ=environ).sources.values()) == {"default"}


WHOLE = "a whole number from 0 to 10000"
RATE = "a number from 1e-06 to 10000000, or null for unset"


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("pools:\n  writrs: 3", "2: there is no setting pools.writrs; did you mean pools.writers?"),
        ("writers: 3", "1: there is no setting writers; did you mean pools.writers?"),
        ("pools: 3", "1: pools is a group of settings; write its keys below it, indented"),
        ("quux: 3", "1: there is no setting quux; `soakd config init -` lists them all"),
        ("pools:\n  writers: yes", f"2 pools.writers: 'yes' is not valid; write {WHOLE}"),
        ("pools:\n  writers: true", f"2 pools.writers: true is not valid; write {WHOLE}"),
        ("pools:\n  writers:", f"2 pools.writers: null is not valid; write {WHOLE}"),
        ("summary: [a]", "1 summary: ['a'] is not valid; write a file, or null for unset"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, yaml: str, says: str) -> None:
    """Where it came from, what is wrong, and what to write."""
    assert problems(lambda: load(tmp_path, yaml)) == [f"{tmp_path}/soakd.yaml:{says}"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SOAKD_POOLS__WRITRES", "3", "there is no such setting; did you mean SOAKD_POOLS__WRITERS?"),
        ("SOAKD_XYZZY", "1", "there is no such setting; `soakd config init -` lists them all"),
        ("SOAKD_POOLS__WRITERS", "many", f"'many' is not valid; write {WHOLE}"),
        ("SOAKD_CLEAN", "maybe", "'maybe' is not valid; write true or false"),
    ],
)
def test_a_mistake_in_the_environment_is_told_with_its_variable(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    """Where it came from, what is wrong, and what to write."""
    assert problems(lambda: load(tmp_path, environ={name: value})) == [f"{name}: {says}"]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("pools.readrs", "3", "there is no setting 'pools.readrs'; did you mean pools.readers?"),
        ("batch.size", "-5", "'-5' is not valid; write a whole number from 1 to 100000"),
        ("pools.write_rate", "0", f"'0' is not valid; write {RATE}"),
        ("pools.arrivals", "posson", "'posson' is not valid; write one of constant, poisson"),
        ("batch.retry.cap", "0", "'0' is not valid; write a duration such as 250ms, 10s or 2h, above 0"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_with_its_flag(
    tmp_path: Path, key: str, value: str, says: str
) -> None:
    """Where it came from, what is wrong, and what to write."""
    overrides = {key: Given(value, "--flag")}
    assert problems(lambda: load(tmp_path, overrides=overrides)) == [f"--flag: {says}"]


def test_a_contradiction_is_told_with_all_its_sources(tmp_path: Path) -> None:
    """The settings that the message names, as far as they were given."""
    overrides = {"batch.queue_size": Given("7", "--queue-size")}
    (line,) = problems(lambda: load(tmp_path, environ={"SOAKD_BATCH__SIZE": "9"}, overrides=overrides))
    assert line.startswith(
        "SOAKD_BATCH__SIZE, --queue-size: batch.size 9 is larger than batch.queue_size 7: "
    )


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """One line for each."""
    found = problems(lambda: load(tmp_path, "duration: 1 potato\npools: {writers: -1}\nlog: {level: loud}\n"))
    assert [line.split(" ")[1] for line in found] == ["duration:", "pools.writers:", "log.level:"]


@pytest.mark.parametrize(
    ("yaml", "environ"),
    [
        ("postgres: {password: [hunter2]}", {}),
        ("http: {password_hash: {a: hunter2}}", {}),
        (None, {"SOAKD_TARGET": "mysql://me:hunter2@host/db"}),
        (None, {"SOAKD_TARGET": "hunter2"}),
        ("target: [postgresql://me:hunter2@host/db]", {}),
        (None, {"SOAKD_POOLS__WRITERS": "postgresql://me:hunter2@host/db"}),
    ],
)
def test_a_mistake_does_not_show_a_secret(
    tmp_path: Path, yaml: str | None, environ: Mapping[str, str]
) -> None:
    """Neither the value of a secret setting, nor a password that stands elsewhere."""
    assert "hunter2" not in "\n".join(problems(lambda: load(tmp_path, yaml, environ)))


@pytest.mark.parametrize(
    "name",
    ["postgres__password", "soakd_postgres__password", "postgres/password", "SOAKD_POSTGRES__PASSWORD"],
)
def test_a_secret_file_is_found_under_each_of_its_names(tmp_path: Path, name: str) -> None:
    """In a folder that was named, with or without the prefix."""
    file = tmp_path / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_text("hunter2\n")
    password = load(
        tmp_path, environ={"SOAKD_SECRETS_DIR": str(tmp_path / "mine")}
    ).settings.postgres.password
    assert password is not None
    assert password.get_secret_value() == "hunter2"


def test_in_the_shared_folder_only_names_with_the_prefix_count(tmp_path: Path) -> None:
    """Other programs' secrets are none of soakd's business."""
    (tmp_path / "db_root_password").write_text("other")
    (tmp_path / "target").write_text("null://")
    (tmp_path / "soakd_seed").write_text("5")
    loaded = load_settings(environ={}, default_secrets=tmp_path)
    assert {key for key, source in loaded.sources.items() if source != "default"} == {"seed"}


def test_a_secret_file_with_an_unknown_name_is_refused(tmp_path: Path) -> None:
    """With the name that was probably meant."""
    (tmp_path / "postgres__pasword").write_text("hunter2")
    (line,) = problems(lambda: load(tmp_path, environ={"SOAKD_SECRETS_DIR": str(tmp_path)}))
    assert line.endswith("there is no setting postgres.pasword; did you mean postgres.password?")


def test_a_secrets_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """If it was asked for; the default one may be missing."""
    (line,) = problems(lambda: load(tmp_path, environ={"SOAKD_SECRETS_DIR": str(tmp_path / "nix")}))
    assert "is not a folder" in line


def test_the_process_environment_is_used_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command does."""
    for name in [name for name in os.environ if name.startswith("SOAKD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SOAKD_SHARDS", "2")
    assert load_settings().settings.shards == 2
