"""Serving a run's figures over HTTP: from its settings to a listening server."""

import platform
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from daemon import __version__
from daemon.config.settings import Http, Settings
from daemon.control.run import Run
from daemon.observe.auth import read_password_file
from daemon.observe.http import HttpServer
from daemon.observe.metrics import render, zeros
from daemon.ops import OpSpec
from daemon.record.catalog import LATENCY_BOUNDS, row_bounds
from daemon.record.snapshot import Snapshot
from daemon.target import parse_target


@asynccontextmanager
async def endpoint(
    settings: Settings, run: Run, ops: Sequence[OpSpec], samples: Callable[[], Snapshot]
) -> AsyncIterator[str]:
    """Serve /metrics, /healthz and /readyz while the context is open; gives the address.

    Args:
        settings: where to listen, and who may ask.
        run: the run whose figures are served.
        ops: the operations of its workload.
        samples: gives what is sampled beside the load.

    Raises:
        UsageError: the address is taken, or the password or TLS files cannot be used.
    """
    http = settings.http
    host, port = http.address
    password_hash, password = _credentials(http)
    rows = row_bounds(settings.batch.size)
    backend = parse_target(settings.target.get_secret_value()).kind

    def text() -> bytes:
        snapshot = zeros(ops, settings.shards, backend)
        snapshot.merge(run.snapshot())
        snapshot.merge(samples())
        snapshot.gauges["soakd_build_info", __version__, platform.python_version()] = 1
        snapshot.gauges["soakd_run_info", str(run.number), backend, settings.workload] = 1
        return render(snapshot, bounds=LATENCY_BOUNDS, row_bounds=rows)

    server = HttpServer(
        host=host,
        port=port,
        render=text,
        ready=run.ready,
        username=http.username,
        password_hash=password_hash,
        password=password,
        tls_cert=http.tls_cert,
        tls_key=http.tls_key,
    )
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


def _credentials(http: Http) -> tuple[bytes | None, str | None]:
    if http.password_hash:
        return http.password_hash.get_secret_value().encode(), None
    return read_password_file(http.password_file) if http.password_file else (None, None)
