"""The doctor on a deployed machine: it finds nothing wrong, then names each of many faults, one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ansible.faults import ANN, ETC, EXPORTER, FAULTS, HOOKS, NOTES, UP, away, put
from tests.support.claude import Developer, StandIn
from tests.support.machine import CommandError, eventually
from tests.support.plays import WITH_CLIENT, container, docker_host, run_playbook
from tests.support.story import Call, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the inventory of the one machine is."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def machine(place: Path) -> Iterator[Machine]:
    """Run a machine with the whole product on it but for Grafana, and two people."""
    prepare = "useradd --create-home ann && useradd --create-home bob"
    with container("ccpo-debian13-systemd", systemd=True, prepare=prepare, mounts=WITH_CLIENT) as machine:
        host = docker_host(
            machine,
            prometheus_scrape_interval="2s",
            prometheus_evaluation_interval="2s",
            claude_exporter_push_interval=1,
            claude_exporter_guard_interval=5,
            grafana_unreachable="skip",
        )
        groups = {"monitoring": {"hosts": {"dev": None}}, "developers": {"hosts": {"dev": None}}}
        inventory = {"all": {"hosts": {"dev": host}, "children": groups}}
        (place / "hosts.yml").write_text(yaml.safe_dump(inventory))
        status, printed = run_playbook("site.yml", place / "hosts.yml", seconds=800)
        assert status == 0, printed[-5000:]
        yield machine


def examine(machine: Machine, *arguments: str, user: str = "root") -> dict[str, Any]:
    """Return the doctor's report, and its exit status as `status`."""
    command = 'claude-code-doctor --json "$@"; echo ",$?"'
    printed = machine.run("sh", "-c", command, "sh", *arguments, user=user, seconds=120)
    text, _, status = printed.rpartition(",")
    report: dict[str, Any] = json.loads(text)
    return {**report, "status": int(status)}


def names(report: dict[str, Any], state: str) -> set[str]:
    """Return the checks that ended so."""
    return {check["name"] for check in report["checks"] if check["state"] == state}


def details(report: dict[str, Any], name: str) -> str:
    """Return what a check says of this host."""
    return "".join(check["detail"] for check in report["checks"] if check["name"] == name)


def well(machine: Machine) -> dict[str, Any]:
    """Return a report once nothing is wrong any more, or the last one."""
    return eventually(
        lambda: examine(machine, "--quick"), accept=lambda report: bool(report["healthy"]), seconds=60
    )


def test_on_a_machine_as_deployed_nothing_is_wrong_and_a_number_arrives(machine: Machine) -> None:
    report = examine(machine)
    assert report["causes"] == []
    assert names(report, "fail") == set()
    assert names(report, "unseen") == {"agent-ready", "agent-sends"}
    assert "canary-visible" in names(report, "ok")
    assert machine.run("claude-code-doctor", "--quick").splitlines()[-1].startswith("All is well.")


def test_a_developer_sees_what_is_theirs_and_is_told_what_is_not(machine: Machine) -> None:
    report = examine(machine, "--quick", user="ann")
    assert names(report, "fail") == set()
    assert {"ledger", "exporter-config", "pushgateway-answers"} <= names(report, "unseen")
    assert {"guard-effective", "journal-append", "otlp-accepted", "push-arrives"} <= names(report, "ok")
    assert (
        machine.run("claude-code-doctor", "--quick", user="ann").splitlines()[-1].endswith("root sees more.")
    )


def test_the_slash_command_leads_to_the_doctor(machine: Machine) -> None:
    report = [
        "/usr/bin/python3",
        "-I",
        "-S",
        f"{HOOKS}/report.py",
        "telemetry",
        "--config",
        f"{ETC}/hooks.json",
    ]
    assert machine.run(*report, user="ann").splitlines()[-1] == (
        "  claude-code-doctor, in a terminal, looks at all of this host and says what to do."
    )


