"""Grafana's dashboards: current, valid, and every query made of metrics and labels that exist."""

import json
import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, units
from PIL import Image

from daemon.record.metric import Metric
from dashboards.__main__ import PAGES, text
from dashboards.panels import Page
from dashboards.preview.look import colour, judged, readable
from dashboards.promql import CATALOGUE, family
from dashboards.reading import FOLDER, OUTLINE, Document, filled, load, names, outline, panels, rows, targets
from dashboards.uncharted import NOT_CHARTED
from tests.each import for_each
from tests.schema import misfits

ROOT = Path(__file__).parent.parent
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
PROMETHEUS = ROOT / "deploy" / "prometheus.yml"
FILES = ("soak-overview", "batch-writer", "postgresql", "sqlite-wal", "host-and-generator", "workload")
VALUES = {
    "job": ".+", "instance": ".+", "pool": ".+", "op": ".+", "datasource": "prometheus",
    "__rate_interval": "20s", "__interval": "5s", "__range": "30m",
}  # fmt: skip
# What is drawn as a grey dashed line: the settings and sizes that a figure runs up against.
LIMITS = {
    "soakd_target_ops_per_second", "soakd_workers", "soakd_batch_queue_capacity_rows",
    "soakd_batch_size_limit_rows", "soakd_batch_timeout_seconds", "soakd_pg_sessions_limit",
    "soakd_sqlite_wal_limit_bytes", "soakd_host_cgroup_cpu_limit_cores",
    "soakd_host_cgroup_memory_limit_bytes", "soakd_host_cpus", "soakd_host_disk_size_bytes",
}  # fmt: skip
SELECTOR = re.compile(r"(?:(\w+)\()?\b(soakd_\w+|up)\{([^}]*)\}(?:\[([^\]]+)\])?")
MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"')


class Shown(typing.NamedTuple):
    """A panel, and the name of the dashboard that it is on."""

    name: str
    panel: Document


every_dashboard = pytest.mark.parametrize("name", FILES)
every_panel = for_each(
    [Shown(name, panel) for name in names() for panel in panels(load(name))],
    lambda shown: f"{shown.name}: {shown.panel['title']}",
)


class Selection(typing.NamedTuple):
    """A selector in a query: the function right around it, the series, its matchers, its range."""

    function: str
    series: str
    matchers: str
    range: str


def selections(expr: str) -> list[Selection]:
    """Return the selectors of a query."""
    return [Selection(*found) for found in SELECTOR.findall(expr)]


def expressions(document: Document) -> Iterator[str]:
    """Yield every query of a dashboard's panels and annotations."""
    yield from (target.expr for target in targets(document))
    yield from (annotation["expr"] for annotation in document["annotations"]["list"])


def metric(series: str) -> Metric:
    """Return what the catalogue says of a series."""
    return Metric("gauge", (), "") if series == "up" else CATALOGUE[family(series)]


def labels(series: str) -> set[str]:
    """Return the labels that a series has once it is scraped."""
    return {"job", "instance", *metric(series).labels, *({"le"} if series.endswith("_bucket") else ())}


def variables(document: Document) -> set[str]:
    """Return the variables that a dashboard has."""
    return {variable["name"] for variable in document["templating"]["list"]}


# --- files


