"""Changes of one variable, by the handler that brings each in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNITS = {
    "prometheus": "prometheus",
    "pushgateway": "prometheus-pushgateway",
    "alertmanager": "prometheus-alertmanager",
    "grafana": "grafana-server",
    "victoriametrics": "victoria-metrics",
    "claude_exporter": "claude-code-exporter",
    "claude_agent": "claude-code-agent",
}
"""The unit of each role that has a daemon."""


@dataclass(frozen=True)
class Change:
    """One variable, the files that it changes, and what the daemon answers only while it is in force.

    ask: port, path and perhaps user:password. restarts: whether the daemon is another process afterwards.
    """

    role: str
    variable: str
    value: Any
    files: frozenset[str]
    ask: tuple[str, ...]
    says: str
    restarts: bool = True


CHANGES = {
    "Restart prometheus": Change(
        "prometheus",
        "prometheus_retention_time",
        "33d",
        frozenset({"/etc/default/prometheus"}),
        ("9090/api/v1/status/flags",),
        '"storage.tsdb.retention.time":"33d"',
    ),
    "Reload prometheus": Change(
        "prometheus",
        "prometheus_external_labels",
        {"seen": "anew"},
        frozenset({"/etc/prometheus/prometheus.yml"}),
        ("9090/api/v1/status/config",),
        "seen: anew",
        restarts=False,
    ),
    "Restart pushgateway": Change(
        "pushgateway",
        "pushgateway_persistence_interval",
        "77s",
        frozenset({"/etc/default/prometheus-pushgateway"}),
        ("9091/api/v1/status",),
        '"persistence.interval":"1m17s"',
    ),
    "Restart alertmanager": Change(
        "alertmanager",
        "alertmanager_flags_extra",
        {"log.format": "json"},
        frozenset({"/etc/default/prometheus-alertmanager"}),
        (),
        "--log.format=json",
    ),
    "Reload alertmanager": Change(
        "alertmanager",
        "alertmanager_repeat_interval",
        "7h",
        frozenset({"/etc/prometheus/alertmanager.yml"}),
        ("9093/api/v2/status",),
        "repeat_interval: 7h",
        restarts=False,
    ),
    "Restart grafana": Change(
        "grafana",
        "grafana_admin_user",
        "root",
        frozenset({"/etc/grafana/grafana.ini"}),
        ("3000/api/datasources", "root:{password}"),
        "claude-code-prometheus",
    ),
    "Change grafana's password": Change(
        "grafana",
        "grafana_admin_password",
        "correct-horse-battery",
        frozenset({"/etc/grafana/claude-code-observability/admin-password"}),
        ("3000/api/datasources", "{user}:correct-horse-battery"),
        "claude-code-prometheus",
        restarts=False,
    ),
    "Restart victoriametrics": Change(
        "victoriametrics",
        "victoriametrics_retention_period",
        "29",
        frozenset({"/etc/default/victoria-metrics"}),
        ("8428/metrics",),
        'flag{name="retentionPeriod", value="29", is_set="true"} 1',
    ),
    "Restart the exporter": Change(
        "claude_exporter",
        "claude_exporter_labels",
        {"team": "seen"},
        frozenset({"/etc/claude-code-observability/exporter.json"}),
        ("9468/metrics",),
        'team="seen"',
    ),
    "Restart the agent": Change(
        "claude_agent",
        "claude_agent_wal_max_time",
        "49h",
        frozenset({"/etc/systemd/system/claude-code-agent.service"}),
        (),
        "--storage.agent.retention.max-time=49h",
    ),
    "Reload the agent": Change(
        "claude_agent",
        "claude_agent_scrape_interval",
        "16s",
        frozenset({"/etc/claude-code-observability/agent.yml"}),
        ("9095/api/v1/status/config",),
        "scrape_interval: 16s",
        restarts=False,
    ),
}
