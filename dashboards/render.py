"""From the plain data of a panel to Grafana's own model of it."""

from collections.abc import Mapping
from functools import singledispatch

from grafana_foundation_sdk.models import common, dashboard, timeseries
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import stat as tile
from grafana_foundation_sdk.models import table as sheet
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from dashboards.panels import LIMIT, NEUTRAL, PLAIN, Heatmap, Lines, Panel, Query, Stat, Steps, Table

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")


class Link(dashboard.DashboardLink):
    """A link above or in the corner of a panel; the model's own would be put into a menu."""

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana stores it."""
        payload = super().to_json()
        del payload["placement"]
        return payload


def render(panel: Panel) -> dashboard.Panel:
    """Return Grafana's model of a panel, without a place."""
    drawn = _drawn(panel)
    drawn.title, drawn.description, drawn.datasource = panel.title, panel.description, SOURCE
    drawn.grid_pos = dashboard.GridPos(w=panel.width, h=panel.height)
    return drawn


@singledispatch
def _drawn(panel: object) -> dashboard.Panel:
    raise TypeError(f"not a panel: {panel!r}")


@_drawn.register
def _stat(panel: Stat) -> dashboard.Panel:
    defaults = _field(panel.unit, panel.none, panel.steps)
    defaults.decimals = panel.decimals
    defaults.mappings = _mappings(panel.words)
    defaults.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.THRESHOLDS)
    return dashboard.Panel(
        type_val="stat",
        # Over a range, a soakd that has gone would keep its last value: so only the present one is asked for.
        targets=[_target(number, query, instant=True) for number, query in enumerate(panel.queries)],
        links=_links(panel),
        options=tile.Options(
            graph_mode=common.BigValueGraphMode.NONE,
            text_mode=common.BigValueTextMode.NAME if panel.names else common.BigValueTextMode.AUTO,
            reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
        ),
        field_config=dashboard.FieldConfigSource(defaults=defaults),
    )


def _links(panel: Stat) -> list[dashboard.DashboardLink] | None:
    if panel.link is None:
        return None
    uid, title = panel.link
    return [Link(title=title, url=f"/d/{uid}", include_vars=True, keep_time=True)]


@_drawn.register
def _lines(panel: Lines) -> dashboard.Panel:
    defaults = _field(panel.unit, panel.none, panel.steps)
    defaults.min_val, defaults.max_val = None if panel.log else 0, panel.top
    defaults.color = dashboard.FieldColor(mode=dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    defaults.custom = _style(panel)
    overrides = [_named(name, colour) for name, colour in panel.colours.items()]
    overrides += [
        _styled(number, query) for number, query in enumerate(panel.queries) if query.colour or query.dashed
    ]
    return dashboard.Panel(
        type_val="timeseries",
        targets=[_target(number, query) for number, query in enumerate(panel.queries)],
        options=timeseries.Options(
            legend=common.VizLegendOptions(show_legend=True),
            tooltip=common.VizTooltipOptions(
                mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING
            ),
        ),
        field_config=dashboard.FieldConfigSource(defaults=defaults, overrides=overrides),
    )


@_drawn.register
def _heatmap(panel: Heatmap) -> dashboard.Panel:
    target = _target(0, Query(panel.expr, "{{le}}"))
    target.format_val = PromQueryFormat.HEATMAP
    defaults = _field(panel.unit, panel.none, PLAIN)
    defaults.custom = heat.FieldConfig()
    return dashboard.Panel(
        type_val="heatmap",
        targets=[target],
        options=heat.Options(
            calculate=False,
            color=heat.HeatmapColorOptions(
                mode=heat.HeatmapColorMode.SCHEME, scheme="Blues", exponent=0.5, steps=64, fill=NEUTRAL
            ),
            y_axis=heat.YAxisConfig(unit=panel.unit),
            cell_values=heat.CellValues(unit="cps"),
            tooltip=heat.HeatmapTooltip(y_histogram=True),
        ),
        field_config=dashboard.FieldConfigSource(defaults=defaults),
    )


@_drawn.register
def _table(panel: Table) -> dashboard.Panel:
    targets = [
        _target(number, Query(expr, ""), instant=True) for number, (_, _, expr) in enumerate(panel.columns)
    ]
    for target in targets:
        target.format_val = PromQueryFormat.TABLE
    values = {f"Value #{_letter(number)}": heading for number, (heading, _, _) in enumerate(panel.columns)}
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate([*panel.keys, *values])},
        "renameByName": {**panel.keys, **values},
    }
    defaults = _field(panel.columns[0][1], panel.none, PLAIN)
    defaults.decimals = 2
    defaults.custom = sheet.FieldConfig()
    return dashboard.Panel(
        type_val="table",
        targets=list(targets),
        transformations=[
            dashboard.DataTransformerConfig(id_val="merge", options={}),
            dashboard.DataTransformerConfig(id_val="organize", options=organize),
        ],
        options=sheet.Options(
            sort_by=[common.TableSortByFieldState(display_name=panel.columns[0][0], desc=True)],
        ),
        field_config=dashboard.FieldConfigSource(
            defaults=defaults,
            overrides=[_override("byName", heading, {"unit": unit}) for heading, unit, _ in panel.columns],
        ),
    )


