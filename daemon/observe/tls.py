"""https: from a certificate and its key to what a server needs of them."""

import ssl
from pathlib import Path

from daemon.errors import UsageError


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return a context that serves TLS 1.2 and later with a certificate chain and its key, both PEM.

    Raises:
        UsageError: one of them cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in (cert, key):
        try:
            file.open("rb").close()
        except OSError as error:
            raise UsageError(f"http TLS file {file}: {error.strerror}; check path and permissions") from None
    try:
        # An encrypted key would otherwise ask for its password on the terminal, and wait.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError):
        raise UsageError(
            f"http.tls_cert {cert}, http.tls_key {key}: not a PEM certificate and its unencrypted key"
        ) from None
    return context
