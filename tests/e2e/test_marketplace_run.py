"""Runs of the workload `marketplace` as whole processes."""

from pathlib import Path

import pytest

from daemon.__main__ import main
from tests.e2e.conftest import Start
from tests.e2e.process import settings
from tests.e2e.test_ledger_run import execute

MARKET = ("--workload", "marketplace", "--scale", "60")
OFTEN = settings(invariants__interval="100ms")


def test_a_run_keeps_its_invariants(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *MARKET, "--duration", "1500ms", "--shards", "2", *OFTEN)
    assert run.wait() == 0, run.stderr
    summary = run.summary
    assert {one["final"] for one in summary["invariants"].values()} == {"ok"}
    assert len(summary["invariants"]) == 5
    assert sum(one["checks"]["ok"] for one in summary["invariants"].values()) > 5
    assert len(summary["ops"]) == 14
    for name in ("sell_offer", "buy_offer", "invoice", "trade", "mint_by_hash", "list_mints_50"):
        assert summary["ops"][name]["ok"] > 0
    assert all(op["errors"] == {} for op in summary["ops"].values())


def test_tokens_from_nowhere_end_in_exit_code_5(soakd: Start, target: str) -> None:
    run = soakd("--target", target, *MARKET, "--duration", "1500ms").started()
    execute(target, "UPDATE {}balances SET quantity = quantity + 7 WHERE mint = 5")
    assert run.wait() == 5
    assert len(run.stderr.splitlines()) == 1
    assert "invariants are violated: supply:" in run.stderr
    assert run.summary["invariants"]["supply"]["final"] == "violated"


def test_the_null_target_runs_it_too(soakd: Start) -> None:
    run = soakd("--target", "null://", "--workload", "marketplace", "--duration", "300ms")
    assert run.wait() == 0, run.stderr
    assert run.summary["ops"]["trade"]["ok"] > 0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("balances_per_mint=501", "marketplace.balances_per_mint 501 is more than the 500"),
        ("offers_per_mint=1", "marketplace.offers_per_mint"),
        ("keys=normal", "one of uniform, zipf, latest"),
    ],
)
def test_bad_settings_are_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--workload", "marketplace", "--set", f"marketplace.{setting}"]) == 2
    complaint = capsys.readouterr().err
    assert words in complaint
    assert len(complaint.splitlines()) == 1
