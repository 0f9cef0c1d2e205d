"""Thresholds under a name: the usual ones of a kind of system, and texts turned into thresholds."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from daemon.judge.grammar import BadThreshold, Threshold, parse

PREFIX = "profile:"
PROFILES: Mapping[str, Sequence[str]] = {
    # An event store behind a batching writer.
    "events": (
        "rate.writer >= 5000",
        "response.writer.p95 < 100ms",
        "response.writer.p99 < 200ms",
        "queue.utilization.max < 80%",
        "errors.rate < 1%",
    ),
    # The PostgreSQL store of a game server: responses, queries, connections, machine.
    "game": (
        "response.writer.mean < 100ms optional",
        "response.writer.p95 < 500ms optional",
        "response.writer.p99 < 1s optional",
        "response.reader.mean < 100ms optional",
        "response.reader.p95 < 500ms optional",
        "response.reader.p99 < 1s optional",
        "service.writer.p95 < 200ms optional",
        "service.reader.p95 < 200ms optional",
        "errors.rate < 1%",
        "errors.connection.count == 0",
        "pool.usage.mean < 90% optional",
        "pg.cache_hit > 99% after 1m optional",
        "pg.deadlocks == 0 optional",
        "host.cpu.mean < 80% optional",
        "host.memory.max < 85% optional",
    ),
    # A progress service: one level of its capacity test.
    "progress": (
        "errors.rate < 1%",
        "response.reader.p95 < 2s optional",
        "response.writer.p95 < 500ms optional",
    ),
}


def expand(texts: Iterable[str]) -> list[Threshold]:
    """Return the thresholds that texts say, those of profiles included, each once.

    Raises:
        BadThreshold: a text says none, or there is no such profile.
    """
    found: dict[Threshold, None] = {}
    for text in texts:
        if text.startswith(PREFIX):
            found |= dict.fromkeys(parse(line) for line in _profile(text.removeprefix(PREFIX)))
        else:
            found[parse(text)] = None
    return list(found)


def _profile(name: str) -> Sequence[str]:
    if name not in PROFILES:
        best = difflib.get_close_matches(name, PROFILES, n=1)
        hint = f"did you mean {PREFIX}{best[0]}?" if best else f"there are {', '.join(PROFILES)}"
        raise BadThreshold(f"threshold {PREFIX + name!r}, column {len(PREFIX) + 1}: no such profile; {hint}")
    return PROFILES[name]
