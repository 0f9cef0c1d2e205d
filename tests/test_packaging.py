"""What is shipped and what is locked: the built wheel, the lock files, the targets of make."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from daemon import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
LOCKS = pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=lambda path: path.name)
# Distributions whose package has another name.
IMPORTED_AS = {
    "sqlite_utils": "sqlite-utils",
    "prometheus_client": "prometheus-client",
    "psycopg_pool": "psycopg-pool",
    "pydantic_settings": "pydantic-settings",
    "yaml": "pyyaml",
}
TYPES = "_typeshed"  # known to type checkers alone
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([\w.]+)(?: ; (.+?))? \\$", re.MULTILINE)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command to its end; return what it printed.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built as a release is, without fetching anything."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, ".")
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Return the wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"soakd-{__version__}.dist-info/METADATA").decode()
    return Parser().parsestr(text)


def pins(lock: Path) -> set[tuple[str, str, str]]:
    """Return name, version and marker of everything in a lock file."""
    return set(PIN.findall(lock.read_text(encoding="utf-8")))


def names(lock: Path) -> set[str]:
    """Return the distributions in a lock file."""
    return {name for name, _, _ in pins(lock)}


def declared(requirements: list[str]) -> set[str]:
    """Return the normalised names of requirements."""
    found = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {match[0].lower().replace("_", "-") for match in found if match}


def test_the_wheel_holds_the_package_and_its_metadata_and_nothing_else(wheel: Path) -> None:
    """No tests, no benchmarks, no second top-level name."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if not name.endswith("/")}
    assert {name.partition("/")[0] for name in files} == {"daemon", f"soakd-{__version__}.dist-info"}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "daemon").rglob("*.py")}
    assert {name for name in files if name.endswith(".py")} == sources
    assert "daemon/py.typed" in files
    assert f"soakd-{__version__}.dist-info/licenses/LICENSE" in files


def test_the_wheel_says_who_it_is_and_what_it_needs(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("soakd", __version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert {"test", "dev"} <= set(metadata.get_all("Provides-Extra", []))


def test_the_wheel_brings_the_command_and_it_runs_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """The installed copy answers, not the folder that the tests are run from."""
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"soakd-{__version__}.dist-info/entry_points.txt").decode()
        archive.extractall(tmp_path)
    assert "soakd = daemon.__main__:main" in entry_points
    imported = run(sys.executable, "-c", "import daemon; print(daemon.__file__)", cwd=tmp_path)
    assert imported.startswith(str(tmp_path))
    assert __version__ in run(sys.executable, "-m", "daemon", "--version", cwd=tmp_path)


@LOCKS
def test_a_lock_pins_everything_with_hashes_and_names_no_place(lock: Path) -> None:
    """An index or a folder in it would tie it to one machine."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    unexpected = [
        line for line in code if not PIN.match(line) and not re.match(r" {4}--hash=sha256:[0-9a-f]{64}", line)
    ]
    assert not unexpected
    assert len(pins(lock)) == sum(not line.startswith(" ") for line in code)
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|@ ", "\n".join(lines))


@LOCKS
def test_a_lock_has_all_that_the_project_declares_and_what_builds_it(lock: Path) -> None:
    project = PROJECT["project"]
    wanted = declared(project["dependencies"]) | {"hatchling", "editables"}
    if lock == DEVELOPMENT:
        wanted |= declared(project["optional-dependencies"]["test"])
    assert wanted <= names(lock)


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """Leaning on a library that another one happens to bring breaks on its next release."""
    imported: set[str] = set()
    for path in (ROOT / "daemon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    libraries = {
        IMPORTED_AS.get(name, name) for name in imported - sys.stdlib_module_names - {"daemon", TYPES}
    }
    assert libraries == declared(PROJECT["project"]["dependencies"])


@LOCKS
def test_no_dependency_brings_a_second_package_called_daemon(lock: Path) -> None:
    """python-daemon would overwrite ours; see docs/adr/0001-names.md."""
    assert "python-daemon" not in names(lock)


def test_the_locks_agree() -> None:
    """`make run` and `make test` use one environment: neither may change what the other put there.

    The development lock may want a package on more platforms.
    """
    versions = {(name, version) for name, version, _ in pins(DEVELOPMENT)}
    assert {(name, version) for name, version, _ in pins(RUNTIME)} <= versions


def test_make_run_asks_for_what_the_readme_promises() -> None:
    """Ten writers, five readers, batches of 100 within 10 ms, a queue of 10000, one minute, a new file."""
    planned = run("make", "--dry-run", "--no-print-directory", "run")
    for flag in (
        "--writers 10",
        "--readers 5",
        "--batch-size 100",
        "--batch-timeout 10ms",
        "--queue-size 10000",
        "--duration 60s",
        "--listen 127.0.0.1:8080",
        "--target sqlite:///",
    ):
        assert flag in planned


def test_make_offers_the_promised_targets() -> None:
    listed = run("make", "--no-print-directory", "help")
    for target in ("run", "test", "bench", "lint", "type", "docs", "clean", "lock"):
        assert f"make {target} " in listed


def test_ci_runs_lint_types_and_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    run("bash", "-n", script)
    targets = re.findall(r"^make (\w+)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert targets == ["lint", "type", "test"]
