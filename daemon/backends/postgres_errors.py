"""What PostgreSQL's errors mean: a class for every SQLSTATE, a line for a target that cannot be used."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import psycopg
from psycopg import pq

from daemon.errors import ErrorClass, OpError, TargetError
from daemon.target import MASK, redact

SQLSTATES: Mapping[str, ErrorClass] = {
    "40001": "serialization",
    "40P01": "deadlock",
    "55P03": "lock_timeout",
    "57014": "timeout",  # statement_timeout, or a cancellation of ours
    "25P04": "timeout",  # transaction_timeout
    "25P03": "connection",  # idle_in_transaction_session_timeout ends the session
    "53100": "disk_full",
    "53300": "connection",  # too many of them
    "57P01": "connection",  # the server is told to stop,
    "57P02": "connection",  # has crashed,
    "57P03": "connection",  # is starting or recovering,
    "57P04": "connection",  # has dropped the database,
    "57P05": "connection",  # or ended an idle session
}
# By the first two characters. Data that cannot be stored (22) is refused for good, as a violated
# constraint (23) is: trying again unchanged is useless, and one row is to blame.
SQLSTATE_GROUPS: Mapping[str, ErrorClass] = {"08": "connection", "22": "constraint", "23": "constraint"}


def error_class(error: psycopg.Error | UnicodeError) -> ErrorClass:
    """Return the class of an error, from its SQLSTATE or, where the server said nothing, its type."""
    if isinstance(error, UnicodeError):
        return "constraint"  # text that is no UTF-8, found before it was sent
    state = error.sqlstate
    if state is not None:
        return SQLSTATES.get(state) or SQLSTATE_GROUPS.get(state[:2], "other")
    if isinstance(error, psycopg.DataError):
        return "constraint"
    # Without a SQLSTATE these come from libpq or the socket: the connection is at fault.
    return "connection" if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else "other"


def op_error(error: psycopg.Error | UnicodeError) -> OpError:
    """Return what an operation raises for an error of the database; its text is one line."""
    return OpError(error_class(error), first_line(error))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Address(NamedTuple):
    """Where a database is and whom it is entered as; nothing in it is secret."""

    host: str
    port: str
    user: str
    dbname: str

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.dbname}"


def address(params: Mapping[str, object]) -> Address:
    """Return the address that libpq makes of connection parameters, its defaults and the environment."""
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }

    def value(key: str, fallback: str = "") -> str:
        return str(params.get(key) or defaults.get(key) or fallback)

    user = value("user")
    return Address(
        value("host") or value("hostaddr", "localhost"), value("port", "5432"), user, value("dbname", user)
    )


# What libpq and the server say → what is wrong and what to do. The first match counts.
_REASONS: tuple[tuple[str, str], ...] = (
    (
        r"password authentication failed|no password supplied",
        "wrong or missing password for role {user}; set postgres.password or SOAKD_POSTGRES__PASSWORD",
    ),
    (r'database "[^"]*" does not exist', "there is no database {dbname}; create it: createdb {dbname}"),
    (
        r'role "[^"]*" does not exist',
        "there is no role {user}; create it (createuser {user}) or name another one",
    ),
    (
        r"too many clients|remaining connection slots|too many connections",
        "the server has no connection left; lower the workers or postgres.pool_size, or raise its limit",
    ),
    (r"does not support SSL", "the server does not offer TLS; set up TLS there, or use sslmode=prefer"),
    (
        r"certificate|SSL error|tls",
        "TLS failed ({detail}); check sslmode, sslrootcert and the server's certificate",
    ),
    (
        r"no pg_hba.conf entry",
        "the server refuses {user} from this host ({detail}); add a line to its pg_hba.conf",
    ),
    (r"[Cc]onnection refused", "connection refused; is the server running, and is this its host and port?"),
    (
        r"failed to resolve|could not translate host|Name or service|nodename",
        "the host name cannot be resolved; check the spelling of {host}",
    ),
    (r"timeout expired|timed out|TimeoutError", "no answer in time; check host, port and firewall"),
    (
        r"No such file or directory",
        "there is no socket there; is the server running, and is this its folder and port?",
    ),
    (r"No route to host|unreachable", "the host cannot be reached; check address, network and firewall"),
    (r"starting up|shutting down|recovery mode", "the server is not ready ({detail}); try again in a moment"),
)


def target_error(error: BaseException, where: Address, password: str | None) -> TargetError:
    """Return the one line that a person can act on for a connection that could not be opened."""
    text = f"{type(error).__name__}: {error}"
    detail = without_secret(first_line(error), password).removeprefix("connection failed: ")
    for pattern, advice in _REASONS:
        if re.search(pattern, text):
            reason = advice.format(**where._asdict(), detail=detail)
            return TargetError(f"target {where}: {reason}")
    return TargetError(f"target {where}: cannot connect ({detail}); check the address and the server's log")


def without_secret(text: str, password: str | None) -> str:
    """Return the text without the password, wherever it stands."""
    return redact(text.replace(password, MASK) if password else text)
