"""Security: what the guard stopped, and whether it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.board import board
from dashboards.panels import GREEN, RED, YELLOW, Query, firing, lines, number, ranking, rows, states
from dashboards.promql import HOST, added, hourly, or_zero, share, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from dashboards.panels import Panel

_EFFECTIVE = f"claude_code_guard_effective{{{HOST}}}"
_BLOCKED = added("security_blocks")
_CALLS = added("hook_events", extra='event="PreToolUse"')


def _in_the_chosen_time() -> list[Panel]:
    return [
        number(
            "Blocked calls",
            "Tool calls that the guard stopped, and prompts for a file that they mention.",
            unit="none",
            query=or_zero(_BLOCKED),
            steps=[(1, YELLOW), (20, RED)],
        ),
        number(
            "Blocked of all calls",
            "Of all tool calls that the guard judged, the part it stopped.",
            unit="percentunit",
            decimals=2,
            query=share(or_zero(added("security_blocks", extra='tool!="prompt"')), _CALLS),
            empty="no call yet",
        ),
        number(
            "Would have been blocked",
            "Calls that a guard in audit mode let pass.",
            unit="none",
            query=or_zero(added("security_audits")),
            steps=[(1, YELLOW)],
        ),
        number(
            "Guards effective",
            "Hosts whose guard, fed forbidden calls, blocked them all.",
            unit="none",
            query=or_zero(f"count({_EFFECTIVE} == 1)"),
        ),
        number(
            "Guards not effective",
            "Hosts whose guard did not block all forbidden calls. Must be 0.",
            unit="none",
            query=or_zero(f"count({_EFFECTIVE} == 0)"),
            steps=[(1, RED)],
        ),
        number(
            "Guard failures",
            "Calls blocked because the guard itself failed. Must be 0.",
            unit="none",
            query=or_zero(added("security_blocks", extra='reason="guard_error"')),
            steps=[(1, RED)],
        ),
    ]


def _blocks() -> list[Panel]:
    return [
        lines(
            "Blocks per hour by reason",
            "Calls that the guard stopped, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("security_blocks", by="reason"), "{{reason}}")],
            stacked=True,
            empty="none blocked",
        ),
        lines(
            "Blocks per hour by tool",
            "Calls that the guard stopped, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("security_blocks", by="tool"), "{{tool}}")],
            stacked=True,
            empty="none blocked",
        ),
        ranking(
            "By host",
            "Blocked calls in the chosen time, the 15 largest.",
            unit="none",
            decimals=0,
            queries=[Query(top(15, added("security_blocks", by="instance")), "{{instance}}")],
            empty="none blocked",
        ),
        ranking(
            "By user",
            "Blocked calls in the chosen time, the 15 largest.",
            unit="none",
            decimals=0,
            queries=[Query(top(15, added("security_blocks", by="user")), "{{user}}")],
            empty="none blocked",
        ),
        rows(
            "By reason and tool",
            "Blocked calls in the chosen time.",
            unit="none",
            columns=[("blocked", added("security_blocks", by="reason, tool"), "none", 0)],
            names={},
            width=8,
            sort="blocked",
            empty="none blocked",
        ),
    ]


def _posture() -> list[Panel]:
    return [
        states(
            "Guard by host",
            "Each host feeds its own guard forbidden calls and reports whether all were blocked.",
            query=Query(f"min by (instance) ({_EFFECTIVE})", "{{instance}}"),
            labels={"0": ("NOT EFFECTIVE", RED), "1": ("effective", GREEN)},
            empty="no host has reported a test of its guard",
        ),
        rows(
            "Versions of the hooks",
            "Hosts by version and hash of the installed hooks. One line is right; two are a "
            "roll-out; a hash of its own is a change by hand.",
            unit="none",
            columns=[
                (
                    "hosts",
                    f"count by (version, hash) (claude_code_bundle_info{{{HOST}}})",
                    "none",
                    0,
                )
            ],
            names={},
            width=12,
            sort="hosts",
            empty="no host has reported",
        ),
        lines(
            "People's decisions per hour",
            "Edits accepted and rejected, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("edit_decisions", by="decision"), "{{decision}}")],
            stacked=True,
        ),
        firing(names="ClaudeCodeGuard.*|ClaudeCodeSessionsWithoutHooks|ClaudeCodeBundleDrift|Watchdog"),
    ]


def build() -> Dashboard:
    """Return the dashboard."""
    return board(
        uid="claude-code-security",
        title="Security",
        description="What did the guard stop, where, and does it stand everywhere?",
        rows=[("In the chosen time", _in_the_chosen_time()), ("Blocks", _blocks()), ("Posture", _posture())],
    )