def _field(unit: str, none: str, steps: Steps) -> dashboard.FieldConfig:
    return dashboard.FieldConfig(
        unit=unit,
        no_value=none,
        thresholds=dashboard.ThresholdsConfig(
            mode=dashboard.ThresholdsMode.ABSOLUTE,
            steps=[dashboard.Threshold(value=value, color=colour) for value, colour in steps],
        ),
    )


def _target(number: int, query: Query, *, instant: bool = False) -> Dataquery:
    return Dataquery(
        ref_id=_letter(number),
        datasource=SOURCE,
        expr=query.expr,
        legend_format=query.legend,
        instant=instant,
        range_val=not instant,
        format_val=PromQueryFormat.TIME_SERIES,
    )


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _mappings(words: Mapping[int, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    # 0/0 is what a ratio of operations is while there are none.
    idle = dashboard.SpecialValueMap(
        options=dashboard.DashboardSpecialValueMapOptions(
            match=dashboard.SpecialValueMatch.NA_N,
            result=dashboard.ValueMappingResult(text="idle", color=LIMIT),
        )
    )
    if not words:
        return [idle]
    texts = {
        str(value): dashboard.ValueMappingResult(text=text, color=colour, index=place)
        for place, (value, (text, colour)) in enumerate(words.items())
    }
    return [dashboard.ValueMap(options=texts), idle]


def _style(panel: Lines) -> common.GraphFieldConfig:
    guides = (
        common.GraphThresholdsStyleMode.DASHED
        if len(panel.steps) > 1
        else common.GraphThresholdsStyleMode.OFF
    )
    scale = common.ScaleDistributionConfig(type_val=common.ScaleDistribution.LINEAR)
    if panel.log:
        scale = common.ScaleDistributionConfig(type_val=common.ScaleDistribution.LOG, log=10)
    stacking = common.StackingMode.NORMAL if panel.stacked else common.StackingMode.NONE
    area = 40 if panel.stacked else 8
    return common.GraphFieldConfig(
        draw_style=common.GraphDrawStyle.BARS if panel.bars else common.GraphDrawStyle.LINE,
        line_width=1,
        fill_opacity=80 if panel.bars else area,
        show_points=common.VisibilityMode.NEVER,
        stacking=common.StackingConfig(mode=stacking, group="A"),
        scale_distribution=scale,
        thresholds_style=common.GraphThresholdsStyleConfig(mode=guides),
    )


def _named(beginning: str, colour: str) -> dashboard.DashboardFieldConfigSourceOverrides:
    return _override("byRegexp", f"/^{beginning}\\b/", {"color": {"mode": "fixed", "fixedColor": colour}})


def _styled(number: int, query: Query) -> dashboard.DashboardFieldConfigSourceOverrides:
    properties: dict[str, object] = {}
    if query.colour:
        properties["color"] = {"mode": "fixed", "fixedColor": query.colour}
    if query.dashed:
        properties["custom.lineStyle"] = {"fill": "dash", "dash": [8, 6]}
        properties["custom.fillOpacity"] = 0
        properties["custom.stacking"] = {"mode": "none", "group": "A"}
    return _override("byFrameRefID", _letter(number), properties)


def _override(
    matcher: str, options: str, properties: Mapping[str, object]
) -> dashboard.DashboardFieldConfigSourceOverrides:
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val=matcher, options=options),
        properties=[
            dashboard.DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()
        ],
    )
