"""Why responses were slow for a moment: one table of what database and host do at such times.

A cause says what it saw, or nothing. The order is from the particular to the general; several may hold.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from daemon.report.view import Row, View
from daemon.results import readable


class Moment(NamedTuple):
    """A spike, and what the run looked like then.

    Attributes:
        view: the stretch in which responses were slow.
        height: the 99th percentile at its worst, s; the length of a standstill.
    """

    view: View
    height: float


class Cause(NamedTuple):
    """One reason.

    Attributes:
        name: in a word or two.
        sees: returns what it saw, or None.
    """

    name: str
    sees: Callable[[Moment], str | None]


def _outage(moment: Moment) -> str | None:
    down = [row for row in moment.view.intervals if row["up"] < 1]
    return f"the target did not answer for about {_length(down)}" if down else None


def _restart(moment: Moment) -> str | None:
    found = moment.view.events("restart")
    return f"{found[0]['name']} died and was replaced" if found else None


def _planned(moment: Moment) -> str | None:
    found = moment.view.events("planned")
    return ", ".join(dict.fromkeys(row["name"] for row in found)) or None


def _locks(moment: Moment) -> str | None:
    heads = moment.view.events("note", "target.blocked")
    blocked = moment.view.peak("pg.blocked")
    if not blocked and not heads:
        return None
    waited = readable.seconds(moment.view.peak("pg.longest_block"))
    words = f"{blocked or 0:.0f} sessions waited for locks, for {waited} at most"
    for head in heads[:1]:
        facts = head["details"]
        who = ", ".join(str(facts[name]) for name in ("application_name", "state") if facts.get(name))
        words += f"; at the head session {facts.get('pid')} ({who})"
    return words


def _deadlocks(moment: Moment) -> str | None:
    number = moment.view.total("pg.deadlocks")
    return f"{number:.0f} deadlocks, which the server ends after deadlock_timeout" if number else None


def _postgres_checkpoint(moment: Moment) -> str | None:
    found = moment.view.events("checkpoint", "postgres")
    if not found:
        return None
    kinds = ", ".join(dict.fromkeys(row["name"].removeprefix("postgres ") for row in found))
    blocks = moment.view.peak("pg.checkpoint_blocks")
    return f"a checkpoint ({kinds})" + (f" wrote {blocks:,.0f} blocks/s" if blocks else "")


def _vacuum(moment: Moment) -> str | None:
    tables = dict.fromkeys(row["name"] for row in moment.view.events("vacuum"))
    if tables:
        return f"vacuum of {', '.join(tables)}"
    workers = moment.view.risen("pg.autovacuum", 1, 1.5)
    return f"{workers:.0f} autovacuum workers" if workers else None


def _silent(moment: Moment) -> str | None:
    """The server was asked for its figures and took its time, whatever they say now."""
    rows = moment.view.record.samples.get("pg.commits", ())
    usual = median(row["length"] for row in rows) if rows else 0
    longest = max((row["length"] for row in moment.view.rows(rows)), default=0)
    if longest < max(2 * usual, usual + 1000):
        return None
    return (
        f"the server gave no figures for {readable.seconds(longest / 1000)}: stopped, stalled or unreachable"
    )


def _backlog(moment: Moment) -> str | None:
    """Operations were late before it began: what had piled up was still being worked off."""
    before = moment.view.around(moment.view.begin - 1000, moment.view.begin)
    rows = [row for rows in moment.view.record.pools.values() for row in before.rows(rows)]
    late = max((row["lag_p99"] or 0.0 for row in rows), default=0.0)
    if late < max(0.01, moment.height / 3):
        return None
    return f"operations were {readable.seconds(late)} late already: what had piled up was being worked off"


def _temp(moment: Moment) -> str | None:
    rate = moment.view.risen("pg.temp", 1, 2)
    return (
        f"temporary files, {readable.size(rate)}/s: a sort or hash did not fit into work_mem"
        if rate
        else None
    )


def _wal(moment: Moment) -> str | None:
    rate = moment.view.risen("pg.wal", 2**20, 2)
    if not rate:
        return None
    pages = moment.view.risen("pg.full_pages", 1, 2)
    return f"WAL {readable.size(rate)}/s, usually {readable.size(moment.view.usual('pg.wal'))}/s" + (
        f", with {pages:,.0f} full pages/s" if pages else ""
    )


def _server_io(moment: Moment) -> str | None:
    number = moment.view.risen("pg.waiting_io", 2, 2)
    return f"{number:.0f} sessions waited for the server's disk" if number else None


def _sqlite_checkpoint(moment: Moment) -> str | None:
    found = moment.view.events("checkpoint", "sqlite")
    longest = max(
        [row["length"] / 1000 for row in found] + [moment.view.peak("sqlite.checkpoint_longest") or 0.0]
    )
    if longest < max(0.002, moment.height / 4):
        return None
    modes = ", ".join(dict.fromkeys(row["name"].removeprefix("sqlite ") for row in found)) or "passive"
    return f"a checkpoint ({modes}) took {readable.seconds(longest)}"


def _sqlite_busy(moment: Moment) -> str | None:
    waited = moment.view.peak("sqlite.busy_longest") or 0.0
    if waited < max(0.005, moment.height / 4):
        return None
    return f"another connection held the lock for {readable.seconds(waited)}"


def _sqlite_held(moment: Moment) -> str | None:
    share = moment.view.risen("sqlite.reads_held", 0.01, 2)
    return (
        f"new reads were held back for {readable.percent(share)} of the time, for the WAL" if share else None
    )


def _steal(moment: Moment) -> str | None:
    share = moment.view.risen("host.steal", 0.05, 2)
    return f"the hypervisor took {readable.percent(share)} of the processors (steal)" if share else None


def _throttled(moment: Moment) -> str | None:
    share = moment.view.risen("host.throttled", 0.01, 2)
    return f"the CPU quota held soakd back for {readable.percent(share)} of the time" if share else None


def _io(moment: Moment) -> str | None:
    share = moment.view.risen("host.pressure_io", 0.1, 2)
    slow = moment.view.risen("host.fsync", max(0.02, moment.height / 4), 2)
    words = [f"tasks waited for a disk {readable.percent(share)} of the time"] if share else []
    return "; ".join([*words, *([f"an fsync took {readable.seconds(slow)}"] if slow else [])]) or None


def _memory(moment: Moment) -> str | None:
    share = moment.view.risen("host.pressure_memory", 0.02, 2)
    return f"tasks waited for memory {readable.percent(share)} of the time" if share else None


def _cpu(moment: Moment) -> str | None:
    busy, usual = moment.view.peak("host.cpu"), moment.view.usual("host.cpu")
    waiting = moment.view.risen("host.pressure_cpu", 0.2, 1.3)
    if busy is None or busy < 0.9 or (busy < usual + 0.1 and waiting is None):
        return None
    words = f"processors {readable.percent(busy)} in use, usually {readable.percent(usual)}"
    return words + (f"; tasks waited for one {readable.percent(waiting)} of the time" if waiting else "")


def _generator(moment: Moment) -> str | None:
    shards = moment.view.record.run.config.get("shards", 1)
    limited = min(1.0, _limited(moment.view.intervals) / shards)
    if limited < max(0.2, 1.5 * _limited(moment.view.record.intervals) / shards):
        limited = 0.0
    lag = moment.view.risen("engine.lag", max(0.005, moment.height / 4), 2)
    if limited:
        return f"the engine was the bottleneck for {readable.percent(limited)} of the time, not the database"
    return f"the engine itself was late by {readable.seconds(lag)}" if lag else None


CAUSES: Sequence[Cause] = (
    Cause("outage", _outage),
    Cause("engine restart", _restart),
    Cause("planned event", _planned),
    Cause("lock chain", _locks),
    Cause("deadlock", _deadlocks),
    Cause("checkpoint", _postgres_checkpoint),
    Cause("vacuum", _vacuum),
    Cause("silent server", _silent),
    Cause("temporary files", _temp),
    Cause("WAL", _wal),
    Cause("server's disk", _server_io),
    Cause("SQLite checkpoint", _sqlite_checkpoint),
    Cause("SQLite lock", _sqlite_busy),
    Cause("reads held back", _sqlite_held),
    Cause("steal", _steal),
    Cause("CPU quota", _throttled),
    Cause("disk", _io),
    Cause("memory", _memory),
    Cause("processor", _cpu),
    Cause("generator", _generator),
    Cause("backlog", _backlog),
)


def _limited(rows: Sequence[Row]) -> float:
    """Return the share of the time in which the engines were the bottleneck; of several their sum."""
    seconds = sum(row["length"] for row in rows) / 1000
    return float(sum(row["limited_seconds"] for row in rows)) / seconds if seconds else 0.0


def _length(rows: Sequence[object]) -> str:
    span = sum(row["length"] for row in rows) / 1000  # type: ignore[index]
    return readable.seconds(span)
