"""The command line: help, flags, exit codes, and what each command prints."""

import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.main import get_group

from daemon import __version__
from daemon.__main__ import main
from daemon.cli.app import COMMANDS, Commands, build_app
from daemon.cli.flags import FLAGS, RUN_FLAGS
from daemon.cli.probe import Question, simple_question
from daemon.config.reference import setting_keys
from daemon.config.settings import Settings
from daemon.control import supervisor
from daemon.errors import DataLossError, TargetError
from tests import forked

ROOT = Path(__file__).parent.parent
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("SOAKD_")}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(PLAIN):
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


def soakd(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    return forked.run(arguments, env={**PLAIN, **environ})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Take the place of the supervisor, and note what it is started with."""
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 4

    monkeypatch.setattr(supervisor, "run", run)
    return seen


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """One line with name and version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"soakd {__version__}\n"


@pytest.mark.parametrize(
    "command", [[], *([name] for name in COMMANDS), ["config", "show"], ["config", "init"]]
)
def test_every_command_explains_itself_with_an_example(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` and `-h` end well and show how the command is used."""
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert main([*command, "-h"]) == 0
    assert capsys.readouterr().out == text
    assert "Examples:" in text or command in (["config"], ["history"])
    assert f"soakd {' '.join(command)}".strip() in text


def test_the_help_names_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when nothing was asked for, which is a mistake all the same."""
    assert main([]) == 2
    shown = capsys.readouterr()
    assert all(f" {name} " in shown.out for name in COMMANDS)
    assert shown.err == ""


def test_the_list_says_of_each_command_what_it_says_of_itself() -> None:
    """Although none is loaded for the list, which comes with nothing but the command line's library."""
    listed, loaded = (get_group(build_app()) for _ in range(2))
    assert isinstance(loaded, Commands)
    loaded.load()
    for group in (listed, loaded):
        helps = {name: command.help or "" for name, command in group.commands.items()}
        assert {name: " ".join(text.partition("\n\n")[0].split()) for name, text in helps.items()} == COMMANDS
        assert list(helps) == list(COMMANDS)


def test_the_help_of_run_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    """What the table of flags says is what a person reads."""
    main(["run", "--help"])
    text = capsys.readouterr().out
    assert [flag.name for flag in RUN_FLAGS if f"{flag.name} " not in text] == []
    assert "Default: 10000." in text
    assert "constant|poisson" in text


def test_every_flag_sets_an_existing_setting_of_its_own() -> None:
    """No two flags for one setting, and no flag for none."""
    keys = [flag.key for flag in RUN_FLAGS]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= set(setting_keys())
    assert len({flag.name for flag in RUN_FLAGS}) == len(RUN_FLAGS)


def test_run_hands_the_settings_over_and_ends_with_the_supervisors_code(started: list[Settings]) -> None:
    """Flags, switches and --set, as text, become values."""
    arguments = (
        "run --target null:// --duration 1h30m --writers 7 --readers 3 --write-rate 500 --arrivals poisson"
    )
    batch = "--batch-size 20 --batch-timeout 0 --queue-size 300 --on-full drop --flushers 4"
    rest = "--shards 2 --warmup 5s --seed 9 --clean --listen 0.0.0.0:0 --listen-insecure --log-interval 1s"
    more = "--rows-in-flight 8 --read-rate 1.5 --summary out.json --workload events --json"
    more += " --sample-interval 20s --scale 500 --history runs.db --no-history"
    free = "--set sqlite.synchronous=full --set null.mean=2ms"
    bounds = ["--threshold", "errors.rate < 1%", "--threshold", "profile:events"]
    words = f"{arguments} {batch} {rest} {more} {free}".split() + bounds
    assert main(words) == 4
    (settings,) = started
    assert settings == Settings.model_validate(
        {
            "target": "null://",
            "duration": 5400,
            "warmup": 5,
            "shards": 2,
            "seed": 9,
            "clean": True,
            "thresholds": ["errors.rate < 1%", "profile:events"],
            "summary": "out.json",
            "pools": {
                "writers": 7,
                "readers": 3,
                "rows_in_flight": 8,
                "write_rate": 500,
                "read_rate": 1.5,
                "arrivals": "poisson",
            },
            "batch": {"size": 20, "timeout": 0, "queue_size": 300, "on_full": "drop", "flushers": 4},
            "http": {"listen": "0.0.0.0:0", "listen_insecure": True},
            "log": {"interval": 1, "format": "json"},
            "samplers": {"interval": 20},
            "history": {"file": "runs.db", "enabled": False},
            "data": {"scale": "500"},
            "sqlite": {"synchronous": "full"},
            "null": {"mean": "2ms"},
        }
    )
    assert {flag.name for flag in RUN_FLAGS} <= set(words)


def test_run_without_flags_uses_the_defaults(started: list[Settings]) -> None:
    """And nothing else."""
    main(["run"])
    assert started == [Settings()]


def test_a_value_may_begin_with_a_minus_or_hold_an_equals_sign(started: list[Settings]) -> None:
    """A negative number is told by the settings, and --set splits at the first equals sign."""
    assert main(["run", "--set", "postgres.application_name=a=b"]) == 4
    assert started[0].postgres.application_name == "a=b"
    assert main(["run", "--batch-size", "-5"]) == 2
    assert len(started) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run --set pools.writers", "--set pools.writers: no value; write --set KEY=VALUE"),
        (
            "run --writers 1 --set pools.writers=2",
            "--set pools.writers: given twice, also as --writers; keep one",
        ),
        ("run --writers", "option '--writers' requires an argument; see `soakd run --help`"),
        ("run --wrters 3", "no such option: --wrters"),
        ("run --duration 1 potato", "got unexpected extra argument(s) (potato); see `soakd run --help`"),
        ("verify --run potato", "invalid value for '--run': 'potato' is not the number of a run; write one"),
        ("report --format pdf", "invalid value for '--format': 'pdf' is not one of 'html', 'md'"),
        (f"verify --run {2**63}", f"invalid value for '--run': '{2**63}' is not the number of a run"),
        ("rum", "no such command 'rum'"),
        ("config shw", "no such command 'shw'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    arguments: str, says: str, capsys: pytest.CaptureFixture[str], started: list[Settings]
) -> None:
    """Exit code 2, nothing on standard output, nothing started."""
    assert main(arguments.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"soakd: error: {says}")
    assert shown.err.count("\n") == 1
    assert started == []


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (TargetError("the server is gone"), 3, "soakd: error: the server is gone\n"),
        (DataLossError("3 rows are missing"), 5, "soakd: error: 3 rows are missing\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_goes_wrong_decides_the_exit_code(
    error: BaseException,
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line on standard error, and no traceback."""

    def run(settings: Settings) -> int:
        raise error

    monkeypatch.setattr(supervisor, "run", run)
    assert main(["run"]) == code
    assert capsys.readouterr().err == says


def test_a_bug_is_told_in_a_line_and_in_full_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback is for SOAKD_DEBUG=1, and shows no password even then."""

    def run(settings: Settings) -> int:
        raise RuntimeError("lost postgresql://me:hunter2@host/db")

    monkeypatch.setattr(supervisor, "run", run)
    assert main(["run"]) == 1
    line = capsys.readouterr().err
    assert line.startswith(
        "soakd: error: this is a bug in soakd (RuntimeError: lost postgresql://me:***@host/db)"
    )
    assert line.count("\n") == 1
    monkeypatch.setenv("SOAKD_DEBUG", "1")
    assert main(["run"]) == 1
    full = capsys.readouterr().err
    assert "Traceback" in full
    assert "hunter2" not in full


def test_config_show_tells_each_value_and_its_source(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a table, with secrets masked."""
    (tmp_path / "a.yaml").write_text("pools:\n  readers: 6\n")
    monkeypatch.setenv("SOAKD_POSTGRES__PASSWORD", "hunter2")
    monkeypatch.setenv("SOAKD_TARGET", "postgresql://me:hunter2@host/db")
    assert main(["config", "show", "-c", "a.yaml", "--writers", "12"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert rows["pools.writers"] == ["12", "--writers"]
    assert rows["pools.readers"] == ["6", "a.yaml:2", "pools.readers"]
    assert rows["postgres.password"] == ["***", "SOAKD_POSTGRES__PASSWORD"]
    assert rows["target"] == ["postgresql://me:***@host/db", "SOAKD_TARGET"]
    assert rows["seed"] == ["–", "default"]
    assert list(rows)[1:] == list(setting_keys())


def test_config_show_as_json_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """Every setting with value and source."""
    assert main(["config", "show", "--json", "--duration", "2m"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == list(setting_keys())
    assert data["duration"] == {"value": "2m", "source": "--duration"}
    assert data["batch.size"] == {"value": 100, "source": "default"}


def test_a_table_in_a_pipe_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the width of the terminal was."""
    name = "x" * 63
    shown = soakd("config", "show", "--set", f"postgres.application_name={name}", COLUMNS="40").stdout
    assert name in shown
    assert "\x1b[" not in shown


def test_config_schema_is_a_json_schema_of_all_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """That refuses unknown keys, as soakd does."""
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == {key.partition(".")[0] for key in setting_keys()}
    assert schema["additionalProperties"] is False


def test_config_init_writes_a_file_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It is not overwritten unless told to."""
    file = tmp_path / "soakd.yaml"
    assert main(["config", "init"]) == 0
    text = file.read_text()
    file.write_text("mine")
    capsys.readouterr()
    assert main(["config", "init"]) == 2
    assert capsys.readouterr().err.startswith("soakd: error: soakd.yaml is there already;")
    assert file.read_text() == "mine"
    assert main(["config", "init", "--force"]) == 0
    assert file.read_text() == text
    capsys.readouterr()
    assert main(["config", "init", "-"]) == 0
    assert capsys.readouterr().out == text


def test_config_init_tells_why_it_cannot_write(capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert main(["config", "init", "missing/soakd.yaml"]) == 2
    assert "missing/soakd.yaml: cannot write it: No such file or directory" in capsys.readouterr().err


class _Health(BaseHTTPRequestHandler):
    """Alive, but not ready; and wants a password for the latter."""

    def do_GET(self) -> None:
        authorized = self.headers.get("Authorization") == "Basic c29ha2Q6aHVudGVyMg=="
        code, text = (
            (200, "ok") if self.path == "/healthz" else (503, "preparing") if authorized else (401, "no")
        )
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a soakd that is alive but not ready."""
    server = HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_health_asks_a_running_soakd(listening: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 for well, 1 for not well, with the reason."""
    url = f"http://127.0.0.1:{listening}"
    assert main(["health", "--url", url]) == 0
    assert capsys.readouterr().out == f"soakd: {url}/healthz: ok\n"
    assert main(["health", "--url", url, "--ready"]) == 1
    assert (
        capsys.readouterr().err
        == f"soakd: {url}/readyz: the password is needed; give it with --password-file\n"
    )
    Path("secret").write_text("hunter2\n")
    assert main(["health", "--url", url, "--ready", "--password-file", "secret"]) == 1
    assert capsys.readouterr().err == f"soakd: {url}/readyz: 503 preparing\n"


def test_health_finds_the_address_in_the_configuration(
    listening: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the container that it runs in; listening everywhere is found on loopback."""
    monkeypatch.setenv("SOAKD_HTTP__LISTEN", f"0.0.0.0:{listening}")
    monkeypatch.setenv("SOAKD_HTTP__LISTEN_INSECURE", "true")
    assert main(["health"]) == 0
    assert capsys.readouterr().out == f"soakd: http://127.0.0.1:{listening}/healthz: ok\n"


def test_health_without_an_answer_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 1; port 1 is nobody's."""
    assert main(["health", "--url", "http://127.0.0.1:1"]) == 1
    assert "no answer" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://[::1", "http://host:port"])
def test_health_refuses_what_is_no_address(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As a mistake of the command line."""
    assert main(["health", "--url", url]) == 2
    assert "not an address" in capsys.readouterr().err


def test_health_needs_a_certificate_it_can_trust_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--insecure` accepts a certificate of one's own making."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate and is not installed")
    subject = ["-subj", "/CN=soakd", "-days", "1", "-nodes"]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", *subject, "-keyout", "key.pem", "-out", "cert.pem"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = HTTPServer(("127.0.0.1", 0), _Health)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"https://127.0.0.1:{server.server_port}"
        assert main(["health", "--url", url, "--insecure"]) == 0
        assert main(["health", "--url", url]) == 1
        assert "certificate" in capsys.readouterr().err.lower()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_plain_health_check_loads_no_library() -> None:
    """It runs every few seconds beside the measurement."""
    code = (
        "import sys; from daemon.__main__ import main; main(['health', '--url', 'http://127.0.0.1:1']);"
        "print(sorted({'typer', 'pydantic', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=PLAIN,
        timeout=60,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "environ", "simple"),
    [
        (["--ready"], {}, True),
        (["--url", "http://h:1", "--insecure"], {"SOAKD_HTTP__LISTEN": "h:2"}, True),
        ([], {"SOAKD_HTTP__LISTEN": "h:2"}, False),
        ([], {"SOAKD_CONFIG": "a.yaml"}, False),
        (["--config", "a.yaml"], {}, False),
        (["--help"], {}, False),
        (["--url"], {}, False),
    ],
)
def test_only_a_plain_health_check_takes_the_short_way(
    arguments: list[str],
    environ: dict[str, str],
    simple: bool,  # noqa: FBT001
) -> None:
    """Everything else is read by the command line proper."""
    assert isinstance(simple_question(arguments, environ), Question) is simple


def test_the_entry_loads_nothing_before_an_interrupt_would_be_caught() -> None:
    """Ctrl-C while libraries are loaded is no traceback."""
    probe = "import sys, daemon.__main__; print([name for name in sys.modules if name[:6] == 'daemon'])"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**PLAIN, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "['daemon', 'daemon.__main__']\n"


def test_a_command_does_not_load_the_others() -> None:
    """Help comes without the HTTP server, the scheduler and the databases' libraries.

    The version and the list of commands come without the settings.
    """
    heavy = "{'uvicorn', 'starlette', 'apscheduler', 'apsw', 'psycopg', 'numpy'}"
    code = (
        "import sys; from daemon.__main__ import main;"
        "main(['--version']); main(['--help']); assert 'pydantic' not in sys.modules;"
        "main(['run', '--help']); assert 'daemon.cli.suite' not in sys.modules; main(['config', 'show']);"
        f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=PLAIN,
        timeout=60,
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "unread", "code"),
    [
        ("config init -", "stdout", 0),
        ("config schema", "stdout", 0),
        ("--help", "both", 0),
        ("config nothing", "both", 2),
        ("check --target sqlite:////missing/load.db", "stdout", 3),
        ("check --json --target sqlite:////missing/load.db", "both", 3),
        ("health --url http://127.0.0.1:1", "both", 1),
        ("run --target null:// --duration 100ms --listen 127.0.0.1:0", "stdout", 0),
    ],
)
def test_a_reader_that_stops_reading_does_not_change_the_exit_code(
    words: str, unread: str, code: int
) -> None:
    """`soakd check | head -1`: quiet, and as well or as badly as with a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *words.split()],
        stdout=writer,
        stderr=subprocess.PIPE if unread == "stdout" else writer,
        check=False,
        timeout=60,
        env={**PLAIN, "PYTHONPATH": str(ROOT)},
    )
    os.close(writer)
    assert done.returncode == code
    if unread == "stdout":
        assert done.stderr.count(b"\n") == (code != 0), done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("config schema", 2),
        ("--help", 2),
        ("check --json --target sqlite:////missing/load.db", 3),
        ("run --json --target null:// --duration 100ms --listen 127.0.0.1:0", 2),
    ],
)
def test_a_full_disk_under_standard_output_is_told_in_a_line(words: str, code: int) -> None:
    """It is no bug of soakd, and what the command found out is still its exit code."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "daemon", *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
            text=True,
            env={**PLAIN, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == code
    *others, last = done.stderr.splitlines()
    assert last.startswith("soakd: error: standard output was not taken (No space left on device)")
    assert len(others) == (code != 2)


def test_colours_are_left_out_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts even on a terminal."""
    from rich.console import Console

    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    Console(file=out, force_terminal=True).print("[red]x[/red]")
    assert "31m" not in out.getvalue()


@pytest.mark.parametrize(("words", "offers"), [("soakd ru", "run"), ("soakd run --wri", "--writers")])
def test_the_shell_can_complete(words: str, offers: str) -> None:
    """Commands and flags, by the protocol of bash."""
    done = soakd(_SOAKD_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert offers in done.stdout.split()


def test_the_flags_of_other_commands_are_those_of_run_less_json() -> None:
    """There --json is about the command's own answer."""
    assert {flag.name for flag in RUN_FLAGS} - {flag.name for flag in FLAGS} == {"--json"}


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    """A run ends well, and no socket or database takes the place of a stream."""
    command = (
        f"exec {sys.executable} -m daemon run --target null:// --duration 100ms --listen 127.0.0.1:0 {closed}"
    )
    done = subprocess.run(
        ["sh", "-c", command], check=False, timeout=60, cwd=tmp_path, env={**PLAIN, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0
