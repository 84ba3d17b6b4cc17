"""Cost: who spends what on what, and will it last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.board import board
from dashboards.panels import RED, YELLOW, Query, lines, number, ranking, rows
from dashboards.promql import MODEL, added, hourly, share, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from dashboards.panels import Panel

_TEAM = 'team=~"$team"'
_BUDGET = [(0.8, YELLOW), (1.0, RED)]
_IN = 'type=~"input|cacheRead|cacheCreation"'

_SPEND = added("spend_usd", where=MODEL)
_CACHED = share(
    added("tokens", where=MODEL, extra='type="cacheRead"'), added("tokens", where=MODEL, extra=_IN)
)


def _totals() -> list[Panel]:
    return [
        number(
            "Spend",
            "US dollars in the chosen time, as Claude Code reports them.",
            unit="currencyUSD",
            decimals=2,
            query=_SPEND,
        ),
        number(
            "Today",
            "US dollars since midnight (UTC), of the chosen teams.",
            unit="currencyUSD",
            decimals=2,
            query=f"sum(claude_code:team_spend_usd:day_to_date{{{_TEAM}}})",
        ),
        number(
            "Month to date",
            "US dollars since the first of this month (UTC), of the chosen teams.",
            unit="currencyUSD",
            decimals=2,
            query=f"sum(claude_code:team_spend_usd:month_to_date{{{_TEAM}}})",
        ),
        number(
            "Month's forecast",
            "Month to date, and the average of the last seven days for what is left of it.",
            unit="currencyUSD",
            decimals=2,
            query=f"sum(claude_code:team_spend_usd:month_forecast{{{_TEAM}}})",
        ),
        number(
            "Spend per session",
            "Spend divided by the sessions started, in the chosen time.",
            unit="currencyUSD",
            decimals=2,
            query=share(added("spend_usd"), added("sessions")),
            empty="no session yet",
        ),
        number(
            "Served by the cache",
            "Of the tokens that went in, the part the cache served. The higher, the cheaper.",
            unit="percentunit",
            decimals=1,
            query=_CACHED,
            empty="no tokens yet",
        ),
    ]


def _budgets() -> list[Panel]:
    return [
        ranking(
            "Budget spent",
            "What each team has spent of its budgets of this day and this month (UTC). Budgets "
            "come from the inventory.",
            unit="percentunit",
            queries=[
                Query(
                    f"sort_desc(claude_code:team_budget:spent_ratio{{{_TEAM}}})",
                    "{{team}}, {{period}}",
                )
            ],
            steps=_BUDGET,
            ceiling=1,
            decimals=0,
            empty="no budget is set (prometheus_budgets)",
        ),
        ranking(
            "Budget at the month's end",
            "The forecast as a share of the month's budget.",
            unit="percentunit",
            queries=[Query(f"sort_desc(claude_code:team_budget:forecast_ratio{{{_TEAM}}})", "{{team}}")],
            steps=_BUDGET,
            ceiling=1,
            decimals=0,
            empty="no budget is set (prometheus_budgets)",
        ),
        lines(
            "Month to date and budget",
            "How the month's spend grows, and the budget it must stay below.",
            unit="currencyUSD",
            queries=[
                Query(
                    f"sum by (team) (claude_code:team_spend_usd:month_to_date{{{_TEAM}}})",
                    "{{team}}",
                ),
                Query(
                    f'max by (team) (claude_code_team_budget_usd{{{_TEAM},period="month"}})',
                    "{{team}}, budget",
                ),
            ],
            width=8,
        ),
    ]


def _who_and_what() -> list[Panel]:
    return [
        ranking(
            "By team",
            "US dollars in the chosen time, the 15 largest.",
            unit="currencyUSD",
            queries=[Query(top(15, added("spend_usd", by="team", where=MODEL)), "{{team}}")],
        ),
        ranking(
            "By user",
            "US dollars in the chosen time, the 15 largest.",
            unit="currencyUSD",
            queries=[Query(top(15, added("spend_usd", by="user", where=MODEL)), "{{user}}")],
        ),
        ranking(
            "By project",
            "US dollars in the chosen time, the 15 largest.",
            unit="currencyUSD",
            queries=[Query(top(15, added("spend_usd", by="project", where=MODEL)), "{{project}}")],
        ),
        ranking(
            "By model",
            "US dollars in the chosen time, the 15 largest.",
            unit="currencyUSD",
            queries=[Query(top(15, added("spend_usd", by="model", where=MODEL)), "{{model}}")],
        ),
        ranking(
            "By tool",
            "US dollars of the requests that called a tool, shared among its calls; none called "
            "no tool. The 15 largest.",
            unit="currencyUSD",
            queries=[Query(top(15, added("tool_cost_usd", by="tool")), "{{tool}}")],
        ),
        rows(
            "By cost centre",
            "US dollars in the chosen time, for the bill.",
            unit="currencyUSD",
            columns=[
                (
                    "spend",
                    added("spend_usd", by="cost_center, team", where=MODEL),
                    "currencyUSD",
                    2,
                )
            ],
            names={"cost_center": "cost centre"},
            width=8,
            sort="spend",
            empty="nothing in this time",
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        lines(
            "Spend per hour by model",
            "US dollars in the hour before each point.",
            unit="currencyUSD",
            queries=[Query(hourly("spend_usd", by="model", where=MODEL), "{{model}}")],
            stacked=True,
        ),
        lines(
            "Spend per hour against the usual",
            "Each team's last hour, and the average of the same hour of the past seven days "
            "once three were measured.",
            unit="currencyUSD",
            queries=[
                Query(
                    f"sum by (team) (claude_code:team_spend_usd:increase1h{{{_TEAM}}})",
                    "{{team}}",
                ),
                Query(
                    f"sum by (team) (claude_code:team_spend_usd:usual1h{{{_TEAM}}})",
                    "{{team}}, usual",
                ),
            ],
        ),
        lines(
            "Tokens per hour by type",
            "Tokens in the hour before each point.",
            unit="short",
            queries=[Query(hourly("tokens", by="type", where=MODEL), "{{type}}")],
            stacked=True,
        ),
        lines(
            "Served by the cache, by team and model",
            "Of the tokens that went in during the hour before each point, the part the cache served.",
            unit="percentunit",
            queries=[
                Query('claude_code:cache_hit:ratio1h{team=~"$team",model=~"$model"}', "{{team}}, {{model}}")
            ],
        ),
    ]


def _live_sessions() -> list[Panel]:
    return [
        rows(
            "Dearest live sessions",
            "What the sessions that are open, or ended within a quarter of an hour, have cost "
            "so far. The 20 dearest.",
            unit="currencyUSD",
            columns=[
                (
                    "spend",
                    (
                        f"topk(20, sum by (session_id, user, project, instance) "
                        f"(claude_code_cost_usd{{{MODEL}}}))"
                    ),
                    "currencyUSD",
                    4,
                ),
                (
                    "tokens",
                    (
                        f"topk(20, sum by (session_id, user, project, instance) "
                        f"(claude_code_tokens_consumed{{{MODEL}}}))"
                    ),
                    "short",
                    1,
                ),
            ],
            names={"session_id": "session", "instance": "host"},
            sort="spend",
            empty="no live session",
        ),
    ]


def build() -> Dashboard:
    """Return the dashboard."""
    return board(
        uid="claude-code-cost",
        title="Cost",
        description="Who spends what, on which project, model and tool, and will the budget last?",
        rows=[
            ("Totals", _totals()),
            ("Budgets", _budgets()),
            ("Who and what", _who_and_what()),
            ("Over time", _over_time()),
            ("Live sessions", _live_sessions()),
        ],
    )
