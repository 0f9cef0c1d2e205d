"""How PostgreSQL sessions are opened, with which settings, and whether the server will do."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any, get_args

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import TextLoader

from daemon.backends.postgres_connection import Connection
from daemon.backends.postgres_errors import address, first_line, target_error, without_secret
from daemon.backends.postgres_watch import Watch
from daemon.errors import TargetError, UsageError
from daemon.ops import Isolation, PoolName

OLDEST_SERVER = 130000
LAST_PORT = 65535
_HOW = "write postgresql://user@host:port/db"
# A dead peer is noticed after about 10 s. The address may say otherwise.
_KEEPALIVE = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


class Sessions:
    """Opens sessions of one target.

    The settings go into the start-up message, where they cost nothing and survive RESET. Behind
    PgBouncer in transaction mode (`prepare=False`) they cannot: there they begin each transaction.

    Attributes:
        address: where the target is, without secrets.
        begin: what begins a transaction, by pool and isolation level.
        bare: whether a statement may run without a transaction around it, by pool.
    """

    def __init__(
        self,
        *,
        conninfo: str,
        password: str | None,
        synchronous_commit: str,
        connect_timeout: float,
        statement_timeout: float,
        lock_timeout: float,
        application_name: str,
        prepare: bool,
    ) -> None:
        """Read the address.

        Raises:
            UsageError: libpq cannot read it, or there is no such port.
        """
        try:
            params: dict[str, Any] = dict(conninfo_to_dict(conninfo))
        except psycopg.Error as error:
            why = without_secret(first_line(error), password)
            raise UsageError(f"target: {why}; {_HOW}") from None
        _check_ports(str(params.get("port") or ""))
        if password is not None:
            params["password"] = password
        self._password = params.get("password")
        self.address = address(params)
        limits = (
            {"statement_timeout": f"{math.ceil(statement_timeout * 1000)}ms"} if statement_timeout else {}
        )
        if lock_timeout:
            limits["lock_timeout"] = f"{math.ceil(lock_timeout * 1000)}ms"
        writing = {"synchronous_commit": synchronous_commit, **limits}
        self._options: dict[PoolName, str] = {"writer": "", "reader": ""}
        after: dict[PoolName, str] = {"writer": "", "reader": ""}
        self.bare: dict[PoolName, bool] = {"writer": True, "reader": True}
        if prepare:
            own = params.pop("options", "")
            self._options["writer"] = _start_up(own, writing)
            self._options["reader"] = _start_up(own, {**writing, "default_transaction_read_only": "on"})
        else:
            after = {"writer": _local(writing), "reader": _local(limits)}
            # Nothing would set a limit, or the durability, of a statement on its own.
            self.bare = {"writer": False, "reader": not limits}
        self.begin = {
            (pool, level): _begin(pool, level) + settings.encode()
            for pool, settings in after.items()
            for level in get_args(Isolation)
        }
        self._params = {
            **_KEEPALIVE,
            **params,
            "application_name": application_name,
            "client_encoding": "UTF8",  # binary COPY takes text as it is
            "connect_timeout": str(max(2, math.ceil(connect_timeout))),  # libpq's, in whole seconds
        }
        self._timeout = connect_timeout
        self._prepare = prepare
        self._adapters = _adapters()

    async def connect(self, pool: PoolName, watch: Watch) -> Connection:
        """Open a session.

        Args:
            pool: what it is for.
            watch: tells the connection when there is something to read.

        Raises:
            psycopg.Error, OSError, TimeoutError: it did not come about.
        """
        async with asyncio.timeout(self._timeout):
            connection = await Connection.connect(
                "",
                autocommit=True,
                prepare_threshold=0 if self._prepare else None,
                context=self._adapters,
                **self.parameters(pool),
            )
        connection.opened(watch, prepare=self._prepare)
        return connection

    def parameters(self, pool: PoolName) -> dict[str, Any]:
        """Return libpq's parameters of a session; the password may be among them."""
        options = self._options[pool]
        return {**self._params, "options": options} if options else dict(self._params)

    def clean(self, text: str) -> str:
        """Return the text without the password."""
        return without_secret(text, self._password)

    def failure(self, error: BaseException) -> TargetError:
        """Return the line that says why `connect` failed, and what to do."""
        return target_error(error, self.address, self._password)

    def check(self, connection: Connection) -> None:
        """See whether the server is new enough.

        Raises:
            TargetError: it is not.
        """
        version = connection.info.server_version
        if version < OLDEST_SERVER:
            raise TargetError(
                f"target {self.address}: PostgreSQL {version // 10000} is too old; "
                f"{OLDEST_SERVER // 10000} or newer is needed"
            )


def _check_ports(ports: str) -> None:
    """Refuse what libpq would only refuse when it connects; `ports` has one for each host."""
    for port in ports.split(","):
        if port and not (port.isdecimal() and 0 < int(port) <= LAST_PORT):
            # Not shown: with a / in the password this is the beginning of it.
            raise UsageError(
                f"target: the port is no number from 1 to {LAST_PORT}; {_HOW}, and a / in a password as %2F"
            )


def _start_up(own: str, settings: Mapping[str, str]) -> str:
    return " ".join([own, *(f"-c {name}={value}" for name, value in settings.items())]).strip()


def _local(settings: Mapping[str, str]) -> str:
    return "".join(f"; SET LOCAL {name} TO '{value}'" for name, value in settings.items())


def _begin(pool: PoolName, level: Isolation) -> bytes:
    isolation = f" ISOLATION LEVEL {level.upper()}" if level else ""
    return f"BEGIN{isolation}{' READ ONLY' if pool == 'reader' else ''}".encode()


def _adapters() -> AdaptersMap:
    """Return how values travel.

    Integers always go as bigint, so that a statement is prepared once and not once per size of its
    parameters; a function that wants another type needs a cast. JSON comes as text, so that nobody
    pays for parsing it.
    """
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_loader("jsonb", TextLoader)
    adapters.register_loader("json", TextLoader)
    return adapters
