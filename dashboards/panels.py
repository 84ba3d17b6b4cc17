"""How our panels look: one function a kind, so that unit, description and empty state are never forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.variants import Dataquery

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
DETAILS = (
    "${__url_time_range}&${datasource:queryparam}&${team:queryparam}&${user:queryparam}&${host:queryparam}"
)
LAST = "lastNotNull"

Panel = stat.Panel | timeseries.Panel | bargauge.Panel | table.Panel | heatmap.Panel | statetimeline.Panel


class Query(NamedTuple):
    """A query and how its series are called: `legend` is a template such as ``{{team}}``."""

    expr: str
    legend: str = ""


def _target(query: Query, *, ref: str, instant: bool, form: PromQueryFormat) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(ref)
        .format(form)
        .datasource(DATASOURCE)
    )
    return target.instant() if instant else target.range()


def _targets(
    queries: Sequence[Query], *, instant: bool, form: PromQueryFormat = PromQueryFormat.TIME_SERIES
) -> list[Builder[Dataquery]]:
    return [
        _target(query, ref=chr(ord("A") + index), instant=instant, form=form)
        for index, query in enumerate(queries)
    ]


def _steps(steps: Sequence[tuple[float, str]], base: str) -> dashboard.ThresholdsConfig:
    first: list[model.Threshold] = [model.Threshold(value=None, color=base)]
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps(first + [model.Threshold(value=value, color=color) for value, color in steps])
    )


def _fixed(color: str) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(color)


def _by_threshold() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def _palette() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC)


def _reduce() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs([LAST]).values(values=False)


def number(
    title: str,
    description: str,
    *,
    unit: str,
    query: str,
    width: int = 4,
    decimals: int = 0,
    steps: Sequence[tuple[float, str]] = (),
    base: str = GREEN,
    empty: str = "nothing yet",
    details: str = "",
) -> stat.Panel:
    """Return one number. steps: (from, color), none makes it blue. details: uid of a dashboard."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .decimals(decimals)
        .no_value(empty)
        .datasource(DATASOURCE)
        .targets(_targets([Query(query)], instant=True))
        .thresholds(_steps(steps, base if steps else BLUE))
        .color_scheme(_by_threshold())
        .color_mode(common_model.BigValueColorMode.VALUE)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .reduce_options(_reduce())
        .height(4)
        .span(width)
    )
    if details:
        link = dashboard.DashboardLink("Details").url(f"/d/{details}?{DETAILS}")
        panel = panel.links([link.type(model.DashboardLinkType.LINK)])
    return panel


def lines(
    title: str,
    description: str,
    *,
    unit: str,
    queries: Sequence[Query],
    width: int = 12,
    stacked: bool = False,
    empty: str = "nothing in this time",
    steps: Sequence[tuple[float, str]] = (),
    floor: float | None = 0,
) -> timeseries.Panel:
    """Return series over time; stacked ones add up. steps: dashed lines at (value, color)."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(empty)
        .datasource(DATASOURCE)
        .targets(_targets(queries, instant=False))
        .color_scheme(_palette())
        .thresholds(_steps(steps, GREEN))
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common_model.VisibilityMode.NEVER)
        .span_nulls(span_nulls=False)
        .stacking(
            common.StackingConfig().mode(
                common_model.StackingMode.NORMAL if stacked else common_model.StackingMode.NONE
            )
        )
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .height(8)
        .span(width)
    )
    if floor is not None:
        panel = panel.min(floor)
    if steps:
        style = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(style)
    return panel


def ranking(
    title: str,
    description: str,
    *,
    unit: str,
    queries: Sequence[Query],
    width: int = 8,
    decimals: int | None = None,
    steps: Sequence[tuple[float, str]] = (),
    ceiling: float | None = None,
    empty: str = "nothing in this time",
) -> bargauge.Panel:
    """Return bars, one a series, as the queries sort them. ceiling: the value of a full bar."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(empty)
        .datasource(DATASOURCE)
        .targets(_targets(queries, instant=True))
        .thresholds(_steps(steps, GREEN if steps else BLUE))
        .color_scheme(_by_threshold())
        .min(0)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .show_unfilled(show_unfilled=True)
        .reduce_options(_reduce())
        .height(8)
        .span(width)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel if ceiling is None else panel.max(ceiling)


def rows(
    title: str,
    description: str,
    *,
    unit: str,
    columns: Sequence[tuple[str, str, str, int]],
    names: dict[str, str],
    width: int = 24,
    height: int = 8,
    sort: str = "",
    empty: str = "nothing to show",
) -> table.Panel:
    """Return a table.

    columns: (title, query, unit, decimals), joined on the labels they share. names: titles of labels.
    """
    single = len(columns) == 1
    renamed = {("Value" if single else f"Value #{chr(65 + i)}"): c[0] for i, c in enumerate(columns)} | names
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(empty)
        .datasource(DATASOURCE)
        .targets(
            _targets([Query(query) for _, query, _, _ in columns], instant=True, form=PromQueryFormat.TABLE)
        )
        .thresholds(_steps((), BLUE))
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": renamed},
            )
        )
        .show_header(show_header=True)
        .height(height)
        .span(width)
    )
    for column, _, column_unit, decimals in columns:
        panel = panel.override_by_name(
            column,
            [
                model.DynamicConfigValue(id_val="unit", value=column_unit),
                model.DynamicConfigValue(id_val="decimals", value=decimals),
            ],
        )
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(desc=True)])
    return panel


def spectrum(title: str, description: str, *, unit: str, query: str, width: int = 12) -> heatmap.Panel:
    """Return a histogram over time, one row a bucket."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value("nothing in this time")
        .datasource(DATASOURCE)
        .targets([_target(Query(query, "{{le}}"), ref="A", instant=False, form=PromQueryFormat.HEATMAP)])
        .calculate(calculate=False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .fill("dark-blue")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(32)
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_gap(1)
        .height(8)
        .span(width)
    )


def states(
    title: str,
    description: str,
    *,
    query: Query,
    labels: dict[str, tuple[str, str]],
    width: int = 12,
    empty: str = "nothing reported",
) -> statetimeline.Panel:
    """Return states over time, one line a series. labels: value to (what it says, color)."""
    options = {
        value: model.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(labels.items())
    }
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .unit("none")
        .no_value(empty)
        .datasource(DATASOURCE)
        .targets(_targets([query], instant=False))
        .mappings([model.ValueMap(options=options)])
        .color_scheme(_by_threshold())
        .thresholds(_steps((), BLUE))
        .merge_values(merge_values=True)
        .show_value(common_model.VisibilityMode.AUTO)
        .fill_opacity(70)
        .height(8)
        .span(width)
    )


def firing(*, names: str = ".+", width: int = 12, height: int = 8) -> table.Panel:
    """Return the alerts that fire now. names: a regular expression of alerts' names."""
    query = (
        f'sum by (alertname, severity, team, instance) (ALERTS{{alertstate="firing",alertname=~"{names}"}})'
    )
    return rows(
        "Alerts that fire",
        "Every alert that fires now. Each has a runbook in docs/runbooks. Watchdog always "
        "fires: if it is missing, alerting is broken.",
        unit="none",
        columns=[("firing", query, "none", 0)],
        names={"alertname": "alert", "instance": "host"},
        width=width,
        height=height,
        empty="none, and not even Watchdog: are the rules loaded?",
    )
