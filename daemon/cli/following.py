"""From a scenario to what `run` and `suite` need to follow it: its settings and its programme."""

from daemon.cli.options import Load
from daemon.config.settings import Settings
from daemon.errors import UsageError
from daemon.scenario.layer import SOURCE, settings_of
from daemon.scenario.programme import Programme, programme
from daemon.scenario.read import Found


def follow(load: Load, found: Found, scale: float, *, allow_shell: bool) -> tuple[Settings, Programme]:
    """Return the settings under which a scenario is run, and what is followed.

    Args:
        load: makes the settings.
        found: the scenario.
        scale: what its durations are multiplied by.
        allow_shell: whether its events may run shell commands.

    Raises:
        UsageError: something about it is wrong; a line for each mistake.
    """
    if found.commands and not allow_shell:
        raise UsageError(
            "\n".join(
                f"{command} runs a shell command; read it, and give --allow-shell if it may"
                for command in found.commands
            )
        )
    loaded = load(settings_of(found, scale))
    if loaded.sources["duration"] != SOURCE:
        raise UsageError(
            f"{loaded.sources['duration']}: the scenario {found.name} has durations of its own; "
            "leave it out, and shorten or stretch them with --time-scale"
        )
    return loaded.settings, programme(found.name, found.scenario, scale, found.places)