def test_there_is_a_file_for_each_dashboard_and_no_other() -> None:
    assert set(names()) == set(FILES) == {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_are_current(page: Page) -> None:
    written = (FOLDER / f"{page.name}.json").read_text(encoding="utf-8")
    assert text(page) == written, "run `make dashboards`"


@every_dashboard
def test_a_file_holds_what_the_schema_of_grafana_knows_and_nothing_else(name: str) -> None:
    """Read back into models made from that schema, nothing is lost or of another type."""
    register_default_plugins()
    written = load(name)
    read = dashboard.Dashboard.from_json(written)
    assert not list(misfits(read, dashboard.Dashboard, name))
    again: Document = json.loads(json.dumps(read, cls=JSONEncoder))
    assert without_placement(again) == without_placement(written)


def without_placement(value: Any) -> Any:
    """Return it without the one property that the model insists on writing: links belong above the panels."""
    if isinstance(value, dict):
        return {key: without_placement(item) for key, item in value.items() if key != "placement"}
    return [without_placement(item) for item in value] if isinstance(value, list) else value


def test_the_check_of_the_schema_sees_what_is_wrong() -> None:
    register_default_plugins()
    document = load("soak-overview")
    document["refresh"] = 10
    tile = document["panels"][1]
    tile["gridPos"]["w"] = "wide"
    tile["options"]["textMode"] = "loud"
    tile["targets"][0]["instant"] = "yes"
    tile["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] = None
    document["templating"]["list"][1]["hide"] = 17
    found = "\n".join(misfits(dashboard.Dashboard.from_json(document), dashboard.Dashboard, "it"))
    for place in (".refresh:", ".grid_pos.w:", ".text_mode:", ".instant:", ".color:", ".hide:"):
        assert place in found


# --- the rules of Grafana's dashboard linter, and our own


@every_dashboard
def test_data_source_job_and_instance_are_variables_and_follow_the_shown_time(name: str) -> None:
    source, *queries = load(name)["templating"]["list"]
    assert (source["type"], source["name"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert [variable["name"] for variable in queries[:2]] == ["job", "instance"]
    assert {variable["name"] for variable in queries[2:]} <= {"pool", "op"}
    for variable in queries:
        assert variable["type"] == "query"
        assert variable["refresh"] == 2
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["datasource"]["uid"] == "${datasource}"


@every_dashboard
def test_a_dashboard_is_not_edited_but_generated_and_leads_to_the_others(name: str) -> None:
    document = load(name)
    assert document["editable"] is False
    assert document["tags"] == ["soakd"]
    (link,) = document["links"]
    assert (link["tags"], link["includeVars"], link["keepTime"]) == (["soakd"], True, True)
    assert "placement" not in link


@every_panel
def test_a_panel_says_what_it_shows_in_which_unit_and_what_when_there_is_nothing(
    shown: Shown,
) -> None:
    panel = shown.panel
    known = {value for value in vars(units).values() if isinstance(value, str)}
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert 3 <= len(panel["title"]) <= (20 if panel["gridPos"]["w"] <= 3 else 45)
    assert panel["description"].endswith(".")
    assert defaults["unit"] in known
    assert defaults["noValue"]
    first, *steps = defaults["thresholds"]["steps"]
    assert first["value"] is None
    assert [step["value"] for step in steps] == sorted(step["value"] for step in steps)


@every_panel
def test_a_panel_has_queries_with_names_and_a_legend(shown: Shown) -> None:
    panel = shown.panel
    references = [target["refId"] for target in panel["targets"]]
    assert references
    assert len(set(references)) == len(references)
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["instant"] != target["range"]
        assert target["instant"] == (panel["type"] in ("stat", "table"))
        assert target["legendFormat"] or panel["type"] == "table"
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"] is True


@every_dashboard
def test_the_first_row_is_what_to_look_at_first(name: str) -> None:
    """Eight tiles, each with colours that judge, or words."""
    heading, tiles = next(rows(load(name)))
    assert heading["title"] == "What to look at first"
    assert len(tiles) == 8
    assert {tile["type"] for tile in tiles} == {"stat"}
    judging = [tile for tile in tiles if len(tile["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1]
    assert len(judging) >= 5


@every_dashboard
def test_a_dashboard_is_not_overloaded_and_its_lines_are_full(name: str) -> None:
    document = load(name)
    shown = [panel for panel in document["panels"] if panel["type"] != "row"]
    assert len(shown) <= 24
    identifiers = [panel["id"] for heading, inside in rows(document) for panel in (heading, *inside)]
    assert len(set(identifiers)) == len(identifiers)
    titles = [panel["title"] for panel in panels(document)]
    assert len(set(titles)) == len(titles)
    for _, inside in rows(document):
        lines: dict[int, list[Document]] = {}
        for panel in inside:
            lines.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
        for line in lines.values():
            assert sum(place["w"] for place in line) == 24
            assert len({place["h"] for place in line}) == 1


def test_links_of_panels_lead_to_dashboards_that_exist() -> None:
    addresses = {f"/d/{load(name)['uid']}" for name in FILES}
    found = [link["url"] for name in FILES for panel in panels(load(name)) for link in panel.get("links", ())]
    assert len(found) >= 3
    assert set(found) <= addresses


@every_dashboard
def test_annotations_mark_phases_and_outages(name: str) -> None:
    marks = {mark["name"]: mark["expr"] for mark in load(name)["annotations"]["list"]}
    assert "soakd_run_phase" in marks["Run phases"]
    assert "soakd_target_outage_seconds_total" in marks["Outages of the database"]
    assert len(marks) == 3


# --- queries


@every_dashboard
def test_queries_select_existing_series_by_existing_labels_of_the_chosen_instances(name: str) -> None:
    for expr in expressions(load(name)):
        found = selections(expr)
        assert len(found) == len(re.findall(r"\bsoakd_\w+|\bup\{", expr)) > 0, expr
        for selection in found:
            used = MATCHER.findall(selection.matchers)
            assert set(used) <= labels(selection.series), expr
            assert 'job=~"$job"' in selection.matchers or used == [], expr
            assert 'instance=~"$instance"' in selection.matchers or "label" in name or set(used) <= {"job"}, (
                expr
            )


@every_dashboard
def test_counters_are_taken_as_rates_and_nothing_else_is(name: str) -> None:
    """A histogram is one too: of its buckets, or of its sum and count."""
    for target in targets(load(name)):
        for selection in selections(target.expr):
            kind = metric(selection.series).kind
            assert (kind != "gauge") == (selection.function in ("rate", "increase")), target
            assert kind != "histogram" or selection.series.endswith(("_bucket", "_sum", "_count")), target
            if selection.function:
                wanted = "$__range" if selection.function == "increase" else "$__rate_interval"
                assert selection.range == wanted or not selection.range, target


@every_dashboard
def test_quantiles_are_of_buckets_by_le(name: str) -> None:
    for panel in panels(load(name)):
        for target in panel["targets"]:
            quantiles = re.findall(
                r"histogram_quantile\([\d.]+, sum by \(([^)]*)\) \((?:rate|increase)\((\w+)", target["expr"]
            )
            assert len(quantiles) == target["expr"].count("histogram_quantile")
            buckets = sum(found.series.endswith("_bucket") for found in selections(target["expr"]))
            assert buckets == len(quantiles) + (panel["type"] == "heatmap")
            for by, series in quantiles:
                assert "le" in by.split(", ")
                assert series.endswith("_bucket")


@every_dashboard
def test_aggregations_keep_the_instance_and_labels_that_are_there(name: str) -> None:
    """Figures of two databases in one number would be those of neither; a heatmap cannot show two."""
    for panel in panels(load(name)):
        for target in panel["targets"]:
            inner = re.findall(r"by \(([^)]*)\) \((?:rate\(|increase\()?(\w+)\{", target["expr"])
            for by, series in inner:
                assert set(by.split(", ")) <= labels(series), target["expr"]
            for by in re.findall(r"by \(([^)]*)\)", target["expr"]):
                assert "instance" in by.split(", ") or panel["type"] == "heatmap", target["expr"]


@every_dashboard
def test_legends_name_labels_that_the_query_gives(name: str) -> None:
    for target in targets(load(name)):
        kept = {label for by in re.findall(r"by \(([^)]*)\)", target.expr) for label in by.split(", ")}
        if not kept:
            kept = labels(selections(target.expr)[0].series)
        assert set(re.findall(r"\{\{(\w+)\}\}", target.legend)) <= kept, target


@every_dashboard
def test_variables_in_queries_are_those_of_the_dashboard_or_of_grafana(name: str) -> None:
    document = load(name)
    known = variables(document) | {"__rate_interval", "__interval", "__range"}
    used = {word for expr in expressions(document) for word in re.findall(r"\$(\w+)", expr)}
    assert used <= known
    assert variables(document) <= used | {"datasource"}


def test_every_metric_is_on_a_dashboard_or_has_a_reason_not_to_be() -> None:
    charted = {
        family(found.series) for name in FILES for target in targets(load(name))
        for found in selections(target.expr)
    }  # fmt: skip
    assert charted | set(NOT_CHARTED) == set(CATALOGUE)
    assert not charted & set(NOT_CHARTED)
    assert all(len(reason) > 20 for reason in NOT_CHARTED.values())


def test_configured_limits_are_drawn_as_dashed_lines() -> None:
    dashed: set[str] = set()
    for name in FILES:
        for panel in panels(load(name)):
            styled = {
                override["matcher"]["options"]
                for override in panel["fieldConfig"]["overrides"]
                if any(item["id"] == "custom.lineStyle" for item in override["properties"])
            }
            for target in panel["targets"]:
                if target["refId"] in styled:
                    dashed |= {found.series for found in selections(target["expr"])}
    assert dashed >= LIMITS


def test_the_floor_of_the_rate_is_shown_beside_its_mean() -> None:
    shown = {
        target.panel: target.expr for target in targets(load("soak-overview")) if "over_time" in target.expr
    }
    assert "avg_over_time" in shown["How steady is the rate?"]
    floors = [
        target for target in targets(load("soak-overview")) if "quantile_over_time(0.01," in target.expr
    ]
    assert {target.panel for target in floors} == {"Is the target rate met?", "How steady is the rate?"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    """A file of rules is parsed by promtool without a server, so each query is made one."""
    found = [filled(expr, VALUES) for name in FILES for expr in expressions(load(name))]
    assert len(found) > 150
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(found)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert f"{len(found)} rules found" in checked.stdout


# --- provisioning


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"], source["url"]) == (
        "prometheus",
        "prometheus",
        "http://prometheus:9090",
    )
    assert source["jsonData"]["httpMethod"] == "POST"
    assert source["editable"] is False
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "soakd.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert provider["allowUiUpdates"] is False


@pytest.mark.skipif(not PROMETHEUS.exists(), reason="deploy/prometheus.yml is not there")
def test_the_data_source_knows_the_scrape_interval() -> None:
    """Grafana works $__rate_interval out from it."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (
        source["jsonData"]["timeInterval"]
        == yaml.safe_load(PROMETHEUS.read_text())["global"]["scrape_interval"]
    )


# --- preview


@every_dashboard
def test_the_preview_shows_the_panels_that_there_are(name: str) -> None:
    """In a picture stand the titles and units of the panels that it was drawn from."""
    with Image.open(ROOT / "docs" / "preview" / f"{name}.png") as picture:
        assert picture.info[OUTLINE] == outline(load(name)), "run `make preview`"
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.0123, "s", None, "12.3 ms"),
        (0.00009, "s", None, "90 µs"),
        (0.0, "s", None, "0 s"),
        (3.5, "s", None, "3.5 s"),
        (125.0, "s", None, "2m 5s"),
        (0.995, "percentunit", 1, "99.5 %"),
        (1536.0, "bytes", None, "1.5 KiB"),
        (0.0, "binBps", None, "0 B/s"),
        (12_345.0, "rowsps", None, "12.3 K rows/s"),
        (817.0, "ops", None, "817 ops/s"),
        (3.0, "none", None, "3"),
        (10_000.0, "short", None, "10 K"),
    ],
)
def test_the_preview_writes_values_in_their_units(
    value: float, unit: str, decimals: int | None, text: str
) -> None:
    assert readable(value, unit, decimals) == text


def test_the_preview_colours_values_by_their_thresholds() -> None:
    steps = ((None, "green"), (0.1, "orange"), (0.2, "red"))
    assert [judged(value, steps) for value in (0.0, 0.1, 0.5)] == [
        colour(name) for name in ("green", "orange", "red")
    ]
