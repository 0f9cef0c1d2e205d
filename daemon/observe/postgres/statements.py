"""The statements that take the most time, from pg_stat_statements where that is there."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from daemon.clock import Clock
from daemon.observe.postgres.names import statement_name
from daemon.observe.postgres.source import Session, Source
from daemon.observe.postgres.topic import NOT_OFFERED
from daemon.record.snapshot import Snapshot

LOOK_AGAIN = 60.0  # s until it is looked again whether the extension is there
REMEMBERED = 3  # times the number asked for: so many stay shown after others have overtaken them
LONGEST = 4000  # characters of a text that are kept

# The function does without the texts, which are in a file. A view of somebody's own may stand in for it.
FIND = """
SELECT (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements'),
       to_regclass('pg_stat_statements')::text
"""
# 13 split total_time into total_plan_time and total_exec_time, and the columns used here have stayed:
# https://www.postgresql.org/docs/13/pgstatstatements.html, https://www.postgresql.org/docs/18/pgstatstatements.html
# (17 renamed blk_read_time to shared_blk_read_time). A statement has a row for each user, and since 14 for
# being nested or not.
FIGURES = """
SELECT s.queryid, sum(s.calls)::float8, sum(s.total_exec_time)::float8, sum(s.rows)::float8
FROM {relation} s
WHERE s.queryid IS NOT NULL
      AND s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
GROUP BY s.queryid
"""
TEXTS = """
SELECT s.queryid, left(min(s.query), {longest}) FROM {relation} s
WHERE s.queryid = ANY(%s) GROUP BY s.queryid
"""


class Place(NamedTuple):
    """Where the figures are, and where the texts are too."""

    figures: str
    texts: str


class Figures(NamedTuple):
    """What the server has counted of one statement; it begins anew after a reset."""

    calls: float
    seconds: float
    rows: float


class Ranking:
    """Which statements are shown: those whose time has grown most since the first look.

    Bounds: `top` present ones and `REMEMBERED` times as many in all, and the time at the first look of
    those that were there then (pg_stat_statements.max).
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._first: dict[int, float] | None = None
        self._shown: dict[int, None] = {}  # in the order in which they were last among the first

    def choose(self, now: Mapping[int, Figures]) -> list[int]:
        """Return the ids of those to show, for the present figures by id."""
        if self._first is None:
            self._first = {queryid: figures.seconds for queryid, figures in now.items()}
        growth: dict[int, float] = {}
        for queryid, figures in now.items():
            if figures.seconds < self._first.get(queryid, 0.0):  # reset
                self._first[queryid] = 0.0
            growth[queryid] = figures.seconds - self._first.get(queryid, 0.0)
        leaders = sorted(
            (queryid for queryid in now if growth[queryid] > 0), key=lambda queryid: -growth[queryid]
        )
        for queryid in leaders[: self._top]:
            self._shown.pop(queryid, None)
            self._shown[queryid] = None
        for queryid in list(self._shown)[: -REMEMBERED * self._top]:
            del self._shown[queryid]
        return [queryid for queryid in self._shown if queryid in now]


class StatementsCollector:
    """Samples of pg_stat_statements; without the extension they are empty."""

    name = "statements"

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock,
        top: int,
        see_texts: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        """Prepare; nothing is connected.

        Args:
            source: where to ask; closed with the collector.
            clock: monotonic time.
            top: statements that are shown at a time, at least 1.
            see_texts: given the texts of those, by their label `queryid`, when they change.
        """
        self._see_texts = see_texts
        self._source = source
        self._clock = clock
        self._ranking = Ranking(top)
        self._names: dict[int, str] = {}
        self._texts: dict[int, str] = {}
        self._place: Place | None = None
        self._look_at = 0.0

    async def collect(self) -> Snapshot:
        """Ask for the figures, and for the texts of statements that are shown for the first time.

        Raises:
            TargetError: the server cannot be asked.
        """
        snapshot = Snapshot()
        async with self._source.session() as session:
            if self._clock.now() >= self._look_at:
                self._place = await _find(session)
                self._look_at = self._clock.now() + LOOK_AGAIN
            if self._place:
                try:
                    await self._read(session, self._place, snapshot)
                except NOT_OFFERED:  # created but not loaded, or not for this user: as if it were not there
                    self._place = None
        return snapshot

    def texts(self) -> Mapping[str, str]:
        """Return the texts of the statements shown, by their label `queryid`."""
        return {str(queryid): text for queryid, text in self._texts.items()}

    async def close(self) -> None:
        """Close the connection."""
        await self._source.close()

    async def _read(self, session: Session, place: Place, into: Snapshot) -> None:
        rows = await session.ask(FIGURES.format(relation=place.figures))
        now = {queryid: Figures(calls, ms / 1000, count) for queryid, calls, ms, count in rows}
        shown = self._ranking.choose(now)
        await self._learn(session, place, shown)
        for queryid in shown:
            labels = (self._names[queryid], str(queryid))
            into.counters["soakd_pg_statement_calls_total", *labels] = now[queryid].calls
            into.counters["soakd_pg_statement_seconds_total", *labels] = now[queryid].seconds
            into.counters["soakd_pg_statement_rows_total", *labels] = now[queryid].rows

    async def _learn(self, session: Session, place: Place, shown: Sequence[int]) -> None:
        """Know the texts and names of those that are shown, and of no others."""
        new = [queryid for queryid in shown if not self._texts.get(queryid)]
        if new:
            rows = await session.ask(TEXTS.format(relation=place.texts, longest=LONGEST), (new,))
            self._texts.update(rows)
        self._texts = {queryid: self._texts.get(queryid, "") for queryid in shown}
        self._names = {queryid: statement_name(text) for queryid, text in self._texts.items()}
        if new and self._see_texts:
            self._see_texts(self.texts())


async def _find(session: Session) -> Place | None:
    ((schema, view),) = await session.ask(FIND)
    if schema is not None:
        return Place(f"{schema}.pg_stat_statements(false)", f"{schema}.pg_stat_statements")
    return Place(view, view) if view is not None else None
