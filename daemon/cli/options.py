"""Give a command all the flags of the table, and hand it the settings that they make."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.flags import Flag
from daemon.config.reference import Setting, reference
from daemon.config.sources import Given, Layer, Loaded, load_settings
from daemon.errors import UsageError

_CONFIG = "Configuration"


Load = Callable[[Layer], Loaded]
"""Makes the settings, from what lies under flags and variables: a scenario, for instance."""


def with_settings(flags: Sequence[Flag]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Turn `command(loaded, …)` into a Typer command that takes --config, --set and the flags.

    Further parameters of the command stay its own arguments and options. Values are passed on as
    text, so that every mistake in them is told by the validation of the settings and not by Typer.
    """
    return _taking(flags, lambda load: load({}))


def with_loading(flags: Sequence[Flag]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Do the same for `command(load, …)`, which says what its settings lie over: see `Load`."""
    return _taking(flags, lambda load: load)


def _taking(
    flags: Sequence[Flag], first: Callable[[Load], Loaded | Load]
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        def callback(**values: Any) -> int:  # noqa: ANN401 - strings, switches and the command's own
            mine = {parameter.name: values.pop(parameter.name) for parameter in own}
            return command(first(partial(_load, values, flags)), **mine)

        arguments = [one for one in own if one.kind is one.POSITIONAL_OR_KEYWORD]
        options = [_config_option(), *(_option(flag) for flag in flags), _set_option()]
        parameters = [*arguments, *options, *(one for one in own if one not in arguments)]
        callback.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        callback.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        callback.__name__, callback.__doc__ = command.__name__, command.__doc__
        return callback

    return decorate


def _load(values: Mapping[str, Any], flags: Sequence[Flag], beneath: Layer) -> Loaded:
    given: dict[str, Given] = {}
    for flag in flags:
        value = values[flag.parameter]
        if value not in (None, False, []):
            given[flag.key] = Given(flag.switch or value, flag.name)
    for assignment in values["assignments"]:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(
                f"--set {key}: no value; write --set KEY=VALUE, for example --set log.level=debug"
            )
        if key in given:
            raise UsageError(f"--set {key}: given twice, also as {given[key].source}; keep one of them")
        given[key] = Given(value, f"--set {key}")
    return load_settings(config=values["config"], overrides=given, beneath=beneath)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _option(flag: Flag) -> inspect.Parameter:
    setting = _setting(flag.key)
    if flag.switch:
        text = _SWITCHES.get(flag.name, setting.description)
        option = typer.Option(flag.name, help=text, rich_help_panel=flag.panel, show_default=False)
        return _parameter(flag.parameter, Annotated[bool, option], default=False)
    choices = setting.expects.removeprefix("one of ")
    text = setting.description + (f" Default: {setting.default}." if setting.default else "")
    option = typer.Option(
        flag.name,
        metavar=choices.replace(", ", "|") if choices != setting.expects else flag.metavar,
        help=text + (" May be repeated." if flag.many else ""),
        show_default=False,
        rich_help_panel=flag.panel,
    )
    if flag.many:
        return _parameter(flag.parameter, Annotated[list[str], option], default=[])
    return _parameter(flag.parameter, Annotated[str | None, option], default=None)


_SWITCHES = {
    "--json": "Write the log as JSON lines, on a terminal too.",
    "--no-history": "Do not write the run into the history.",
}


@cache
def _setting(key: str) -> Setting:
    entry = reference()[key]
    if not isinstance(entry, Setting):
        raise TypeError(f"{key} is a group of settings and cannot be a flag")
    return entry


def _config_option() -> inspect.Parameter:
    option = typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="YAML file of settings (also SOAKD_CONFIG).",
        rich_help_panel=_CONFIG,
    )
    return _parameter("config", Annotated[Path | None, option], default=None)


def _set_option() -> inspect.Parameter:
    option = typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting by its dotted name; may be repeated. `soakd config show` lists them.",
        rich_help_panel=_CONFIG,
        show_default=False,
    )
    return _parameter("assignments", Annotated[list[str], option], default=[])
