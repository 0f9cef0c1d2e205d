"""The report as JSON, for other programs; report.schema.json says what is in it."""

from pathlib import Path
from typing import Any

import orjson

from daemon.report.content import Report
from daemon.report.figures import Figures
from daemon.results.summary import statistics

VERSION = 1
SCHEMA = Path(__file__).with_name("report.schema.json")


def as_json(report: Report) -> str:
    """Return the report as JSON text."""
    return orjson.dumps(as_data(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as JSON data: seconds, numbers per second, shares from 0 to 1."""
    run, record = report.run, report.record
    return {
        "report_version": VERSION,
        "run_id": run.run_id,
        "state": run.state,
        "reasons": list(report.reasons),
        "soakd_version": run.soakd_version,
        "workload": run.workload,
        "scenario": run.scenario,
        "backend": run.backend,
        "target": run.target,
        "started": run.started,
        "seconds": run.seconds,
        "measured_seconds": report.seconds,
        "stop_reason": run.stop_reason,
        "tags": list(run.tags),
        "thresholds": [
            {
                **{
                    name: row[name]
                    for name in ("name", "expression", "verdict", "unit", "value", "worst", "found")
                },
                "ok": bool(row["ok"]),
                "worst_at": _seconds(row["at"]),
            }
            for row in record.thresholds
        ],
        "pools": [_figures(pool) for pool in report.pools],
        "operations": [_figures(op) for op in report.operations],
        "spikes": [
            {**spike._asdict(), "reasons": [reason._asdict() for reason in spike.reasons]}
            for spike in report.spikes
        ],
        "findings": [finding._asdict() for finding in report.findings],
        "events": [
            {
                "at": row["at"] / 1000,
                "seconds": row["length"] / 1000,
                "kind": row["kind"],
                "name": row["name"],
                "details": row["details"],
            }
            for row in record.events
        ],
        "statements": [
            {name: row[name] for name in ("name", "queryid", "calls", "seconds", "rows", "text")}
            for row in record.statements
        ],
        "query_test": record.query_test,
        "environment": {section: dict(values) for section, values in record.environment.items()},
        "config": dict(run.config),
        "summary": dict(run.summary) if run.summary else None,
    }


def _figures(one: Figures) -> dict[str, Any]:
    return {
        "name": one.name,
        "pool": one.pool,
        **one.outcomes,
        "rate": one.rate,
        "target_rate": one.target,
        **{kind: statistics(one.times.get(kind)) for kind in ("response", "service", "wait")},
    }


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
