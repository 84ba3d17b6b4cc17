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

RULES = "/etc/prometheus/rules/claude-code-observability.yml"
ALERT = {"alertname": "ClaudeCodeDailyBudgetExceeded", "team": "data"}
# Five million tokens of output cost more than the day's budget of the second host's team (data).
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
    rules = monitor.run("cat", RULES)
    listen = f"setsid python3 /usr/local/share/ccpo-tests/webhook.py 8099 {inbox}"
    monitor.run("sh", "-c", f"{listen} >/tmp/webhook.log 2>&1 </dev/null & echo $! >{inbox}.pid")
    try:
        Round.of(fleet, "lavish").play("bob", fleet.second, (Turn(usage=EXPENSIVE),))
        # Totals are pushed, scraped and summed up by rules once a minute before the alert can know.
        firing = eventually(lambda: told(monitor, inbox), accept=bool, seconds=180)
        assert set(firing) == {"firing"}
        monitor.run("sed", "-i", "s/vector(80)/vector(80000)/", RULES)
        fleet.services.reload("prometheus")
        over = eventually(
            lambda: told(monitor, inbox)[-1:], accept=lambda seen: seen == ["resolved"], seconds=180
        )
        assert over == ["resolved"]
    finally:
        monitor.write(RULES, rules)
        fleet.services.reload("prometheus")
        monitor.run("sh", "-c", f"kill $(cat {inbox}.pid)")
