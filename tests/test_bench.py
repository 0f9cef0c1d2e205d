"""What the bench makes of its measurements; measuring itself is not tested here."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from bench import cases_postgres, cases_seed, postgres, report, sqlite_raw
from bench.__main__ import main
from bench.cases import cases
from bench.figures import Figure, Goal, as_json, growth, losses, quantile, ratios, verdict
from bench.stage import BenchError, Stage
from daemon.backends.postgres_copy import RowEncoder
from daemon.config.settings import Settings
from daemon.workloads.events import EVENTS
from daemon.workloads.marketplace.tables import INDEXES
from tests.servers import LocalServer

FASTER = Goal(0.2, 0.3)
CHEAPER = Goal(8, 3, "%", smaller=True)


def stage(folder: Path, rounds: int = 3) -> Stage:
    return Stage(rounds, 1.0, folder, None, "no PostgreSQL here")


@pytest.mark.parametrize(
    ("goal", "values", "status", "text"),
    [
        (FASTER, [0.31], "aim", "aim reached"),
        (FASTER, [0.3], "aim", "aim reached"),
        (FASTER, [0.25], "reached", "reached"),
        (FASTER, [0.2], "reached", "reached"),
        (FASTER, [0.15], "missed", "missed by 0.05×"),
        (CHEAPER, [2.0], "aim", "aim reached"),
        (CHEAPER, [-1.0], "aim", "aim reached"),
        (CHEAPER, [8.0], "reached", "reached"),
        (CHEAPER, [8.5], "missed", "missed by 0.50%"),
        (Goal(None, 3, "ms", smaller=True), [2.0], "aim", "aim reached"),
        (Goal(None, 3, "ms", smaller=True), [4.0], "reported", "reported"),
        (Goal(99.5, None, "%"), [99.9], "reached", "reached"),
        (FASTER, [], "absent", "not measured"),
    ],
)
def test_a_figure_is_judged_by_its_target(goal: Goal, values: list[float], status: str, text: str) -> None:
    assert verdict(Figure("case", "what", "against", goal, values)) == (status, text)


def test_a_figure_is_judged_by_the_median_of_its_rounds() -> None:
    """One bad round of three does not decide."""
    assert verdict(Figure("case", "what", "against", FASTER, [0.01, 0.4, 0.5])).status == "aim"
    assert verdict(Figure("case", "what", "against", FASTER, [0.9, 0.1, 0.1])).status == "missed"


def test_what_could_not_be_measured_says_why() -> None:
    figure = Figure("case", "what", "against", FASTER, absent="no pgbench")
    assert verdict(figure) == ("absent", "no pgbench")


def test_ratios_and_losses_pair_the_rounds() -> None:
    assert ratios([1.0, 6.0], [2.0, 3.0]) == (0.5, 2.0)
    assert losses([95.0, 100.0], [100.0, 100.0]) == pytest.approx((5.0, 0.0))
    with pytest.raises(ValueError):
        ratios([1.0], [1.0, 2.0])


def test_growth_compares_the_last_span_with_the_first_after_the_warm_up() -> None:
    """A peak in between and whatever happened during the warm-up do not count."""
    samples = [(float(at), 50.0 if at > 100 else float(at)) for at in range(200)]
    samples[150] = (150.0, 1000.0)
    assert growth(samples, begin=120, end=199, span=20) == 0
    rising = [(float(at), at / 10) for at in range(200)]
    assert growth(rising, begin=100, end=199, span=10) == pytest.approx(8.9)


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_the_quantile_is_one_of_the_values(q: float, expected: int) -> None:
    assert quantile(list(range(100, 0, -1)), q) == expected


def test_sides_take_turns_and_the_first_changes_from_round_to_round(tmp_path: Path) -> None:
    """A B, B A, A B: a machine that gets slower all the time favours neither."""
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = stage(tmp_path).alternate("case", {"a": lambda: side("a"), "b": lambda: side("b")})
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_the_table_shows_ratio_spread_targets_and_verdict() -> None:
    figure = Figure(
        "sqlite", "rows", "raw", FASTER, [0.1, 0.25, 0.3], {"soakd rows/s": [123_456.0], "few": [1.5]}
    )
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report.table([figure, Figure("pg", "copy", "psql", FASTER, absent="no psql")]))
    said = capture.get()
    for part in (
        "0.25×",
        "0.10× … 0.30×",
        "≥ 0.2×",
        "≥ 0.3×",
        "reached",
        "soakd rows/s 123k",
        "few 1.5",
        "no psql",
    ):
        assert part in said


def test_the_results_file_holds_everything_and_does_not_name_the_host(tmp_path: Path) -> None:
    started = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
    figure = Figure("sqlite", "rows", "raw", FASTER, [0.1], {"rows/s": [5.0]})
    found = report.document([figure], {"cores": 2}, stage(tmp_path), started)
    path = report.save(found, tmp_path / "results", started)
    assert path.name.startswith("20261120T120000Z-")
    assert path.name == f"20261120T120000Z-{report.host_kind()}.json"
    back = json.loads(path.read_text())
    assert back["machine"] == {"cores": 2}
    assert back["figures"] == [as_json(figure)]
    assert back["figures"][0]["status"] == "missed"


def test_without_a_server_a_case_says_so(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no PostgreSQL here"):
        stage(tmp_path).postgres()


def test_the_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [c.name for c in cases()]


def test_a_default_run_takes_less_than_40_minutes(tmp_path: Path) -> None:
    whole = Stage(3, 6.0, tmp_path, None)
    assert sum(case.seconds(whole) for case in cases()) < 40 * 60


def test_samples_are_measured_at_their_default_interval() -> None:
    assert Settings().samplers.interval == cases_postgres.DEFAULT_INTERVAL


def test_the_raw_sqlite_thread_uses_the_settings_that_soakd_uses_by_default() -> None:
    ours, raw = Settings().sqlite, sqlite_raw.PRAGMAS
    assert all(getattr(ours, name) == value for name, value in raw._asdict().items())
    assert ours.checkpoint_pages == sqlite_raw.CHECKPOINT_PAGES


def test_the_baselines_write_rows_as_big_as_those_of_soakd() -> None:
    """The workload's own settings must be the defaults that soakd's side is run with."""
    events = Settings().events
    workload = sqlite_raw.events(4)
    made = sqlite_raw.rows(workload, 4, 8, Random(1))
    assert [row[2:4] for row in made] == [(w, seq) for seq in (0, 1) for w in range(4)]
    assert {len(row[7]) for row in made} == {events.message_size}
    assert len(RowEncoder(EVENTS).encode(made)) > 8 * events.message_size


def test_a_line_of_the_copy_file_has_every_column() -> None:
    row = sqlite_raw.rows(sqlite_raw.events(1), 1, 1, Random(1))[0]
    line = postgres.line(row)
    assert line.endswith("\n")
    assert line.rstrip("\n").split("\t") == [str(value) for value in row]
    assert "\\" not in line


def test_psql_loads_all_rows_that_soakd_seed_loads_and_then_indexes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases_seed, "MINTS", 600)
    timed, after = cases_seed.script(tmp_path).partition("\\timing on\n")[2].split("\\timing off\n")
    tables = [fill.table.name for fill in cases_seed.fills()]
    assert re.findall(r"^\\copy soakd\.(\w+) ", timed, re.MULTILINE) == tables
    assert len(timed.splitlines()) == len(tables)
    assert after.count("CREATE INDEX") == sum(map(len, INDEXES.values()))
    for fill in cases_seed.fills():
        written = (tmp_path / f"{fill.table.name}.tsv").read_text(encoding="utf-8").splitlines()
        assert len(written) == fill.rows
        assert {line.count("\t") + 1 for line in written} == {len(fill.table.columns)}


@pytest.mark.parametrize(
    ("pattern", "said", "number"),
    [
        (
            postgres.TPS,
            "latency average = 2 ms\ntps = 17234.5 (without initial connection time)\n",
            "17234.5",
        ),
        (postgres.TIME, "Timing is on.\nCOPY 300000\nTime: 1712.345 ms (00:01.712)\n", "1712.345"),
        (postgres.FAILED, "number of failed transactions: 12 (0.1%)\n", "12"),
    ],
)
def test_what_pgbench_and_psql_say_is_understood(pattern: re.Pattern[str], said: str, number: str) -> None:
    match = pattern.search(said)
    assert match is not None
    assert match[1] == number


@pytest.mark.parametrize(("parent", "place"), [(postgres.MEMORY, "in memory"), (Path("/var"), "on disk")])
def test_the_report_says_where_the_servers_data_lie_and_how_it_is_set(parent: Path, place: str) -> None:
    """A WAL flush that costs nothing moves the ratios: nobody is to take one for the other."""
    server = LocalServer.__new__(LocalServer)
    server.folder = parent / "soakd-pg-x"
    said = postgres.conditions(server)
    assert place in said
    assert all(f"{name}={value}" in said for name, value in postgres.SETTINGS.items())


def test_a_run_of_pgbench_without_failures_is_taken() -> None:
    assert postgres.FAILED.search("number of failed transactions: 0 (0.000%)\n") is None