@pytest.mark.parametrize("what", FAULTS)
def test_the_doctor_names_each_fault_and_no_other(machine: Machine, what: str) -> None:
    fault = FAULTS[what]
    machine.run("sh", "-ec", fault.break_it, seconds=90)
    try:
        report = eventually(
            lambda: examine(machine, "--quick"),
            accept=lambda report: report["causes"] == [fault.name],
            seconds=20,
        )
    finally:
        machine.run("sh", "-ec", fault.mend, seconds=90)
    assert report["causes"] == [fault.name]
    assert fault.says in details(report, fault.name)
    assert fault.more <= names(report, "fail")
    assert report["status"] == 1


@pytest.mark.parametrize("name", NOTES)
def test_what_is_no_fault_is_noted(machine: Machine, name: str) -> None:
    path, values = NOTES[name]
    machine.run("sh", "-ec", put(path, values))
    try:
        report = well(machine)  # a Prometheus that was just started has no targets yet
    finally:
        machine.run("rm", path)
    assert (report["causes"], names(report, "note"), report["status"]) == ([], {name}, 0)


def test_after_all_that_nothing_is_wrong(machine: Machine) -> None:
    assert well(machine)["causes"] == []


def test_a_user_who_disables_hooks_is_guarded_all_the_same(machine: Machine) -> None:
    """What the doctor merely notes: asked of the real client."""
    machine.run("sh", "-ec", put(f"{ANN}/settings.json", {"disableAllHooks": True}))
    StandIn(machine).start()
    secrets = Call("Read", {"file_path": "/home/ann/p/.env"})
    StandIn(machine).script("disabled", (Turn(calls=(secrets,)), Turn()))
    try:
        Developer(machine, "ann").start("disabled", project="p").account()
    finally:
        machine.run("rm", f"{ANN}/settings.json")
    query = 'sum(claude_code_security_blocks_total{project="p", user="ann", reason="env_file"})'
    assert eventually(lambda: ask(machine, query), accept=lambda found: found == [1], seconds=60) == [1]


def test_a_guard_that_breaks_on_a_live_host_is_an_alert(machine: Machine) -> None:
    """It fires after five minutes, as tests/rules prove; that it is about to is seen here."""
    query = 'ALERTS{alertname="ClaudeCodeGuardNotEffective", instance="dev", alertstate="pending"}'
    break_it, mend = away(f"{HOOKS}/pre_tool_use.py")
    machine.run("sh", "-ec", break_it)
    try:
        assert eventually(lambda: ask(machine, query), accept=lambda found: found == [1], seconds=60) == [1]
    finally:
        machine.run("sh", "-ec", mend)
    assert eventually(lambda: ask(machine, query), accept=lambda found: not found, seconds=90) == []


ASK = """
import json, sys, urllib.parse, urllib.request
url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": sys.argv[1]})
print(urllib.request.urlopen(url, timeout=10).read().decode())
"""


def ask(machine: Machine, query: str) -> list[float]:
    """Return the values that Prometheus has."""
    try:
        answer = json.loads(machine.run("python3", "-c", ASK, query))
    except CommandError:
        return []
    return [float(found["value"][1]) for found in answer["data"]["result"]]


def test_the_playbook_tells_of_all_hosts_and_changes_nothing(machine: Machine, place: Path) -> None:
    hosts = place / "hosts.yml"
    well(machine)
    well_status, healthy = run_playbook("playbooks/verify.yml", hosts, seconds=200)
    assert "All is well on 1 of 1 hosts; synthetic events that arrived in Prometheus: 1." in healthy
    machine.run("systemctl", "stop", EXPORTER)
    try:
        ill_status, ill = run_playbook("playbooks/verify.yml", hosts, seconds=200)
    finally:
        machine.run("sh", "-ec", UP)
    assert "Not well: dev: exporter-running." in ill
    assert "The exporter does not run" in ill
    assert [text.count("changed=0") for text in (healthy, ill)] == [1, 1]
    assert (well_status, ill_status) == (0, 2)
