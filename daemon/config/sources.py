"""Gather the settings from the command line, the environment, secret files and a YAML file.

Every source becomes the same thing, a flat layer of dotted key → value and where it was
written; the layers are laid over each other and validated once. So each value, and each
mistake, can be traced to the flag, variable or line that it came from, which the merged
dictionaries of a settings library no longer tell.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import SecretStr, ValidationError

from daemon.config.likeness import nearest
from daemon.config.reference import SECRETS, Setting, group_keys, reference, setting_keys
from daemon.config.settings import Settings
from daemon.errors import UsageError
from daemon.target import MASK, redact

PREFIX = "SOAKD_"
OWN_VARIABLES = frozenset({"SOAKD_CONFIG", "SOAKD_SECRETS_DIR", "SOAKD_DEBUG"})
"""Variables that mean something to the program but are not settings; `SOAKD_TEST_…` is for its tests."""
DEFAULT_SECRETS_DIR = Path("/run/secrets")
# What Kubernetes and Docker links put into the environment beside a service called soakd…
_SERVICE_LINK = re.compile(
    r"SOAKD_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class Given(NamedTuple):
    """A value that was given for a setting, and where: `--writers`, `soakd.yaml:3`, `SOAKD_SEED`."""

    value: object
    source: str


Layer = Mapping[str, Given]


class Loaded(NamedTuple):
    """The settings of this process.

    Attributes:
        settings: all of them, validated.
        sources: where each came from, by dotted key; `default` if it was not given.
    """

    settings: Settings
    sources: Mapping[str, str]


def load_settings(
    *,
    config: Path | None = None,
    overrides: Layer = MappingProxyType({}),
    beneath: Layer = MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
    default_secrets: Path = DEFAULT_SECRETS_DIR,
) -> Loaded:
    """Return the settings. Strongest first: overrides, environment, secret files, beneath, YAML, defaults.

    Args:
        config: YAML file; None takes the one that `SOAKD_CONFIG` names, if it does.
        overrides: what the command line says, by dotted key.
        beneath: what a scenario says, by dotted key.
        environ: the environment; None takes that of the process.
        default_secrets: folder of secret files that is looked into unless `SOAKD_SECRETS_DIR`
            names another.

    Raises:
        UsageError: something is unknown or wrong; one line for each problem, saying where the
            value came from, what is wrong and what to write. No secret is repeated.
    """
    environ = os.environ if environ is None else environ
    file = config or (Path(environ["SOAKD_CONFIG"]) if environ.get("SOAKD_CONFIG") else None)
    problems: list[str] = []
    given: dict[str, Given] = {}
    given.update(_from_yaml(file, problems) if file else {})
    given.update(_known(beneath, problems))
    given.update(_from_secrets(environ.get("SOAKD_SECRETS_DIR"), default_secrets, problems))
    given.update(_from_environment(environ, problems))
    given.update(_known(overrides, problems))
    problems += _wrong_kinds(given)
    if problems:
        raise UsageError("\n".join(problems))
    sources = {key: given[key].source if key in given else "default" for key in setting_keys()}
    return Loaded(_validated(given), sources)


def variable(key: str) -> str:
    """Return the name of a setting's environment variable."""
    return PREFIX + key.upper().replace(".", "__")


def _from_yaml(path: Path, problems: list[str]) -> Layer:
    from daemon.config.yaml import read_yaml  # noqa: PLC0415 - 30 ms that a run without a file need not spend

    entries = read_yaml(path, frozenset(group_keys()).__contains__)
    layer = {entry.key: Given(entry.value, f"{entry.place} {entry.key}") for entry in entries}
    known, groups = set(setting_keys()), set(group_keys())
    for entry in entries:
        if entry.key in groups:
            problems.append(
                f"{entry.place}: {entry.key} is a group of settings; write its keys below it, indented"
            )
        elif entry.key not in known:
            problems.append(f"{entry.place}: there is no setting {entry.key}{_suggestion(entry.key, known)}")
    return layer


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> Layer:
    names = {variable(key): key for key in setting_keys()}
    for name in environ:
        mine = name.startswith(PREFIX) and name not in names and name not in OWN_VARIABLES
        if mine and not name.startswith("SOAKD_TEST_") and not _SERVICE_LINK.fullmatch(name):
            problems.append(f"{name}: there is no such setting{_suggestion(name, names)}")
    # an empty variable is how Compose and Make pass on one that is not set
    return {key: Given(environ[name], name) for name, key in names.items() if environ.get(name)}


