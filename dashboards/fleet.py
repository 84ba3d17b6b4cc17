"""Fleet: is everything well, and what does it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.board import board
from dashboards.panels import RED, YELLOW, Query, firing, lines, number, rows
from dashboards.promql import MODEL, PERSON, added, hourly, or_zero

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from dashboards.panels import Panel

_WORK = 'metric=~"hook_events|spend_usd|sessions"'

_DEVELOPERS = (
    f"count(sum by (user) (sum_over_time(claude_code:increase10m{{{_WORK},{PERSON}}}[$__range:10m])) > 0)"
)


def _now() -> list[Panel]:
    return [
        number(
            "Spend",
            "US dollars in the chosen time, as Claude Code reports them.",
            unit="currencyUSD",
            decimals=2,
            query=added("spend_usd", where=MODEL),
            details="claude-code-cost",
        ),
        number(
            "Tokens",
            "Tokens of all types in the chosen time, the cached ones included.",
            unit="short",
            decimals=1,
            query=added("tokens", where=MODEL),
            details="claude-code-cost",
        ),
        number(
            "Active developers",
            "Users with at least one event or cost in the chosen time.",
            unit="none",
            query=or_zero(_DEVELOPERS),
            details="claude-code-activity",
        ),
        number(
            "Sessions now",
            "Sessions that are open, on hosts that still report.",
            unit="none",
            query=or_zero(f"sum(claude_code:sessions:active{{{PERSON}}})"),
            details="claude-code-activity",
        ),
        number(
            "Failed requests",
            "Requests to the API that failed for good in the chosen time.",
            unit="none",
            query=or_zero(added("api_errors")),
            steps=[(1, YELLOW), (20, RED)],
            details="claude-code-performance",
        ),
        number(
            "Blocked calls",
            "Tool calls that the guard stopped in the chosen time.",
            unit="none",
            query=or_zero(added("security_blocks")),
            steps=[(1, YELLOW), (20, RED)],
            details="claude-code-security",
        ),
        number(
            "Hosts reporting",
            "Developer hosts whose numbers are fresh.",
            unit="none",
            query='count(count by (instance) (claude_code:dimension{instance=~"$host",team=~"$team"}'
            " unless on (instance) claude_code:push_age_seconds > 300))",
            details="claude-code-pipeline",
        ),
        number(
            "Hosts silent",
            "Developer hosts whose last push is older than five minutes: off, asleep, or broken.",
            unit="none",
            query=or_zero('count(claude_code:push_age_seconds{instance=~"$host"} > 300)'),
            steps=[(1, YELLOW)],
            details="claude-code-pipeline",
        ),
        number(
            "Guards not effective",
            "Hosts whose guard, fed forbidden calls, did not block them all. Must be 0.",
            unit="none",
            query=or_zero('count(claude_code_guard_effective{instance=~"$host"} == 0)'),
            steps=[(1, RED)],
            details="claude-code-security",
        ),
        number(
            "Month to date",
            "US dollars since the first of this month (UTC), of the chosen teams.",
            unit="currencyUSD",
            decimals=2,
            query='sum(claude_code:team_spend_usd:month_to_date{team=~"$team"})',
            details="claude-code-cost",
        ),
        number(
            "Month's forecast",
            "Month to date, and the average of the last seven days for what is left of it.",
            unit="currencyUSD",
            decimals=2,
            query='sum(claude_code:team_spend_usd:month_forecast{team=~"$team"})',
            details="claude-code-cost",
        ),
        number(
            "Alerts firing",
            "Alerts of severity warning or critical that fire now.",
            unit="none",
            query=or_zero('count(ALERTS{alertstate="firing",severity=~"critical|warning"})'),
            steps=[(1, RED)],
            details="claude-code-pipeline",
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        lines(
            "Spend per hour by team",
            "US dollars in the hour before each point.",
            unit="currencyUSD",
            queries=[Query(hourly("spend_usd", by="team", where=MODEL), "{{team}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Open sessions by team",
            "Sessions that are open, on hosts that still report.",
            unit="none",
            queries=[Query(f"sum by (team) (claude_code:sessions:active{{{PERSON}}})", "{{team}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Response time by model",
            "Over a quarter of an hour: half of the requests were faster than the lower line of a model, "
            "95 of 100 faster than the upper.",
            unit="s",
            queries=[
                Query('claude_code:response_time_seconds:p50_15m{model=~"$model"}', "{{model}}, half"),
                Query('claude_code:response_time_seconds:p95_15m{model=~"$model"}', "{{model}}, 95 of 100"),
            ],
            width=8,
        ),
        lines(
            "Tool calls per hour by outcome",
            "Calls that succeeded, failed, or were blocked, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("tool_usage", by="outcome"), "{{outcome}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Prompts per hour by team",
            "Prompts that people sent, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("prompts", by="team"), "{{team}}")],
            stacked=True,
            width=8,
        ),
        firing(width=8),
    ]


def _hosts() -> list[Panel]:
    return [
        rows(
            "Hosts",
            "Every developer host: what it spent and did in the chosen time, whether its "
            "numbers are fresh and its guard stands.",
            unit="none",
            columns=[
                ("spend", added("spend_usd", by="instance", where=MODEL), "currencyUSD", 2),
                ("tool calls", added("tool_usage", by="instance"), "none", 0),
                (
                    "open sessions",
                    f"sum by (instance) (claude_code:sessions:active{{{PERSON}}})",
                    "none",
                    0,
                ),
                ("last push", 'max by (instance) (claude_code:push_age_seconds{instance=~"$host"})', "s", 0),
                (
                    "guard effective",
                    'min by (instance) (claude_code_guard_effective{instance=~"$host"})',
                    "bool_yes_no",
                    0,
                ),
            ],
            names={"instance": "host"},
            sort="spend",
            empty="no host has reported yet",
        )
    ]


def build() -> Dashboard:
    """Return the dashboard."""
    return board(
        uid="claude-code-fleet",
        title="Fleet",
        description="Is everything well, who works with Claude Code, and what does it cost?",
        rows=[("Now", _now()), ("Over time", _over_time()), ("Hosts", _hosts())],
    )
