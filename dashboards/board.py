"""What every dashboard has: variables, links to the others, alerts as marks in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from dashboards.panels import DATASOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.panels import Panel

TAG = "claude-code"
SCHEMA = 37
"""Grafana 9.4's own version of the schema; later ones migrate it when they load it."""

VARIABLES = (
    ("team", "Team", "label_values(claude_code:dimension, team)", "Teams as the inventory names them."),
    (
        "user",
        "User",
        'label_values(claude_code:dimension{team=~"$team"}, user)',
        "Users of the chosen teams.",
    ),
    (
        "host",
        "Host",
        'label_values(claude_code:dimension{team=~"$team",user=~"$user"}, instance)',
        "Developer hosts of the chosen teams and users.",
    ),
    (
        "project",
        "Project",
        'label_values(claude_code:dimension{team=~"$team",user=~"$user",instance=~"$host"}, project)',
        "Projects of the chosen teams, users and hosts.",
    ),
    (
        "model",
        "Model",
        'label_values(claude_code:increase1h{metric="spend_usd",team=~"$team"}, model)',
        "Models that the chosen teams used.",
    ),
)


def _variable(name: str, label: str, query: str, description: str) -> dashboard.QueryVariable:
    everything = model.VariableOption(text="All", value="$__all", selected=True)
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .query({"query": query, "refId": f"variable-{name}"})
        .datasource(DATASOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(everything)
    )


def board(
    *, uid: str, title: str, description: str, rows: Sequence[tuple[str, Sequence[Panel]]]
) -> model.Dashboard:
    """Return a dashboard. rows: (title of the row, its panels), from the top."""
    house = (
        dashboard.Dashboard(f"Claude Code / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("Claude Code")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=False)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .annotation(
            dashboard.AnnotationQuery()
            .name("Alerts")
            .datasource(DATASOURCE)
            .enable(enable=True)
            .hide(hide=False)
            .icon_color("red")
            .expr('sum by (alertname) (ALERTS{alertstate="firing",severity=~"critical|warning"})')
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in VARIABLES:
        house = house.with_variable(_variable(*variable))
    for row, panels in rows:
        house = house.with_row(dashboard.Row(row))
        for panel in panels:
            house = house.with_panel(panel)
    built = house.build()
    built.schema_version = SCHEMA
    return built
