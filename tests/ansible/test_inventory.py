"""The example inventory means what it seems to say: a team beats its parent, a host its team."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.plays import JSON_REPORT, ROOT

if TYPE_CHECKING:
    from pathlib import Path

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ dict(names | zip(names | map('extract', vars) | map('default', none))) }}"
      vars:
        names: "{{ query('ansible.builtin.varnames', '^(claude|prometheus|team|cost_center)') }}"
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Each host's variables, as templates see them."""
    playbook = tmp_path_factory.mktemp("inventory") / "show.yml"
    playbook.write_text(PLAYBOOK)
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventories/example", str(playbook)],
        cwd=ROOT,
        env=os.environ | JSON_REPORT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    hosts = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]
    return {name.partition(".")[0]: result["msg"] for name, result in hosts.items()}


def test_a_team_beats_what_holds_for_all_developers(known: dict[str, dict[str, Any]]) -> None:
    assert known["dev-01"]["claude_exporter_labels"] == {"team": "platform", "cost_center": "4711"}
    assert known["dev-03"]["claude_exporter_labels"] == {"team": "data", "cost_center": "4712"}
    assert known["dev-03"]["claude_exporter_max_projects"] == 100
    assert "claude_exporter_max_projects" not in known["dev-01"]


def test_a_host_beats_its_team(known: dict[str, dict[str, Any]]) -> None:
    assert known["dev-04"]["claude_exporter_labels"] == {"team": "data", "cost_center": "9000"}
    assert known["dev-04"]["claude_exporter_push_interval"] == 60
    assert "claude_exporter_push_interval" not in known["dev-03"]


def test_hooks_and_telemetry_of_a_host_carry_the_same_labels(known: dict[str, dict[str, Any]]) -> None:
    developers = [host for name, host in known.items() if name.startswith("dev-")]
    assert len(developers) == 4
    for host in developers:
        assert host["claude_telemetry_resource_attributes"] == host["claude_exporter_labels"]


def test_every_exporter_pushes_to_the_monitoring_host_over_tls(known: dict[str, dict[str, Any]]) -> None:
    urls = {host.get("claude_exporter_pushgateway_url") for name, host in known.items() if name != "monitor"}
    assert urls == {"https://monitor.example.com:9091"}


def test_each_teams_budget_reaches_the_monitoring_host_once(known: dict[str, dict[str, Any]]) -> None:
    assert known["monitor"]["prometheus_budgets"] == [
        {"team": "platform", "day": 150, "month": 2500},
        {"team": "data", "day": 80, "month": 1200},
    ]


MANY = 500
SECONDS = 30.0  # 4 on two quiet cores
RENDER = """
- hosts: monitoring
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        targets: "{{ groups['developers'] | scrape_targets(hostvars, here=inventory_hostname) }}"
    - ansible.builtin.include_role: {name: trust}
    - ansible.builtin.debug: {var: targets}
"""


def test_the_targets_certificates_and_passwords_of_500_hosts_take_seconds(tmp_path: Path) -> None:
    names = [f"dev-{number:03}.example.com" for number in range(MANY)]
    groups = {
        "monitoring": {"hosts": {"monitor.example.com": None}},
        "developers": {
            "hosts": dict.fromkeys(names),
            "vars": {"claude_exporter_transport": "scrape"},
        },
    }
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    (tmp_path / "play.yml").write_text(RENDER)
    started = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")],
        cwd=ROOT,
        env=os.environ | JSON_REPORT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seconds = time.monotonic() - started
    last = json.loads(done.stdout)["plays"][0]["tasks"][-1]
    targets = last["hosts"]["monitor.example.com"]["targets"]
    assert [target["labels"]["instance"] for target in targets] == names
    certificates = [path.stem for path in (tmp_path / ".trust/hosts").glob("*.crt")]
    assert sorted(certificates) == [*names, "monitor.example.com"]
    assert seconds < SECONDS
