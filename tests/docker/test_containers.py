"""What a host whose services are containers looks like from outside, and that it loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fleet import Round, service
from tests.support.machine import eventually
from tests.support.plays import QUICKLY, ROOT
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.fleet import Fleet
    from tests.support.machine import Machine
    from tests.support.story import Script

pytestmark = pytest.mark.timeout(600)

PORTS = {"prometheus": 9090, "pushgateway": 9091, "alertmanager": 9093, "grafana": 3000}
RELOADED = ("prometheus", "alertmanager")
IN_TWO_VERSIONS = ("prometheus", "pushgateway", "alertmanager")
# In a fleet Grafana stays on loopback, the others have TLS and passwords.
ADDRESSES = dict.fromkeys(IN_TWO_VERSIONS, "0.0.0.0") | {"grafana": "127.0.0.1"}
ACCOUNTS = dict.fromkeys(IN_TWO_VERSIONS, "prometheus") | {"grafana": "grafana"}
DATA = {
    "prometheus": {"/var/lib/prometheus/metrics2"},
    "pushgateway": {"/var/lib/prometheus"},
    "alertmanager": {"/var/lib/prometheus/alertmanager"},
    "grafana": {"/var/lib/grafana"},
}
SCRIPT: Script = (Turn((bash("echo hello"),)), Turn(text="Done."))
SILENCE = {
    "matchers": [{"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}],
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2099-01-01T00:00:00Z",
    "createdBy": "tests",
    "comment": "outlives an upgrade",
}
# Those that ended in a container, and that nobody there has asked for their end.
ZOMBIES = """
import pathlib
texts = [path.read_text() for path in pathlib.Path("/proc").glob("[0-9]*/status")]
inside = [text for text in texts if len(text.split("NSpid:")[1].splitlines()[0].split()) > 1]
print([text for text in inside if "State:\\tZ" in text])
"""
IMAGES = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "images.json").read_text())


def inspected(host: Machine, name: str) -> dict[str, Any]:
    """Return what the engine knows of a service's container."""
    found: dict[str, Any] = json.loads(host.run("docker", "inspect", f"claude-code-{name}"))[0]
    return found


def containers(host: Machine) -> dict[str, str]:
    """Return the identity of each service's container, running or not."""
    return {name: inspected(host, name)["Id"] for name in PORTS}


def healthy(host: Machine, name: str) -> bool:
    """Return whether a service's container becomes healthy in the time that it may take."""
    state = eventually(
        lambda: inspected(host, name)["State"]["Health"]["Status"],
        accept=lambda seen: seen == "healthy",
        seconds=180,
    )
    return bool(state == "healthy")


