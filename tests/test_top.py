"""`soakd top`: figures between two pages of /metrics against those worked out by hand, and their picture."""

import io
import math
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from daemon.errors import TargetError
from daemon.results import readable
from daemon.top.buckets import Buckets, merged
from daemon.top.picture import Picture, Pictures
from daemon.top.scrape import Scrape, parse
from daemon.top.span import Follow, Span
from daemon.top.trend import Trend, spark
from daemon.top.view import trouble, view
from daemon.top.watch import Watcher

Values = Mapping[str, float]

BOUNDS = (0.001, 0.01, 0.1, math.inf)
IDLE: Values = {
    'soakd_workers{pool="writer"}': 10,
    'soakd_workers{pool="reader"}': 5,
    'soakd_ops_in_flight{pool="writer"}': 7,
    'soakd_target_ops_per_second{pool="writer"}': 1000,
    'soakd_target_ops_per_second{pool="reader"}': 0,
    "soakd_batch_queue_rows": 2500,
    "soakd_batch_queue_capacity_rows": 10_000,
    "soakd_target_up": 1,
    'soakd_run_phase{phase="running"}': 1,
    'soakd_run_info{backend="postgres",run_id="20261120120000000",workload="events"}': 1,
    'soakd_ops_total{op="append",outcome="ok",pool="writer"}': 5000,
    'soakd_ops_total{op="by_key",outcome="ok",pool="reader"}': 100,
    'soakd_op_errors_total{class="busy",op="append",pool="writer"}': 2,
    'soakd_ops_dropped_total{pool="writer",reason="backlog"}': 0,
    'soakd_rows_total{outcome="committed"}': 5000,
    'soakd_flushes_total{outcome="ok",reason="size"}': 40,
    'soakd_flushes_total{outcome="ok",reason="timeout"}': 10,
}
BUSY: Values = {
    **IDLE,
    'soakd_ops_total{op="append",outcome="ok",pool="writer"}': 6800,
    'soakd_ops_total{op="by_key",outcome="ok",pool="reader"}': 500,
    'soakd_op_errors_total{class="busy",op="append",pool="writer"}': 8,
    'soakd_ops_dropped_total{pool="writer",reason="backlog"}': 30,
    'soakd_rows_total{outcome="committed"}': 6800,
    'soakd_flushes_total{outcome="ok",reason="size"}': 56,
    'soakd_flushes_total{outcome="ok",reason="timeout"}': 12,
}
SERVER: Values = {
    'soakd_pg_sessions{state="active"}': 3,
    'soakd_pg_sessions{state="idle"}': 20,
    'soakd_pg_sessions{state="idle in transaction"}': 0,
    "soakd_pg_sessions_limit": 100,
    'soakd_pg_waits{event="CPU",type="CPU"}': 1,
    'soakd_pg_waits{event="WALSync",type="IO"}': 1,
    'soakd_pg_waits{event="transactionid",type="Lock"}': 2,
    "soakd_pg_blocked_sessions": 2,
    'soakd_pg_blocking_heads{state="idle in transaction"}': 1,
    "soakd_pg_longest_block_seconds": 3,
    "soakd_pg_oldest_transaction_seconds": 12.3,
    "soakd_pg_cache_hit_ratio": 0.9983,
    "soakd_pg_wal_bytes_total": 10 * 2**20,
    'soakd_pg_checkpoints_total{kind="timed"}': 3,
    'soakd_pg_checkpoints_total{kind="requested"}': 1,
    'soakd_pg_table_rows{state="dead",table="events"}': 12_345,
    'soakd_pg_table_rows{state="live",table="events"}': 99_999,
}
FILE: Values = {
    "soakd_sqlite_wal_bytes": 5 * 2**20,
    "soakd_sqlite_wal_limit_bytes": 64 * 2**20,
    "soakd_sqlite_oldest_reader_seconds": 2.5,
    'soakd_sqlite_checkpoints_total{mode="passive",result="complete"}': 812,
    'soakd_sqlite_checkpoints_total{mode="passive",result="partial"}': 3,
    'soakd_sqlite_checkpoints_total{mode="restart",result="busy"}': 1,
}
MACHINE: Values = {
    "soakd_host_cpus": 2,
    'soakd_host_load{window="1m"}': 2.13,
    'soakd_host_cpu_seconds_total{mode="user"}': 100,
    'soakd_host_cpu_seconds_total{mode="nice"}': 0,
    'soakd_host_cpu_seconds_total{mode="system"}': 50,
    'soakd_host_cpu_seconds_total{mode="idle"}': 800,
    'soakd_host_cpu_seconds_total{mode="iowait"}': 40,
    'soakd_host_cpu_seconds_total{mode="steal"}': 10,
    'soakd_host_memory_bytes{kind="total"}': 24 * 2**30,
    'soakd_host_memory_bytes{kind="available"}': 20 * 2**30,
    "soakd_host_disk_busy_seconds_total": 100,
    'soakd_host_disk_bytes_total{direction="write"}': 2**30,
    "soakd_host_disk_free_bytes": 50 * 2**30,
    "soakd_host_disk_size_bytes": 100 * 2**30,
    "soakd_host_cgroup_cpu_limit_cores": 0.5,
    "soakd_host_cgroup_throttled_seconds_total": 10,
    "soakd_host_cgroup_memory_limit_bytes": 512 * 2**20,
    "soakd_host_cgroup_memory_bytes": 128 * 2**20,
    'soakd_host_fsync_seconds_bucket{le="0.001"}': 0,
    'soakd_host_fsync_seconds_bucket{le="0.01"}': 4,
    'soakd_host_fsync_seconds_bucket{le="+Inf"}': 4,
}


