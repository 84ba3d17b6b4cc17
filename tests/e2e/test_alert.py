"""An alert goes all the way: a real session spends too much, and somebody is told; then that it is over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.fleet import Round
from tests.support.machine import eventually
from tests.support.story import Turn

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.machine import Machine

BUDGETS = "/etc/prometheus/rules/00-budgets.yml"
ALERT = {"alertname": "ClaudeCodeDailyBudgetExceeded", "team": "data"}
# Five million tokens of output cost more than the day's budget of dev-b's team in the example inventory.
EXPENSIVE = {
    "input_tokens": 1000,
    "output_tokens": 5_000_000,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
}


def told(monitor: Machine, inbox: str) -> list[str]:
    """Return the states in which the alert was told of, oldest first."""
    lines = monitor.run("sh", "-c", 'cat "$0" 2>/dev/null || true', inbox).splitlines()
    alerts = [alert for line in lines for alert in json.loads(line)["alerts"]]
    return [alert["status"] for alert in alerts if alert["labels"].items() >= ALERT.items()]


def test_session_over_budget_is_told_of_and_so_is_the_end_of_it(fleet: Fleet) -> None:
    monitor, inbox = fleet.monitor, f"/tmp/inbox-{fleet.run}.jsonl"
    listen = f"setsid python3 /usr/local/share/ccpo-tests/webhook.py 8099 {inbox}"
    monitor.run("sh", "-c", f"{listen} >/tmp/webhook.log 2>&1 </dev/null &")
    Round.of(fleet, "lavish").play("bob", "dev-b", (Turn(usage=EXPENSIVE),))
    # Totals are pushed, scraped and summed up by rules once a minute before the alert can know.
    firing = eventually(lambda: told(monitor, inbox), accept=bool, seconds=180)
    assert set(firing) == {"firing"}
    budgets = monitor.run("cat", BUDGETS)
    try:
        monitor.run("sed", "-i", "s/vector(80)/vector(80000)/", BUDGETS)
        monitor.run("systemctl", "reload", "prometheus")
        states = eventually(
            lambda: told(monitor, inbox), accept=lambda seen: seen[-1:] == ["resolved"], seconds=150
        )
        assert states[-1:] == ["resolved"]
    finally:
        monitor.write(BUDGETS, budgets)
        monitor.run("systemctl", "reload", "prometheus")
