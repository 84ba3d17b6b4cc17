"""On a fleet with TLS and passwords the doctor of each host finds nothing wrong, and looks at all it may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.fleet import Fleet

# Only the monitoring host may ask Prometheus, and nothing goes by remote_write there.
ELSEWHERE = ("prometheus-", "canary-visible", "agent-")


def test_on_each_host_of_the_fleet_all_is_well(fleet: Fleet) -> None:
    for machine in fleet.developers.values():
        printed = machine.run("claude-code-doctor", "--json", "--quick", check=False)
        report = json.loads(printed)
        states = {check["name"]: check["state"] for check in report["checks"]}
        assert report["causes"] == []
        assert states["pushgateway-trusted"] == states["pushgateway-credentials"] == "ok"
        unseen = {name for name, state in states.items() if state == "unseen"}
        assert {name for name in unseen if not name.startswith(ELSEWHERE)} == set()
