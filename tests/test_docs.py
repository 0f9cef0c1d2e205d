"""The documentation keeps up with the code: commands, settings, metrics, exit codes, links."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from typer.main import get_group

from daemon import __version__
from daemon.cli.app import Commands, build_app
from daemon.cli.flags import QUERY_FLAGS, RUN_FLAGS
from daemon.config.reference import setting_keys
from daemon.errors import ExitCode
from daemon.judge.grammar import parse
from daemon.judge.profiles import PREFIX, PROFILES
from daemon.judge.signals import find
from daemon.record.catalog import METRICS
from daemon.scenario.read import shipped
from daemon.scenario.suite import Suite, suites
from docs import generate
from tests.each import for_each

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if page.parent.name != "examples"  # reports, as soakd writes them
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
REFRESH = "run `make docs`"

every_page = for_each(PAGES, lambda path: str(path.relative_to(ROOT)))


@cache
def every_command() -> Commands:
    """Return the group of all commands, loaded."""
    group = get_group(build_app())
    assert isinstance(group, Commands)
    group.load()
    return group


def commands() -> Iterator[str]:
    """Yield every command as it is typed: `soakd config show`."""

    def walk(node: object, words: str) -> Iterator[str]:
        inner = getattr(node, "commands", None)
        if not inner:
            yield words
        for name, child in (inner or {}).items():
            yield from walk(child, f"{words} {name}")

    yield from walk(every_command(), "soakd")


def shell_lines(text: str) -> list[str]:
    """Return what a reader would type: the lines after `$` in console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [
        line[2:].partition("#")[0].strip()
        for block in blocks
        for line in block.splitlines()
        if line[:2] == "$ "
    ]


def anchors(page: Path) -> set[str]:
    """Return the fragments that headings of a page can be reached by."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_the_readme_names_every_command() -> None:
    found = set(commands())
    assert {"soakd run", "soakd check", "soakd verify", "soakd health", "soakd config show"} <= found
    assert not [command for command in found if command not in README]


def test_the_readme_begins_with_the_two_commands() -> None:
    """Before any heading but the title, and they are targets of make."""
    opening = README.partition("\n## ")[0]
    assert shell_lines(opening) == ["make run", "make test"]


@every_page
def test_make_targets_in_the_documentation_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`make ([a-z]+)", text)
    typed = [line.split()[1] for line in shell_lines(text) if line.startswith("make ")]
    for target in {*inline, *typed}:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_commands_in_the_readme_use_flags_that_exist() -> None:
    known = (
        {flag.name for flag in RUN_FLAGS}
        | {"--config", "--set", "--run", "--help"}
        | {"--scenario", "--time-scale", "--format", "--output", "--report"}
    )
    typed = [line for line in shell_lines(README) if "soakd " in line]
    assert typed
    for line in typed:
        mine = line.partition("soakd ")[2]  # not the flags of `docker compose run` before it
        flags = {word.partition("=")[0] for word in shlex.split(mine) if word.startswith("--")}
        assert flags <= known, line


def test_the_readme_has_every_exit_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    assert {int(code) for code in rows} == {int(code) for code in ExitCode}


def test_the_table_of_metrics_in_the_readme_is_current() -> None:
    assert generate.readme(README) == README, REFRESH
    for name in METRICS:
        assert f"| `{name}` |" in README


def test_the_configuration_reference_is_current_and_complete() -> None:
    text = generate.CONFIGURATION.read_text(encoding="utf-8")
    assert text == generate.configuration(), REFRESH
    rows = re.findall(r"^\| `([a-z0-9_.]+)`", text, re.MULTILINE)
    assert sorted(rows) == sorted(setting_keys())
    for flag in RUN_FLAGS:
        assert flag.name == "--json" or f"`{flag.name}`" in text


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Files and headings of this repository; addresses beyond it are not asked."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, fragment = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if fragment:
            assert fragment in anchors(target), link


@every_page
def test_a_page_has_one_title_and_lines_of_readable_length(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1
    assert not [line for line in prose.splitlines() if len(line) > 140 and not line.startswith("|")]


def test_the_changelog_has_a_heading_for_this_version_or_for_what_is_coming() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = [page for page in folder.glob("*.md") if page.name != "README.md"]
    assert pages
    for page in pages:
        assert f"({page.name})" in index
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], page.name


COMING_FROM = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")


@cache
def flags() -> set[str]:
    """Return the flags of all commands."""

    def walk(node: object) -> Iterator[str]:
        for parameter in getattr(node, "params", ()):
            yield from parameter.opts
        for child in (getattr(node, "commands", None) or {}).values():
            yield from walk(child)

    own = walk(every_command())
    return {*own, *(flag.name for flag in (*RUN_FLAGS, *QUERY_FLAGS))}


@cache
def all_commands() -> list[str]:
    return list(commands())


def unknown(text: str) -> str | None:
    """Return what is wrong with something that the migration notes name as soakd's; None: it is there."""
    words = text.split()
    if text.startswith("--"):
        good = words[0] in flags() and (words[0] != "--scenario" or words[1:] == [] or words[1] in shipped())
    elif words[0] == "soakd":
        good = any(text.startswith(command) for command in all_commands())
        good = good and (words[1] != "suite" or words[2] in suites())
    elif text.startswith("soakd_"):
        good = text in METRICS
    elif text.startswith(PREFIX):
        good = text.removeprefix(PREFIX) in PROFILES
    elif len(words) > 1:
        good = bool(parse(text))
    else:
        good = text in {*setting_keys(), *Suite.model_fields} or bool(find(text))
    return None if good else text


def test_what_the_migration_notes_name_is_there() -> None:
    """Flags, scenarios, commands, metrics, settings, profiles, thresholds and their signals."""
    lines = [line for line in COMING_FROM.splitlines() if line.startswith("|")]
    named = {text for line in lines for text in re.findall(r"`([^`]+)`", line)} - {"docker compose up"}
    assert len(named) > 100
    assert not [text for text in sorted(named) if unknown(text)]
    made_up = (
        "soakd suite nowhere",
        "--nowhere",
        "--scenario nowhere",
        "soakd nowhere",
        "soakd_nowhere",
        "pools.nowhere",
    )
    assert all(unknown(text) for text in made_up)


def test_the_walk_through_a_report_quotes_what_is_in_it() -> None:
    """The report is the one beside it: each line of its quotes, and the page is the same run."""
    examples = ROOT / "docs" / "examples"
    report = (examples / "sustained.md").read_text(encoding="utf-8")
    page = (examples / "sustained.html").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
    quotes = [
        line for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    assert len(quotes) > 8
    assert not [line for line in quotes if line not in report.splitlines()]
    title = report.splitlines()[0].removeprefix("# ").partition(":")[0]
    assert f"<title>{title}</title>" in page
    assert len(page) < 300_000