def page(*parts: Values) -> str:
    """Return a page of /metrics."""
    values = {name: value for part in parts for name, value in part.items()}
    return "".join(f"{name} {value}\n" for name, value in values.items())


def histogram(name: str, labels: str, *counts: int) -> Values:
    """Return the lines of a histogram with the bounds of `BOUNDS`."""
    edges = ("0.001", "0.01", "0.1", "+Inf")
    comma = "," if labels else ""
    return {
        f'{name}_bucket{{{labels}{comma}le="{edge}"}}': count
        for edge, count in zip(edges, counts, strict=True)
    }


def stamped(collector: str, at: float) -> Values:
    return {f'soakd_sampler_last_success_timestamp_seconds{{collector="{collector}"}}': at}


def pictured(*pages: str) -> Picture:
    """Return the last picture of pages that were read 2 s apart."""
    pictures = Pictures()
    return [pictures.add(parse(text, 2.0 * n)) for n, text in enumerate(pages)][-1]


def line_of(picture: Picture, name: str) -> str:
    sections = [*picture.lines, *(line for section in picture.sections for line in section.lines)]
    (found,) = [line.text for line in sections if line.name == name]
    return found


def drawn(picture: Picture, trend: Trend | None = None, *, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(view(picture, trend or Trend(), url="http://127.0.0.1:8080", width=width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


# Percentiles


def test_a_quantile_lies_evenly_spread_in_its_bucket() -> None:
    """Of 100 values 90 are up to 1 ms, 8 up to 10 ms and 2 up to 100 ms."""
    buckets = Buckets(BOUNDS, (90, 98, 100, 100))
    assert buckets.quantile(0.45) == pytest.approx(0.0005)
    assert buckets.quantile(0.94) == pytest.approx(0.001 + 0.009 * 4 / 8)
    assert buckets.quantile(0.99) == pytest.approx(0.01 + 0.09 * 1 / 2)
    assert buckets.quantiles() == pytest.approx((0.001 * 50 / 90, 0.001 + 0.009 * 5 / 8, 0.055))


def test_above_the_last_bound_a_quantile_is_that_bound() -> None:
    """Nothing more is known."""
    assert Buckets(BOUNDS, (0, 0, 0, 5)).quantile(0.5) == 0.1


def test_no_values_have_no_quantile() -> None:
    assert Buckets(BOUNDS, (0, 0, 0, 0)).quantile(0.5) is None
    assert Buckets().quantiles() == (None, None, None)
    assert merged([]).quantile(0.5) is None


def test_only_what_came_after_the_earlier_page_counts() -> None:
    """And everything when the counters began anew in between."""
    earlier, later = Buckets(BOUNDS, (50, 60, 60, 60)), Buckets(BOUNDS, (50, 60, 70, 70))
    assert later.since(earlier).counts == (0, 0, 10, 10)
    anew = Buckets(BOUNDS, (3, 3, 3, 4))
    assert anew.since(earlier) == anew
    assert later.since(Buckets()) == later


def test_histograms_of_several_operations_are_one() -> None:
    parts = [Buckets(BOUNDS, (1, 2, 3, 4)), Buckets(BOUNDS, (10, 10, 10, 10))]
    assert merged(parts) == Buckets(BOUNDS, (11, 12, 13, 14))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_quantiles_are_those_of_prometheus(tmp_path: Path) -> None:
    """Its own tool evaluates histogram_quantile over the same buckets."""
    counts = {"a": (90, 98, 100, 100), "b": (0, 0, 0, 5), "c": (0, 3, 3, 7), "d": (1, 1, 1, 1)}
    series, asked = [], []
    for name, values in counts.items():
        buckets = Buckets(BOUNDS, values)
        for edge, value in zip(("0.001", "0.01", "0.1", "+Inf"), values, strict=True):
            series.append(f"""{{series: 'x_bucket{{case="{name}",le="{edge}"}}', values: '{value}'}}""")
        for q in (0.01, 0.5, 0.95, 0.99, 1):
            expected = buckets.quantile(q)
            asked.append(
                f"""{{expr: 'histogram_quantile({q}, x_bucket{{case="{name}"}})', eval_time: 0m, """
                f"""exp_samples: [{{labels: '{{case="{name}"}}', value: {expected}}}]}}"""
            )
    test = f"interval: 1m, input_series: [{', '.join(series)}], promql_expr_test: [{', '.join(asked)}]"
    (tmp_path / "test.yml").write_text(f"evaluation_interval: 1m\ntests: [{{{test}}}]\n")
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Pages


def test_a_page_is_read_back_under_the_keys_of_the_catalogue() -> None:
    """In its order of labels, whatever the order on the page; what is not known is left out."""
    scrape = parse(page(IDLE, SERVER, {"soakd_from_the_future": 1, "go_threads": 9}), 5.0)
    assert scrape.at == 5.0
    assert scrape.mark.counters["soakd_ops_total", "writer", "append", "ok"] == 5000
    assert scrape.mark.gauges["soakd_pg_waits", "Lock", "transactionid"] == 2
    assert not [key for key in scrape.mark.gauges if key[0] in ("soakd_from_the_future", "go_threads")]


def test_buckets_are_in_order_whatever_the_order_on_the_page() -> None:
    lines = histogram("soakd_flush_seconds", "", 1, 2, 3, 4)
    scrape = parse(page(IDLE, dict(sorted(lines.items(), reverse=True))), 0.0)
    assert scrape.buckets["soakd_flush_seconds",] == Buckets(BOUNDS, (1, 2, 3, 4))


@pytest.mark.parametrize("text", ["", "<html>", "go_threads 9\n", "soakd_ops_total{", "soakd_ops_total x\n"])
def test_a_page_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text, 0.0)


# Spans


def counter(*values: float, at: float = 0.0, stamp: float | None = None) -> Scrape:
    """Return a scrape with WAL counters of two kinds."""
    names = ('soakd_pg_checkpoints_total{kind="timed"}', 'soakd_pg_checkpoints_total{kind="requested"}')
    stamps = {} if stamp is None else stamped("postgres", stamp)
    return parse(page(dict(zip(names, values, strict=True)), stamps), at)


def test_a_rate_is_the_increase_by_the_time() -> None:
    span = Span(counter(10, 5), counter(30, 6, at=4.0), 4.0)
    assert span.rate("soakd_pg_checkpoints_total") == 21 / 4
    assert span.rate("soakd_pg_checkpoints_total", "timed") == 5
    assert span.rates("soakd_pg_checkpoints_total", 1) == {"timed": 5, "requested": 0.25}
    assert span.total("soakd_pg_checkpoints_total") == 36


def test_a_counter_that_began_anew_counts_from_zero() -> None:
    """As Prometheus has it: another run has 3 and 8 already; the second may have gone on."""
    span = Span(counter(10, 5), counter(3, 8, at=2.0), 2.0)
    assert span.rates("soakd_pg_checkpoints_total", 1) == {"timed": 1.5, "requested": 1.5}
    assert span.before().counters == {("soakd_pg_checkpoints_total", "requested"): 5}


def test_without_a_span_or_a_counter_there_is_no_rate() -> None:
    one = counter(10, 5)
    assert Span(one, one, 0.0).rate("soakd_pg_checkpoints_total") is None
    assert Span(one, counter(11, 5), 1.0).rate("soakd_pg_deadlocks_total") is None


def test_every_scrape_of_the_load_shows_something_new() -> None:
    follow = Follow()
    assert follow.add(counter(0, 0, at=1.0)).seconds == 0
    assert follow.add(counter(2, 0, at=2.0)).seconds == 1
    span = follow.add(counter(6, 0, at=4.0))
    assert (span.seconds, span.rate("soakd_pg_checkpoints_total")) == (2, 2)


def test_rates_of_samples_reach_from_sample_to_sample() -> None:
    """Sampled each 5 s and read each second: 10 per 5 s are 2 per second, at every look."""
    follow, rates = Follow("postgres"), []
    for second in range(15):
        sample = second // 5
        span = follow.add(counter(10.0 * sample, 0, at=float(second), stamp=1000 + 5.0 * sample))
        rates.append(span.rate("soakd_pg_checkpoints_total"))
    assert rates == [None] * 5 + [2.0] * 10


def test_the_times_of_samples_count_and_not_those_of_the_looks() -> None:
    """Two samples were taken 5 s apart, and seen 6 s apart."""
    follow = Follow("postgres")
    follow.add(counter(0, 0, at=0.0, stamp=1000.0))
    assert follow.add(counter(10, 0, at=6.0, stamp=1005.0)).seconds == 5


def test_samples_without_a_time_are_as_new_as_the_scrape() -> None:
    follow = Follow("postgres")
    follow.add(counter(0, 0, at=1.0))
    assert follow.add(counter(4, 0, at=3.0)).rate("soakd_pg_checkpoints_total") == 2


def test_times_that_cannot_be_compared_begin_a_new_span() -> None:
    """First none, then one, then an earlier one, since the clock of the other machine was set back."""
    follow = Follow("postgres")
    follow.add(counter(0, 0, at=0.0))
    assert follow.add(counter(4, 0, at=2.0, stamp=1000.0)).seconds == 0
    assert follow.add(counter(4, 0, at=5.0, stamp=900.0)).seconds == 0
    assert follow.add(counter(9, 0, at=9.0, stamp=905.0)).rate("soakd_pg_checkpoints_total") == 1


def test_a_span_grows_to_the_length_that_was_asked_for() -> None:
    """And then moves on; what is older is forgotten."""
    follow = Follow(least=3.0)
    spans = [follow.add(counter(n, 0, at=float(n))).seconds for n in range(7)]
    assert spans == [0, 1, 2, 3, 3, 3, 3]
    assert len(follow._kept) == 4


# Pictures


def test_rates_of_the_pools_stand_beside_their_targets() -> None:
    """1800 writes and 400 reads in 2 s."""
    writer, reader = pictured(page(IDLE), page(BUSY)).pools
    assert (writer.name, writer.figures.rate, writer.figures.target) == ("writer", 900, 1000)
    assert (reader.name, reader.figures.rate, reader.figures.target) == ("reader", 200, None)
    assert writer.figures.in_flight == 7


def test_percentiles_are_of_the_last_interval_and_of_all_operations_of_the_pool() -> None:
    """Response of two reads; the slow ones were before."""
    before = histogram("soakd_op_response_seconds", 'op="by_key",pool="reader"', 0, 0, 50, 50)
    after = histogram("soakd_op_response_seconds", 'op="by_key",pool="reader"', 90, 90, 140, 140)
    other = histogram("soakd_op_response_seconds", 'op="newest",pool="reader"', 0, 8, 10, 10)
    service = histogram("soakd_op_service_seconds", 'op="newest",pool="reader"', 0, 10, 10, 10)
    _, reader = pictured(page(IDLE, before), page(BUSY, after, other, service)).pools
    assert reader.response == Buckets(BOUNDS, (90, 98, 100, 100))
    assert reader.response.quantile(0.99) == pytest.approx(0.055)
    assert reader.service.quantile(0.5) == pytest.approx(0.0055)


def test_the_lines_of_the_load_say_what_there_is_now_and_altogether() -> None:
    picture = pictured(page(IDLE), page(BUSY, histogram("soakd_flush_seconds", "", 0, 10, 10, 10)))
    assert picture.queue == (2500, 10_000)
    assert line_of(picture, "rows") == "6,800 committed, 900/s"
    assert line_of(picture, "flushes") == "size 8.0/s · timeout 1.0/s · 100 rows each · p99 9.91ms"
    assert line_of(picture, "errors") == "busy 8 · now 3.0/s"
    assert line_of(picture, "dropped") == "backlog 30 · now 15.0/s"
    assert line_of(picture, "target") == "up"
    assert picture.phase == "running"
    assert picture.run == ("20261120120000000", "postgres", "events")


def test_what_should_not_be_is_told() -> None:
    """Lost rows, an outage, dead engines, a slow generator, collectors that gave up."""
    faults = {
        'soakd_rows_total{outcome="failed"}': 3,
        'soakd_rows_total{outcome="abandoned"}': 2,
        "soakd_rows_in_doubt_total": 1,
        "soakd_target_up": 0,
        'soakd_engine_restarts_total{shard="0"}': 1,
        'soakd_generator_limited{shard="0"}': 1,
        'soakd_sampler_enabled{collector="postgres"}': 0,
        'soakd_sampler_enabled{collector="host"}': 1,
    }
    picture = pictured(page(IDLE), page(BUSY, faults))
    assert line_of(picture, "rows") == "6,800 committed, 900/s · failed 3 · abandoned 2 · in doubt 1"
    assert line_of(picture, "target") == "does not answer"
    assert line_of(picture, "engines") == "1 died and were replaced"
    assert "the engine is the bottleneck" in line_of(picture, "warning")
    assert line_of(picture, "samples") == "switched off because they keep failing: postgres"


def test_a_first_picture_has_figures_but_no_rates() -> None:
    picture = pictured(page(BUSY))
    assert picture.seconds == 0
    assert line_of(picture, "rows") == "6,800 committed, –"
    assert line_of(picture, "errors") == "busy 8"
    text = "\n".join(drawn(picture))
    assert "need a second look" in text
    assert "writer" in text


def test_counters_that_begin_anew_do_not_fall_below_zero() -> None:
    """They have come to 900 since then."""
    anew = {**IDLE, 'soakd_ops_total{op="append",outcome="ok",pool="writer"}': 900}
    writer = pictured(page(BUSY), page(anew)).pools[0]
    assert writer.figures.rate == 450


def test_another_run_on_the_same_port_is_not_compared_with_the_one_before() -> None:
    """Even if it has done more already."""
    run = next(name for name in IDLE if name.startswith("soakd_run_info"))
    other = {name.replace("20261120", "20261121"): value for name, value in BUSY.items()}
    assert run not in other
    assert pictured(page(IDLE), page(other)).seconds == 0
    assert pictured(page(IDLE), page(other), page(other)).pools[0].figures.rate == 0


def test_a_section_appears_only_with_its_series() -> None:
    def titles(*parts: Values) -> list[str]:
        return [section.title for section in pictured(page(IDLE), page(BUSY, *parts)).sections]

    assert titles() == []
    assert titles(SERVER) == ["PostgreSQL"]
    assert titles(FILE, MACHINE) == ["SQLite", "host of soakd"]


def test_the_lines_of_the_server() -> None:
    later = {**SERVER, "soakd_pg_wal_bytes_total": 40 * 2**20}
    picture = pictured(
        page(IDLE, SERVER, stamped("postgres", 100)), page(BUSY, later, stamped("postgres", 105))
    )
    assert line_of(picture, "sessions") == "23 of 100 · active 3 · idle 20 · waiting 3"
    assert line_of(picture, "waits") == "Lock/transactionid 2 · IO/WALSync 1"
    assert line_of(picture, "blocked") == (
        "2 by 1 idle in transaction · longest 3.00s · oldest transaction 12.3s · dead rows 12,345"
    )
    assert line_of(picture, "storage") == (
        "cache hit 99.8 % · WAL 6.00 MiB/s · checkpoints 4 · 1 of them requested"
    )


def test_the_lines_of_sqlite() -> None:
    later = {**FILE, 'soakd_sqlite_checkpoints_total{mode="passive",result="complete"}': 832}
    picture = pictured(page(IDLE, FILE), page(BUSY, later, {"soakd_sqlite_pinned_reader": 1}))
    assert line_of(picture, "WAL") == (
        "5.00 MiB of 64.0 MiB · oldest reader 2.50s · held open by sqlite.pinned_reader"
    )
    assert line_of(picture, "checkpoints") == "complete 832 · partial 3 · busy 1 · now 10.0/s"


def test_the_lines_of_the_host() -> None:
    """In 5 s of two processors: 3 s user and nice, 1 s system, 1 s iowait, 0.5 s steal, the rest idle."""
    later = {
        **MACHINE,
        'soakd_host_cpu_seconds_total{mode="user"}': 102,
        'soakd_host_cpu_seconds_total{mode="nice"}': 1,
        'soakd_host_cpu_seconds_total{mode="system"}': 51,
        'soakd_host_cpu_seconds_total{mode="idle"}': 804.5,
        'soakd_host_cpu_seconds_total{mode="iowait"}': 41,
        'soakd_host_cpu_seconds_total{mode="steal"}': 10.5,
        "soakd_host_disk_busy_seconds_total": 101,
        'soakd_host_disk_bytes_total{direction="write"}': 2**30 + 50 * 2**20,
        "soakd_host_cgroup_throttled_seconds_total": 11,
    }
    picture = pictured(page(IDLE, MACHINE, stamped("host", 100)), page(BUSY, later, stamped("host", 105)))
    assert line_of(picture, "cpu") == ("user 30 % system 10 % iowait 10 % steal 5.0 % · 2 CPUs · load 2.13")
    assert line_of(picture, "memory") == "20.0 GiB of 24.0 GiB available"
    assert line_of(picture, "disk") == ("busy 20 % · writes 10.0 MiB/s · fsync p99 9.91ms · free 50.0 GiB")
    assert line_of(picture, "limits") == (
        "0.5 cores · throttled 200ms per second · 128 MiB of 512 MiB memory"
    )


def test_before_a_second_sample_the_host_shows_what_needs_no_span() -> None:
    picture = pictured(page(IDLE, MACHINE, stamped("host", 100)), page(BUSY, MACHINE, stamped("host", 100)))
    assert line_of(picture, "cpu") == "2 CPUs · load 2.13"
    assert "free 50.0 GiB" in line_of(picture, "disk")


# On the screen


def test_eighty_columns_and_twenty_four_lines_hold_a_run_on_postgres() -> None:
    pictures, trend = Pictures(), Trend()
    picture = pictured(page(IDLE, SERVER, MACHINE))
    for n, text in enumerate([page(IDLE, SERVER, MACHINE), page(BUSY, SERVER, MACHINE)] * 40):
        picture = pictures.add(parse(text, float(n)))
        trend.add(float(n), picture)
    lines = drawn(picture, trend)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith(" running")
    writer = next(line for line in lines if line.startswith("writer"))
    assert writer.split()[:4] == ["writer", "600", "1,000", "7"]
    assert writer[-1] in "▁▂▃▄▅▆▇█"
    assert any(line.endswith("from buckets of the last 1.0 s, rates of 3.0 s") for line in lines)


def test_a_wider_terminal_shows_a_longer_trend() -> None:
    pictures, trend = Pictures(), Trend()
    picture = pictures.add(parse(page(IDLE), 0.0))
    for n in range(1, 61):
        picture = pictures.add(parse(page(BUSY), float(n)))
        trend.add(float(n), picture)
    narrow, wide = (
        next(line for line in drawn(picture, trend, width=width) if line.startswith("writer"))
        for width in (80, 120)
    )
    assert sum(wide.count(block) for block in "▁█") >= sum(narrow.count(block) for block in "▁█") + 35


def test_a_rate_well_below_its_target_is_coloured() -> None:
    """900 of 1001 is; 200 of 222 is not."""
    console = Console(file=io.StringIO(), width=80, color_system="standard", force_terminal=True)
    asked = {
        'soakd_target_ops_per_second{pool="writer"}': 1001,
        'soakd_target_ops_per_second{pool="reader"}': 222,
    }
    console.print(view(pictured(page(IDLE), page(BUSY, asked)), Trend(), url="", width=80))
    assert isinstance(console.file, io.StringIO)
    coloured = re.search(r"\x1b\[1;33m *900\x1b", console.file.getvalue())
    assert coloured
    assert not re.search(r"\x1b\[1;33m *200\x1b", console.file.getvalue())


def test_trouble_stands_above_the_last_picture() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(trouble("http://h:1: no answer", view(pictured(page(IDLE)), Trend(), url="", width=80)))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0].rstrip() == "http://h:1: no answer"
    assert any(line.startswith("writer") for line in lines)


def test_a_trend_shows_the_worst_where_points_share_a_column() -> None:
    """Four points in two columns: the dip of a rate, the peak of a time."""
    assert spark([8, 8, 0, 8], 2, min) == "█▁"
    assert spark([1, 8, 1, 1], 2, max) == "█▂"
    assert spark([None, 4, 8], 10, max) == " ▅█"
    assert spark([0, 0], 5, max) == "▁▁"
    assert spark([7], 5, max) == ""
    assert spark([], 5, max) == ""
    assert spark([1, 2], 0, max) == ""


def test_a_trend_is_of_the_last_minute() -> None:
    pictures, trend = Pictures(), Trend()
    for n in range(100):
        trend.add(float(n), pictures.add(parse(page(BUSY), float(n))))
    assert len(trend.rates("writer")) == 60
    assert len(trend.p99("reader")) == 60


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        self.time += 1.0
        return self.time

    wall = now


def test_what_listens_there_may_not_be_soakd() -> None:
    watcher = Watcher(lambda: "go_threads 9\n", url="http://h:1", clock=Hand(), console=Console())
    with pytest.raises(TargetError, match=r"http://h:1: there is no metric of soakd .*is it soakd"):
        watcher.look()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (4096, "4.00 KiB"),
        (5.25 * 2**20, "5.25 MiB"),
        (64 * 2**20, "64.0 MiB"),
        (999.6 * 2**20, "0.98 GiB"),
        (1500 * 2**40, "1500 TiB"),
    ],
)
def test_sizes_have_three_digits_that_count(value: float, text: str) -> None:
    assert readable.size(value) == text
