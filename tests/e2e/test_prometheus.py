"""Every query of every dashboard and every rule gives data, from a real Prometheus and real runs.

A run on PostgreSQL and one on SQLite are watched, scraped each second: first undisturbed, then through
the faults of `tests.e2e.watched`, for what shows nothing while all is well.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from dashboards.preview.figures import Shown
from dashboards.reading import load, names, panels, targets
from tests import prometheus
from tests.e2e.watched import (
    EVERYTHING,
    POSTGRES,
    RATE_INTERVAL,
    SCRAPES,
    SQLITE,
    Place,
    Scene,
    has_statements,
    watched,
)

pytestmark = [
    pytest.mark.skipif(not prometheus.CONFIGURATION.exists(), reason="deploy/prometheus.yml is not there"),
    pytest.mark.timeout(300),  # the first of them waits for the whole scene, a minute and more
]

GONE = RATE_INTERVAL + SCRAPES  # s after which no rate reaches back to the last scrape
# Empty at first, and the fault or the time that fills each.
FAULTY: Mapping[Place, str] = {
    ("soak-overview", "Which errors are there?", "A"): "outage",
    ("soak-overview", "What is dropped?", "A"): "outage",
    ("batch-writer", "What becomes of rows that find no room?", "A"): "a locked file and a short queue",
    ("batch-writer", "Which batches fail?", "A"): "outage",
    ("batch-writer", "Why are batches tried again?", "A"): "outage",
    ("sqlite-wal", "Busy wait p99", "A"): "a locked file",
    ("sqlite-wal", "How long are the waits?", "A"): "a locked file",
    ("sqlite-wal", "How long are the waits?", "B"): "a locked file",
    ("postgresql", "Which locks are held and waited for?", "A"): "a locked table",
    ("postgresql", "Which locks are held and waited for?", "B"): "a locked table",
    ("postgresql", "Who blocks whom?", "B"): "a locked table",
    ("postgresql", "When was the last VACUUM?", "A"): "VACUUM",
    ("postgresql", "Do replicas keep up?", "A"): "a replica",
    ("host-and-generator", "fsync p99", "A"): "a second probe of the disk",
    ("host-and-generator", "How long does an fsync take?", "A"): "a second probe of the disk",
    ("host-and-generator", "How long does an fsync take?", "B"): "a second probe of the disk",
    ("host-and-generator", "Do engines die?", "A"): "a killed engine",
    ("workload", "How fast are they, and what fails?", "B"): "outage",
    ("host-and-generator", "Do engines die?", "B"): "a killed engine",
}
# There or not, depending on the machine: limits of a container, what the kernel tells of pressure.
OPTIONAL: frozenset[Place] = frozenset(
    {
        ("host-and-generator", "Held back", "A"),
        ("host-and-generator", "What is the CPU busy with?", "C"),
        ("host-and-generator", "Do tasks have to wait?", "A"),
        ("host-and-generator", "Do tasks have to wait?", "B"),
        ("host-and-generator", "Does its memory grow?", "C"),
        ("host-and-generator", "Does its memory grow?", "D"),
    }
)
# What panels say of the faults, as the labels of a series that is above 0 at some time.
TRACES = [
    ("soak-overview", "Which errors are there?", {"instance": POSTGRES, "class": "connection"}),
    ("soak-overview", "What is dropped?", {"instance": POSTGRES, "reason": "outage"}),
    ("soak-overview", "Was the database away?", {"instance": POSTGRES}),
    ("soak-overview", "What is dropped?", {"instance": SQLITE, "reason": "queue_full"}),
    ("soak-overview", "How many operations fail?", {"instance": POSTGRES, "pool": "reader"}),
    ("soak-overview", "Dropped", {"instance": SQLITE}),
    ("batch-writer", "What becomes of rows that find no room?", {"instance": SQLITE, "action": "dropped"}),
    ("batch-writer", "Which batches fail?", {"instance": POSTGRES}),
    ("batch-writer", "Why are batches tried again?", {"instance": POSTGRES, "class": "connection"}),
    ("postgresql", "Deadlocks", {"instance": POSTGRES}),
    ("postgresql", "How do transactions end?", {"instance": POSTGRES, "outcome": "rollback"}),
    ("postgresql", "Who blocks whom?", {"instance": POSTGRES}),
    ("postgresql", "Who blocks whom?", {"instance": POSTGRES, "state": "idle in transaction"}),
    ("postgresql", "For how long?", {"instance": POSTGRES}),
    ("postgresql", "Which locks are held and waited for?", {"mode": "ExclusiveLock"}),
    ("postgresql", "When was the last VACUUM?", {"table": "events"}),
    ("postgresql", "Do replicas keep up?", {"instance": POSTGRES}),
    ("sqlite-wal", "Busy wait p99", {"instance": SQLITE}),
    ("sqlite-wal", "How long are the waits?", {"instance": SQLITE}),
    ("sqlite-wal", "How often is the file locked?", {"instance": SQLITE}),
    ("host-and-generator", "fsync p99", {"instance": SQLITE}),
    ("host-and-generator", "How long does an fsync take?", {"instance": SQLITE}),
    ("host-and-generator", "Do engines die?", {"instance": SQLITE}),
    ("workload", "How fast are they, and what fails?", {"instance": POSTGRES, "class": "connection"}),
    ("host-and-generator", "Engine restarts", {"instance": SQLITE}),
]


@pytest.fixture(scope="module")
def scene(postgres_binaries: Path, disk: Path) -> Iterator[Scene]:
    """Both runs, watched through calm and faults."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed (Debian's package prometheus)")
    with watched(program, postgres_binaries, disk) as seen:
        yield seen