def deploy(*tags: str, **variables: object) -> None:
    """Play the monitoring host's playbook on the scenario's inventory, with other values of variables."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
    argv = ["ansible-playbook", "-i", str(inventory), "playbooks/monitoring.yml", "-e", json.dumps(variables)]
    done = subprocess.run(
        [*argv, *(["--tags", ",".join(tags)] if tags else [])],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **QUICKLY},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> Round:
    """Play two sessions before anything happens to the containers."""
    played = Round.of(fleet, "before")
    for user in ("alice", "bob"):
        played.start(user, fleet.first, SCRIPT)
    played.finish()
    return played


def test_images_are_the_official_ones() -> None:
    if IMAGES["standins"]:
        pytest.skip("no official image can be pulled here: stand-ins of Debian's programs took their places")


@pytest.mark.parametrize("name", PORTS)
def test_container_can_do_nothing_but_serve(fleet: Fleet, name: str) -> None:
    account = fleet.monitor.run("sh", "-c", "echo $(id -u $0):$(id -g $0)", ACCOUNTS[name]).strip()
    assert account.startswith("0:") is False
    found = inspected(fleet.monitor, name)
    host: Mapping[str, Any] = found["HostConfig"]
    assert found["Config"]["User"] == account
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Privileged"] is False
    assert host["PidMode"] == host["UTSMode"] == ""
    assert host["IpcMode"] == "private"
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    assert list(found["NetworkSettings"]["Networks"]) == ["claude-code-observability"]
    port = str(PORTS[name])
    assert host["PortBindings"] == {f"{port}/tcp": [{"HostIp": ADDRESSES[name], "HostPort": port}]}
    assert {mount["Destination"] for mount in found["Mounts"] if mount["RW"]} == DATA[name]
    assert host["Init"] is True
    assert healthy(fleet.monitor, name)


@pytest.mark.parametrize("name", PORTS)
def test_kernel_says_the_same_of_the_process(fleet: Fleet, name: str) -> None:
    process = f"/proc/{inspected(fleet.monitor, name)['State']['Pid']}/status"
    status = dict(line.split(":\t", 1) for line in fleet.monitor.run("cat", process).splitlines())
    uid = fleet.monitor.run("id", "-u", ACCOUNTS[name]).strip()
    assert status["Uid"].split() == [uid] * 4
    assert {status[each] for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_health_checks_leave_no_process_behind(fleet: Fleet) -> None:
    for name in PORTS:
        log = "{{len .State.Health.Log}}"
        checks = ("docker", "inspect", "--format", log, f"claude-code-{name}")
        seen = eventually(lambda: int(fleet.monitor.run(*checks)), accept=lambda count: count > 2, seconds=90)  # noqa: B023
        assert seen > 2
    assert fleet.monitor.run("python3", "-c", ZOMBIES) == "[]\n"


def test_nothing_else_listens_and_nothing_else_runs(fleet: Fleet) -> None:
    sockets = [line.split()[3] for line in fleet.monitor.run("ss", "-Hltn").splitlines()]
    # Docker's own resolver of this container, and the stand-in for the Messages API.
    ours = {"127.0.0.1:8089"}
    open_to_others = {each for each in sockets if not each.startswith("127.0.0.11:")} - ours
    assert open_to_others == {f"{ADDRESSES[name]}:{port}" for name, port in PORTS.items()}
    running = fleet.monitor.run("docker", "ps", "--format", "{{.Names}}").split()
    assert sorted(running) == sorted(f"claude-code-{name}" for name in PORTS)


@pytest.mark.parametrize("name", PORTS)
def test_killed_container_comes_back(fleet: Fleet, before: Round, name: str) -> None:
    before.assert_exact()
    if name in RELOADED:  # what was asked to read its configuration is not taken for what shall stay down
        fleet.monitor.run("docker", "exec", f"claude-code-{name}", "kill", "-HUP", "1")
    killed = inspected(fleet.monitor, name)
    fleet.monitor.run("sh", "-c", f"kill -9 {killed['State']['Pid']}")
    back = eventually(
        lambda: inspected(fleet.monitor, name),
        accept=lambda seen: seen["RestartCount"] > killed["RestartCount"] and seen["State"]["Running"],
        seconds=60,
    )
    assert back["Id"] == killed["Id"]
    assert back["RestartCount"] == killed["RestartCount"] + 1
    assert healthy(fleet.monitor, name)


def test_no_number_is_lost_with_a_killed_container(fleet: Fleet, before: Round) -> None:
    before.assert_exact()
    after = Round.of(fleet, "after")
    after.play("alice", fleet.first, SCRIPT)
    after.assert_exact()


def test_changed_rules_are_read_by_the_same_process(fleet: Fleet) -> None:
    ids, process = containers(fleet.monitor), inspected(fleet.monitor, "prometheus")["State"]["Pid"]
    # The fleet's own budget stays as the example inventory has it.
    budgets = [{"team": "data", "day": 80, "month": 1200}, {"team": "new", "day": 12345}]
    deploy("prometheus", prometheus_budgets=budgets)
    query = 'claude_code_team_budget_usd{team="new", period="day"}'
    assert fleet.prometheus.eventually(query, expected={(): 12345}) == {(): 12345}
    assert containers(fleet.monitor) == ids
    assert inspected(fleet.monitor, "prometheus")["State"]["Pid"] == process


def test_newer_images_keep_numbers_and_silences(fleet: Fleet, before: Round) -> None:
    if not IMAGES["standins"]:
        pytest.skip("the official images are here in one version")
    alertmanager = service(fleet.monitor, 9093, "alertmanager")
    status, answer = alertmanager.post("/api/v2/silences", SILENCE)
    assert status == 200, answer
    silence = json.loads(answer)["silenceID"]
    ids = containers(fleet.monitor)
    newer = {f"{name}_image": f"ccpo-standin-{name}:debian13" for name in IN_TWO_VERSIONS}
    deploy(*IN_TWO_VERSIONS, **newer)
    assert all(healthy(fleet.monitor, name) for name in PORTS)
    assert {name for name, there in containers(fleet.monitor).items() if there != ids[name]} == set(
        IN_TWO_VERSIONS
    )
    status, answer = fleet.prometheus.service.get("/api/v1/status/buildinfo")
    assert status == 200, answer
    assert json.loads(answer)["data"]["version"].startswith("2.53.")
    before.assert_exact()
    _, silences = alertmanager.get("/api/v2/silences")
    assert [each["status"]["state"] for each in json.loads(silences) if each["id"] == silence] == ["active"]
