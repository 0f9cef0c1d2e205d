"""Writes the reference parts of the documentation from the code: `make docs`.

docs/configuration.md is made of the settings, the table of metrics in README.md of the
catalogue, the table of settings on the page of each workload of what `soakd workloads` says.
Tests compare all with what is committed, so none can fall behind.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from daemon.cli.flags import RUN_FLAGS
from daemon.config.reference import Group, Setting, reference
from daemon.config.settings import Settings
from daemon.control.workloads import describe
from daemon.record.catalog import METRICS
from daemon.workloads.registry import WORKLOADS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
PAGES = ROOT / "docs" / "workloads"
HEADS = ("setting", "default", "takes", "what for")

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
    return _between(text, "metrics", metrics())


def settings(name: str) -> str:
    """Return the settings of a workload, as they stand between the marks on its page."""
    rows = [
        (f"`{one['key']}`", f"`{one['default']}`" if one["default"] else "unset", one["takes"], one["about"])
        for one in describe(Settings(), name).settings
    ]
    notes = []
    if any(".reads." in row[0] for row in rows):
        notes.append("Those of `reads` and `writes` are weights: only their proportions count.")
    if data := WORKLOADS[name].data:
        shape = ", ".join(f"`{one}`" for one in ("data.scale", "data.seed", *data.shape))
        notes.append(f"What data is loaded follows from {shape}.")
    return "\n".join([_table(HEADS, rows), *(f"{note}\n" for note in notes)])


def page(name: str, text: str) -> str:
    """Return the page of a workload with its present settings between its marks.

    Raises:
        ValueError: a mark is missing.
    """
    return _between(text, "settings", settings(name))


def main() -> None:
    """Write all of them."""
    CONFIGURATION.write_text(configuration(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    for name in WORKLOADS:
        file = PAGES / f"{name}.md"
        file.write_text(page(name, file.read_text(encoding="utf-8")), encoding="utf-8")
    print(
        f"wrote {CONFIGURATION.relative_to(ROOT)}, the table of metrics in {README.name} "
        f"and the settings in {PAGES.relative_to(ROOT)}"
    )


def _between(text: str, what: str, now: str) -> str:
    """Return the text with something new between the marks of a part."""
    begin, end = f"<!-- {what}: written by make docs -->", f"<!-- /{what} -->"
    before, rest = text.split(begin, maxsplit=1)
    _, after = rest.split(end, maxsplit=1)
    return f"{before}{begin}\n{now}{end}{after}"


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
    return f"\n## {title}\n\n{group.description}\n\n" + _table(HEADS, rows)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
