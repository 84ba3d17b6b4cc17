"""From the previous release to this tree, in one clone, on a machine that is at work meanwhile."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.fresh.machine import working_tree
from tests.fresh.story import ask, expected, work
from tests.support.machine import eventually
from tests.support.plays import ROOT, offer_grafana

if TYPE_CHECKING:
    from tests.fresh.machine import Bare, Run
    from tests.support.claude import Account
    from tests.support.promql import Vector

PREVIOUS = (Path(__file__).parent / "previous").read_text().split()[0]
INVENTORY = "/srv/mine"
# What the operator has set; of each role something that is not its default.
SET: dict[str, Any] = {
    "alertmanager_receivers": [{"name": "bot", "webhook_url": "http://127.0.0.1:1/"}],
    "alertmanager_default_receiver": "bot",
    "claude_exporter_labels": {"team": "data"},
    "claude_exporter_push_interval": 5,
    "claude_hooks_guard_timeout": 12,
    "claude_telemetry_resource_attributes": {"team": "data"},
    "grafana_apt_url": "file:/srv/stand-in",
    "prometheus_budgets": [{"team": "data", "day": 80, "month": 1200}],
    "prometheus_retention_time": "33d",
    "prometheus_scrape_interval": "5s",
    "pushgateway_persistence_interval": "7s",
}
SILENCE = {
    "matchers": [{"name": "team", "value": "data", "isRegex": False, "isEqual": True}],
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "2099-01-01T00:00:00Z",
    "createdBy": "test",
    "comment": "kept",
}
PASSWORD = "/etc/grafana/claude-code-observability/admin-password"


@dataclass(frozen=True)
class State:
    """What an upgrade must keep: numbers, silences, and what daemons and Claude Code run with."""

    numbers: dict[str, Vector]
    teams: Vector
    retention: str
    budgets: Vector
    receivers: list[str]
    silences: list[str]
    persistence: str
    guard_timeouts: set[int]
    telemetry: str
    password: str


@dataclass
class Upgrade:
    """What happened, in this order."""

    account: Account
    before: State
    first: Run
    after: State
    second: Run
    accounts: tuple[Account, Account]
    went_on: dict[str, Vector]


def previous_tree() -> bytes | None:
    """Return the previous release's tree as a tar archive; None where the history does not reach back."""
    archive = ["git", "-C", str(ROOT), "archive", "--format=tar", PREVIOUS]
    done = subprocess.run(archive, capture_output=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def state(machine: Bare) -> State:
    """Look at what must be kept."""

    def data(port: int, path: str) -> Any:
        status, body = machine.loopback(port).get(path)
        assert status == 200, body
        return json.loads(body)

    hooks = json.loads(machine.run("cat", "/etc/claude-code/managed-settings.d/50-observability-hooks.json"))
    telemetry = machine.run("cat", "/etc/claude-code/managed-settings.d/40-observability-telemetry.json")
    prometheus = machine.prometheus()
    return State(
        numbers=ask(machine),
        teams=prometheus.vector('sum by (team) (claude_code_tool_usage_total{user="dev"})', "team"),
        retention=data(9090, "/api/v1/status/flags")["data"]["storage.tsdb.retention.time"],
        budgets=prometheus.vector("claude_code_team_budget_usd", "team", "period"),
        receivers=[one["name"] for one in data(9093, "/api/v2/receivers")],
        silences=[one["comment"] for one in data(9093, "/api/v2/silences")],
        persistence=data(9091, "/api/v1/status")["data"]["flags"]["persistence.interval"],
        guard_timeouts={one["timeout"] for entry in hooks["hooks"]["PreToolUse"] for one in entry["hooks"]},
        telemetry=json.loads(telemetry)["env"]["OTEL_RESOURCE_ATTRIBUTES"],
        password=machine.run("cat", PASSWORD),
    )


def prepare(machine: Bare) -> None:
    """Write the operator's inventory, and build the stand-in for Grafana, which is in no public index."""
    hosts = yaml.safe_load((ROOT / "inventories/local/hosts.yml").read_text())
    machine.write(f"{INVENTORY}/hosts.yml", yaml.safe_dump(hosts), user="root")
    machine.write(f"{INVENTORY}/group_vars/all.yml", yaml.safe_dump(SET), user="root")
    machine.run("chown", "-R", f"{machine.operator}:", INVENTORY)
    offer_grafana(machine, "11.0.0")


def upgrade(machine: Bare, tree: bytes) -> Upgrade:
    """Deploy the previous release on a machine without any, work, upgrade, and work on."""
    prepare(machine)
    machine.checkout(tree)
    old = machine.deploy("-i", INVENTORY)
    assert old.status == 0, old.output
    account = work(machine, "before")
    wanted = expected(account)
    eventually(lambda: ask(machine), accept=lambda seen: seen == wanted, seconds=90)
    assert machine.loopback(9093).ask("POST", "/api/v2/silences", json.dumps(SILENCE))[0] == 200
    kept = state(machine)
    machine.checkout(working_tree())
    first = machine.deploy("-i", INVENTORY)
    after = state(machine)
    second = machine.deploy("-i", INVENTORY)
    accounts = (account, work(machine, "after"))
    wanted = expected(*accounts)
    went_on = eventually(lambda: ask(machine), accept=lambda seen: seen == wanted, seconds=90)
    return Upgrade(
        account=account,
        before=kept,
        first=first,
        after=after,
        second=second,
        accounts=accounts,
        went_on=went_on,
    )
