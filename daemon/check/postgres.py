"""Look at a PostgreSQL target: version, privileges, room for the connections."""

from collections.abc import Iterator
from typing import NamedTuple

from daemon import ledger
from daemon.backends.base import POSTGRES, Backend
from daemon.check.finding import Finding
from daemon.errors import OpError, TargetError
from daemon.ops import Transaction, Tx

OLDEST = 130_000  # PostgreSQL 13

_SERVER = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
       current_setting('fsync')::bool, current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int
       + coalesce(current_setting('reserved_connections', true)::int, 0),
       (SELECT count(*)::int FROM pg_stat_activity
        WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
        AND application_name <> current_setting('application_name')),
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
       current_user::text, current_database()::text
"""
_RIGHTS = """
SELECT to_regnamespace('soakd') IS NOT NULL, has_database_privilege(current_database(), 'CREATE'),
       CASE WHEN to_regnamespace('soakd') IS NOT NULL THEN has_schema_privilege('soakd', 'USAGE')
            AND has_schema_privilege('soakd', 'CREATE') END
"""
_TABLES = """
SELECT c.relname::text, pg_has_role(c.relowner, 'USAGE')
       OR (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'))
FROM pg_class c WHERE c.relnamespace = to_regnamespace('soakd') AND c.relkind IN ('r', 'p') ORDER BY 1
"""
# Who may not read all settings does not even see that of the libraries.
_SIGHT = """
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')
       OR to_regclass('pg_stat_statements') IS NOT NULL,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'),
       (SELECT position('pg_stat_statements' IN setting) > 0 FROM pg_settings
        WHERE name = 'shared_preload_libraries'),
       current_user::text
"""


class Server(NamedTuple):
    """What a server says about itself, in the order of `_SERVER`; `role_limit` is -1 for none."""

    number: int
    version: str
    standby: bool
    read_only: bool
    fsync: bool
    max_connections: int
    reserved: int
    in_use: int
    role_limit: int
    user: str
    database: str


class Rights(NamedTuple):
    """What the user may do.

    Attributes:
        schema: the schema soakd is there.
        may_create_schema: it could be created.
        may_use_schema: tables can be used and created in it; None if it is not there.
        newest: version of the newest of them, 0 if there are none.
        tables: names of the tables in the schema, and whether each can be read and written.
    """

    schema: bool
    may_create_schema: bool
    may_use_schema: bool | None
    newest: int
    tables: list[tuple[str, bool]]


class Sight(NamedTuple):
    """What the samplers can see, in the order of `_SIGHT`; `loaded` is None where that is hidden."""

    all_sessions: bool
    statements: bool
    available: bool
    loaded: bool | None
    user: str


async def check_postgres(
    backend: Backend, *, connections: int, durability: str, sampled: bool
) -> list[Finding]:
    """Return what was found; the backend is opened and closed.

    Args:
        backend: one for looking after the target, not open.
        connections: how many a run will want.
        durability: in words, what an acknowledged row will be safe from.
        sampled: whether a run would take samples of the server.
    """
    try:
        await backend.open()
    except TargetError as error:
        return [Finding("reachable", "fail", str(error))]
    try:
        # It reads, but as one that may write: that is what has to be looked at.
        server, rights, sight = (await backend.transact(Transaction(_look, read_only=False))).result
    except OpError as error:
        return [Finding("reachable", "fail", f"the server answers, but not to questions: {error}")]
    finally:
        await backend.close()
    return [
        Finding("reachable", "ok", f"database {server.database} as user {server.user}"),
        *judge_server(server, connections),
        *judge_rights(rights, server.user, server.database),
        *(judge_sight(sight) if sampled else ()),
        _judge_durability(server, durability),
    ]


async def _look(tx: Tx) -> tuple[Server, Rights, Sight]:
    server = Server(*(await tx.execute(_SERVER))[0])
    schema, create, use = (await tx.execute(_RIGHTS))[0]
    tables = [(name, allowed) for name, allowed in await tx.execute(_TABLES)] if schema else []
    newest = 0
    if use and dict(tables).get(ledger.OBJECTS.name):
        rows = await tx.execute(
            f"SELECT coalesce(max(version), 0) FROM {POSTGRES.table(ledger.OBJECTS.name)}"
        )
        newest = rows[0][0]
    sight = Sight(*(await tx.execute(_SIGHT))[0])
    return server, Rights(schema, create, use, newest, tables), sight


def judge_server(server: Server, connections: int) -> Iterator[Finding]:
    """Yield what is to be said about the server's version, role and room."""
    if server.number < OLDEST:
        yield Finding("version", "fail", f"PostgreSQL {server.version}; soakd needs 13 or later")
    else:
        yield Finding("version", "ok", f"PostgreSQL {server.version}")
    if server.standby:
        yield Finding("writable", "fail", "the server is a standby and takes no writes; use its primary")
    elif server.read_only:
        yield Finding(
            "writable", "fail", "default_transaction_read_only is on here; turn it off for this user"
        )
    room = server.max_connections - server.reserved - server.in_use
    if server.role_limit >= 0:
        room = min(room, server.role_limit)
    limit = f"max_connections {server.max_connections}"
    detail = f"a run wants {connections} connections, {max(room, 0)} are free ({limit})"
    if connections > room:
        detail += "; lower pools, batch.flushers or postgres.pool_size, or raise max_connections"
    yield Finding("connections", "ok" if connections <= room else "fail", detail)


def judge_rights(rights: Rights, user: str, database: str) -> Iterator[Finding]:
    """Yield what is to be said about what the user may do."""
    name = "privileges"
    if not rights.schema:
        if rights.may_create_schema:
            yield Finding(name, "ok", "may create the schema soakd, which is not there yet")
        else:
            grant = f'GRANT CREATE ON DATABASE "{database}" TO "{user}"'
            yield Finding(
                name,
                "fail",
                f"user {user} may not create the schema soakd; let an administrator run: {grant}",
            )
        return
    if not rights.may_use_schema:
        grant = f'GRANT USAGE, CREATE ON SCHEMA soakd TO "{user}"'
        yield Finding(name, "fail", f"user {user} may not use the schema soakd; let its owner run: {grant}")
        return
    if rights.tables and ledger.OBJECTS.name not in dict(rights.tables):
        names = ", ".join(table for table, _ in rights.tables[:5])
        yield Finding(
            name, "fail", f"a schema soakd is there, not made by soakd ({names}); use another database"
        )
        return
    closed = [table for table, allowed in rights.tables if not allowed]
    if closed:
        yield Finding(
            name, "fail", f"user {user} may not read and write soakd.{closed[0]}; let its owner grant it"
        )
        return
    try:
        ledger.check_version(rights.newest)
    except TargetError as error:
        yield Finding(name, "fail", str(error))
        return
    yield Finding(name, "ok", f"may use the schema soakd ({len(rights.tables)} tables from earlier runs)")


def judge_sight(sight: Sight) -> Iterator[Finding]:
    """Yield what is to be said about what the samplers will see of the server."""
    if sight.all_sessions:
        yield Finding("monitoring", "ok", "may see the sessions of all users")
    else:
        yield Finding(
            "monitoring",
            "warn",
            f"user {sight.user} sees only its own sessions, and no autovacuum; to see all, let an "
            f'administrator run: GRANT pg_monitor TO "{sight.user}"',
        )
    if not sight.available and not sight.statements:
        how = (
            "install the server's contrib package, then add it to shared_preload_libraries, restart, and run:"
        )
    elif sight.loaded is False:
        how = "add it to shared_preload_libraries, restart the server, and run here:"
    elif not sight.statements:
        how = "let an administrator run here (it must be in shared_preload_libraries):"
    else:
        yield Finding("statements", "ok", "pg_stat_statements is there")
        return
    detail = f"no figures of single statements: {how} CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
    yield Finding("statements", "warn", detail)


def _judge_durability(server: Server, durability: str) -> Finding:
    if not server.fsync:
        return Finding(
            "durability", "warn", "the server runs with fsync=off: a crash of its machine loses anything"
        )
    return Finding("durability", "ok", durability)
