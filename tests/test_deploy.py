"""What deploys soakd agrees with soakd: the image, the compose file, its variables and examples."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from daemon import __version__
from daemon.cli.app import build_app
from daemon.cli.probe import simple_question
from daemon.config.reference import setting_keys
from daemon.config.settings import Settings
from daemon.config.sources import OWN_VARIABLES, load_settings, variable
from daemon.control import conduct, settle
from daemon.units import parse_duration
from tests import forked
from tests.servers import Server, local_server
from tests.stack import COMPOSE, EXAMPLES, ROOT, compose, dockerfile, documented, variables

STACK = compose()
SERVICES: Mapping[str, dict[str, Any]] = STACK["services"]
SOAKD = {name: service for name, service in SERVICES.items() if name.startswith("soakd")}
SCHEMA = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text())
# What the examples want to be told.
GIVEN = {
    "DATABASE": "load@db.example.com:5432/load",
    "GRAFANA_DOMAIN": "grafana.example.com",
    "GRAFANA_ADMIN_PASSWORD": "secret",
}
INSTRUCTIONS = list(dockerfile())

every_service = pytest.mark.parametrize("name", SERVICES)
every_soakd = pytest.mark.parametrize("name", SOAKD)
every_file = pytest.mark.parametrize("path", [COMPOSE, *EXAMPLES], ids=lambda path: path.name)
every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)


def overridden(path: Path, service: str) -> dict[str, Any]:
    """Return a service of the stack with what an example puts over its first level and its environment."""
    base, over = SERVICES[service], compose(path, GIVEN)["services"].get(service, {})
    return {**base, **over, "environment": {**base["environment"], **over.get("environment", {})}}


def parsed(command: list[str]) -> str:
    """Parse a command line of soakd without running it; return the name of the command.

    Raises:
        click.UsageError: there is no such command, option or value.
    """
    group = typer.main.get_command(build_app())
    context = group.make_context("soakd", list(command))
    name, inner, rest = group.resolve_command(context, list(command))  # type: ignore[attr-defined]
    inner.make_context(name, rest, parent=context)
    return str(name)


def settings_of(service: Mapping[str, Any], tmp_path: Path) -> Settings:
    """Return the settings that a container gets."""
    environ = {name: str(value) for name, value in service["environment"].items()}
    return load_settings(environ=environ, default_secrets=tmp_path).settings


@every_file
def test_a_compose_file_follows_the_specification(path: Path) -> None:
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(SCHEMA).iter_errors(compose(path, GIVEN))
    ]
    assert not errors


def test_the_schema_finds_a_mistake() -> None:
    """A schema that takes everything would make the test above worthless."""
    wrong = {"services": {"soakd": {"image": "soakd", "helthcheck": {}}}}
    assert not Draft202012Validator(SCHEMA).is_valid(wrong)


# ---- soakd's settings


@every_soakd
def test_every_variable_is_a_setting_and_its_value_is_right(name: str, tmp_path: Path) -> None:
    """An unknown name or a wrong value would be told by the container that does not start."""
    settings = settings_of(SOAKD[name], tmp_path)
    assert settings.duration == 0
    assert settings.pools.write_rate
    assert settings.pools.read_rate


@every_example
@every_soakd
def test_the_examples_keep_the_settings_valid(path: Path, name: str, tmp_path: Path) -> None:
    assert settings_of(overridden(path, name), tmp_path).duration == 0


@pytest.mark.parametrize("name", [name for name in documented() if name.startswith("SOAKD_")])
def test_a_variable_that_can_be_set_reaches_soakd(name: str) -> None:
    given = compose(COMPOSE, {name: "other"})["services"]
    assert [one for one in SOAKD if given[one]["environment"].get(name) == "other"]


def test_the_example_of_variables_is_complete_and_has_the_defaults() -> None:
    assert documented() == variables(COMPOSE)


def test_the_load_goes_to_the_database_of_the_stack(tmp_path: Path) -> None:
    """As the role that the database is made with, and with the password that it is given."""
    sql = (ROOT / "deploy" / "postgres" / "init.sql").read_text()
    changed = compose(COMPOSE, {"POSTGRES_PASSWORD": "changed"})["services"]
    for services in (SERVICES, changed):
        settings = settings_of(services["soakd"], tmp_path)
        assert settings.target.get_secret_value() == "postgresql://soakd@postgres:5432/soakd"
        assert settings.postgres.password
        assert (
            settings.postgres.password.get_secret_value()
            == services["postgres"]["environment"]["POSTGRES_PASSWORD"]
        )
    assert "CREATE ROLE soakd LOGIN PASSWORD :'password'" in sql
    assert "CREATE DATABASE soakd OWNER soakd" in sql


@every_soakd
def test_the_ports_of_soakd_agree(name: str, tmp_path: Path) -> None:
    """Where it listens, what is published, what is asked for health, what the image names."""
    host, port = settings_of(SOAKD[name], tmp_path).http.address
    assert host == "0.0.0.0"
    assert [published.rpartition(":")[2] for published in SOAKD[name]["ports"]] == [str(port)]
    assert f"http://127.0.0.1:{port}" in SOAKD[name]["healthcheck"]["test"]
    assert [one.rest for one in INSTRUCTIONS if one.name == "EXPOSE"] == [str(port)]


@every_soakd
def test_there_is_time_to_drain_and_to_close_the_books(name: str, tmp_path: Path) -> None:
    """Docker kills what is still there after the grace period, and the account would not be written."""
    settings = settings_of(SOAKD[name], tmp_path)
    drain = settings.batch.drain_timeout + conduct.DRAIN_GRACE + conduct.ABORT_WITHIN
    books = settle.TRIES * settle.PAUSE
    assert parse_duration(SOAKD[name]["stop_grace_period"]) > drain + books


@every_soakd
def test_what_a_container_of_soakd_writes_outlives_it(name: str, tmp_path: Path) -> None:
    settings = settings_of(SOAKD[name], tmp_path)
    volumes = dict(volume.split(":")[:2][::-1] for volume in SOAKD[name]["volumes"])
    assert volumes["/data"] in STACK["volumes"]
    assert settings.summary
    assert settings.summary.is_relative_to("/data")
    target = settings.target.get_secret_value()
    assert not target.startswith("sqlite") or target.startswith("sqlite:////data/")


# ---- the database


def server_settings() -> dict[str, str]:
    """Return the configuration parameters that the stack starts PostgreSQL with."""
    program, *arguments = SERVICES["postgres"]["command"]
    assert program == "postgres"
    assert set(arguments[::2]) == {"-c"}
    return dict(argument.split("=", 1) for argument in arguments[1::2])


@pytest.fixture(scope="module")
def prepared(postgres_binaries: Path) -> Iterator[Server]:
    """A server with the parameters of the stack, made ready by its script."""
    settings = server_settings()
    script = (ROOT / "deploy" / "postgres" / "init.sql").read_text()
    if not any(postgres_binaries.parent.rglob("pg_stat_statements.so")):
        # Not every PostgreSQL comes with its modules; all else holds without them too.
        del settings["shared_preload_libraries"]
        script = script.replace("CREATE EXTENSION pg_stat_statements;", "")
    with local_server(postgres_binaries, settings) as server:
        subprocess.run(
            [postgres_binaries / "psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", server.url],
            input=script,
            env={"POSTGRES_PASSWORD": "it's a secret"},
            text=True,
            check=True,
        )
        yield server


def test_the_database_takes_its_parameters(prepared: Server) -> None:
    for name, value in server_settings().items():
        if name != "shared_preload_libraries":
            assert prepared.execute("SELECT current_setting(%s)", (name,)) == [(value,)]


def test_the_role_of_soakd_can_do_its_work_and_no_more(prepared: Server, tmp_path: Path) -> None:
    """It owns its database and reads all statistics, and is no superuser."""
    facts = prepared.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, pg_has_role('soakd', 'pg_monitor', 'USAGE'), "
        "(SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'soakd') "
        "FROM pg_roles WHERE rolname = 'soakd'"
    )
    assert facts == [(False, False, False, True, "soakd")]
    url = prepared.database_url("soakd", user="soakd")
    done = forked.run(
        ["run", "--target", url, "--duration", "300ms", "--json"],
        env={**os.environ, "SOAKD_HTTP__LISTEN": "127.0.0.1:0", "SOAKD_POSTGRES__PASSWORD": "it's a secret"},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_password_is_the_one_that_was_given_and_the_superuser_has_none(prepared: Server) -> None:
    stored = dict(prepared.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin"))
    assert stored["soakd"].startswith("SCRAM-SHA-256$")
    assert stored["postgres"] is None


# ---- health and order


@every_soakd
def test_the_health_check_of_the_stack_is_a_command_that_needs_no_settings(name: str) -> None:
    """It is asked every few seconds: reading the settings would cost five times as much."""
    kind, program, command, *arguments = SOAKD[name]["healthcheck"]["test"]
    assert (kind, program, command) == ("CMD", "soakd", "health")
    question = simple_question(arguments, SOAKD[name]["environment"])
    assert question
    assert question.url == "http://127.0.0.1:8080/readyz"
    assert parsed([command, *arguments]) == "health"


@every_soakd
def test_what_a_container_of_soakd_is_told_is_a_command(name: str) -> None:
    assert parsed(SOAKD[name]["command"]) == "run"


@every_example
def test_the_health_checks_of_the_examples_are_commands(path: Path) -> None:
    for service in compose(path, GIVEN)["services"].values():
        test = service.get("healthcheck", {}).get("test", [])
        if test[1:2] == ["soakd"]:
            assert parsed(test[2:]) == "health"


@every_service
def test_a_service_says_how_it_is_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    for other, condition in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert condition == {"condition": "service_healthy"}


def test_the_load_waits_for_the_database_and_for_nothing_else() -> None:
    """A monitor that does not start must not keep the load from starting."""
    assert set(SERVICES["soakd"]["depends_on"]) == {"postgres"}
    assert "depends_on" not in SERVICES["soakd-sqlite"]
    assert set(SERVICES["grafana"]["depends_on"]) == {"prometheus"}


def test_only_the_second_soakd_needs_a_profile() -> None:
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "soakd-sqlite": ["sqlite"]
    }


# ---- closed by default


@every_service
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert service["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} == set(service["logging"]["options"])


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert name == "postgres" or SERVICES[name]["ports"]


def test_only_the_load_reaches_the_database() -> None:
    assert STACK["networks"]["database"] == {"internal": True}
    assert "ports" not in SERVICES["postgres"]
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert [name for name, one in SERVICES.items() if "database" in one["networks"]] == ["postgres", "soakd"]


@every_file
def test_images_are_pinned(path: Path) -> None:
    """To a version, not to a name that moves."""
    for service in compose(path, GIVEN)["services"].values():
        if "image" in service:
            assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?", service["image"])


@every_soakd
def test_soakd_is_built_here_and_looked_for_nowhere(name: str) -> None:
    """Two services that build under one name would take turns, and each `up` would start them anew."""
    assert SOAKD[name]["build"] == "."
    assert "image" not in SOAKD[name]


def test_the_versions_are_those_that_the_stack_is_made_for() -> None:
    assert SERVICES["postgres"]["image"].startswith("postgres:18.")
    assert SERVICES["prometheus"]["image"].startswith("prom/prometheus:v3.")
    assert "postgres-data:/var/lib/postgresql" in SERVICES["postgres"]["volumes"]


@every_file
def test_what_is_mounted_is_there(path: Path) -> None:
    """Docker makes an empty folder of a file that is missing, and the container does not start."""
    stack = compose(path, GIVEN)
    for service in stack["services"].values():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
                assert mode == ["ro"]
            else:
                assert source in stack["volumes"] or source in STACK["volumes"]
        for secret in service.get("secrets", []):
            assert stack["secrets"][secret]["file"].startswith("./secrets/")


def test_grafana_has_an_administrator_only_with_a_password() -> None:
    """Grafana takes an empty variable as one that is not set; then its file decides."""
    ini = (ROOT / "deploy" / "grafana" / "grafana.ini").read_text()
    sections = {
        match[1]: match[2] for match in re.finditer(r"^\[(.+)\]\n((?:[^\[\n].*\n|\n)*)", ini, re.MULTILINE)
    }
    assert "disable_initial_admin_creation = true" in sections["security"]
    assert "disable_login_form = true" in sections["auth"]
    assert "enabled = true\norg_role = Viewer" in sections["auth.anonymous"]
    switches = ("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "GF_AUTH_DISABLE_LOGIN_FORM")
    closed = SERVICES["grafana"]["environment"]
    assert set(closed) == {*switches, "GF_SECURITY_ADMIN_PASSWORD"}
    assert set(closed.values()) == {""}
    open_ = compose(COMPOSE, {"GRAFANA_ADMIN_PASSWORD": "mine"})["services"]["grafana"]["environment"]
    assert open_["GF_SECURITY_ADMIN_PASSWORD"] == "mine"
    assert [open_[switch] for switch in switches] == ["false", "false"]


def test_grafana_behind_a_proxy_lets_nobody_in_without_a_login() -> None:
    path = ROOT / "deploy" / "examples" / "reverse-proxy.yml"
    assert compose(path, GIVEN)["services"]["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    with pytest.raises(LookupError, match="GRAFANA_ADMIN_PASSWORD"):
        compose(path, {**GIVEN, "GRAFANA_ADMIN_PASSWORD": ""})


def test_what_a_server_sets_for_itself_is_never_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.env", "/docker-compose.override.yml", "/secrets/"} <= set(ignored)


# ---- the image


def test_the_image_is_built_in_one_stage_and_run_in_another() -> None:
    bases = [one.rest for one in INSTRUCTIONS if one.name == "FROM"]
    assert bases == ["python:3.13-slim-bookworm AS build", "python:3.13-slim-bookworm"]
    final = [one for one in INSTRUCTIONS if one.stage == 1]
    assert not [one for one in final if re.search(r"\b(apt|pip|gcc|install -r)\b", one.rest)]
    assert [one.rest for one in final if one.name == "COPY"] == ["--from=build /opt/soakd /opt/soakd"]
    assert [one.rest for one in final if one.name == "USER"] == ["soakd"]
    assert [one.rest for one in final if one.name == "WORKDIR"] == ["/data"]
    assert next(one.words for one in final if one.name == "ENTRYPOINT") == ["soakd"]


def test_the_commands_of_the_image_are_commands() -> None:
    health = next(one for one in INSTRUCTIONS if one.name == "HEALTHCHECK")
    assert health.words[0] == "soakd"
    assert parsed(health.words[1:]) == "health"
    assert parsed(next(one.words for one in INSTRUCTIONS if one.name == "CMD")) == "run"
    smoke = [
        shlex.split(part)[1:]
        for one in INSTRUCTIONS
        if one.name == "RUN" and "bin/soakd " in one.rest
        for part in one.rest.split("&&")
        if "bin/soakd " in part
    ]
    assert [parsed(command) for command in smoke] == ["run"]


def test_the_labels_of_the_image_are_right() -> None:
    text = next(one.rest for one in INSTRUCTIONS if one.name == "LABEL")
    labels = dict(word.split("=", 1) for word in shlex.split(text))
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.title"] == "soakd"
    assert labels["org.opencontainers.image.base.name"].endswith("/python:3.13-slim-bookworm")


def test_all_that_is_copied_into_the_image_gets_past_the_ignore_file() -> None:
    """And nothing else does."""
    copied = {
        word
        for one in INSTRUCTIONS
        if one.name == "COPY" and one.stage == 0
        for word in one.rest.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def needed_by(lock: str, roots: set[str]) -> set[str]:
    """Return the distributions of a lock file that these need, directly or not."""
    entries = re.split(r"^(?=[a-z0-9][\w.-]*==)", lock, flags=re.MULTILINE)[1:]
    via = {
        entry.partition("==")[0]: set(re.findall(r"^\s+#\s+(?:via )?(\S+)", entry, re.MULTILINE)) - {"via"}
        for entry in entries
    }
    found: set[str] = set()
    while more := {name for name, users in via.items() if users & (roots | found)} - found:
        found |= more
    return found


def test_what_built_the_package_is_not_in_the_image() -> None:
    """All of it goes, and nothing that soakd needs; pip too, which only a command of a library would use."""
    lock = (ROOT / "requirements.lock").read_text()
    build = needed_by(lock, {"hatchling", "editables"}) | {"hatchling", "editables"}
    line = next(one.rest for one in INSTRUCTIONS if " uninstall " in one.rest)
    assert set(line.partition("--yes ")[2].split()) == build - needed_by(lock, {"soakd"}) | {"pip"}


# Makes the libraries of any Python what they are in the image: what is cut out of them cannot be imported.
REFUSING = """
import fnmatch, sys

