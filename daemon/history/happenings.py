"""What happened between two looks that has a name: phases, outages, checkpoints, restarts, vacuums."""

from collections.abc import Iterator

from daemon.history.look import Event, Look
from daemon.record.snapshot import Key, Snapshot

LONG = 0.05  # s from which one of SQLite's usual checkpoints, of which there are many a second, is an event


def happenings(earlier: Look, later: Look, happened: Snapshot, *, started: float) -> Iterator[Event]:
    """Yield the events between two looks; a moment is known to the time between them.

    Args:
        earlier: the look before.
        later: the present one.
        happened: what the engines counted between them.
        started: when the run began, s since the epoch.
    """
    at = earlier.at
    if earlier.phase != later.phase:
        yield Event(at, "phase", later.phase)
    was, now = (bool(look.engine.gauges.get(("soakd_target_up",), 1.0)) for look in (earlier, later))
    if was != now:
        yield Event(at, "outage", "target answers again" if now else "target does not answer")
    for key, number in happened.counters.items():
        if key[0] == "soakd_engine_restarts_total" and number:
            yield Event(at, "restart", f"engine {key[1]}", details={"times": round(number)})
    yield from _sqlite(at, happened)
    yield from _postgres(earlier, later, started)


def _sqlite(at: float, happened: Snapshot) -> Iterator[Event]:
    made: dict[str, dict[str, int]] = {}
    for key, number in happened.counters.items():
        if key[0] == "soakd_sqlite_checkpoints_total" and number:
            made.setdefault(key[1], {})[key[2]] = round(number)
    for mode, results in made.items():
        times = happened.histograms.get(("soakd_sqlite_checkpoint_seconds", mode))
        longest = times.max if times and times.count else 0.0
        if mode != "passive" or longest >= LONG:
            yield Event(
                at, "checkpoint", f"sqlite {mode}", longest, {"results": results, "longest_seconds": longest}
            )


def _postgres(earlier: Look, later: Look, started: float) -> Iterator[Event]:
    before, after = earlier.samples, later.samples
    for key, number in after.counters.items():
        if key[0] == "soakd_pg_checkpoints_total" and _grew(before.counters, key, number):
            yield Event(earlier.at, "checkpoint", f"postgres {key[1]}")
    for key, stamp in after.gauges.items():
        if key[0] == "soakd_pg_table_last_vacuum_timestamp_seconds" and _grew(before.gauges, key, stamp):
            yield Event(max(0.0, stamp - started), "vacuum", key[1])


def _grew(before: dict[Key, float], key: Key, value: float) -> bool:
    """Return whether it grew since it was known before; what is new to us did not happen now."""
    return key in before and value > before[key]
