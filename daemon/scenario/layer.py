"""The settings that a scenario makes: its own, and what follows from its phases."""

from collections.abc import Mapping

from daemon.config.settings import Settings
from daemon.config.sources import Given
from daemon.errors import UsageError
from daemon.ops import POOLS
from daemon.scenario.programme import programme, workers
from daemon.scenario.read import Found

SOURCE = "--scenario"
_OWN = {
    "duration": "it is the sum of the phases'",
    "warmup": "give warmup beside phases",
    "thresholds": "give thresholds beside phases",
    "clean": "write reset: [tables]",
    "pools.write_rate": "give the phases schedules",
    "pools.read_rate": "give the phases schedules",
    "pools.arrivals": "give the phases schedules",
}


def settings_of(found: Found, scale: float) -> Mapping[str, Given]:
    """Return the layer of a scenario whose durations are multiplied by `scale`.

    Raises:
        UsageError: it sets what its phases say.
    """
    for key, given in found.settings.items():
        if key in _OWN:
            raise UsageError(f"{given.source}: is no setting of a scenario; {_OWN[key]}")
    scenario, defaults = found.scenario, Settings().pools
    followed = programme(found.name, scenario, scale)
    layer = dict(found.settings)
    for pool, default in zip(POOLS, (defaults.writers, defaults.readers), strict=True):
        key = f"pools.{pool}s"
        asked = layer.get(key, Given(default, SOURCE))
        if isinstance(asked.value, int):  # else it is told as a mistake
            layer[key] = Given(workers(scenario, pool, asked.value), asked.source)
    layer["duration"] = Given(followed.seconds, SOURCE)
    layer["warmup"] = Given(scenario.warmup * scale, SOURCE)
    layer["clean"] = Given("tables" in scenario.reset, SOURCE)
    # They are held against the run as they are scaled; here they stand for the record.
    layer["thresholds"] = Given([str(threshold) for threshold in followed.thresholds], SOURCE)
    return layer
