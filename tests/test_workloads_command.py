"""`soakd workloads`: all that is in the registry is told, in tables and as JSON, as it is with settings."""

import json
import subprocess
from typing import Any

import pytest

from daemon.config.reference import setting_keys
from daemon.workloads.registry import WORKLOADS
from tests import forked

every_workload = pytest.mark.parametrize("name", WORKLOADS)


def soakd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return forked.run(["workloads", *arguments])


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """What it says of all workloads."""
    done = soakd("--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_all_workloads_are_told_in_the_order_of_the_registry(told: list[dict[str, Any]]) -> None:
    assert [one["name"] for one in told] == list(WORKLOADS)
    assert all(one["about"] for one in told)


@every_workload
def test_nothing_of_a_workload_is_left_out(told: list[dict[str, Any]], name: str) -> None:
    one = next(found for found in told if found["name"] == name)
    assert [s["key"] for s in one["settings"]] == [k for k in setting_keys() if k.startswith(f"{name}.")]
    assert bool(one["ops"]) != bool(one["missing"])
    for pool in {op["pool"] for op in one["ops"]}:
        assert sum(op["share"] for op in one["ops"] if op["pool"] == pool) == pytest.approx(1)
    for table in (*one["tables"], *one["seeded"]):
        assert table["name"] in table["postgres"][0]
        assert table["name"] in table["sqlite"][0]
    assert all(invariant["about"].endswith(".") for invariant in one["invariants"])
    data = WORKLOADS[name].data
    assert (one["data"] or {}).get("unit") == (data.unit if data else None)


def test_what_is_known_of_the_ledger(told: list[dict[str, Any]]) -> None:
    ledger = next(one for one in told if one["name"] == "ledger")
    shares = {op["name"]: round(op["share"], 3) for op in ledger["ops"]}
    assert shares == {
        "credit": 0.475, "debit": 0.285, "transfer": 0.19, "replay": 0.05,
        "balance": 0.7, "history": 0.25, "request": 0.05,
    }  # fmt: skip
    assert ledger["consumers"] == ["read_model", "ledger", "outbox_1", "outbox_2"]
    assert "no_negative_balance" in [one["name"] for one in ledger["invariants"]]
    assert ledger["ops"][0]["about"] == "Money for a wallet, 10 to 500."


def test_one_is_told_as_it_is_with_the_settings() -> None:
    more = ("--set", "events.retain_rows=9", "--set", "events.reads.search=1")
    one = json.loads(soakd("events", "--json", *more).stdout)
    assert one["consumers"] == ["expiry"]
    assert [table["name"] for table in one["tables"]] == ["events", "events_expired", "events_search"]
    text = soakd("events", *more).stdout
    for word in ("expiry", "events_search", "events.retain_rows", "sequences", "level_counts", "1.0%"):
        assert word in text
    script = json.loads(soakd("sql", "--json", "--set", "sql.script=select-only").stdout)
    assert [op["name"] for op in script["ops"]] == ["select-only"]


def test_the_list_has_a_line_for_each() -> None:
    done = soakd()
    assert done.returncode == 0
    starts = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert starts == ["workload", *WORKLOADS, "soakd"]


def test_a_workload_that_is_not_there_is_told_in_one_line() -> None:
    done = soakd("evens")
    assert done.returncode == 2
    assert done.stderr == f"soakd: error: there is no workload evens; there are: {', '.join(WORKLOADS)}\n"
