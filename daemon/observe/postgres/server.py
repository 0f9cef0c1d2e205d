"""The server itself: version, settings and their fingerprint, limits, and what ages slowly."""

from collections.abc import Callable, Mapping
from hashlib import blake2s

from daemon.observe.postgres.topic import Rows, Topic
from daemon.record.snapshot import Snapshot

SELDOM = 60.0  # s between two looks at what hardly changes
SIZES = 30.0  # s: the size of a database is added up over all of its files

# Where a server is and what a session sets for itself does not tell two servers apart that behave alike.
# `override` is what the server derives from other settings. Settings that only administrators may see
# are missing for others; commands and connection strings may hold passwords.
# https://www.postgresql.org/docs/18/view-pg-settings.html
_SETTINGS = """
SELECT s.name, s.setting,
       s.source NOT IN ('default', 'override', 'client', 'session') AND s.category <> 'File Locations'
       AND s.name NOT IN ('port', 'listen_addresses', 'unix_socket_directories', 'primary_conninfo')
       AND s.name NOT LIKE '%command'
FROM pg_settings s
WHERE s.source <> 'default'
      OR s.name IN ('server_version', 'max_connections', 'autovacuum_freeze_max_age', 'track_io_timing')
ORDER BY s.name
"""
_AGES = """
SELECT pg_database_size(current_database()), (SELECT max(age(d.datfrozenxid)) FROM pg_database d)
"""


def fingerprint(settings: Mapping[str, str]) -> str:
    """Return eight characters that are the same for the same settings, whatever their order."""
    text = "\n".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return blake2s(text.encode(), digest_size=4).hexdigest()


def read_ages(rows: Rows, into: Snapshot) -> None:
    """Tell the size of the database and how far the oldest transaction id is."""
    ((size, age),) = rows
    into.gauges["soakd_pg_database_bytes",] = size
    into.gauges["soakd_pg_wraparound_age_transactions",] = age


class ServerSettings:
    """Reads the settings."""

    def __init__(self, see: Callable[[Mapping[str, str]], None]) -> None:
        """Prepare.

        Args:
            see: given the settings that differ from their defaults, by name; no secret is among them.
        """
        self._see = see
        self.topic = Topic("settings", lambda _: _SETTINGS, self.read, SELDOM)

    def read(self, rows: Rows, into: Snapshot) -> None:
        """Tell the version, the fingerprint and the limits."""
        values = {name: value for name, value, _ in rows}
        given = {name: value for name, value, differs in rows if differs}
        self._see(given)
        version = values["server_version"].split()[0]
        gauges = into.gauges
        gauges["soakd_pg_info", version, fingerprint(given)] = 1
        gauges["soakd_pg_sessions_limit",] = float(values["max_connections"])
        gauges["soakd_pg_freeze_max_age_transactions",] = float(values["autovacuum_freeze_max_age"])
        gauges["soakd_pg_io_timing",] = float(values["track_io_timing"] == "on")


AGES = Topic("ages", lambda _: _AGES, read_ages, SIZES)
