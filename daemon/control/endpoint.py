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
from daemon.record.catalog import latency_bounds, row_bounds
from daemon.record.snapshot import Snapshot
from daemon.target import parse_target


@asynccontextmanager
async def endpoint(
    settings: Settings,
    run: Run,
    ops: Sequence[OpSpec],
    further: Sequence[Callable[[], Snapshot]],
    edges: Sequence[float],
) -> AsyncIterator[str]:
    """Serve /metrics, /healthz and /readyz while the context is open; gives the address.

    Args:
        settings: where to listen, and who may ask.
        run: the run whose figures are served.
        ops: the operations of its workload.
        further: give what is known beside the load.
        edges: times that are asked about, s: histograms have bucket bounds there.

    Raises:
        UsageError: the address is taken, or the password or TLS files cannot be used.
    """
    http = settings.http
    host, port = http.address
    bounds, rows = latency_bounds(edges), row_bounds(settings.batch.size)
    backend = parse_target(settings.target.get_secret_value()).kind

    def text(names: Sequence[str]) -> bytes:
        snapshot = zeros(ops, settings.shards, backend)
        snapshot.merge(run.snapshot())
        for part in further:
            snapshot.merge(part())
        snapshot.gauges["soakd_build_info", __version__, platform.python_version()] = 1
        snapshot.gauges["soakd_run_info", str(run.number), backend, settings.workload] = 1
        return render(snapshot, bounds=bounds, row_bounds=rows, names=names)

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
