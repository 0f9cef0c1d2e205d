"""A real Prometheus for tests and previews: deploy/prometheus.yml with other addresses, and its API."""

import copy
import json
import math
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.servers import free_port, stop_process

DEPLOY = Path(__file__).parent.parent / "deploy"
CONFIGURATION = DEPLOY / "prometheus.yml"
READY_WITHIN = 30.0  # s

Point = tuple[float, float]  # Unix time in s, value


class Series(NamedTuple):
    """One series of an answer; points that are no number are left out."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]


def configuration(targets: Mapping[str, str], interval: float) -> dict[str, Any]:
    """Return deploy/prometheus.yml for other targets.

    Args:
        targets: address of each instance of soakd, by the name of the instance.
        interval: between two scrapes and between two evaluations of the rules, s.
    """
    given = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    every = f"{interval * 1000:.0f}ms"
    given["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    given["rule_files"] = [str(DEPLOY / file) for file in given["rule_files"]]
    (soakd,) = (job for job in given["scrape_configs"] if job["job_name"] == "soakd")
    soakd = copy.deepcopy(soakd)
    soakd.pop("dns_sd_configs", None)
    soakd["static_configs"] = [
        {"targets": [address], "labels": {"instance": name}} for name, address in targets.items()
    ]
    return {**given, "scrape_configs": [soakd]}


class Prometheus:
    """A server on a free port, its data in a folder of its own; `running` starts and stops it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def at(self, query: str, moment: float) -> list[Series]:
        """Return what a query gives at a moment (Unix time, s).

        Raises:
            ValueError: Prometheus refuses the query.
        """
        return self._series("query", query=query, time=f"{moment:.3f}")

    def between(self, query: str, begin: float, end: float, step: float) -> list[Series]:
        """Return what a query gives from a moment to another (Unix time, s), each `step` s.

        Raises:
            ValueError: Prometheus refuses the query.
        """
        return self._series(
            "query_range", query=query, start=f"{begin:.3f}", end=f"{end:.3f}", step=f"{step:g}"
        )

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules that it has loaded, with their health."""
        groups = self._ask("rules", {})["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _series(self, path: str, **parameters: str) -> list[Series]:
        found = self._ask(path, parameters)["result"]
        read = [
            Series(
                item["metric"],
                tuple((float(at), number) for at, text in item.get("values", [item.get("value")])
                      if not math.isnan(number := float(text))),
            )
            for item in found
        ]  # fmt: skip
        return [series for series in read if series.points]

    def _ask(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {error.read().decode()}") from None
        data: dict[str, Any] = answer["data"]
        return data


@contextmanager
def running(program: str, folder: Path, targets: Mapping[str, str], interval: float) -> Iterator[Prometheus]:
    """Run Prometheus for as long as the context lasts.

    Args:
        program: its path.
        folder: for its configuration, data and log.
        targets: address of each instance of soakd, by the name of the instance.
        interval: between two scrapes, s.

    Raises:
        RuntimeError: it does not start.
    """
    port = free_port()
    file, log = folder / "prometheus.yml", folder / "prometheus.log"
    file.write_text(yaml.safe_dump(configuration(targets, interval)), encoding="utf-8")
    arguments = (f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen([program, *arguments], cwd=folder, stdout=out, stderr=out)
    server = Prometheus(port)
    try:
        _wait_ready(server, process, log)
        yield server
    finally:
        stop_process(process, signal.SIGTERM)


def _wait_ready(server: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"Prometheus did not start: {log.read_text()[-2000:]}")