class Cut:
    def find_spec(self, name, path=None, target=None):
        if any(fnmatch.fnmatchcase(name.replace(".", "/"), one) for one in {patterns!r}):
            raise ModuleNotFoundError(f"{{name}} is not in the image")

sys.meta_path.insert(0, Cut())
"""
EVERYTHING = """
import importlib, pkgutil, daemon
for module in pkgutil.walk_packages(daemon.__path__, "daemon."):
    importlib.import_module(module.name)
"""
SHORT = ("--duration", "300ms", "--listen", "127.0.0.1:0")


@pytest.fixture
def without_cut(tmp_path: Path) -> dict[str, str]:
    """An environment for Python in which what the image lacks is refused, in engines too."""
    patterns = [
        word.removesuffix(".*")
        for one in INSTRUCTIONS
        for part in one.rest.split("&&")
        if part.strip().startswith("rm -rf numpy")
        for word in part.split()[2:]
    ]
    (tmp_path / "sitecustomize.py").write_text(REFUSING.format(patterns=patterns))
    return {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}


@pytest.mark.parametrize("module", ["numpy.random", "numpy.fft", "apsw.ext", "pygments.lexers.python"])
def test_what_is_cut_out_is_refused(module: str, without_cut: dict[str, str]) -> None:
    """Else the next test would find nothing."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env=without_cut, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert f"ModuleNotFoundError: {module} is not in the image" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", EVERYTHING],
        ["-m", "daemon", "run", "--help"],
        ["-m", "daemon", "run", "--target", "sqlite:///load.db", *SHORT],
        ["-m", "daemon", "run", "--target", "{database}", *SHORT],
    ],
    ids=["every module", "help", "sqlite", "postgres"],
)
def test_soakd_does_without_what_is_cut_out_of_its_libraries(
    arguments: list[str], database: str, tmp_path: Path, without_cut: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, *(word.replace("{database}", database) for word in arguments)],
        cwd=tmp_path, env=without_cut, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout


