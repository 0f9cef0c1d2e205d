"""The collector of a PostgreSQL server: asks for one topic after the other over one connection."""

from collections.abc import Callable, Mapping, Sequence

import psycopg

from daemon.backends.postgres_errors import first_line
from daemon.clock import Clock
from daemon.observe.postgres.activity import SESSIONS, TRANSACTIONS
from daemon.observe.postgres.database import DatabaseCounters
from daemon.observe.postgres.locks import LOCKS, Blocks
from daemon.observe.postgres.server import AGES, ServerSettings
from daemon.observe.postgres.source import Session, Source
from daemon.observe.postgres.tables import INDEXES, TABLES
from daemon.observe.postgres.topic import NOT_OFFERED, Rows, Topic
from daemon.observe.postgres.wal import CHECKPOINTS, REPLICAS, WAL
from daemon.observe.sampler import Notify
from daemon.record.snapshot import Snapshot

ASK_AGAIN = 600.0  # s until a topic that the server does not offer is asked for again


def topics(
    clock: Clock, notify: Notify, see_settings: Callable[[Mapping[str, str]], None]
) -> Sequence[Topic]:
    """Return everything that the server is asked for, in this order; the arguments as for the collector."""
    return (
        ServerSettings(see_settings).topic,
        SESSIONS,
        TRANSACTIONS,
        LOCKS,
        Blocks(clock, notify).topic,
        DatabaseCounters().topic,
        WAL,
        CHECKPOINTS,
        REPLICAS,
        TABLES,
        INDEXES,
        AGES,
    )


class PostgresCollector:
    """Samples of the server, by version, with what the user may see."""

    name = "postgres"

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock,
        notify: Notify,
        see_settings: Callable[[Mapping[str, str]], None],
    ) -> None:
        """Prepare; nothing is connected.

        Args:
            source: where to ask; closed with the collector.
            clock: monotonic time.
            notify: told about sessions that block others, and about topics that the server does not offer.
            see_settings: given the server's settings that differ from their defaults; no secrets.
        """
        self._source = source
        self._clock = clock
        self._notify = notify
        self._topics = topics(clock, notify, see_settings)
        self._rows: dict[str, Rows] = {}  # the last ones, by topic; none: it is not offered
        self._due: dict[str, float] = {}

    async def collect(self) -> Snapshot:
        """Ask for every topic that is due.

        Raises:
            TargetError: the server cannot be asked, or did not answer one of the questions.
        """
        snapshot = Snapshot()
        async with self._source.session() as session:
            for topic in self._topics:
                if self._clock.now() >= self._due.get(topic.name, 0.0):
                    await self._ask(session, topic)
        for topic in self._topics:
            if topic.name in self._rows:
                topic.read(self._rows[topic.name], snapshot)
        return snapshot

    async def close(self) -> None:
        """Close the connection."""
        await self._source.close()

    async def _ask(self, session: Session, topic: Topic) -> None:
        try:
            self._rows[topic.name] = await session.ask(topic.sql(session.version))
            self._due[topic.name] = self._clock.now() + topic.every
        except NOT_OFFERED as error:
            self._leave_out(topic, error)

    def _leave_out(self, topic: Topic, error: psycopg.Error) -> None:
        if topic.name in self._rows or topic.name not in self._due:
            self._notify("sampler.partial", collector=self.name, without=topic.name, reason=first_line(error))
        self._rows.pop(topic.name, None)
        self._due[topic.name] = self._clock.now() + ASK_AGAIN
