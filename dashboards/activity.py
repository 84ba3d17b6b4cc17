"""Activity: what people and tools do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.board import board
from dashboards.panels import Query, lines, number, ranking, rows
from dashboards.promql import PERSON, added, hourly, or_zero, share, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from dashboards.panels import Panel

_OPENED = 'start_type!="agents_view"'


def _in_the_chosen_time() -> list[Panel]:
    return [
        number(
            "Sessions started",
            "As Claude Code counts them; looking at the list of agents is no session.",
            unit="none",
            query=or_zero(added("sessions", extra=_OPENED)),
            width=3,
        ),
        number(
            "Prompts",
            "Prompts that people sent.",
            unit="none",
            query=or_zero(added("prompts")),
            width=3,
        ),
        number(
            "Tool calls",
            "Calls of tools, whatever came of them.",
            unit="none",
            query=or_zero(added("tool_usage")),
            width=3,
        ),
        number(
            "Lines added",
            "Lines of code that edits added.",
            unit="short",
            query=or_zero(added("lines_of_code", extra='type="added"')),
            width=3,
        ),
        number(
            "Lines removed",
            "Lines of code that edits removed.",
            unit="short",
            query=or_zero(added("lines_of_code", extra='type="removed"')),
            width=3,
        ),
        number("Commits", "Git commits made.", unit="none", query=or_zero(added("commits")), width=3),
        number(
            "Pull requests",
            "Pull requests made.",
            unit="none",
            query=or_zero(added("pull_requests")),
            width=3,
        ),
        number(
            "Edits accepted",
            "Of the edits that were decided on, the part that was accepted.",
            unit="percentunit",
            decimals=0,
            query=share(added("edit_decisions", extra='decision="accept"'), added("edit_decisions")),
            width=3,
            empty="no edit yet",
        ),
    ]


def _tools() -> list[Panel]:
    return [
        ranking(
            "Calls by tool",
            "Calls in the chosen time, the 15 most used tools.",
            unit="none",
            decimals=0,
            queries=[Query(top(15, added("tool_usage", by="tool")), "{{tool}}")],
        ),
        lines(
            "Calls per hour by outcome",
            "Calls that succeeded, failed, or were blocked, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("tool_usage", by="outcome"), "{{outcome}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Success by tool",
            "Of the calls that ran in the hour before each point, the part that succeeded.",
            unit="percentunit",
            queries=[
                Query(
                    share(
                        hourly("tool_usage", by="tool", extra='outcome="success"'),
                        hourly("tool_usage", by="tool", extra='outcome=~"success|failure"'),
                    ),
                    "{{tool}}",
                )
            ],
            width=8,
        ),
    ]


def _people() -> list[Panel]:
    return [
        lines(
            "Active time per hour",
            "Seconds that people (user) and the client (cli) were active, in the hour before each point.",
            unit="s",
            queries=[Query(hourly("active_time_seconds", by="type"), "{{type}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Edits decided per hour",
            "Edits accepted and rejected, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("edit_decisions", by="decision"), "{{decision}}")],
            stacked=True,
            width=8,
        ),
        ranking(
            "Prompts by user",
            "Prompts in the chosen time, the 15 largest.",
            unit="none",
            decimals=0,
            queries=[Query(top(15, added("prompts", by="user")), "{{user}}")],
        ),
    ]


def _sessions() -> list[Panel]:
    return [
        lines(
            "Open sessions by host",
            "Sessions that are open, on hosts that still report.",
            unit="none",
            queries=[Query(f"sum by (instance) (claude_code:sessions:active{{{PERSON}}})", "{{instance}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Length of sessions",
            "Half of the sessions that ended were shorter than the lower line, nine of ten "
            "shorter than the upper.",
            unit="s",
            queries=[
                Query(
                    f"histogram_quantile({q}, sum by (le) "
                    f"(increase(claude_code_session_duration_seconds_bucket{{{PERSON}}}[1h])))",
                    legend,
                )
                for q, legend in ((0.5, "half"), (0.9, "nine of ten"))
            ],
            width=8,
        ),
        lines(
            "Subagents, compactions, notifications per hour",
            "How often each happened, in the hour before each point.",
            unit="none",
            queries=[
                Query(hourly("subagents"), "subagents"),
                Query(hourly("compactions"), "compactions"),
                Query(hourly("notifications"), "notifications"),
            ],
            width=8,
        ),
    ]


def _projects() -> list[Panel]:
    return [
        rows(
            "Projects",
            "What was done in each project, in the chosen time.",
            unit="none",
            columns=[
                ("prompts", added("prompts", by="project"), "none", 0),
                ("tool calls", added("tool_usage", by="project"), "none", 0),
                ("lines", added("lines_of_code", by="project"), "none", 0),
                ("commits", added("commits", by="project"), "none", 0),
                ("spend", added("spend_usd", by="project"), "currencyUSD", 2),
            ],
            names={},
            sort="spend",
            empty="nothing in this time",
        )
    ]


def build() -> Dashboard:
    """Return the dashboard."""
    return board(
        uid="claude-code-activity",
        title="Activity",
        description="What do people do with Claude Code, and what comes out of it?",
        rows=[
            ("In the chosen time", _in_the_chosen_time()),
            ("Tools", _tools()),
            ("People", _people()),
            ("Sessions", _sessions()),
            ("Projects", _projects()),
        ],
    )