@pytest.fixture(scope="module")
def optional(postgres_binaries: Path) -> AbstractSet[Place]:
    """Queries that give nothing on this machine, and nobody is to blame."""
    without = not has_statements(postgres_binaries)
    return OPTIONAL | {("postgresql", "Which statements take the time?", ref) for ref in "ABC" if without}


@pytest.mark.parametrize("name", names())
def test_queries_give_data_while_all_is_well(scene: Scene, optional: AbstractSet[Place], name: str) -> None:
    """But for those that wait for a fault."""
    assert scene.empty(name, scene.calm) - optional <= FAULTY.keys()


@pytest.mark.parametrize("name", names())
def test_every_query_gives_data_once_there_were_faults(
    scene: Scene, optional: AbstractSet[Place], name: str
) -> None:
    assert scene.empty(name, scene.end) <= optional


@pytest.mark.parametrize(
    ("name", "title", "labels"), TRACES, ids=[f"{title} {labels}" for _, title, labels in TRACES]
)
def test_a_fault_leaves_its_trace_where_it_belongs(
    scene: Scene, name: str, title: str, labels: Mapping[str, str]
) -> None:
    found = [series for series in scene.panel(name, title) if labels.items() <= series.labels.items()]
    assert any(value > 0 for series in found for _, value in series.points)


def test_panels_that_wait_for_a_fault_have_one() -> None:
    assert {place[:2] for place in FAULTY} <= {(name, title) for name, title, _ in TRACES}


def test_an_outage_between_two_scrapes_is_marked_and_counted(scene: Scene) -> None:
    """On every dashboard about it, and not before it was."""
    for name in set(names()) - {"sqlite-wal"}:
        marks = {mark["name"]: mark["expr"] for mark in load(name)["annotations"]["list"]}
        marked = {
            at
            for one in scene.data(marks["Outages of the database"], scene.brief + 2 * SCRAPES)
            for at, value in one.points
            if value > 0
        }
        assert marked
        assert min(marked) > scene.calm
    (lasted,) = scene.server.at(f'soakd_target_outage_seconds_total{{instance="{POSTGRES}"}}', scene.brief)
    ((_, seconds),) = lasted.points
    assert 0 < seconds < scene.brief - scene.calm
    (number,) = scene.server.at(f'soakd_target_outages_total{{instance="{POSTGRES}"}}', scene.end)
    assert number.points[0][1] == 2


def test_phases_outages_and_a_missing_soakd_are_marked(scene: Scene) -> None:
    marks = {mark["name"]: mark["expr"] for mark in load("soak-overview")["annotations"]["list"]}

    def marked(name: str, label: str, since: float) -> set[str]:
        """Return the values of a label that are marked at some time after a moment."""
        return {
            one.labels[label]
            for one in scene.data(marks[name], scene.gone)
            if any(value > 0 for at, value in one.points if at > since)
        }

    assert marked("Run phases", "phase", 0) >= {"running"}
    assert marked("Outages of the database", "instance", scene.brief + 2 * RATE_INTERVAL) == {POSTGRES}
    assert SQLITE in marked("soakd not reached", "instance", scene.end)
    assert not marked("Outages of the database", "instance", scene.end)


@pytest.mark.parametrize("title", ["State", "Database", "Rate ÷ target", "Slowest p99", "Batch queue"])
def test_a_tile_of_a_soakd_that_is_gone_shows_nothing(scene: Scene, title: str) -> None:
    """Rather than what it was, for as long as the shown time reaches back."""
    (tile,) = (target for target in targets(load("soak-overview")) if target.panel == title)
    assert {one.labels["instance"] for one in scene.data(tile.expr, scene.end, instant=True)} == {
        POSTGRES,
        SQLITE,
    }
    shown = {one.labels["instance"] for one in scene.data(tile.expr, scene.gone + GONE, instant=True)}
    assert shown <= {POSTGRES}


@pytest.mark.parametrize("name", names())
def test_variables_offer_something_to_choose_from(scene: Scene, name: str) -> None:
    offered = {}
    for variable in load(name)["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert found
        series, label = found.groups()
        offered[label] = {
            one.labels[label] for one in scene.data(f"group by ({label}) ({series})", scene.end, instant=True)
        }
    about = {"postgresql": {POSTGRES}, "sqlite-wal": {SQLITE}}
    assert offered["instance"] == about.get(name, {POSTGRES, SQLITE})
    assert offered["job"] == {"soakd"}
    assert offered.get("pool", {"writer", "reader"}) == {"writer", "reader"}
    assert {"append", "by_key"} <= offered.get("op", {"append", "by_key"})
    assert set(offered) <= set(EVERYTHING)


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("soak-overview", "State", "running"),
        ("soak-overview", "Is the target rate met?", "writer target"),
        ("soak-overview", "How are response times spread?", "ms"),
        ("postgresql", "Which indexes are used?", "events_pkey"),
    ],
)
def test_the_preview_draws_every_kind_of_panel(scene: Scene, name: str, title: str, expected: str) -> None:
    from matplotlib.figure import Figure  # half a second, for this worker alone
    from matplotlib.text import Text

    from dashboards.preview.charts import draw

    document = load(name)
    (panel,) = (panel for panel in panels(document) if panel["title"] == title)
    axes = Figure().add_axes((0, 0, 1, 1))
    draw(axes, panel, Shown(scene.server, scene.begin, scene.end).opened(document))
    said = {text.get_text() for text in axes.findobj(Text)}
    assert any(expected in text for text in said)


def test_every_rule_works_and_every_recording_gives_data(scene: Scene) -> None:
    rules = scene.server.rules()
    assert rules
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert {name for name in recorded if not scene.data(name, scene.end)} == set()
