"""Pipeline: can the numbers be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.board import board
from dashboards.panels import RED, YELLOW, Query, firing, lines, number, rows
from dashboards.promql import HOST, PERSON, added, hourly, or_zero, quantile

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from dashboards.panels import Panel

_INSTANCE = 'instance=~"$host"'
_DIFFERENCE = f"abs(claude_code_reconciliation_difference_ratio{{{HOST}}})"


def _now() -> list[Panel]:
    return [
        number(
            "Oldest push",
            "Age of the last push of the host that is silent longest.",
            unit="s",
            query=f"max(claude_code:push_age_seconds{{{_INSTANCE}}})",
            steps=[(300, YELLOW), (86400, RED)],
            empty="nobody pushes",
        ),
        number(
            "Largest lag",
            "Age of the oldest journal line that an exporter has not counted yet.",
            unit="s",
            query=f"max(claude_code_exporter_journal_lag_seconds{{{HOST}}})",
            steps=[(10, YELLOW), (60, RED)],
            empty="no exporter has reported",
        ),
        number(
            "Accounts differ",
            "Largest difference between cost or tokens by metric and by request. Above 1 % one "
            "of them is wrong.",
            unit="percentunit",
            decimals=2,
            query=f"max({_DIFFERENCE})",
            steps=[(0.01, RED)],
            empty="no exporter has reported",
        ),
        number(
            "Input refused",
            "Journal lines and OTLP bodies that exporters refused, in the chosen time.",
            unit="none",
            query=or_zero(added("exporter_rejected", where=HOST)),
            steps=[(1, YELLOW)],
        ),
        number(
            "Pushes failed",
            "Pushes that the Pushgateway did not take, in the chosen time.",
            unit="none",
            query=or_zero(added("exporter_push_failures", where=HOST)),
            steps=[(1, YELLOW)],
        ),
        number(
            "Series",
            "Series of Claude Code in Prometheus, of the chosen hosts.",
            unit="short",
            query=f"sum(claude_code:series{{{_INSTANCE}}})",
        ),
    ]


def _from_hook_to_ledger() -> list[Panel]:
    return [
        lines(
            "Hook delay by event",
            "95 of 100 runs of an event's hooks delayed Claude Code no longer than this, as it "
            "measured itself.",
            unit="s",
            queries=[Query(quantile(0.95, "hook_duration_seconds", by="event", where=PERSON), "{{event}}")],
            steps=[(0.25, RED)],
            width=8,
        ),
        lines(
            "Hook events per hour",
            "Events that hooks wrote into journals, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("hook_events", by="event"), "{{event}}")],
            stacked=True,
            width=8,
        ),
        lines(
            "Journal lag by host",
            "Age of the oldest line that the exporter has not counted yet.",
            unit="s",
            queries=[
                Query(
                    f"max by (instance) (claude_code_exporter_journal_lag_seconds{{{HOST}}})",
                    "{{instance}}",
                )
            ],
            steps=[(60, RED)],
            width=8,
        ),
    ]


def _from_ledger_to_prometheus() -> list[Panel]:
    return [
        lines(
            "Age of the last push by host",
            "A healthy host stays below half a minute; a line that climbs is a host that is off or broken.",
            unit="s",
            queries=[Query(f"claude_code:push_age_seconds{{{_INSTANCE}}}", "{{instance}}")],
            steps=[(300, RED)],
            width=8,
        ),
        lines(
            "Difference of accounts by host",
            "Cost and tokens by metric against the sum over requests. Short peaks are events on their way.",
            unit="percentunit",
            queries=[Query(f"max by (instance, quantity) ({_DIFFERENCE})", "{{instance}}, {{quantity}}")],
            steps=[(0.01, RED)],
            width=8,
        ),
        lines(
            "Refused per hour by reason",
            "Input that exporters refused, in the hour before each point.",
            unit="none",
            queries=[Query(hourly("exporter_rejected", by="reason", where=HOST), "{{reason}}")],
            empty="nothing refused",
            width=8,
        ),
    ]


def _size() -> list[Panel]:
    return [
        lines(
            "Series by host",
            "Series that a host brings. It must not grow with its sessions.",
            unit="short",
            queries=[Query(f"claude_code:series{{{_INSTANCE}}}", "{{instance}}")],
            width=8,
        ),
        lines(
            "Ledger by host",
            "Size of the ledger on the host's disk.",
            unit="bytes",
            queries=[
                Query(
                    f"max by (instance) (claude_code_exporter_ledger_bytes{{{HOST}}})",
                    "{{instance}}",
                )
            ],
            width=8,
        ),
        lines(
            "Rules' share of their interval",
            "How much of the time between two evaluations the rules take. At 1 evaluations are skipped.",
            unit="percentunit",
            queries=[
                Query(
                    "max by (rule_group) (prometheus_rule_group_last_duration_seconds"
                    " / prometheus_rule_group_interval_seconds)",
                    "{{rule_group}}",
                )
            ],
            steps=[(0.8, RED)],
            width=8,
        ),
    ]


def _who_reports() -> list[Panel]:
    return [
        rows(
            "Exporters",
            "Version of each host's exporter, and when its last synthetic event was written.",
            unit="none",
            columns=[
                (
                    "reports",
                    f"sum by (instance, version, python) (claude_code_exporter_build_info{{{HOST}}})",
                    "bool_yes_no",
                    0,
                ),
                (
                    "canary's age",
                    f"time() - max by (instance) (claude_code_canary_timestamp_seconds{{{HOST}}} > 0)",
                    "s",
                    0,
                ),
            ],
            names={"instance": "host"},
            width=12,
            empty="no exporter has reported",
        ),
        rows(
            "What Prometheus scrapes",
            "Every target of Prometheus, and whether its last scrape succeeded.",
            unit="none",
            columns=[("up", "sum by (job, instance) (up)", "bool_yes_no", 0)],
            names={"instance": "target"},
            width=6,
            empty="no target",
        ),
        firing(width=6),
    ]


def build() -> Dashboard:
    """Return the dashboard."""
    return board(
        uid="claude-code-pipeline",
        title="Pipeline",
        description="Do the numbers arrive, in time and whole, and can they be trusted?",
        rows=[
            ("Now", _now()),
            ("From hook to ledger", _from_hook_to_ledger()),
            ("From ledger to Prometheus", _from_ledger_to_prometheus()),
            ("Size", _size()),
            ("Who reports", _who_reports()),
        ],
    )