def _from_secrets(folder: str | None, default: Path, problems: list[str]) -> Layer:
    """Read one file per setting: `postgres__password` or `postgres/password`, also with `soakd_` before it.

    The default folder may be shared with other programs, so there only names with `soakd_` count.
    """
    root = Path(folder) if folder else default
    if not root.is_dir():
        if folder:
            raise UsageError(f"SOAKD_SECRETS_DIR: {root} is not a folder; name one that holds secret files")
        return {}
    known = set(setting_keys())
    layer: dict[str, Given] = {}
    for name, text in _secret_files(root):
        key = name.lower().replace("/", ".").replace("__", ".")
        if key.startswith(("soakd_", "soakd.")):
            key = key[len("soakd_") :]
        elif not folder:
            continue
        if key in known:
            layer[key] = Given(text, f"{root}/{name}")
        else:
            problems.append(f"{root}/{name}: there is no setting {key}{_suggestion(key, known)}")
    return layer


def _secret_files(root: Path) -> Iterator[tuple[str, str]]:
    # The library's walk is bounded, skips what links out of the folder and knows Kubernetes' ..data.
    # Imported here because few runs have secret files and it takes 70 ms.
    from pydantic_settings import NestedSecretsSettingsSource  # noqa: PLC0415

    try:
        yield from sorted(NestedSecretsSettingsSource.load_secrets(root.resolve()).items())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text, or too many files"
        raise UsageError(f"{root}: cannot read the secret files: {why}; check SOAKD_SECRETS_DIR") from None


def _known(overrides: Layer, problems: list[str]) -> Layer:
    known = set(setting_keys())
    for key, given in overrides.items():
        if key not in known:
            problems.append(f"{given.source}: there is no setting {key!r}{_suggestion(key, known)}")
    return overrides


def _suggestion(name: str, known: Mapping[str, str] | set[str]) -> str:
    best = nearest(name, sorted(known))
    return f"; did you mean {best}?" if best else "; `soakd config init -` lists them all"


def _wrong_kinds(given: Layer) -> Iterator[str]:
    """Find truth values where there should be none: pydantic would take `writers: true` as 1."""
    for key, (value, source) in given.items():
        setting = reference().get(key) if isinstance(value, bool) else None
        if isinstance(setting, Setting) and not setting.boolean:
            yield f"{source}: {str(value).lower()} is not valid; write {setting.expects}"


def _validated(given: Layer) -> Settings:
    try:
        return Settings.model_validate(_nested(given))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise UsageError(
            "\n".join(dict.fromkeys(_line(one["loc"], one["msg"], given) for one in found))
        ) from None


def _nested(given: Layer) -> dict[str, Any]:
    """Turn dotted keys into nested dictionaries; the text `null` unsets a setting that may be unset."""
    tree: dict[str, Any] = {}
    for key, (value, _) in given.items():
        *groups, name = key.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[name] = None if value == "null" else value
    return tree


def _line(loc: tuple[int | str, ...], message: str, given: Layer) -> str:
    """Return one problem as where, what, and what to write."""
    what = message.removeprefix("Value error, ")
    own_words = what != message
    setting = reference().get(_key_of(loc))
    if not isinstance(setting, Setting):
        # It is about several settings, which its text names: point to those that were given.
        named = [given[key].source for key in re.findall(r"[a-z]+[a-z_.]*[a-z]", what) if key in given]
        return ": ".join([*([", ".join(dict.fromkeys(named))] if named else []), what])
    value, source = given.get(setting.key, Given(setting.default, f"default of {setting.key}"))
    if own_words:
        return f"{source}: {what}"
    return f"{source}: {_shown(setting.key, value)} is not valid; write {setting.expects}"


def _key_of(loc: tuple[int | str, ...]) -> str:
    """Return the setting that a location is about; pydantic may add the branch of a union to it."""
    names = [str(part) for part in loc]
    while names and ".".join(names) not in reference():
        names.pop()
    return ".".join(names)


def _shown(key: str, value: object) -> str:
    if key in SECRETS or isinstance(value, SecretStr):
        return MASK
    text = redact(str(value)) if value is not None else "null"
    return repr(text if len(text) <= 60 else text[:60] + "…") if isinstance(value, str) else text[:60]
