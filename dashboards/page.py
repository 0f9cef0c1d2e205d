"""What all dashboards share: variables, annotations, links, and how rows of panels are laid out."""

from collections.abc import Sequence
from itertools import count

from grafana_foundation_sdk.models import dashboard

from dashboards.panels import BAD, NEUTRAL, WARN, Page, Panel, Row
from dashboards.promql import RATE, SCOPE, SHOWN, among, rate, select
from dashboards.render import SOURCE, Link, render

TAG = "soakd"
REFRESH = "10s"
COLUMNS = 24
HEADING = 1  # height of a row's heading
_EVERY = ".+"
_LABELS = {"pool": "Pool", "op": "Operation"}


def build(page: Page) -> dashboard.Dashboard:
    """Return the dashboard as Grafana has it."""
    return dashboard.Dashboard(
        uid=page.uid,
        title=page.title,
        description=page.description,
        tags=[TAG],
        editable=False,
        graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
        time=dashboard.DashboardDashboardTime(from_val="now-30m", to="now"),
        refresh=REFRESH,
        panels=_laid_out(page.rows),
        templating=dashboard.DashboardDashboardTemplating(list_val=_variables(page)),
        annotations=dashboard.AnnotationContainer(list_val=_annotations(page.backend)),
        links=[
            Link(
                title="soakd",
                type_val=dashboard.DashboardLinkType.DASHBOARDS,
                tags=[TAG],
                include_vars=True,
                keep_time=True,
            )
        ],
    )


def _laid_out(rows: Sequence[Row]) -> list[dashboard.Panel | dashboard.RowPanel]:
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    numbers = count(1)
    y = 0
    for row in rows:
        heading = dashboard.RowPanel(title=row.title, collapsed=row.folded, id_val=next(numbers))
        heading.grid_pos = dashboard.GridPos(x=0, y=y, w=COLUMNS, h=HEADING)
        placed.append(heading)
        y += HEADING
        places, below = _places(row.panels, y)
        inside = []
        for panel, place in zip(row.panels, places, strict=True):
            drawn = render(panel)
            drawn.grid_pos, drawn.id_val = place, next(numbers)
            inside.append(drawn)
        if row.folded:
            heading.panels = inside
        else:
            placed.extend(inside)
            y = below
    return placed


def _places(panels: Sequence[Panel], y: int) -> tuple[list[dashboard.GridPos], int]:
    """Return the places of panels from a line on, and the line below them."""
    places = []
    x = height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        places.append(dashboard.GridPos(x=x, y=y, w=panel.width, h=panel.height))
        x, height = x + panel.width, max(height, panel.height)
    return places, y + height


def _variables(page: Page) -> list[dashboard.VariableModel]:
    job = dashboard.VariableHide.HIDE_VARIABLE  # there is one, in most places
    offered = {"pool": among("soakd_workers"), "op": among("soakd_op_response_seconds_count", "pool")}
    return [
        dashboard.VariableModel(
            type_val=dashboard.VariableType.DATASOURCE,
            name="datasource",
            label="Data source",
            query="prometheus",
        ),
        _variable("job", "Job", page.marker, hide=job),
        _variable("instance", "Instance", f'{page.marker}{{job=~"$job"}}', first=page.instance),
        *(_variable(label, _LABELS[label], offered[label]) for label in page.choices),
    ]


def _variable(
    label: str,
    heading: str,
    series: str,
    *,
    hide: dashboard.VariableHide = dashboard.VariableHide.DONT_HIDE,
    first: str = "",
) -> dashboard.VariableModel:
    query = f"label_values({series}, {label})"
    # One that is not there is passed over for all that are.
    text, value = (first, first) if first else ("All", "$__all")
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=label,
        label=heading,
        hide=hide,
        datasource=SOURCE,
        query={"query": query, "refId": f"variable-{label}"},
        definition=query,
        current=dashboard.VariableOption(selected=True, text=[text], value=[value]),
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
        multi=True,
        include_all=True,
        all_value=_EVERY,
    )


def _annotations(backend: str) -> list[dashboard.AnnotationQuery]:
    phase = select("soakd_run_phase")
    begun = f"({phase} == 1 unless ({phase} offset $__interval == 1))"
    # The time without the database goes on growing for as long as an outage lasts, and one that begins
    # and ends between two scrapes, or between two of the points that Grafana asks for, has made it grow.
    outage = f"({rate('soakd_target_outage_seconds_total')} > 0)"
    gone = f"(1 - min_over_time(up{{{', '.join(SCOPE)}}}[{RATE}]))"
    info = select("soakd_run_info", f'backend="{backend}"')
    here = f" and on (instance) last_over_time({info}[{SHOWN}])" if backend else ""
    return [
        _annotation("Run phases", begun + here, NEUTRAL, "{{phase}}: {{instance}}"),
        _annotation(
            "Outages of the database", outage + here, BAD, "no answer from the database: {{instance}}"
        ),
        _annotation("soakd not reached", gone + here, WARN, "no figures from soakd: {{instance}}"),
    ]


def _annotation(name: str, expr: str, colour: str, title: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery(
        name=name,
        datasource=SOURCE,
        enable=True,
        icon_color=colour,
        expr=expr,
        title_format=title,
        tag_keys="instance",
    )
