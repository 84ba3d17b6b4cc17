"""What a person writes into the inventory is what Claude Code's own telemetry carries, letter for letter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from plugins.filter.claude_telemetry import resource_attributes
from tests.support.fleet import Round
from tests.support.machine import eventually
from tests.support.story import Turn

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.machine import Machine

HOST = "fleet-dev-push"
PORT = 8098
INBOX = "/tmp/attribution.jsonl"
# After all drop-ins of the roles, so that it wins.
DROP_IN = "/etc/claude-code/managed-settings.d/99-attribution.json"
LABELS = {
    "team": "R&D, Zürich",
    "cost_center": "4711",
    "department": "日本 = 東京; 100 %",
    "office": 'the "old" \\ mill',
}


def exports(host: Machine) -> list[dict[str, Any]]:
    """Return what the client has sent so far."""
    lines = host.run("sh", "-c", f"cat {INBOX} 2>/dev/null || true")
    return [json.loads(line) for line in lines.splitlines()]


def attributes(export: dict[str, Any]) -> dict[str, str]:
    """Return the resource's attributes that are texts."""
    (resource, *_) = export.get("resourceMetrics") or export["resourceLogs"]
    return {each["key"]: each["value"].get("stringValue", "") for each in resource["resource"]["attributes"]}


def test_commas_blanks_and_any_script_reach_the_telemetry_of_the_real_client(fleet: Fleet) -> None:
    host, played = fleet.developers[HOST], Round.of(fleet, "attribution")
    listen = f"setsid python3 /usr/local/share/ccpo-tests/webhook.py {PORT} {INBOX}"
    host.run(
        "sh", "-c", f"rm -f {INBOX}; {listen} >/tmp/attribution.log 2>&1 </dev/null & echo $! >{INBOX}.pid"
    )
    env = {
        "OTEL_RESOURCE_ATTRIBUTES": resource_attributes(LABELS),
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{PORT}/v1/metrics",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{PORT}/v1/logs",
    }
    host.write(DROP_IN, json.dumps({"env": env}))
    try:
        played.play("bob", HOST, (Turn(text="Done."),))
        kinds = {"resourceMetrics", "resourceLogs"}
        seen = eventually(
            lambda: exports(host),
            accept=lambda all_: {key for each in all_ for key in each} >= kinds,
            seconds=30,
        )
    finally:
        host.run("sh", "-c", f"rm -f {DROP_IN}; kill $(cat {INBOX}.pid)")
    assert {key for export in seen for key in export} >= kinds
    for export in seen:
        said = attributes(export)
        assert {name: said.get(name) for name in LABELS} == LABELS
