"""Serving a run's figures over HTTP: from its settings to a listening server."""

import platform
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from daemon import __version__
from daemon.config.settings import Settings
from daemon.control.protection import guard_of, tls_of
from daemon.control.run import Run
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
        auth=guard_of(http),
        tls=tls_of(http),
    )
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()