@every_service
def test_what_a_container_is_told_is_text(name: str) -> None:
    """`on` without quotation marks is a truth value to YAML, and Compose refuses it."""
    assert all(isinstance(value, str) for value in SERVICES[name].get("environment", {}).values())


# ---- documents

GUIDES = [ROOT / "README.md", ROOT / "docs" / "deployment.md", ROOT / "docs" / "alerts.md"]
OPTIONS_WITH_VALUE = {"--entrypoint", "--profile", "--tail"}

every_guide = pytest.mark.parametrize("page", GUIDES, ids=lambda path: path.name)


def compose_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each `docker compose` command of a page: its verb and what follows, its options left out."""
    for line in re.findall(r"(?:\$ |`)docker compose ([^`\n|]+)", page.read_text(encoding="utf-8")):
        words = shlex.split(line)
        plain: list[str] = []
        while words:
            word = words.pop(0)
            if word in OPTIONS_WITH_VALUE:
                words.pop(0)
            elif plain[:1] in (["run"], ["exec"]) and len(plain) == 2:
                plain += [word, *words]
                break
            elif not word.startswith("-"):
                plain.append(word)
        yield plain[0], plain[1:]


@every_guide
def test_commands_for_the_stack_name_services_and_commands_that_exist(page: Path) -> None:
    found = list(compose_commands(page))
    assert found
    for verb, words in found:
        if verb in ("up", "down", "ps"):
            assert set(words) <= set(SERVICES)
            continue
        assert verb in ("run", "exec", "stop", "start", "restart", "logs")
        assert words[0] in SERVICES
        if verb == "run" and words[1].isalpha():
            assert parsed(words[1:])


def test_the_documents_start_the_second_soakd_by_its_profile() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"--profile (\w+)", text) == SERVICES["soakd-sqlite"]["profiles"]


@every_guide
def test_documents_name_the_ports_that_are_published(page: Path) -> None:
    published = {port.split(":")[1] for one in SERVICES.values() for port in one.get("ports", [])}
    assert set(re.findall(r"127\.0\.0\.1:(\d{4})", page.read_text(encoding="utf-8"))) <= published


@every_guide
def test_documents_name_variables_that_can_be_set(page: Path) -> None:
    """In code of a page: what looks like a variable is one of .env.example, or a setting."""
    text = page.read_text(encoding="utf-8")
    own = {*documented(), *map(variable, setting_keys()), *OWN_VARIABLES}
    for name in re.findall(r"\b(?:SOAKD|POSTGRES|GRAFANA|PROMETHEUS|GENERATOR)_[A-Z_]*[A-Z]\b", text):
        assert name in own, name
