"""Writes the reference parts of the documentation from the code: `make docs`.

docs/configuration.md is made of the settings, the table of metrics in README.md of the
catalogue. A test compares both with what is committed, so neither can fall behind.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from daemon.cli.flags import RUN_FLAGS
from daemon.config.reference import Group, Setting, reference
from daemon.record.catalog import METRICS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- metrics: written by make docs -->", "<!-- /metrics -->"

_HEAD = """\
# Configuration

<!-- Written by `make docs` from the settings themselves; change daemon/config/ instead. -->

Every setting can be given in four places. The stronger one wins, value by value:

1. a flag: `--writers 20`, or for any setting `--set pools.writers=20`;
2. an environment variable: `SOAKD_POOLS__WRITERS=20` (upper case, two underscores for each dot);
3. a file of its own in `/run/secrets` or in the folder that `SOAKD_SECRETS_DIR` names:
   `soakd_postgres__password` holds nothing but the password;
4. a YAML file: `--config soakd.yaml`, or named by `SOAKD_CONFIG`.

`soakd config init` writes a commented YAML file with every default, `soakd config show` prints each value and
where it came from (secrets hidden), `soakd config schema` prints the JSON Schema for editors.

Durations are written `250ms`, `10s`, `30m`, `1h30m` or `0`; sizes `512`, `4KiB`, `64MiB`.
"""


def configuration() -> str:
    """Return the text of docs/configuration.md."""
    flags = {flag.key: flag.name for flag in reversed(RUN_FLAGS) if flag.name != "--json"}
    sections: dict[str, list[Setting]] = {"": []}
    titles = {"": Group("", "What is run, and for how long.")}
    for entry in reference().values():
        if isinstance(entry, Group):
            sections[entry.key], titles[entry.key] = [], entry
        else:
            sections[entry.key.rpartition(".")[0]].append(entry)
    return _HEAD + "".join(
        _section(titles[key], settings, flags) for key, settings in sections.items() if settings
    )


def metrics() -> str:
    """Return the table of metrics, as it stands between the marks in README.md."""
    rows = [
        (f"`{name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for name, metric in METRICS.items()
    ]
    return _table(("metric", "type", "labels", "what it says"), rows)


def readme(text: str) -> str:
    """Return the README with the present table of metrics between its marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, rest = text.split(BEGIN, maxsplit=1)
    _, after = rest.split(END, maxsplit=1)
    return f"{before}{BEGIN}\n{metrics()}{END}{after}"


def main() -> None:
    """Write both."""
    CONFIGURATION.write_text(configuration(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {CONFIGURATION.relative_to(ROOT)} and the table of metrics in {README.name}")


def _section(group: Group, settings: Iterable[Setting], flags: Mapping[str, str]) -> str:
    title = f"`{group.key}`" if group.key else "The run"
    rows = [
        (
            f"`{setting.key}`" + (f"<br>`{flags[setting.key]}`" if setting.key in flags else ""),
            f"`{setting.default}`" if setting.default is not None else "unset",
            setting.expects,
            setting.description,
        )
        for setting in settings
    ]
    return f"\n## {title}\n\n{group.description}\n\n" + _table(
        ("setting", "default", "takes", "what for"), rows
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
