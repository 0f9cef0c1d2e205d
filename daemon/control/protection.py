"""Who may read a run's figures, and over what: from the settings to what the endpoint needs."""

import ssl

from daemon.config.settings import Http
from daemon.observe.auth import BasicAuth, guard
from daemon.observe.tls import server_context


def guard_of(http: Http) -> BasicAuth | None:
    """Return what asks for the password; None when there is none.

    Raises:
        UsageError: the hash or the file cannot be used.
    """
    secret = http.password_hash.get_secret_value() if http.password_hash else None
    return guard(http.username, secret, http.password_file)


def tls_of(http: Http) -> ssl.SSLContext | None:
    """Return what https is served with; None when it is not.

    Raises:
        UsageError: the certificate or its key cannot be used.
    """
    return server_context(http.tls_cert, http.tls_key) if http.tls_cert and http.tls_key else None
